"""Which room may import which, and what must not import TensorFlow."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("physics", "data", "models", "training", "scores")
# Rooms that a room's files may import from, besides itself and the files beside the rooms that follow.
ALLOWED = {
    "physics": set(),
    "data": {"physics"},
    "models": {"training.configuration", "training.metrics", "physics"},
    "scores": {"physics", "data", "training", "rows", "plot", "progress"},
    "training": {"models.builder", "models.forest", "models.registry", "data.folds", "data.bigquery.address"},
}
BESIDE = {"challenge", "errors", "files", "machine", "quiet"}
FILES = sorted(path for package in ("ariel_tf", "pipelines", "tuning") for path in (ROOT / package).rglob("*.py"))
KERAS_OPS_ONLY = [*sorted((ROOT / "ariel_tf/models").glob("*.py")), ROOT / "ariel_tf/training/metrics.py"]


def imported(path):
    """Every module that a file imports, at the top or inside a function; names of `from a import b` as a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    parts = path.relative_to(ROOT).parts
    modules = imported(path)
    if parts[0] == "ariel_tf":
        outside = {m for m in modules if m.split(".")[0] in ("pipelines", "tuning", "benchmarks", "tests")}
        assert not outside, "ariel_tf is imported by these, never the other way"
    room = parts[1] if parts[1] in ROOMS and len(parts) > 2 else None
    for module in modules if room else ():
        if not module.startswith("ariel_tf."):
            continue
        name = module.removeprefix("ariel_tf.")
        first = name.split(".")[0]
        allowed = first == room or first in BESIDE or first in ALLOWED[room]
        assert allowed or any(name.startswith(one) for one in ALLOWED[room]), f"{room} may not import {module}"


@pytest.mark.parametrize("path", KERAS_OPS_ONLY, ids=lambda path: path.name)
def test_models_and_metrics_run_on_any_backend_of_keras(path):
    assert not {m for m in imported(path) if m.split(".")[0] in ("tensorflow", "jax", "torch")}


# Slow to import, and Google's clients besides: who trains on shards should not wait for them.
HEAVY = ("tensorflow", "keras", "google.cloud.bigquery", "google.cloud.bigquery_storage_v1")


def test_facts_physics_options_and_commands_import_no_tensorflow():
    modules = [
        "ariel_tf.challenge", "ariel_tf.physics.simulator", "ariel_tf.physics.references", "ariel_tf.data.textfile",
        "ariel_tf.physics.transit_fit", "ariel_tf.physics.spectral_shape",
        "ariel_tf.data.folds", "ariel_tf.data.manifest", "ariel_tf.models.hyper", "ariel_tf.models.registry",
        "ariel_tf.training.configuration", "ariel_tf.train", "ariel_tf.evaluate", "ariel_tf.predict",
        "ariel_tf.submission", "ariel_tf.ensemble", "ariel_tf.trees",
        "ariel_tf.supervise", "ariel_tf.data.text_planet", "pipelines.convert",
        "pipelines.simulate", "pipelines.check", "pipelines.upload", "ariel_tf.data.bigquery.address",
        "tuning.search", "tuning.space",
    ]  # fmt: skip
    program = f"import sys, {', '.join(modules)}; print([m for m in {HEAVY} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert answer.stdout.strip() == "[]"

"""Which room may import which, and what must not import TensorFlow."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# From left to right: a room imports only from itself and from those before it. The commands are last.
ROOMS = (
    "core", "challenge", "planet", "physics", "data", "config", "models", "runs", "evaluation", "training", "ensembles",
)  # fmt: skip
FILES = sorted(path for package in ("ariel_tf", "pipelines", "tuning") for path in (ROOT / package).rglob("*.py"))
KERAS_OPS_ONLY = sorted((ROOT / "ariel_tf/models").glob("*.py"))


def imported(path):
    """Every module that a file imports, at the top or inside a function; names of `from a import b` as a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(module):
    """The place of an `ariel_tf` module in the order of rooms; commands come last."""
    name = module.removeprefix("ariel_tf").removeprefix(".").split(".")[0]
    return ROOMS.index(name) if name in ROOMS else len(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    package, *rest = path.relative_to(ROOT).with_suffix("").parts
    modules = imported(path)
    if package == "ariel_tf":
        outside = {m for m in modules if m.split(".")[0] in ("pipelines", "tuning", "benchmarks", "tests")}
        assert not outside, "ariel_tf is imported by these, never the other way"
        own = room_of(".".join(["ariel_tf", *rest]))
        right = {m for m in modules if m.split(".")[0] == "ariel_tf" and room_of(m) > own}
        assert not right, f"{'.'.join(rest)} imports from a room to its right"


@pytest.mark.parametrize("path", KERAS_OPS_ONLY, ids=lambda path: path.name)
def test_models_and_metrics_run_on_any_backend_of_keras(path):
    assert not {m for m in imported(path) if m.split(".")[0] in ("tensorflow", "jax", "torch")}


# Slow to import, and Google's clients besides: who trains on shards should not wait for them.
HEAVY = ("tensorflow", "keras", "google.cloud.bigquery", "google.cloud.bigquery_storage_v1")


def test_facts_physics_options_and_commands_import_no_tensorflow():
    modules = [
        "ariel_tf.challenge", "ariel_tf.physics.simulator", "ariel_tf.physics.references", "ariel_tf.data.text.format",
        "ariel_tf.physics.transit_fit", "ariel_tf.physics.spectral_shape",
        "ariel_tf.data.folds", "ariel_tf.data.manifest", "ariel_tf.config.hyperparameters",
        "ariel_tf.config.model_registry",
        "ariel_tf.config.train_config", "ariel_tf.train", "ariel_tf.evaluate", "ariel_tf.predict",
        "ariel_tf.submission", "ariel_tf.ensemble", "ariel_tf.trees",
        "ariel_tf.supervise", "ariel_tf.pretrain", "ariel_tf.physics.stream", "ariel_tf.data.text.planet",
        "pipelines.convert", "pipelines.simulate", "pipelines.check", "pipelines.upload",
        "ariel_tf.data.bigquery.address",
        "tuning.search", "tuning.space", "tuning.options", "tuning.connection", "tuning.outcomes",
    ]  # fmt: skip
    program = f"import sys, {', '.join(modules)}; print([m for m in {HEAVY} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert answer.stdout.strip() == "[]"

"""Export a run's model for other programs: a TensorFlow SavedModel, a Keras file or ONNX.

    python -m ariel_tf.export RUN OUT --format savedmodel|keras|onnx

The exported model contains every transform: it takes raw light curves and returns relative radii.

    savedmodel   a folder; runs in TensorFlow alone, without Keras and ariel_tf
    keras        a file; runs in Keras alone
    onnx         a file; runs in onnxruntime (exporting needs the extra `onnx`)

OUT.json beside it describes inputs and outputs. RUN is a run folder of any kind: one wavelength, a list, all jointly,
trees, or an ensemble; each becomes one model. Before the export gets its final name, its predictions are compared with
ours, in a process that does not import ariel_tf.
"""

import contextlib
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ariel_tf.challenge import N_STEPS, STAR_PARAMETERS
from ariel_tf.core import cli
from ariel_tf.core.atomic_files import read_json, refuse_parent, require_utf8, sha256, write_json
from ariel_tf.core.errors import ArielError, DataError, UsageError, run_command
from ariel_tf.core.schema import Schema, option
from ariel_tf.core.scratch_folder import publish, scratch_folder
from ariel_tf.core.sealed_json import is_as_written, sealed

FORMATS = ("savedmodel", "keras", "onnx")
# Other programs round differently, where a dip of .001 remains of fluxes near 1: differences of 5e-5 of a radius
# occurred.
TOLERANCE = 1e-4
ROWS_TRIED = 5
# Checksum of the description itself; its `sha256` holds those of the model's files.
OWN_SUM = "description_sha256"

# Independent code as a user would write it. Each reads rows from the first argument and writes radii to the second.
_RUN = {
    "savedmodel": """
import numpy as np, sys, tensorflow as tf
rows = dict(np.load(sys.argv[2]))
model = tf.saved_model.load(sys.argv[1])
answer = model.serve({name: tf.constant(value) for name, value in rows.items()})
np.save(sys.argv[3], answer.numpy())
""",
    "keras": """
import importlib.util, os, sys
installed = [name for name in ("tensorflow", "jax", "torch") if importlib.util.find_spec(name)]
os.environ.setdefault("KERAS_BACKEND", installed[0] if installed else "tensorflow")
import keras, numpy as np
model = keras.saving.load_model(sys.argv[1], compile=False)
np.save(sys.argv[3], np.asarray(model(dict(np.load(sys.argv[2])))))
""",
    "onnx": """
import numpy as np, onnxruntime, sys
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
np.save(sys.argv[3], session.run(None, dict(np.load(sys.argv[2])))[0])
""",
}


class Options(Schema):
    """Options of `python -m ariel_tf.export`."""

    run: Path = option(..., "run folder of any kind", metavar="RUN", positional=True)
    out: Path = option(..., "folder, or file that ends in .keras or .onnx", metavar="OUT", positional=True)
    format: str | None = option(
        None, "format of the export", choices=FORMATS, shown="by the suffix of OUT, else savedmodel"
    )
    python: str = option(
        sys.executable, "Python of the environment in which the export is tested", metavar="PROGRAM", shown="this one"
    )
    overwrite: bool = cli.overwrite("replace an existing export", group="options")


def parser() -> cli.Parser:
    examples = ["runs/baseline baseline.keras", "runs/joint joint.onnx --python venv/bin/python"]
    return cli.Parser("ariel_tf.export", __doc__, Options, examples=examples)


def main(arguments: Sequence[str] | None = None) -> None:
    options = Options.from_flags(parser().parse_args(arguments))
    kind = options.format or {".keras": "keras", ".onnx": "onnx"}.get(options.out.suffix, "savedmodel")
    refuse_path(options.out, kind, options.overwrite)
    if (python := shutil.which(options.python)) is None:
        raise UsageError(f"--python {options.python}: expected a Python to run, such as ENVIRONMENT/bin/python.")
    export(options.run, options.out, kind, os.path.abspath(python))  # not resolved: a link is what makes it its own


def refuse_path(out: Path, kind: str, overwrite: bool = False) -> None:
    """Raise if a format cannot be written under this name."""
    require_utf8(out)
    if kind != "savedmodel" and out.suffix != f".{kind}":
        raise UsageError(f"{out}: expected a name that ends in .{kind}.")
    refuse_parent(out)
    for path in (out, description_path(out)):
        if path.exists() and not overwrite and (path == out or not _is_description(path)):
            raise UsageError(f"{path}: exists already; give another name, or --overwrite.")
    if out.is_dir() and (kind != "savedmodel" or not (out / "saved_model.pb").is_file()):
        raise UsageError(f"{out}: is a folder of something else; give another name.")


def description_path(out: Path) -> Path:
    return out.with_name(out.name + ".json")


def _is_description(path: Path) -> bool:
    """Whether a file describes an export; an export killed before its model was renamed leaves such a file."""
    with contextlib.suppress(DataError):
        return {"format", "run", "model", "inputs", "output"} <= read_json(path, dict).keys()
    return False


def digests(out: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of an export by name, relative to the folder of the export."""
    files = sorted(path for path in (out, *out.rglob("*")) if path.is_file())
    return {str(path.relative_to(out.parent)): sha256(path) for path in files}


def write_description(out: Path, described: dict[str, Any], sums: dict[str, str]) -> None:
    """Write the description of an export, with its own checksum.

    Args:
        out: file or folder of the export.
        described: result of `describe`.
        sums: SHA-256 by file name, result of `digests`.
    """
    values = described | {"sha256": sums}
    write_json(description_path(out), sealed(values, OWN_SUM))


def verify(out: Path) -> dict[str, Any]:
    """Compare an export with the checksums in its description.

    Args:
        out: file or folder that `export` wrote.

    Returns:
        The description, in the form of `describe`.

    Raises:
        DataError: a file was changed, removed or added, or the description is damaged.
    """
    path = description_path(out)
    described = read_json(path, dict)
    if not is_as_written(described, OWN_SUM):
        raise DataError(f"{path}: was changed after it was written; export it again.")
    described.pop(OWN_SUM, None)
    expected, found = described.pop("sha256", None), digests(out)
    if not isinstance(expected, dict):
        raise DataError(f"{path}: expected the checksums of an export, found none; export it again.")
    if wrong := sorted(name for name in expected | found if expected.get(name) != found.get(name)):
        raise DataError(f"{out.parent / wrong[0]}: not the file that was exported; export it again.")
    return described


def export(run: Path, out: Path, kind: str, python: str = sys.executable) -> None:
    """Write a run's model in another format.

    Args:
        run: run folder of any kind.
        out: file or folder to write.
        kind: one of `FORMATS`.
        python: Python of the environment in which the export is tested; it needs only the libraries of the format.

    Raises:
        UsageError: no such run, or packages that the format needs are missing.
        ArielError: the exported model does not run, or its predictions differ from ours.
    """
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.runs.predictor import Predictor

    if kind == "onnx":
        _require_onnx()
    trained = Predictor.load(run)
    out.parent.mkdir(parents=True, exist_ok=True)
    write: Callable[[Any, Path], None] = {"savedmodel": _savedmodel, "keras": _keras, "onnx": _onnx}[kind]
    with scratch_folder(out, ".exporting-") as scratch:
        made = scratch / out.name
        with disk_refusals(out):
            write(trained, made)
        largest = compare(trained, made, kind, python)
        # The description first: if the process is killed in between, the next export replaces it.
        write_description(out, describe(trained, kind), digests(made))
        publish(made, out)
    print(f"{out}: {kind}, tested in a separate process: radii differ from our predictions by {largest:.1e} at most")
    print(f"{description_path(out)}: description of inputs and outputs")


@contextlib.contextmanager
def disk_refusals(out: Path) -> Iterator[None]:
    """In this block TensorFlow writes a file: what the disk refuses is one sentence.

    Args:
        out: named in the sentence.

    Raises:
        ArielError: with the system's reason.
    """
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        reason = re.sub(r"\[Op:\w+\]", "", str(error).split(";")[-1]).strip()
        raise ArielError(f"{out}: cannot be written ({reason}).") from error


def describe(trained: Any, kind: str) -> dict[str, Any]:
    """Return the description that a user of the export needs."""
    names = [tensor.name.split(":")[0] for tensor in trained.inputs]
    inputs: dict[str, Any] = {
        "flux": {
            "shape": ["batch", *trained.inputs[names.index("flux")].shape[1:]],
            "dtype": "float32",
            "what": "light curves relative to the quiet star, one-minute steps; one channel per wavelength",
            "channels": [*trained.signature.inputs, *(["white light"] if trained.signature.white_light else [])],
        }
    }
    if "star" in names:
        units = [f"{parameter.name} ({parameter.unit})" for parameter in STAR_PARAMETERS]
        inputs["star"] = {"shape": ["batch", len(units)], "dtype": "float32", "what": units}
    radii = {"shape": ["batch", len(trained.targets)], "what": "Rp/Rs", "wavelengths": list(trained.targets)}
    return {"format": kind, "run": trained.path.name, "model": str(trained.configuration["model"]), "inputs": inputs,
            "output": radii}  # fmt: skip


def _savedmodel(trained: Any, path: Path) -> None:
    trained.model.export(path, format="tf_saved_model", verbose=False)


def _keras(trained: Any, path: Path) -> None:
    trained.model.save(path)


def _onnx(trained: Any, path: Path) -> None:
    import onnx
    import tensorflow as tf
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # it reports Erfc as missing, see below
    names = [tensor.name.split(":")[0] for tensor in trained.inputs]
    signature = [
        tf.TensorSpec([None, *t.shape[1:]], tf.float32, name) for t, name in zip(trained.inputs, names, strict=True)
    ]
    function = tf.function(lambda *rows: trained.model(dict(zip(names, rows, strict=True)), training=False))
    concrete = function.get_concrete_function(*signature)
    model, _ = tf2onnx.convert.from_function(function, signature, opset=17)
    # Plain tensors that the function captures become inputs; they are constants.
    held = {inner.name: value.numpy() for value, inner in concrete.graph.captures if value.dtype != tf.resource}
    for entry in [entry for entry in model.graph.input if entry.name in held]:
        model.graph.initializer.append(onnx.numpy_helper.from_array(held[entry.name], entry.name))
        model.graph.input.remove(entry)
    _spell_out_erfc(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _spell_out_erfc(graph: Any) -> None:
    """Return Erfc(x) as 1 - Erf(x): TensorFlow's exact GELU uses Erfc, tf2onnx passes it on, and ONNX lacks it."""
    import onnx

    nodes = []
    for node in graph.node:
        if node.op_type != "Erfc":
            nodes.append(node)
            continue
        erf, one = f"{node.output[0]}/erf", f"{node.output[0]}/one"
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(1, np.float32), one))
        nodes.append(onnx.helper.make_node("Erf", [node.input[0]], [erf]))
        nodes.append(onnx.helper.make_node("Sub", [one, erf], [node.output[0]]))
    del graph.node[:]
    graph.node.extend(nodes)


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise UsageError(f"--format onnx needs {error.name}: pip install 'ariel_tf[onnx]'") from error


def compare(trained: Any, path: Path, kind: str, python: str = sys.executable) -> float:
    """Return the largest relative difference between the radii of the export, in a fresh process, and ours.

    Raises:
        ArielError: the export does not run, or the difference exceeds `TOLERANCE`.
    """
    rows = example_rows(trained)
    ours = np.asarray(trained(rows))
    with tempfile.TemporaryDirectory() as scratch:
        given, received = Path(scratch) / "rows.npz", Path(scratch) / "radii.npy"
        np.savez(given, **rows)  # type: ignore[arg-type]
        # -P and another folder: neither this folder nor its ariel_tf can be imported by accident.
        command = [python, "-P", "-c", _RUN[kind], str(path.resolve()), str(given), str(received)]
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": ""}
        answer = subprocess.run(command, capture_output=True, text=True, cwd=scratch, env=environment, check=False)
        if answer.returncode:
            last = (answer.stderr.strip().splitlines() or ["no message"])[-1]
            raise ArielError(f"the exported {kind} does not run by itself: {last}")
        theirs = np.load(received)
    largest = float(np.max(np.abs(theirs - ours) / np.maximum(np.abs(ours), 1e-3)))
    if not largest <= TOLERANCE:
        raise ArielError(f"the exported {kind} predicts other radii than its run, by up to {largest:.1e} of a radius.")
    return largest


def example_rows(trained: Any) -> dict[str, np.ndarray]:
    """Return a few simulated observations in the layout of the model's inputs."""
    from ariel_tf.physics.simulator import simulate_planet

    names = [tensor.name.split(":")[0] for tensor in trained.inputs]
    shape = trained.inputs[names.index("flux")].shape[1:-1]
    instances = shape[0] if len(shape) > 1 else 1
    planets = [simulate_planet(0, number, 1, instances) for number in range(1, ROWS_TRIED + 1)]
    flux = np.stack([planet.flux.transpose(1, 0, 2) for planet in planets])  # rows, instances, 55, 300
    assert flux.shape[-1] == N_STEPS
    rows = {"flux": trained.channels(flux if len(shape) > 1 else flux[:, 0])}
    if "star" in names:
        rows["star"] = np.stack([planet.star for planet in planets]).astype(np.float32)
    return rows


if __name__ == "__main__":
    run_command(main)

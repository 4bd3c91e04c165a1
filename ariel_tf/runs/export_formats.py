"""The formats of an export: how each is written, and how it is tested in a separate process.

A model in another format is run by code that a user would write (`_RUN`), in a process that does not import ariel_tf,
on simulated light curves; its radii must agree with those of our model.
"""

import contextlib
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ariel_tf.challenge import N_STEPS
from ariel_tf.core.errors import ArielError, UsageError

FORMATS = ("savedmodel", "keras", "onnx")
# Other programs round differently, where a dip of .001 remains of fluxes near 1: differences of 5e-5 of a radius
# occurred.
TOLERANCE = 1e-4
ROWS_TRIED = 5

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


def require_packages(kind: str) -> None:
    """Raise a `UsageError` if packages that a format needs are missing."""
    if kind != "onnx":
        return
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise UsageError(f"--format onnx needs {error.name}: pip install 'ariel_tf[onnx]'") from error


def write(trained: Any, path: Path, kind: str) -> None:
    """Write the model of a predictor, one of `FORMATS`, to a new file or folder."""
    writers: dict[str, Callable[[Any, Path], None]] = {"savedmodel": _savedmodel, "keras": _keras, "onnx": _onnx}
    writers[kind](trained, path)


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


def _savedmodel(trained: Any, path: Path) -> None:
    trained.model.export(path, format="tf_saved_model", verbose=False)
    # TensorFlow ignores a disk that refuses to remove its temporary files.
    shutil.rmtree(path / "variables" / "variables_temp", ignore_errors=True)


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

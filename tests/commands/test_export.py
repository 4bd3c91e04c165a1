"""An exported model answers as ours does, without any of our code."""

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from ariel_tf import ensemble, export, train
from ariel_tf.core.errors import ArielError, DataError, UsageError
from ariel_tf.runs import export_formats
from ariel_tf.runs.predictor import Predictor

pytestmark = pytest.mark.usefixtures("pretended_training")

DATA = "simulated:planets=12,spots=1,photons=2,seed=1"


@pytest.fixture(scope="module")
def run(tmp_path_factory, pretended_training):
    """The median of a transit model and a dense one: GELU, sorting, two kinds of transforms, the star, white light."""
    folder = tmp_path_factory.mktemp("runs")
    data = ["--data", DATA, "--epochs", "1"]
    train.main([*data, "--model", "transit", "--set", "units=8", "--set", "layers=1", "--run", str(folder / "a")])
    small = ["--model=baseline", "--set", "first=8", "--set", "second=4", "--channels", "own+white", "--steps",
             "99:200"]  # fmt: skip
    train.main([*data, *small, "--run", str(folder / "b")])
    ensemble.main(["median", str(folder / "a"), str(folder / "b"), "--run", str(folder / "median")])
    return folder / "median"


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind == "onnx" else pytest.mark.slow) for kind in export.FORMATS]
)
def test_an_export_runs_by_itself_and_agrees(run, tmp_path, capsys, kind):
    """`export` itself tries it in a fresh process; here the numbers are compared once more, on other rows."""
    out = tmp_path / ("model" if kind == "savedmodel" else f"model.{kind}")
    export.main([str(run), str(out), "--format", kind])
    assert "tested in a separate process" in capsys.readouterr().out
    page = json.loads(export.description_path(out).read_text())
    assert page["inputs"]["flux"]["channels"] == [12, "white light"]
    assert page["inputs"]["flux"]["shape"] == ["batch", 300, 2]
    assert page["output"]["wavelengths"] == [12]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([out.name, f"{out.name}.json"])
    with pytest.raises(UsageError, match="exists already"):
        export.main([str(run), str(out), "--format", kind])


@pytest.mark.parametrize(("name", "kind"), [("m.onnx", "onnx"), ("m.keras", "keras"), ("m", "savedmodel")])
def test_the_ending_chooses_the_format_where_none_is_named(tmp_path, monkeypatch, name, kind):
    """`export RUN m.onnx` made a folder of that name, a SavedModel."""
    made = []
    monkeypatch.setattr(export, "export", lambda run, out, kind, python: made.append(kind))
    export.main(["RUN", str(tmp_path / name)])
    assert made == [kind]


@pytest.mark.fresh
@pytest.mark.parametrize("kind", export.FORMATS)
@pytest.mark.parametrize("model", ["median", "squid", "transit"])
def test_an_export_runs_where_nothing_of_ours_is_installed(run, tmp_path, capsys, kind, model):
    """In the environments that `make test-export` builds: onnxruntime; TensorFlow; Keras on JAX without TensorFlow."""
    python = Path(os.environ["ARIEL_FRESH"]) / kind / "bin/python"
    listed = json.loads(subprocess.check_output([python, "-m", "pip", "list", "--format=json"], text=True))
    runtimes = {package["name"] for package in listed} & {"ariel_tf", "onnxruntime", "tensorflow", "jax"}
    assert runtimes == {{"onnx": "onnxruntime", "savedmodel": "tensorflow", "keras": "jax"}[kind]}
    if model != "median":
        data = ["--data", DATA, "--epochs", "1", "--model", model, "--run", str(tmp_path / "run")]
        train.main([*data, *(["--wavelength", "joint"] if model == "transit" else [])])
        run = tmp_path / "run"
    out = tmp_path / ("model" if kind == "savedmodel" else f"model.{kind}")
    export.main([str(run), str(out), "--format", kind, "--python", str(python)])
    difference = float(capsys.readouterr().out.split("at most ")[1].split()[0])
    assert difference <= {"onnx": export_formats.TOLERANCE, "savedmodel": 1e-5, "keras": 1e-5}[kind]


def test_an_export_that_answers_otherwise_is_refused(run, tmp_path, forked):
    trained = Predictor.load(run.parent / "b")
    path = tmp_path / "model.keras"
    trained.model.save(path)

    class Other(SimpleNamespace):
        def __call__(self, rows):
            return np.asarray(trained(rows)) * 1.01

    other = Other(inputs=trained.inputs, channels=trained.channels)
    with pytest.raises(ArielError, match=r"predicts other radii than its run, by up to \d\.\de-0[123] of a radius"):
        export.compare(other, path, "keras")
    path.write_bytes(b"no model")
    with pytest.raises(ArielError, match="does not run by itself"):
        export.compare(trained, path, "onnx")


@pytest.mark.parametrize(
    ("out", "kind", "said"),
    [
        ("model.h5", "keras", r"ends in \.keras"),
        ("file/a.onnx", "onnx", "file is not a folder"),
        ("here", "savedmodel", "exists"),
    ],
)
def test_names_that_do_not_fit_are_refused(tmp_path, out, kind, said):
    (tmp_path / "here").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=said):
        export.refuse_path(tmp_path / out, kind)


def test_a_python_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--python nowhere/python: expected a Python to run"):
        export.main(["RUN", str(tmp_path / "m.onnx"), "--python", "nowhere/python"])


def test_the_description_of_an_interrupted_export_is_replaced_and_another_file_is_not(tmp_path):
    page = {"format": "keras", "run": "a", "model": "squid", "inputs": {}, "output": {}}
    (tmp_path / "m.keras.json").write_text(json.dumps(page))
    export.refuse_path(tmp_path / "m.keras", "keras")
    for other in ("{}", "x"):
        (tmp_path / "m.keras.json").write_text(other)
        with pytest.raises(UsageError, match="exists already"):
            export.refuse_path(tmp_path / "m.keras", "keras")


def test_a_changed_export_is_refused_by_its_checksums(tmp_path):
    out = tmp_path / "model"
    out.mkdir()
    (out / "saved_model.pb").write_text("graph")
    export.description_path(out).write_text(json.dumps({"sha256": export.digests(out)}))
    export.verify(out)
    for change in (lambda: (out / "saved_model.pb").write_text("grapf"), lambda: (out / "more").touch()):
        change()
        with pytest.raises(DataError, match="not the file that was exported"):
            export.verify(out)
        (out / "saved_model.pb").write_text("graph")
    export.description_path(out).write_text("{}")
    with pytest.raises(DataError, match="expected the checksums of an export"):
        export.verify(out)


def test_a_disk_that_refuses_a_step_of_tensorflow_is_one_sentence(tmp_path):
    """Exporting a SavedModel to a full disk ended in a traceback."""
    reason = "{{function_node x}} .exporting-m/m/variables/part-0; Input/output error [Op:SaveV2]"
    with (
        pytest.raises(ArielError, match=r"/m: cannot be written \(Input/output error\)\."),
        export.disk_refusals(tmp_path / "m"),
    ):
        raise tf.errors.UnknownError(None, None, reason)
    with (
        pytest.raises(ArielError, match=r"cannot be written \(No space left on device\)"),
        export.disk_refusals(tmp_path / "m"),
    ):
        raise tf.errors.ResourceExhaustedError(None, None, ".exporting-m/m/variables; No space left on device")

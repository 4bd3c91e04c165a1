"""The user's Keras settings never change a number, and a Keras that does not fit is one sentence."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from support.run_folders import table

from ariel_tf import train
from ariel_tf.core import tf_startup
from ariel_tf.core.errors import UsageError

ROOT = Path(__file__).parents[2]
# A convolution, which depends on the image layout; normalised inputs, which depend on epsilon.
TINY = ["--model", "cnn", "--data", "simulated:planets=10,spots=1,photons=1,seed=1", "--epochs", "1",
        "--set", "first=8", "--set", "second=4", "--set", "dense=4", "--devices", "cpu"]  # fmt: skip
MEASURED = ("loss", "score", "val_loss", "val_score")
SOUND = {"backend": "tensorflow", "floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}
HOSTILE = {"floatx": "float16", "epsilon": 0.1, "backend": "theano", "image_data_format": "channels_first"}


def python_with(home, settings, *arguments):
    """Run Python in a process of its own with this keras.json."""
    (home / ".keras").mkdir(parents=True)
    (home / ".keras/keras.json").write_text(json.dumps(settings))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KERAS_")}
    environment |= {"HOME": str(home), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=home, capture_output=True, text=True, check=False
    )


def train_with(home, settings):
    return python_with(home, settings, "-m", "ariel_tf.train", *TINY, "--run", str(home / "run"))


def test_settings_that_a_number_depends_on_are_set_back(monkeypatch):
    keras.config.set_floatx("float16")
    keras.config.set_epsilon(0.1)
    keras.config.set_image_data_format("channels_first")
    monkeypatch.setattr(tf_startup, "_keras_is_set", False)
    tf_startup.import_keras()
    assert tf_startup.keras_settings() == SOUND


@pytest.mark.slow
def test_keras_json_changes_no_setting_that_a_number_depends_on(tmp_path):
    """floatx float16 gave 9,087.5 for 9,760.1, channels_first an IndexError, theano a traceback."""
    program = "from ariel_tf.core.tf_startup import import_keras\nkeras = import_keras()\nprint("
    program += ", ".join(f"keras.config.{name}()" for name in SOUND) + ", keras.Variable(1.0).dtype)"
    done = python_with(tmp_path, HOSTILE, "-c", program)
    assert done.stdout.split() == [*map(str, SOUND.values()), "float32"], done.stderr


@pytest.mark.slow
def test_keras_json_changes_no_number(tmp_path, monkeypatch):
    """The promise above, in a whole training."""
    done = train_with(tmp_path / "home", HOSTILE)
    assert done.returncode == 0, done.stderr
    monkeypatch.chdir(tmp_path)
    train.main([*TINY, "--run", "plain"])
    rows = [table(tmp_path / name / "metrics.csv")[0] for name in ("home/run", "plain")]
    assert [rows[0][name] for name in MEASURED] == [rows[1][name] for name in MEASURED]
    meta = json.loads((tmp_path / "home/run/meta.json").read_text())
    assert meta["sessions"][0]["hardware"]["onednn"] is tf_startup.uses_onednn()
    assert meta["sessions"][0]["keras"] == SOUND


def test_a_keras_json_that_keras_refuses_is_one_sentence(tmp_path):
    done = train_with(tmp_path, {"floatx": "float8"})
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    # Keras gives a reason since 3.13.
    assert re.search(r"Keras cannot be imported \((Invalid `floatx` configuration\.|AssertionError\))", done.stderr)
    assert f"{tmp_path}/.keras/keras.json" in done.stderr


@pytest.mark.parametrize(
    ("name", "value"), [("KERAS_BACKEND", "jax"), ("KERAS_BACKEND", "torch"), ("TF_USE_LEGACY_KERAS", "1")]
)
def test_another_keras_is_one_sentence(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    if name == "KERAS_BACKEND":
        monkeypatch.setattr(keras.config, "backend", lambda: value)
    with pytest.raises(UsageError, match=f"{name}={value}: expected .*; unset this environment variable"):
        tf_startup.import_tensorflow()


def test_the_environment_of_child_processes_stays_the_user_s(monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    tf_startup.import_keras()
    assert "KERAS_BACKEND" not in os.environ

"""Models and data sources outside this package: files of the user's and plug-ins, and that nothing else is run."""

import importlib.metadata
import json
import shutil
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import ariel_tf
from ariel_tf import evaluate, train
from ariel_tf.config import model_registry
from ariel_tf.core import user_code
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.sources import open_source
from ariel_tf.runs.predictor import Predictor

pytestmark = pytest.mark.usefixtures("own_folder", "pretended_training_here")

DATA = "simulated:planets=10,spots=1,photons=1,seed=1"
SMALL = ["--data", DATA, "--epochs", "1", "--batch-size", "8"]
PLAIN = '''
import keras


def attention(hp, inputs):
    """Attention over time."""
    x = keras.layers.AveragePooling1D(20)(inputs.flux)
    x = keras.layers.MultiHeadAttention(1, hp.Int("width", 1, 64, default=2))(x, x)
    return keras.layers.Flatten()(x)
'''
OWN_LAYER = '''
import keras
from ariel_tf.config.model_registry import model


@keras.saving.register_keras_serializable(package="my_model")
class Halved(keras.layers.Layer):
    def call(self, x):
        return x / 2


@model(scope="one", epochs=3, steps="99:200")
def halved(hp, inputs):
    """Half of everything."""
    return keras.layers.Dense(2)(Halved()(keras.layers.Flatten()(inputs.flux)))
'''
SURVEY = """
import numpy as np
from ariel_tf.physics.simulator import simulate_planet


def survey(argument):
    for number in range(1, int(argument or 10) + 1):
        yield simulate_planet(1, number, 1, 1)


def one(argument):
    return 3


def bare():
    return survey("10")
"""


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch):
    """A process in which the user named no file yet."""
    monkeypatch.setattr(user_code, "_named", set())
    monkeypatch.delenv(user_code.ENVIRONMENT, raising=False)


def written(name, text):
    Path(name).write_text(text)
    return Path(name).resolve()


def test_a_model_of_a_file_trains_and_predicts_without_the_file():
    path = written("my_model.py", PLAIN)
    train.main([*SMALL, "--model", "my_model.py:attention", "--set", "width=3", "--run", "one"])
    recorded = json.loads(Path("one/config.json").read_text())
    digest = user_code.Reference(path, "", "").sha256
    assert recorded["model"] == f"{path}:attention"
    assert recorded["model_source"] == {"file": str(path), "sha256": digest, "unit": "observation"}
    assert recorded["settings"]["width"] == 3
    path.unlink()
    assert Predictor.load("one").predict(np.ones((2, 55, 300))).shape == (2, 1)
    evaluate.main(["one"])


def test_a_run_is_in_a_folder_of_the_function_s_name_and_another_content_in_another():
    written("my_model.py", PLAIN)
    train.main([*SMALL, "--model", "my_model.py:attention"])
    written("my_model.py", PLAIN + "\n# changed\n")
    train.main([*SMALL, "--model", "my_model.py:attention"])
    names = [path.name for path in Path("runs").iterdir()]
    assert len(names) == 2
    assert all(name.startswith("attention-w12-") for name in names)


def test_a_changed_or_missing_file_is_one_sentence_where_its_run_is_resumed():
    path = written("my_model.py", PLAIN)
    train.main([*SMALL, "--model", "my_model.py:attention", "--run", "one"])
    written("my_model.py", PLAIN + "\n# changed\n")
    with pytest.raises(UsageError, match=r"my_model\.py has changed since this run was started \(sha256 \w{12} then"):
        train.main([*SMALL, "--model", "my_model.py:attention", "--run", "one"])
    path.unlink()
    with pytest.raises(UsageError, match=r"my_model\.py:attention: expected a Python file .*, found none"):
        train.main([*SMALL, "--model", "my_model.py:attention", "--run", "one"])


def test_a_python_file_that_only_a_configuration_names_is_not_run():
    """A stranger's run folder could otherwise run any program of the folder."""
    written("evil.py", "open('it_ran', 'w')\n\n\ndef model(hp, inputs):\n    return inputs.flux\n")
    evil = f"{Path('evil.py').resolve()}:model"
    Path("stranger.json").write_text(json.dumps({"model": evil, "data": DATA}))
    with pytest.raises(UsageError, match=r"stranger\.json names a Python file, .*name it yourself: --model /"):
        train.main(["--config", "stranger.json"])
    Path("stranger.json").write_text(json.dumps({"data": evil}))
    with pytest.raises(UsageError, match=r"names a Python file, .*name it yourself: --data /"):
        train.main(["--config", "stranger.json"])
    with pytest.raises(UsageError, match="names a Python file"):
        open_source(evil, ())
    with pytest.raises(UsageError, match="names a Python file"):
        model_registry.load(evil)
    assert not Path("it_ran").exists()


def test_the_data_of_a_stranger_s_run_are_not_run(tiny_run):
    run = tiny_run(
        "--model=baseline", "--data", DATA, "--set", "first=8", "--set", "second=4", "--epochs", "1", into="one"
    )
    from ariel_tf.runs.state import read_state, write_state

    written("evil.py", "open('it_ran', 'w')\n")
    config = json.loads((run / "config.json").read_text()) | {"data": str(Path("evil.py").resolve()) + ":f"}
    (run / "config.json").write_text(json.dumps(config))
    from ariel_tf.core.atomic_files import sha256

    state = read_state(run)
    write_state(run, state | {"files": state["files"] | {"config.json": sha256(run / "config.json")}})
    with pytest.raises(UsageError, match="names a Python file"):
        evaluate.main([str(run)])
    assert not Path("it_ran").exists()


def test_layers_of_a_file_are_loaded_if_the_user_names_it(monkeypatch, tmp_path):
    path = written("my_model.py", OWN_LAYER)
    train.main([*SMALL, "--model", "my_model.py:halved", "--run", "one"])
    flux = np.ones((1, 55, 300))
    expected = Predictor.load("one").predict(flux)  # the same process, which was told
    assert json.loads(Path("one/config.json").read_text())["steps"] == "99:200"
    user_code._named.clear()
    with pytest.raises(UsageError, match=r"has layers of .*my_model\.py, which would be run; .*ARIEL_TF_MODEL_FILES=/"):
        Predictor.load("one")
    monkeypatch.setenv(user_code.ENVIRONMENT, str(path))
    np.testing.assert_array_equal(Predictor.load("one").predict(flux), expected)
    moved = shutil.move(path, tmp_path / "moved.py")
    with pytest.raises(UsageError, match=r"my_model\.py, which does not exist; name the file where it is"):
        Predictor.load("one")
    monkeypatch.setenv(user_code.ENVIRONMENT, str(moved))
    written("my_model.py", OWN_LAYER + "# changed\n")
    np.testing.assert_array_equal(Predictor.load("one").predict(flux), expected)
    monkeypatch.setenv(user_code.ENVIRONMENT, "my_model.py")
    with pytest.raises(UsageError, match=r"my_model\.py, which has changed since"):
        Predictor.load("one")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return inputs.flux", r"expected features of shape \[batch, number\].* Received: shape \[None, 300, 1\]"),
        ("return 3", "Received: int"),
        ("return keras.layers.Lambda(lambda x: x)(keras.layers.Flatten()(inputs.flux))", "a Lambda layer cannot"),
        ("return Own()(keras.layers.Flatten()(inputs.flux))", r"decorate its layer Own with @keras\.saving\.reg"),
        ("return hp.Int('a', 1, 2)", "Received: int"),
    ],
)
def test_what_a_run_could_not_hold_is_refused_at_the_start(body, said):
    own = "import keras\n\n\nclass Own(keras.layers.Layer):\n    def call(self, x):\n        return x\n\n\n"
    written("bad.py", f"{own}def f(hp, inputs):\n    {body}\n")
    with pytest.raises(UsageError, match=said):
        train.main([*SMALL, "--model", "bad.py:f"])
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        (PLAIN, "atention", r"expected a function atention in .*; it has attention\. Did you mean attention\?"),
        ("def f(:\n", "f", "expected a Python file"),
        ("@model(epochs=1 + x)\ndef f(hp, inputs):\n    pass\n", "f", r"expected literals in @model\(\.\.\.\) of f"),
        ("@model(unit='star')\ndef f(hp, inputs):\n    pass\n", "f", "expected one of observation, spot, planet"),
    ],
)
def test_what_is_no_model_is_one_sentence(text, name, said):
    written("my_model.py", text)
    with pytest.raises(UsageError, match=said):
        train.main([*SMALL, "--model", f"my_model.py:{name}"])


def test_planets_of_a_file_are_a_data_set():
    written("my_data.py", SURVEY)
    data = ariel_tf.open_data("my_data.py:survey")
    same = ariel_tf.open_data(DATA)
    assert data.source.description == f"{Path('my_data.py').resolve()}:survey"
    assert data.folds.keys() == same.folds.keys()
    for planet in data:
        np.testing.assert_array_equal(planet.flux, same[planet.number].flux)
    small = ["--model=baseline", "--set", "first=8", "--set", "second=4", "--epochs", "1"]
    train.main(["--data", "my_data.py:survey:10", *small, "--run", "one"])
    assert json.loads(Path("one/config.json").read_text())["data"] == f"{Path('my_data.py').resolve()}:survey:10"
    evaluate.main(["one", "--data", "my_data.py:survey:10"])


def test_streamed_rows_of_a_file_s_planets_are_those_of_any_source(same_planets):
    from ariel_tf.data.selection import Selection

    written("my_data.py", SURVEY)
    user_code.name_by_user("my_data.py:survey")
    selection = Selection.of(range(10), (3, 12), white_light=True)
    same_planets(open_source("my_data.py:survey", range(55)).records(selection),
                 open_source(DATA, range(55)).records(selection))  # fmt: skip


@pytest.mark.parametrize(
    ("function", "error", "said"),
    [
        ("one", UsageError, r"expected ariel_tf\.planet\.Planet .* Received: int"),
        ("none", UsageError, "expected a function none in the file"),
        ("bare", UsageError, r"expected a function with one parameter, .* def bare\(argument\)"),
        ("survey:-1", DataError, "expected sound planets, received none"),
    ],
)
def test_what_is_no_data_is_one_sentence(function, error, said):
    written("my_data.py", SURVEY)
    with pytest.raises(error, match=said):
        ariel_tf.open_data(f"my_data.py:{function}")


@pytest.fixture
def plugin(monkeypatch):
    """The package `ariel_plugin` with a model of its own layer and a source, as if it were installed."""
    package = Path("site/ariel_plugin")
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    text = OWN_LAYER.replace('package="my_model"', 'package="ariel_plugin"').replace("halved", "plugged")
    (package / "models.py").write_text(text)
    (package / "sources.py").write_text(SURVEY)
    monkeypatch.syspath_prepend(str(Path("site").resolve()))
    points = {
        user_code.MODELS: importlib.metadata.EntryPoint("plugged", "ariel_plugin.models:plugged", user_code.MODELS),
        user_code.SOURCES: importlib.metadata.EntryPoint("sky", "ariel_plugin.sources:survey", user_code.SOURCES),
    }
    monkeypatch.setattr(user_code, "plugins", lambda group: {points[group].name: points[group]})
    yield
    for name in [name for name in sys.modules if name.startswith("ariel_plugin")]:
        del sys.modules[name]


def test_a_plug_in_s_model_and_data_are_named_like_our_own(plugin, capsys):
    train.main(["--list-models"])
    assert "plugged     Half of everything. (plug-in)" in capsys.readouterr().out
    assert "ariel_plugin.models" not in sys.modules
    train.main(["--data", "sky:10", "--model", "plugged", "--epochs", "1", "--run", "one"])
    recorded = json.loads(Path("one/config.json").read_text())
    assert recorded["model_source"] == {"plugin": "ariel_plugin.models:plugged", "unit": "observation"}
    assert Predictor.load("one").predict(np.ones((55, 300))).shape == (1,)
    evaluate.main(["one"])
    with pytest.raises(UsageError, match="Did you mean plugged"):
        train.main(["--model", "pluged"])


def test_a_plug_in_that_is_not_there_is_one_sentence(monkeypatch):
    point = importlib.metadata.EntryPoint("gone", "json.nowhere:f", user_code.MODELS)
    monkeypatch.setattr(user_code, "plugins", lambda group: {"gone": point} if group == user_code.MODELS else {})
    with pytest.raises(UsageError, match=r"its plug-in names the module json\.nowhere, which does not exist"):
        model_registry.entry("gone")


def test_models_of_this_package_record_nothing_new(tiny_run):
    run = tiny_run("--model=baseline", "--data", DATA, "--set", "first=8", "--set", "second=4", "--epochs", "1")
    assert "model_source" not in json.loads((run / "config.json").read_text())
    assert keras.saving.get_registered_name(keras.layers.Dense) == "Dense"

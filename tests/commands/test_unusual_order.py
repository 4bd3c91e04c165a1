"""A run whose rows were shuffled otherwise than their number determines is a run like any other.

Its `config.json` has one entry more; the joint training of the whole challenge has it wherever its rows fit in memory.
"""

import json
import shutil
from pathlib import Path

import pytest

from ariel_tf import ensemble, evaluate, export, predict, train
from ariel_tf.runs.predictor import Predictor

pytestmark = pytest.mark.usefixtures("pretended_training", "own_folder")
DATA = ["--data", "simulated:planets=21,spots=1,photons=2"]
TRAINING = ["--model", "squid", *DATA, "--epochs", "1", "--memory", "1K"]


@pytest.fixture
def run(tiny_run):
    path = tiny_run(*TRAINING, into="run")
    assert json.loads((path / "config.json").read_text())["rows"] == "shuffled in windows"
    return path


def test_it_is_loaded_evaluated_predicted_with_and_exported(run, capsys):
    assert Predictor.load(run).targets == (12,)
    evaluate.main([str(run)])
    predict.main([str(run), *DATA, "--out", "radii.csv"])
    export.main([str(run), "model.keras"])
    assert Path("radii.csv").is_file()
    assert Path("model.keras").is_file()


def test_it_is_a_member_of_ensembles(run, tiny_run):
    other = tiny_run(*TRAINING, "--seed", "1", into="other")
    ensemble.main(["average", str(run), str(other), "--run", "mean"])
    ensemble.main(["weighted", str(run), str(other), "--run", "weighted"])
    assert Predictor.load("mean").targets == Predictor.load("weighted").targets == (12,)


def test_it_starts_another_training_and_its_configuration_another_run(run):
    train.main([*TRAINING, "--init-from", str(run), "--run", "further"])
    shutil.copyfile(run / "config.json", "page.json")
    train.main(["--config", "page.json", "--seed", "2", "--run", "again"])
    assert "rows" not in json.loads(Path("again/config.json").read_text())


def test_each_wavelength_of_a_list_has_it_too(tiny_run):
    path = tiny_run(*TRAINING, "--wavelength", "3,12", "--stack", "no", into="list")
    assert Predictor.load(path).targets == (3, 12)

"""Trainings that start from the weights of a run."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

import ariel_tf
from ariel_tf import train
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.runs.predictor import Predictor

DATA = "simulated:planets=20,spots=1,photons=2,seed=1"
OTHER = "simulated:planets=20,spots=1,photons=2,seed=2"
SMALL = ["--model=transit", "--set=units=8", "--set=layers=2", "--epochs=1", "--batch-size=8", f"--data={DATA}"]

pytestmark = pytest.mark.usefixtures("own_folder")


def weights(run):
    """Return those of its best model, by path."""
    return {variable.path: variable.numpy() for variable in keras.models.load_model(Path(run, "best.keras")).variables}


def further(run, *more, into="further", data=OTHER):
    train.main([f"--init-from={run}", f"--data={data}", "--epochs=1", "--batch-size=8", *more, f"--run={into}"])


def test_a_training_goes_on_from_a_run_with_its_model_and_standardisation(tiny_run, capsys):
    before = tiny_run(*SMALL)
    further(before, "--set=learning_rate=1e-6", "--set=schedule=constant")
    config, meta = (json.loads(Path("further", name).read_text()) for name in ("config.json", "meta.json"))
    assert (config["model"], config["settings"]["units"], config["settings"]["layers"]) == ("transit", 8, 2)
    assert config["settings"]["learning_rate"] == 1e-6
    assert list(meta["init_from"]["best.keras"]) == ["wavelength 12"]
    old, new = weights(before), weights("further")
    assert old.keys() == new.keys()
    for path, values in old.items():
        np.testing.assert_allclose(new[path], values, rtol=0, atol=2e-5, err_msg=path)
    assert any((new[path] != values).any() for path, values in old.items())
    planet = ariel_tf.open_data(OTHER)[1]
    radii = [Predictor.load(run).predict(planet).to_numpy() for run in (before, "further")]
    np.testing.assert_allclose(*radii, rtol=1e-3)  # with statistics of the other planets it would differ more
    further(before, "--set=learning_rate=1e-6", "--set=schedule=constant")
    assert "training transit" not in capsys.readouterr().out.split("further/README.md")[-1]


def test_the_trunk_is_frozen_at_first(tiny_run):
    before = tiny_run(*SMALL)
    further(before, "--set=frozen_epochs=1")
    old, new = weights(before), weights("further")
    changed = {path.split("/")[0] for path, values in old.items() if (new[path] != values).any()}
    assert changed == {"head", "trust_path", "trust"}


@pytest.mark.slow
def test_the_trunk_is_trained_after_the_frozen_epochs(tiny_run):
    before = tiny_run(*SMALL)
    old = weights(before)
    further(before, "--set=frozen_epochs=1", "--epochs=2", into="longer", data=DATA)
    assert json.loads(Path("longer/scores.json").read_text())["best_epoch"] == 2
    new = weights("longer")
    assert {path.split("/")[0] for path, values in old.items() if (new[path] != values).any()} == {
        path.split("/")[0] for path in old
    }


@pytest.mark.slow
def test_each_wavelength_of_a_list_starts_from_its_own_model(tiny_run):
    before = tiny_run(*SMALL, "--wavelength=3,12")
    further(before, "--set=learning_rate=1e-6", "--set=schedule=constant")
    for name in ("w03", "w12"):
        old, new = weights(before / name), weights(f"further/{name}")
        for path, values in old.items():
            np.testing.assert_allclose(new[path], values, rtol=0, atol=2e-5, err_msg=path)
    with pytest.raises(UsageError, match="it has no model of wavelength 7"):
        further(before, "--wavelength=7", into="other")


@pytest.mark.slow
def test_from_python_the_model_is_that_of_the_run(tiny_run):
    run = ariel_tf.train_model(init_from=str(tiny_run(*SMALL)), data=OTHER, epochs=1, batch_size=8, run="python")
    assert json.loads((run.path / "config.json").read_text())["settings"]["units"] == 8


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--model=squid"], "--model: expected transit, the value of --init-from .*Received: squid"),
        (["--star=none"], "--star: expected .*the value of --init-from"),
        (["--set=units=16"], "--set units=16: expected 8, the value of --init-from .*; only learning_rate, "),
        (["--wavelength=joint"], "--wavelength joint: expected what --init-from .* predicts, wavelength 12"),
    ],
)
def test_another_model_than_the_run_s_is_refused(tiny_run, more, said):
    with pytest.raises(UsageError, match=said):
        further(tiny_run(*SMALL), *more)
    assert not Path("further").exists()


def test_what_is_no_trained_run_is_refused(tiny_run):
    with pytest.raises(UsageError, match="--init-from nowhere: expected the run folder of a training"):
        further("nowhere")
    run = tiny_run(*SMALL, into="run")
    with (run / "best.keras").open("ab") as file:
        file.write(b"1")
    with pytest.raises(DataError, match=r"best.keras: not the file that this run saved"):
        further(run)


def test_a_model_is_not_tested_on_planets_that_it_was_trained_on(tiny_run):
    with pytest.raises(UsageError, match=r"was trained on folds \[0\] of the same data.* Take --test-folds 9"):
        further(tiny_run(*SMALL), "--test-folds=0", data=DATA)

"""Predictions by the model that comes with the package: no training, all observations of a planet together."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ariel_tf
from ariel_tf import evaluate, predict, report
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.evaluation import comparison
from ariel_tf.runs import shipped
from ariel_tf.runs.pooling import estimates
from ariel_tf.runs.prediction_files import PredictionWriter

DATA = "simulated:planets=6,spots=2,photons=2,seed=77"


@pytest.fixture(scope="module")
def model():
    return ariel_tf.load("transit-joint")


@pytest.fixture(scope="module")
def planets():
    return list(ariel_tf.open_data(DATA))


@pytest.fixture
def no_second_load(monkeypatch, model):
    """The command uses the model that is loaded already."""
    from ariel_tf.runs.predictor import Predictor

    monkeypatch.setattr(
        Predictor, "load", lambda *runs: model if [*map(str, runs)] == ["transit-joint"] else pytest.fail(str(runs))
    )


def test_it_measures_planets_that_it_never_saw(model, planets):
    found = model.measure(planets)
    true = np.stack([planet.radii for planet in planets])
    assert ariel_tf.score(true, found["radius"]) > 9800
    assert (found["sigma"].to_numpy() > 0).all()
    assert found.index.tolist() == [1, 2, 3, 4, 5, 6]
    assert found["impact"].to_numpy().shape[0] == 6


def test_single_observations_are_predicted_as_by_any_model(model, planets):
    found = model.predict(planets[0].flux[:, 0], planets[0].star)
    assert found.shape == (55,)


def test_no_run_writes_radii_and_their_sigmas_a_row_for_each_planet(tmp_path, model, planets, no_second_load):
    predict.main(["--data", DATA, "--out", str(tmp_path / "spectra.csv")])
    table = pd.read_csv(tmp_path / "spectra.csv")
    assert table.columns.tolist()[3] == "radius_00"
    assert table.columns.tolist()[-1] == "sigma_54"
    assert table["planet"].tolist() == [1, 2, 3, 4, 5, 6]
    assert (table["spot"] == 0).all()
    expected = model.measure(planets)
    np.testing.assert_allclose(table.filter(like="radius_"), expected["radius"], atol=1e-6)
    np.testing.assert_allclose(table.filter(like="sigma_"), expected["sigma"], atol=1e-6)


def test_a_submission_repeats_a_planet_s_radii_for_each_observation(tmp_path, no_second_load):
    predict.main(["--data", DATA, "--out", str(tmp_path / "submission.txt")])
    rows = np.loadtxt(tmp_path / "submission.txt")
    assert rows.shape == (24, 55)
    assert (rows[:4] == rows[0]).all()
    assert not (rows[4] == rows[0]).all()


def test_observations_alone_can_be_asked_for(tmp_path, no_second_load):
    predict.main(["--data", DATA, "--out", str(tmp_path / "each.csv"), "--combine", "none"])
    table = pd.read_csv(tmp_path / "each.csv")
    assert len(table) == 24
    assert not table.filter(like="sigma_").columns.tolist()


def test_a_changed_model_is_refused(tmp_path, monkeypatch):
    for path in shipped.FOLDER.glob("transit-joint.*"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    assert shipped.verified(Path("transit-joint")).is_file()
    with open(tmp_path / "transit-joint.keras", "r+b") as file:
        file.seek(1000)
        file.write(b"!")
    with pytest.raises(DataError, match="damaged or changed"):
        ariel_tf.load("transit-joint")


def test_a_folder_of_the_same_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "transit-joint").mkdir()
    with pytest.raises(UsageError, match="expected a run folder"):
        ariel_tf.load("transit-joint")


def test_pools_need_a_model_that_knows_how_certain_it_is(model, planets):
    without = replace(model, uncertain=None)
    with pytest.raises(UsageError, match="5 validation planets or more"):
        without.measure(planets)
    with pytest.raises(UsageError, match="predicts single observations"):
        next(estimates(without, planets))


@pytest.fixture
def compared_once(monkeypatch):
    """What is compared a second time is not computed again."""
    made = {}
    compare = comparison.compare

    def once(*arguments):
        if repr(arguments) not in made:
            made[repr(arguments)] = compare(*arguments)
        return made[repr(arguments)]

    monkeypatch.setattr(comparison, "compare", once)


def test_evaluate_and_report_give_pooled_scores_and_uncertainties(
    tmp_path, capsys, model, planets, no_second_load, compared_once
):
    evaluate.main(["transit-joint", f"--data={DATA}", "--out", str(tmp_path / "out"), "--json"])
    captured = capsys.readouterr()
    true = np.stack([planet.radii for planet in planets])
    expected = ariel_tf.score(true, model.measure(planets)["radius"])
    assert f"{expected:.1f}" in captured.err
    its = json.loads(captured.out)["uncertainty"]["transit-joint"]
    assert f"true radii within 1 sigma {its['coverage']['1 sigma']['value']:28.1%}" in captured.err
    assert 0.3 < its["log_likelihood_score"] <= 1
    assert len(its["reliability"]["found"]) == 19
    assert (tmp_path / "out/reliability.png").is_file()
    report.main(["transit-joint", f"--data={DATA}", "--against=none", "--out", str(tmp_path / "page.html")])
    page = (tmp_path / "page.html").read_text()
    assert '<a href="#reliability">Uncertainties</a>' in page
    assert f"{its['log_likelihood_score']:.3f}</td>" in page


def test_evaluate_needs_data_for_a_model_that_comes_with_the_package(no_second_load):
    with pytest.raises(UsageError, match="expected --data DATA"):
        evaluate.main(["transit-joint"])


def test_planets_unlike_the_training_s_and_corrected_light_curves_are_told(
    tmp_path, monkeypatch, capsys, no_second_load
):
    from ariel_tf.data.sources.simulated import SimulatedSource
    from ariel_tf.physics.detector import RAMP

    first, second, third = list(ariel_tf.open_data(DATA))[:3]
    cool = replace(first, star=first.star * [0.5, 1, 1, 1, 1, 1])
    ramp = replace(second, flux=(second.flux / RAMP).astype(np.float32))
    monkeypatch.setattr(SimulatedSource, "planets", lambda self, folds: iter([cool, ramp, third]))
    predict.main(["--data", DATA, "--out", str(tmp_path / "spectra.csv")])
    printed = capsys.readouterr()
    assert "warning: 1 planet unlike what transit-joint was trained on" in printed.err
    assert f"planet 0001: star_temp {cool.star[0]:,.0f} K (trained on 3,108 to 6,995)" in printed.err
    assert "light curves of 1 planet were corrected" in printed.out
    lines = (tmp_path / "spectra.csv.notes.txt").read_text().splitlines()
    assert [line[:12] for line in lines] == ["planet 0001,", "planet 0002,"]
    assert "ramp of 55 bands rescaled, 0.00 times the usual one" in lines[1]
    monkeypatch.setattr(SimulatedSource, "planets", lambda self, folds: iter([third]))
    predict.main(["--data", DATA, "--out", str(tmp_path / "spectra.csv"), "--overwrite"])
    assert not (tmp_path / "spectra.csv.notes.txt").exists()


def test_a_run_tells_of_stars_that_it_was_not_trained_on(tmp_path, tiny_run, capsys, pretended_training_here):
    data = "simulated:planets=20,spots=1,photons=1,seed=3"
    run = tiny_run("--model=baseline", "--data", data, "--set", "first=8", "--set", "second=4", "--epochs", "1")
    ranges = ariel_tf.load(run).trained_on
    stars = np.array([planet.star for planet in ariel_tf.open_data(data)])
    assert ranges["star_temp"][0] >= stars[:, 0].min()
    predict.main(
        [str(run), "--data", "simulated:planets=60,spots=1,photons=1,seed=4", "--out", str(tmp_path / "r.csv")]
    )
    others = np.array([planet.star for planet in ariel_tf.open_data("simulated:planets=60,spots=1,photons=1,seed=4")])
    hottest = 1 + int(others[:, 0].argmax())
    assert others[:, 0].max() > ranges["star_temp"][1] + 100
    assert f"planet {hottest:04d}" in (tmp_path / "r.csv.notes.txt").read_text()
    assert "unlike what" in capsys.readouterr().err


def test_a_prediction_that_is_killed_before_its_end_has_its_notes_already(
    tmp_path, tiny_run, monkeypatch, pretended_training_here
):
    """Killed between the two files it left none, and the command, repeated, found that the first was there."""

    def killed(*_):
        raise KeyboardInterrupt

    data = "simulated:planets=20,spots=1,photons=1,seed=3"
    run = tiny_run("--model=baseline", "--data", data, "--set", "first=8", "--set", "second=4", "--epochs", "1")
    monkeypatch.setattr(PredictionWriter, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        predict.main(
            [str(run), "--data", "simulated:planets=60,spots=1,photons=1,seed=4", "--out", str(tmp_path / "r.csv")]
        )
    assert not (tmp_path / "r.csv").exists()
    assert "unlike what" in (tmp_path / "r.csv.notes.txt").read_text()

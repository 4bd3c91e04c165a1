"""Which part of the light curves a prediction comes from: known models, whose parts are known."""

import doctest
import json
import re

import numpy as np
import pytest
from support import pictures

from ariel_tf import explain
from ariel_tf.core.errors import UsageError
from ariel_tf.data.selection import Signature
from ariel_tf.evaluation import attribution
from ariel_tf.physics.detector import RAMP
from ariel_tf.physics.simulator import simulate_planet
from ariel_tf.planet import Planet

DATA = "simulated:planets=10,spots=1,photons=2,seed=1"


class MeanDip:
    """Predicts the depth as the mean dip of one band in steps 144-155."""

    uncertain = None
    model = None

    def __init__(self, band=12, row="observation", white_light=False):
        self.targets = (band,)
        self.signature = Signature((band,), (band,), white_light, row)

    def predict(self, flux, star, as_frame):
        assert star.shape == (len(flux), 6)
        assert as_frame is False
        dips = (1 - flux[..., self.targets[0], 144:156] / RAMP[144:156]).mean(axis=-1)
        return np.sqrt(dips.reshape(len(flux), -1).mean(axis=1, keepdims=True))


@pytest.fixture
def planet():
    """A planet of two observations whose dip is 1 % in steps 120-179 of every band, without noise."""
    flux = np.tile(RAMP, (55, 2, 1))
    flux[..., 120:180] *= 0.99
    flux[12, :, 144] *= 1.001  # not level
    return Planet.from_observations(7, [(1, 1), (1, 2)], np.array([5000, 4.5, 1, 1, 9, 4]), flux)


def test_the_examples_are_true():
    assert doctest.testmod(attribution).failed == 0


def test_only_the_part_that_a_model_reads_changes_its_prediction(planet):
    found = attribution.attribution(MeanDip(white_light=True), planet)
    assert [band for group in found.groups for band in group] == list(range(55))
    (group,) = (index for index, bands in enumerate(found.groups) if 12 in bands)
    assert found.change.shape == (11, 25, 1)
    expected = 1e4 - 1e6 * 0.99 * 0.001 / 12
    assert found.depth == pytest.approx([expected], rel=1e-4)
    assert found.mean[group, 12] == pytest.approx(-expected, abs=1)  # all of the depth is in this part
    rest = found.mean.copy()
    rest[group, 12] = 0
    assert np.abs(rest).max() < 1


def test_a_model_of_one_band_has_one_group_and_its_own_observation(planet):
    planet.flux[:, 1, 120:180] = RAMP[120:180] * 0.98
    found = attribution.attribution(MeanDip(), planet, photon=2)
    assert found.groups == [[12]]
    assert found.name == "observation 0007_01_02"
    assert found.depth == pytest.approx([2e4], rel=1e-4)
    with pytest.raises(UsageError, match="has no observation 0007_02_01, but 0007_01_01"):
        attribution.attribution(MeanDip(), planet, spot=2)


def test_a_part_keeps_its_noise():
    flux = (np.tile(RAMP, (55, 1)) * np.random.default_rng(0).normal(0.99, 0.001, (55, 300))).astype(np.float32)
    filled = attribution.without_dip(flux, [3, 4], slice(24, 36))
    levels = (filled / RAMP)[3:5, 24:36]
    np.testing.assert_allclose(levels.mean(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(levels.std(axis=1), (flux / RAMP)[3:5, 24:36].std(axis=1), rtol=1e-4)
    untouched = np.ones((55, 300), bool)
    untouched[3:5, 24:36] = False
    np.testing.assert_array_equal(filled[untouched], flux[untouched])


def test_models_of_whole_planets_read_all_observations(planet, monkeypatch):
    monkeypatch.setattr(attribution, "row_shape", lambda model: (2, 300, 1))
    found = attribution.attribution(MeanDip(row="planet"), planet)
    assert found.name == "planet 0007, 2 observations"
    assert found.mean[0, 12] == pytest.approx(-found.depth[0], abs=1)
    monkeypatch.setattr(attribution, "row_shape", lambda model: (3, 300, 1))
    with pytest.raises(UsageError, match=r"3 observations of a planet\. Received: 2"):
        attribution.attribution(MeanDip(row="planet"), planet)


def test_words_add_up_and_name_the_strongest_part(planet):
    printed = attribution.lines(attribution.attribution(MeanDip(white_light=True), planet))
    assert re.fullmatch(r"  AIRS-CH0 +-9,91[78] +[+-]0 +-9,91[78] +[+-]0", printed[7])
    assert re.fullmatch(r" +-9,91[78]   1\.97-2\.22 um, minutes 144-155", printed[10])


@pytest.mark.usefixtures("draws", "pretended_training_here")
def test_the_command_explains_a_run(tiny_run, tmp_path, capsys):
    run = tiny_run("--model=linear", f"--data={DATA}", "--set=units=4", "--epochs=1")
    explain.main([str(run), "--planet=3", "--out", str(tmp_path / "one.png"), "--json"])
    result = json.loads(capsys.readouterr().out)
    assert result["bands"] == [[12]]
    assert np.shape(result["change_ppm"]) == (1, 25)
    assert pictures.is_drawn(tmp_path / "one.png")
    for wrong, words in (
        (["--planet=99"], "one of the 10 planets"),
        (["--planet=3", "--out=x.gif"], "expected the name"),
    ):
        with pytest.raises(UsageError, match=words):
            explain.main([str(run), *wrong])


@pytest.mark.slow
def test_the_command_explains_the_model_that_comes_along(capsys, monkeypatch):
    monkeypatch.setattr(attribution, "BLOCK", 60)
    explain.main(["transit-joint", f"--data={DATA}", "--planet=3"])
    printed = capsys.readouterr().out
    assert "planet 0003, mean of 2 observations: predicted depth" in printed
    # What fills the transit lowers the depth; most of it is within the middle third.
    everywhere, _, middle, _ = map(int, re.search(r"AIRS-CH0" + 4 * r" +([+-]\d+)", printed).groups())
    assert everywhere < middle / 2 < -100


def test_a_pretrained_model_explains_the_corrected_light_curves_that_it_predicts_from():
    class Pooled(MeanDip):
        uncertain = object()

    original = simulate_planet(3, 1, 1, 4)
    flux = original.flux.copy()
    flux[12, :, 40] += 0.2  # a cosmic ray in each observation
    hit = Planet.from_observations(1, original.instances, original.star, flux)
    assert attribution.attribution(Pooled(), original).name == "planet 0001, mean of 4 observations"
    found = attribution.attribution(Pooled(), hit)
    assert found.name == "planet 0001, mean of 4 observations, corrected"
    assert abs(found.flux[12, 40] - original.flux[12, :, 40].mean()) < 0.01

"""Coverage, reliability and the Gaussian log-likelihood score, against numbers by hand and scipy."""

import numpy as np
import pytest
from scipy.stats import norm
from support import pictures

from ariel_tf.evaluation import calibration
from ariel_tf.evaluation.calibration import Measured, gathered
from ariel_tf.evaluation.uncertainty_figures import draw_measured_spectra, draw_reliability


@pytest.fixture
def measured():
    """2,000 planets of 6 bands whose uncertainties are right."""
    rng = np.random.default_rng(0)
    true = rng.uniform(0.05, 0.15, (2000, 6))
    sigma = rng.uniform(1e-4, 1e-3, true.shape)
    return Measured(np.arange(2000), true, true + sigma * rng.normal(size=true.shape), sigma)


def test_coverage_by_hand():
    true = np.full((2, 4), 0.1)
    radius = true + np.array([[0.5, -0.5, 1.5, -3], [0.5, 0.9, -0.9, 1.5]])
    shares = calibration.coverage(Measured(np.array([1, 2]), true, radius, np.ones((2, 4))))
    assert shares["1 sigma"] == (pytest.approx(5 / 8), pytest.approx(0.125), 0.683)  # planets have 2/4 and 3/4
    assert shares["1.96 sigma"] == (pytest.approx(7 / 8), pytest.approx(0.125), 0.95)


def test_right_uncertainties_are_on_the_diagonal_and_wrong_ones_beside_it(measured):
    np.testing.assert_allclose(calibration.reliability(measured), calibration.SHARES, atol=0.015)
    sure = Measured(measured.planets, measured.true, measured.radius, measured.sigma / 2)
    assert (calibration.reliability(sure) < calibration.SHARES).all()
    assert calibration.coverage(sure)["1 sigma"].value == pytest.approx(2 * norm.cdf(0.5) - 1, abs=0.02)


def test_the_log_likelihood_score_is_that_of_the_challenge(measured):
    """Of depths, by scipy's densities; sigma of a depth is 2 r sigma."""
    true, depth, sigma = measured.true**2, measured.radius**2, 2 * measured.radius * measured.sigma
    found = norm.logpdf(true, depth, sigma).sum()
    ideal = norm.logpdf(true, true, 1e-5).sum()
    reference = norm.logpdf(true, true.mean(), true.std()).sum()
    expected = (found - reference) / (ideal - reference)
    assert 0 < expected < 1
    assert calibration.likelihood_score(measured) == pytest.approx(expected, rel=1e-9)


def test_the_log_likelihood_score_is_1_for_the_ideal_and_0_for_the_reference(measured):
    true = measured.true
    ideal = Measured(measured.planets, true, true, 1e-5 / (2 * true))
    assert calibration.likelihood_score(ideal) == pytest.approx(1)
    mean = np.full_like(true, np.sqrt((true**2).mean()))
    reference = Measured(measured.planets, true, mean, (true**2).std() / (2 * mean))
    assert calibration.likelihood_score(reference) == pytest.approx(0, abs=1e-9)
    wrong = Measured(measured.planets, true, true + 0.01, np.full_like(true, 1e-6))
    assert calibration.likelihood_score(wrong) == 0


def test_planets_are_in_ascending_order():
    rows = [(7, *(np.full(2, value) for value in (0.1, 0.2, 0.3))), (3, *(np.full(2, value) for value in (1, 2, 3)))]
    found = gathered(rows)
    assert found.planets.tolist() == [3, 7]
    assert found.sigma.tolist() == [[3, 3], [0.3, 0.3]]


@pytest.mark.usefixtures("draws")
def test_pictures_of_uncertainty(measured, tmp_path):
    few = Measured(*(part[:5] for part in (measured.planets, measured.true, measured.radius, measured.sigma)))
    draw_measured_spectra(few, (0, 1, 2, 12, 20, 50), "five planets\nmade up", tmp_path / "spectra.png")
    draw_reliability({"right": (measured, "#0072b2")}, "made up", tmp_path / "reliability.png")
    assert all(pictures.is_drawn(tmp_path / name) for name in ("spectra.png", "reliability.png"))

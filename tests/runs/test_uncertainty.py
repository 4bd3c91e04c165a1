"""Standard deviations learned from errors for validation planets."""

from pathlib import Path

import numpy as np
import pytest

from ariel_tf.core.errors import DataError
from ariel_tf.runs.predictions import Predictions
from ariel_tf.runs.uncertainty import Uncertainty


def predictions(planets, observations=4, wavelengths=3, shared=0.5, seed=0, a=-1.0):
    """Predictions with ln sigma = a + wavelength / 2 + .8 ln noise + .3 ln radius, part of it common to a planet."""
    rng = np.random.default_rng(seed)
    keys = np.array([(planet, 1, photon) for planet in range(planets) for photon in range(1, observations + 1)])
    true = np.repeat(np.exp(rng.uniform(-4, -2, (planets, wavelengths))), observations, axis=0)
    noise = np.repeat(np.exp(rng.uniform(-9, -6, (planets, wavelengths))), observations, axis=0)
    sigma = np.exp(a + np.arange(wavelengths) / 2 + 0.8 * np.log(noise) + 0.3 * np.log(true))
    common = np.repeat(rng.normal(size=(planets, wavelengths)), observations, axis=0)
    own = rng.normal(size=true.shape)
    predicted = true + sigma * (np.sqrt(shared) * common + np.sqrt(1 - shared) * own)
    return Predictions.of(keys, true, predicted, noise), sigma


def test_the_law_of_the_errors_is_found():
    given, sigma = predictions(800, seed=1)
    found = Uncertainty.fit(given)
    assert found.noise_slope[0] == pytest.approx(0.8, abs=0.08)
    assert found.radius_slope[0] == pytest.approx(0.3, abs=0.08)
    np.testing.assert_allclose(found.of_observations(given.true, given.noise), sigma, rtol=0.15)


@pytest.mark.parametrize("shared", [0.0, 0.6, 1.0])
def test_other_planets_are_within_a_standard_deviation_as_often_as_they_should(shared):
    found = Uncertainty.fit(predictions(600, 9, shared=shared, seed=2)[0])
    others, _ = predictions(600, 9, shared=shared, seed=3)
    rows = np.abs(others.predicted - others.true) / found.of_observations(others.predicted, others.noise)
    planets, sigma = found.of_planets(others)
    medians = np.abs(planets.predicted - planets.true) / sigma
    for deviations in (rows, medians):
        assert (deviations < 1).mean() == pytest.approx(0.683, abs=0.04)
        assert (deviations < 1.96).mean() == pytest.approx(0.95, abs=0.02)


def test_fewer_observations_than_the_validation_planets_have_are_less_certain():
    found = Uncertainty.fit(predictions(600, 9, shared=0.3, seed=2)[0])
    fewer, _ = predictions(600, 3, shared=0.3, seed=5)
    planets, sigma = found.of_planets(fewer)
    assert (np.abs(planets.predicted - planets.true) < sigma).mean() == pytest.approx(0.683, abs=0.04)
    factors = found.of_several(np.array([1, 3, 9]))
    assert factors.shape == (3, 3)
    np.testing.assert_array_equal(factors[0], 1)
    assert (np.diff(factors, axis=0) < 0).all()


def test_few_planets_give_a_share_of_the_radius_and_fewer_than_five_nothing():
    given, _ = predictions(8)
    found = Uncertainty.fit(given)
    np.testing.assert_array_equal(found.noise_slope, 0)
    np.testing.assert_array_equal(found.radius_slope, 1)
    assert Uncertainty.fit(predictions(4)[0]) is None
    assert Uncertainty.fit(None) is None


def test_exact_predictions_and_a_band_without_noise_have_a_finite_sigma():
    given, _ = predictions(40)
    dead = given.weights.copy()
    dead[:, 1] = 0
    exact = Predictions(given.keys, given.true, given.true.copy(), dead)
    found = Uncertainty.fit(exact)
    sigma = found.of_observations(exact.predicted, exact.noise)
    assert np.isfinite(sigma).all()
    assert (sigma > 0).all()
    assert (found.of_observations(np.full((1, 3), -0.1), np.zeros((1, 3))) > 0).all()


def test_it_is_written_and_read_and_other_content_is_refused():
    found, path = Uncertainty.fit(predictions(40)[0]), Path("scores.json")
    again = Uncertainty.from_json(found.as_json(), 3, path)
    for name in ("offset", "noise_slope", "radius_slope", "shared"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert Uncertainty.from_json(None, 3, path) is None
    good = found.as_json()
    for bad in ([1], "x", {}, good | {"more": [1]}, good | {"offset": ["a"] * 3}, good | {"shared": [np.nan] * 3}):
        with pytest.raises(DataError, match=r"scores\.json: expected an uncertainty of 3 wavelengths"):
            Uncertainty.from_json(bad, 3, path)
    with pytest.raises(DataError, match="of 4 wavelengths"):
        Uncertainty.from_json(good, 4, path)


def test_several_models_have_theirs_in_the_order_of_the_wavelengths():
    one, two = (Uncertainty.fit(predictions(40, seed=seed, wavelengths=2)[0]) for seed in (1, 2))
    joined = Uncertainty.together([one, two], [2, 0, 3, 1])
    np.testing.assert_array_equal(joined.offset, [two.offset[0], one.offset[0], two.offset[1], one.offset[1]])
    assert Uncertainty.together([one, None], [0, 1, 2, 3]) is None

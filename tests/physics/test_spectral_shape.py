"""The Gaussian over spectra: recovers what it is told, and gains where it must."""

import numpy as np
import pytest

from ariel_tf.physics.simulator import Priors, draw_system
from ariel_tf.physics.spectral_shape import UNFORESEEN, SpectralShape

RNG = np.random.default_rng(0)
RADII = np.stack([draw_system(1, number, Priors()).radii for number in range(200)])


def test_exact_depths_are_kept():
    shape = SpectralShape.learnt(RADII[:150])
    depth = RADII[150:] ** 2
    np.testing.assert_allclose(shape.most_probable(depth, 1e-7 * np.ones_like(depth)), RADII[150:], rtol=1e-3)


def test_without_a_measurement_it_answers_the_mean_spectrum():
    shape = SpectralShape.learnt(RADII)
    answer = shape.most_probable(np.zeros((1, 55)), np.full((1, 55), np.inf))
    np.testing.assert_allclose(np.log(answer[0]), np.log(RADII).mean(axis=0), atol=1e-3)


def test_one_band_is_the_textbook_s_product_of_two_gaussians():
    """With small errors the depth is linear: 1/v = 1/v1 + 1/v2 about the weighted mean."""
    shape = SpectralShape.learnt(np.exp(np.array([[-3.01], [-2.99], [-3.0]])))
    prior = np.exp(-6.0)
    slope = 2 * prior  # d depth / d ln radius
    spread = slope * np.sqrt(0.01**2 + UNFORESEEN**2)
    error, depth = 2e-6, prior + 1e-6
    expected = (prior / spread**2 + depth / error**2) / (1 / spread**2 + 1 / error**2)
    answer = shape.most_probable(np.array([[depth]]), np.array([[error]]))[0, 0] ** 2
    assert answer == pytest.approx(expected, abs=2e-9)
    left = shape.standard_errors(np.array([np.exp(-3.0)]), np.array([[error]]))[0, 0]
    assert left == pytest.approx((1 / spread**2 + 1 / error**2) ** -0.5, rel=1e-6)


def test_neighbours_lend_a_noisy_band_what_they_know():
    shape = SpectralShape.learnt(RADII[:150])
    truth = RADII[150:] ** 2
    error = np.full_like(truth, 1e-5)
    error[:, 30] = 1e-2
    measured = truth + error * RNG.standard_normal(truth.shape)
    answer = shape.most_probable(measured, error) ** 2
    assert np.median(np.abs(answer - truth)[:, 30]) < 2e-4
    assert (shape.standard_errors(RADII[150], error[:1]) <= error[0] * (1 + 1e-9)).all()


def test_the_least_cost_is_found_from_depths_far_below_zero():
    """No neighbour of the answer costs less."""
    shape = SpectralShape.learnt(RADII)
    depth, error = np.full((1, 55), -3e-3), np.full((1, 55), 1e-3)
    x = np.log(shape.most_probable(depth, error))
    cost = shape._cost(x, depth, error)
    for _ in range(50):
        assert shape._cost(x + 1e-3 * RNG.standard_normal(x.shape), depth, error) > cost - 1e-9


def test_one_planet_is_no_population():
    with pytest.raises(ValueError, match="two planets or more"):
        SpectralShape.learnt(RADII[:1])

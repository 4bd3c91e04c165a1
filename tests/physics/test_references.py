"""The reference estimators against slower ways and known answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ariel_tf.challenge import score
from ariel_tf.physics.detector import RAMP
from ariel_tf.physics.references import N_BINS, constant, folded_bins, median_depth, relative_dip
from ariel_tf.physics.regression import Ridge
from ariel_tf.physics.simulator import simulate_planet


def box(depths, half_width=40.0):
    """Noise-free box transits behind the ramp, float64 [n, 300]."""
    inside = np.abs(np.arange(300) - 147.75) < half_width
    return (1 - np.asarray(depths)[:, None] * inside) * RAMP


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0.01, 0.5), min_size=1, max_size=30))
def test_the_constant_has_the_best_score_of_a_fine_grid(values):
    radii = np.array(values)
    ours = score(radii, np.full_like(radii, constant(radii)))
    grid = max(score(radii, np.full_like(radii, c)) for c in np.linspace(0, 0.5, 501))
    assert ours >= grid - 1e-6


def test_the_constant_is_per_wavelength():
    radii = np.array([[0.1, 0.5], [0.1, 0.2], [0.3, 0.2]])
    np.testing.assert_array_equal(constant(radii), [0.3, 0.5])  # .3 > .1 + .1; .5 > .2 + .2
    np.testing.assert_array_equal(constant(radii), [constant(radii[:, 0]), constant(radii[:, 1])])


def test_the_constant_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one row"):
        constant(np.empty((0, 55)))


def test_the_median_depth_of_a_box_is_exact():
    radii = np.array([0.01, 0.05, 0.2])
    np.testing.assert_allclose(median_depth(box(radii**2)), radii, rtol=1e-9)


def test_the_median_depth_ignores_the_level_of_the_baseline():
    np.testing.assert_allclose(median_depth(1.02 * box([0.01])), [0.1], rtol=1e-9)


@pytest.mark.parametrize("level", [1.5, 0.0, -1.0, np.nan, np.inf])
def test_the_median_depth_is_finite_whatever_the_flux(level):
    assert np.isfinite(median_depth(np.full((2, 300), level))).all()


def test_a_curve_that_rises_in_transit_has_no_depth():
    np.testing.assert_array_equal(median_depth(2 - box([0.01]) / RAMP), [0.0])


def test_the_ramp_alone_has_no_dip():
    np.testing.assert_allclose(relative_dip(RAMP), 0, atol=1e-12)


def test_folded_bins_average_both_sides_in_fives():
    """Bin b holds steps with 5 b <= |step - 147.75| < 5 b + 5: 9 or 10 of them."""
    dip = np.zeros(300)
    dip[[147, 148, 149, 150, 151, 152, 143, 144, 145, 146]] = 1.0  # within 5 of 147.75
    bins = folded_bins((1 - dip) * RAMP)
    assert bins.shape == (N_BINS,)
    np.testing.assert_allclose(bins, np.eye(N_BINS)[0], atol=1e-12)
    np.testing.assert_allclose(folded_bins(np.zeros((2, 300))), 1)  # weights sum to one


def test_folding_halves_the_noise():
    noise = np.random.default_rng(0).normal(size=(4000, 300)) * RAMP
    assert folded_bins(noise + RAMP).std(axis=0)[:20] == pytest.approx(1 / np.sqrt(10), rel=0.1)


def test_references_are_ordered_on_simulated_planets():
    """Constant < ridge on the own curve, planets held out."""
    planets = [simulate_planet(11, number, 1, 2) for number in range(300)]
    w = 5
    bins = np.stack([folded_bins(planet.flux[w]) for planet in planets])  # planets, photons, bins
    radii = np.array([planet.radii[w] for planet in planets])
    train, test = slice(0, 240), slice(240, 300)
    model = Ridge().fit(bins[train].reshape(-1, N_BINS), np.repeat(radii[train], 2))
    truth = np.repeat(radii[test], 2)
    ridge = score(truth, model.predict(bins[test].reshape(-1, N_BINS)))
    naive = score(truth, np.full_like(truth, constant(radii[train])))
    assert naive < 7000
    assert ridge > naive + 2000

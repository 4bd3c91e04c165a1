"""The reference estimators against slower ways and known answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from ariel_tf.challenge import score
from ariel_tf.physics.detector import RAMP
from ariel_tf.physics.references import N_BINS, Ridge, constant, folded_bins, median_depth, relative_dip
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


def test_ridge_recovers_a_linear_law_of_depth():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(300, 5))
    depth = 0.02 + features @ np.array([1, -2, 0.5, 0, 3]) * 1e-3
    model = Ridge().fit(features[:200], np.sqrt(depth[:200]))
    np.testing.assert_allclose(model.predict(features[200:]) ** 2, depth[200:], rtol=1e-4)


def test_ridge_agrees_with_the_weighted_normal_equations():
    rng = np.random.default_rng(2)
    features, depth = rng.normal(3, 2, size=(60, 4)), rng.uniform(0.001, 0.01, 60)
    model = Ridge(penalty=0.1).fit(features, np.sqrt(depth))
    weights = 1 / (depth + 4 * np.median(depth))
    weights /= weights.sum()
    z = (features - features.mean(0)) / features.std(0)
    z -= weights @ z
    gram = z.T @ (weights[:, None] * z)
    penalty = 0.1 * np.linalg.eigvalsh(gram).max()
    mean = weights @ depth
    slopes = np.linalg.solve(gram + penalty * np.eye(4), z.T @ (weights * (depth - mean)))
    np.testing.assert_allclose(model.predict(features) ** 2, mean + z @ slopes, rtol=1e-9)


def test_one_huge_planet_does_not_decide_the_ridge():
    """A hundred planets of one law beside a giant whose curve says little of it: they keep their law."""
    dips = np.append(np.linspace(0.001, 0.003, 100), 0.01)[:, None]
    depth = np.append(2 * dips[:100, 0], 0.3)
    model = Ridge(penalty=1e-9).fit(dips, np.sqrt(depth))
    z = np.stack([np.ones(101), dips[:, 0]], axis=1)
    unweighted = z @ np.linalg.lstsq(z, depth, rcond=None)[0]
    loss = np.abs(model.predict(dips)[:100] ** 2 - depth[:100]).mean()
    assert loss < 0.9 * np.abs(np.maximum(unweighted[:100], 0) - depth[:100]).mean()


def test_reweighted_rounds_lead_to_the_least_absolute_error():
    """As linear programming finds it: min sum e with -e <= depth - (a + x b) <= e."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(120, 2))
    depth = 0.02 + x @ [2e-3, -1e-3] + 1e-3 * rng.standard_t(1.5, 120).clip(-8, 8)
    design = np.column_stack([np.ones(120), x])
    cost = np.concatenate([np.zeros(3), np.ones(120)])
    bounds = np.block([[design, -np.eye(120)], [-design, -np.eye(120)]])
    free = [(None, None)] * 3 + [(0, None)] * 120
    least = linprog(cost, bounds, np.concatenate([depth, -depth]), bounds=free).fun

    def loss(rounds):
        return np.abs(Ridge(penalty=1e-9, rounds=rounds).fit(x, np.sqrt(depth)).predict(x) ** 2 - depth).sum()

    assert least <= loss(50) < 1.005 * least
    assert loss(5) < 1.02 * least < loss(0)


def test_ridge_of_several_wavelengths_is_one_fit_each():
    rng = np.random.default_rng(3)
    features, radii = rng.normal(size=(3, 50, 6)), rng.uniform(0.01, 0.1, (50, 3))
    together = Ridge().fit(features, radii).predict(features)
    alone = [Ridge().fit(features[w], radii[:, w]).predict(features[w]) for w in range(3)]
    np.testing.assert_allclose(together, np.stack(alone, axis=1))


def test_ridge_penalises_more_when_there_is_only_noise():
    rng = np.random.default_rng(4)
    features = rng.normal(size=(80, 40))
    noise = Ridge().fit(features, rng.uniform(0.01, 0.1, 80))
    law = Ridge().fit(features, np.sqrt(0.02 + 1e-3 * features[:, 0]))
    assert noise.penalties[0] > 100 * law.penalties[0]


def test_ridge_survives_a_constant_column_and_negative_depths():
    features = np.stack([np.linspace(0, 1, 30), np.ones(30)], axis=1)
    model = Ridge(penalty=1e-9).fit(features, np.sqrt(0.01 * features[:, 0]))
    np.testing.assert_array_equal(model.predict(np.array([[-5.0, 1.0]])), [0.0])


def test_ridge_refuses_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"Received: features \(2, 30, 5\), radii \(30,\)"):
        Ridge().fit(np.zeros((2, 30, 5)), np.zeros(30))
    with pytest.raises(ValueError, match="fit the ridge"):
        Ridge().predict(np.zeros((1, 2)))


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

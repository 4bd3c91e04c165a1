"""The ridge against the normal equations, linear programming and known laws."""

import numpy as np
import pytest
from scipy.optimize import linprog

from ariel_tf.physics.regression import Ridge


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

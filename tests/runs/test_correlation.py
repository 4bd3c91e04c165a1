"""Correlation of errors between wavelengths."""

import numpy as np
import pytest

import ariel_tf
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.runs.correlation import covariance_of, for_observations, leading_factors


def test_common_causes_of_errors_are_found():
    rng = np.random.default_rng(1)
    true = np.stack([np.full(20, 0.8), np.where(np.arange(20) < 10, 0.4, -0.4)], axis=1)
    own = np.sqrt(1 - np.square(true).sum(axis=1))
    deviations = rng.normal(size=(20_000, 2)) @ true.T + own * rng.normal(size=(20_000, 20))
    found = leading_factors(deviations, 2)
    np.testing.assert_allclose(found @ found.T, true @ true.T, atol=0.05)
    sigma = rng.uniform(0.001, 0.01, 20)
    expected = np.cov((deviations * sigma).T)
    np.testing.assert_allclose(covariance_of(found, sigma), expected, atol=0.05 * sigma.max() ** 2)


def test_a_covariance_is_positive_definite_and_has_the_variances_on_its_diagonal():
    alike = np.repeat(np.random.default_rng(2).normal(size=(50, 1)), 55, axis=1)
    sigma = np.random.default_rng(3).uniform(0.001, 0.01, (2, 55))
    found = covariance_of(leading_factors(alike), sigma)
    assert found.shape == (2, 55, 55)
    np.testing.assert_allclose(np.diagonal(found, axis1=1, axis2=2), np.square(sigma))
    assert (np.linalg.eigvalsh(found) > 0).all()


def test_the_nearest_number_of_observations_counts():
    recorded = {str(number): [[number / 1000.0]] * 3 for number in (1, 8, 100)}
    found = [for_observations(recorded, number, 3)[0, 0] * 1000 for number in (1, 2, 4, 20, 40, 500)]
    assert found == [1, 1, 8, 8, 100, 100]
    for bad in ({}, {"a": [[1]] * 3}, {"1": [[1]] * 2}, {"1": [1, 2, 3]}, [1]):
        with pytest.raises(DataError, match="loadings of 3 wavelengths"):
            for_observations(bad, 1, 3)


def test_the_model_of_the_package_has_a_covariance():
    model = ariel_tf.load("transit-joint")
    sigma = np.full(55, 0.001)
    one, hundred = model.covariance(sigma, 1), model.covariance(sigma, 100)
    assert not np.array_equal(one, hundred)
    for found in (one, hundred):
        np.testing.assert_allclose(np.diag(found), 1e-6)
        assert (np.linalg.eigvalsh(found) > 0).all()
        assert found.mean() > 10 * 1e-6 / 55  # of independent errors
    for bad in (np.ones(54), np.ones((1, 2, 55))):
        with pytest.raises(UsageError, match=r"expected sigma \[55\]"):
            model.covariance(bad)

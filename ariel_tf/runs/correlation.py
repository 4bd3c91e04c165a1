"""Correlation of a model's errors between wavelengths, as leading factors; NumPy.

    covariance = D (L L' + I - diag(L L')) D,   D = diag(sigma)

The errors of a planet's bands have common causes: an impact parameter that is slightly wrong moves all of them. L
[wavelengths, factors] has the leading eigenvectors of the correlation of (radius - true) / sigma over validation
planets, for several numbers of observations.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ariel_tf.core.errors import DataError

FACTORS = 5
MOST_DEVIATIONS = 4.0  # beyond it, a deviation counts as this much: few planets would determine the correlation
MOST_SHARED = 0.999  # part of a band's variance that may be common


def leading_factors(deviations: np.ndarray, factors: int = FACTORS) -> np.ndarray:
    """Return L from errors in units of sigma.

    Args:
        deviations: float [planets, wavelengths].
        factors: number of columns of L.

    Returns:
        float64 [wavelengths, factors]; L L' + I - diag(L L') is the correlation.
    """
    bounded = np.clip(np.asarray(deviations, np.float64), -MOST_DEVIATIONS, MOST_DEVIATIONS)
    values, vectors = np.linalg.eigh(np.corrcoef(bounded.T))
    values, vectors = values[::-1], vectors[:, ::-1]
    rest = values[factors:].mean() if len(values) > factors else 0.0
    loadings = vectors[:, :factors] * np.sqrt(np.maximum(values[:factors] - rest, 0))
    shared = np.sum(np.square(loadings), axis=1, keepdims=True)
    loadings = loadings * np.sqrt(np.minimum(1, MOST_SHARED / np.maximum(shared, MOST_SHARED)))
    signs = np.where(loadings.sum(axis=0) < 0, -1.0, 1.0)  # an eigenvector's sign is arbitrary
    return loadings * signs


def covariance_of(loadings: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Return the covariance of radii.

    Args:
        loadings: L, [wavelengths, factors].
        sigma: standard deviation of the radii, [wavelengths] or [planets, wavelengths].

    Returns:
        float64 [wavelengths, wavelengths] or [planets, wavelengths, wavelengths].
    """
    correlation = loadings @ loadings.T
    np.fill_diagonal(correlation, 1.0)
    sigma = np.asarray(sigma, np.float64)
    return sigma[..., :, None] * correlation * sigma[..., None, :]


def for_observations(recorded: Mapping[str, Any], observations: int, wavelengths: int) -> np.ndarray:
    """Return L of the recorded number of observations that is nearest to the given one, in logarithm.

    Args:
        recorded: content of "correlation" of a model's card: loadings by number of observations.
        observations: number of a planet's observations.
        wavelengths: number of the model's wavelengths.

    Raises:
        DataError: other content.
    """
    try:
        tables = {int(number): np.array(values, np.float64) for number, values in recorded.items()}
        if not tables or any(len(one) != wavelengths or one.ndim != 2 for one in tables.values()):
            raise ValueError
    except (AttributeError, TypeError, ValueError):
        raise DataError(f"card: expected loadings of {wavelengths} wavelengths by number of observations.") from None
    return tables[min(tables, key=lambda number: abs(np.log(number / observations)))]

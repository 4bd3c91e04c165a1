"""The Yeo-Johnson power transform: fitted in NumPy, applied by layers of a saved model.

    z >= 0   ((z + 1)^p - 1) / p                    log(z + 1) for p = 0
    z < 0    -((1 - z)^(2 - p) - 1) / (2 - p)       -log(1 - z) for p = 2

It makes skewed columns nearly normal and has an inverse. The columns here are standardised light curves, so that
exponents have the same meaning at every step. Source: Yeo & Johnson 2000, Biometrika 87, 954.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import keras
import numpy as np
from keras import ops

# An exponent outside this range reflects a few outliers rather than a column's shape.
LOWEST, HIGHEST = -4.0, 6.0
PRECISION = 1e-3
# 1 / p stays finite; the transform differs from its limit by less than the precision of float32.
SMALLEST_EXPONENT = 1e-4


class Power(NamedTuple):
    """A fitted transform, in the layout of a row.

    Attributes:
        exponent: float64, p of each column.
        mean, std: float64, of the transformed columns, to standardise them.
    """

    exponent: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> Self:
        return type(self)(*(function(values) for values in self))


def fit(z: np.ndarray) -> Power:
    """Return the maximum-likelihood exponents.

    Args:
        z: float [rows, ...], standardised columns.
    """
    z = np.asarray(z, np.float32)
    log = np.log1p(np.abs(z))
    negative = z < 0
    signed = np.where(negative, -log, log).sum(axis=0, dtype=np.float64)

    def likelihood(exponent: np.ndarray) -> np.ndarray:
        variance = _transformed(log, negative, exponent).var(axis=0, dtype=np.float64)
        return -len(z) / 2 * np.log(np.maximum(variance, 1e-30)) + (exponent - 1) * signed

    exponent = highest(likelihood, np.full(z.shape[1:], LOWEST), np.full(z.shape[1:], HIGHEST))
    exponent = np.where(z.std(axis=0) > 0, exponent, 1.0)
    y = _transformed(log, negative, exponent)
    return Power(exponent, y.mean(axis=0, dtype=np.float64), y.std(axis=0, dtype=np.float64))


def _transformed(log: np.ndarray, negative: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """Return log(1 + |z|) and sign of values: float32 of their shape."""
    own = np.where(negative, 2 - exponent, exponent).astype(np.float32)
    own = _kept_off_zero(own)
    y = np.expm1(own * log) / own
    return np.where(negative, -y, y)


def _kept_off_zero(exponent: np.ndarray) -> np.ndarray:
    return np.where(np.abs(exponent) < SMALLEST_EXPONENT, np.float32(SMALLEST_EXPONENT), exponent)


def highest(function: Callable[[np.ndarray], np.ndarray], low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the maxima of unimodal functions, all at once, by golden-section search; within `PRECISION`."""
    ratio = (np.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = function(left), function(right)
    while (high - low).max() > PRECISION:
        go_left = at_left >= at_right
        low, high = np.where(go_left, low, left), np.where(go_left, right, high)
        kept, at_kept = np.where(go_left, left, right), np.where(go_left, at_left, at_right)
        new = np.where(go_left, high - ratio * (high - low), low + ratio * (high - low))
        at_new = function(new)
        left, right = np.where(go_left, new, kept), np.where(go_left, kept, new)
        at_left, at_right = np.where(go_left, at_new, at_kept), np.where(go_left, at_kept, at_new)
    return (low + high) / 2


def apply(z: Any, exponent: np.ndarray) -> Any:
    """Apply the transform: symbolic float32 [batch, ...] -> the same shape; exponents are stored in plain layers."""
    positive, negative = (_kept_off_zero(values) for values in (exponent, 2 - exponent))
    above = _branch(ops.log1p(ops.relu(z)), positive, "above")
    below = _branch(ops.log1p(ops.relu(-z)), negative, "below")
    return keras.layers.Subtract(dtype="float32", name="power")([above, below])


def _branch(log: Any, exponent: np.ndarray, name: str) -> Any:
    """(e^(p log) - 1) / p."""
    grown = keras.layers.Rescaling(exponent.tolist(), dtype="float32", name=f"power_{name}")(log)
    return keras.layers.Rescaling((1 / exponent).tolist(), dtype="float32", name=f"scale_{name}")(ops.expm1(grown))


def invert(y: Any, exponent: np.ndarray) -> Any:
    """Invert `apply`: float [batch, ...] -> the same shape."""
    positive, negative = (ops.cast(_kept_off_zero(values), y.dtype) for values in (exponent, 2 - exponent))
    smallest = 1e-30  # beyond the range of the transform
    above = ops.expm1(ops.log(ops.maximum(1 + positive * y, smallest)) / positive)
    below = ops.expm1(ops.log(ops.maximum(1 - negative * y, smallest)) / negative)
    return ops.where(y >= 0, above, -below)

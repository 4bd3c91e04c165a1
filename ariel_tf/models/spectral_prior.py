"""A spectrum from 55 noisy depths and a prior over spectra: a Wiener filter of low rank; `keras.ops` only.

Of ln(depth / reference depth), in units that fall with the planet's radius as atmospheres do, the simulated planets'
covariance is nearly of rank 10. With depths known to variances N, and C = L L' + e^2,

    E[z] = mean + L (1 + L' D^-1 L)^-1 L' D^-1 (z - mean),    D = N + e^2
"""

import functools
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from ariel_tf.physics.population import draw_population
from ariel_tf.physics.priors import Priors

RANK = 10
PLANETS = 4000
REFERENCE = slice(2, 9)  # bands of least noise
SIZE = 0.05  # Rp/Rs at which atmospheres are of unit size
LARGEST = 8.0  # in a planet's own unit; limit for the few very extended atmospheres


class Shape(NamedTuple):
    """The prior: float32 mean [55], factors [55, 10], and the remaining standard deviation [55]."""

    mean: np.ndarray
    factors: np.ndarray
    rest: np.ndarray


def unit(depth: Any, xp: Any = ops) -> Any:
    """Return the expected size of a planet's atmosphere in ln(depth): a power of the radius."""
    return xp.exp(Priors().atmosphere_slope * (xp.log(depth) / 2 - float(np.log(SIZE))))


@functools.cache
def prior() -> Shape:
    """Fit the prior to 4,000 planets of the default priors, always the same ones."""
    radii = draw_population(np.random.default_rng(0), PLANETS, Priors()).radii
    log_depth = 2 * np.log(radii)
    reference = log_depth[:, REFERENCE].mean(axis=1)
    z = np.clip((log_depth - reference[:, None]) / unit(np.exp(reference), np)[:, None], -LARGEST, LARGEST)
    mean = z.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov((z - mean).T))
    factors = vectors[:, -RANK:] * np.sqrt(values[-RANK:])
    rest = np.sqrt(np.maximum(z.var(axis=0) - np.square(factors).sum(axis=1), 0) + 1e-4)
    return Shape(*(part.astype(np.float32) for part in (mean, factors, rest)))


def most_probable(log_ratio: Any, noise: Any, depth: Any) -> Any:
    """Return the most probable ln(depth / reference depth) of each band, [batch, 55].

    Args:
        log_ratio: as measured, [batch, 55].
        noise: standard deviation of it, [batch, 55].
        depth: reference depth, [batch, 1].
    """
    shape, size = prior(), unit(depth)
    mean = ops.convert_to_tensor(shape.mean[None])
    factors = ops.convert_to_tensor(shape.factors)
    certain = 1 / (ops.square(noise / size) + ops.convert_to_tensor(np.square(shape.rest)[None]))
    weighted = certain[:, None] * ops.transpose(factors)[None]  # batch, rank, 55
    power = ops.matmul(weighted, factors) + ops.convert_to_tensor(np.eye(RANK, dtype=np.float32)[None])
    told = ops.matmul(weighted, ops.subtract(log_ratio / size, mean)[:, :, None])
    return size * ops.add(ops.matmul(ops.solve(power, told)[:, :, 0], ops.transpose(factors)), mean)

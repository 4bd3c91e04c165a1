"""Transits along a planet's path: measured dips, and templates of a grid of radii and impact parameters; `keras.ops`.

A place on the path is x, the distance from mid-transit in stellar radii. A template contains moments of the starlight
behind a planet, from which the transit in any band follows by its limb darkening.
"""

import functools
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from ariel_tf.challenge import MID_TRANSIT_STEP, N_STEPS
from ariel_tf.physics import planets, stars, transit

SPACING = 0.05  # of places x along the path, stellar radii
N_PLACES = 30
RADII = np.geomspace(0.012, 0.9, 72)
IMPACTS = np.r_[np.linspace(0, 0.7, 15), np.linspace(0.73, 1.31, 29)]
NO_DATA = 1e6  # variance of a place that no step is near, relative
AWAY = np.abs(np.arange(N_STEPS) - MID_TRANSIT_STEP).astype(np.float32)  # minutes from mid-transit
_TEMPERATURES = (3000.0, 4000.0, 5000.0, 6000.0, 7000.0)  # K, between which limb darkening is linear


class Profiles(NamedTuple):
    """Dips along the path: [batch, c, 30], and the variance of each place in units of a step's, [batch, 30]."""

    dip: Any
    variance: Any
    steps: Any  # between two places, [batch, 1]


def along_the_path(dip: Any, axis: Any, period: Any) -> Profiles:
    """Return dips as functions of x, the distance from mid-transit.

    Args:
        dip: [batch, c, 300], ramp divided out.
        axis: in stellar radii, [batch, 1].
        period: days, [batch, 1].
    """
    a_minute = 2 * np.pi / planets.MINUTES_PER_DAY / period  # radians of the orbit
    x = axis * ops.sin(ops.minimum(a_minute * ops.convert_to_tensor(AWAY[None]), np.pi / 2))
    speed = axis * a_minute
    places = ops.convert_to_tensor((SPACING * np.arange(N_PLACES, dtype=np.float32))[None, :, None])
    near = ops.relu(1 - ops.abs(x[:, None] - places) / ops.maximum(speed, SPACING)[:, :, None])
    total = ops.sum(near, axis=2, keepdims=True)
    near = near / (total + 1e-3)
    variance = ops.sum(ops.square(near), axis=2) + NO_DATA * ops.square(1 - ops.sum(near, axis=2))
    return Profiles(ops.matmul(dip, ops.transpose(near, (0, 2, 1))), variance, SPACING / speed)


@functools.cache
def templates() -> np.ndarray:
    """Return moments of the starlight behind a planet at the places x, over radius^2: float32 [3, 3168, 30]."""
    fine = np.linspace(0, SPACING * N_PLACES, 10 * N_PLACES + 1)
    distance = np.hypot(fine, IMPACTS[:, None])
    near = np.maximum(1 - np.abs(fine - SPACING * np.arange(N_PLACES)[:, None]) / SPACING, 0)
    near /= near.sum(axis=1, keepdims=True)
    made = np.empty((3, len(RADII), len(IMPACTS), N_PLACES), np.float32)
    for index, radius in enumerate(RADII):
        moments = transit.shadow_moments(distance.ravel(), np.array([radius]))[:, 0].reshape(3, *distance.shape)
        made[:, index] = moments / radius**2 @ near.T
    return made.reshape(3, -1, N_PLACES)


def limb_darkening(temperature: Any) -> tuple[Any, np.ndarray]:
    """Return u1 [batch, 55] and u2 [55] of stars of these temperatures, [batch, 1]: `limb_darkening` in `keras.ops`."""
    nodes = np.array([stars.limb_darkening(kelvin)[0] for kelvin in _TEMPERATURES], np.float32)
    step = _TEMPERATURES[1] - _TEMPERATURES[0]
    place = ops.clip((temperature - _TEMPERATURES[0]) / step, 0.0, len(nodes) - 1.0)
    near = ops.relu(1 - ops.abs(place - ops.convert_to_tensor(np.arange(len(nodes), dtype=np.float32)[None])))
    return ops.matmul(near, ops.convert_to_tensor(nodes)), stars.limb_darkening(5000.0)[1].astype(np.float32)

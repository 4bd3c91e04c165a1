"""A planet's path from white light, with time measured in stellar radii; `keras.ops` only.

A star's radius and mass and the orbit's period give the planet's speed (Kepler's third law), so a light curve can be
expressed as a function of x, the planet's distance from mid-transit in stellar radii. The dip then depends only on two
numbers, radius and impact parameter, whatever the orbit:

    white dip [batch, 300] ── mean of the steps near each x ──▶ [batch, 26]
        ── compared with the dips of 30 radii x 32 impact parameters ──▶ likelihood of each
        ── mean and spread over all ──▶ ln(radius^2 / rough depth), impact parameter

A grazing planet covers only the star's limb: its dip is shallow for its radius. The depth does not show this, the shape
does.
"""

import functools
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from ariel_tf.challenge import MID_TRANSIT_STEP, N_STEPS, STAR_NAMES
from ariel_tf.physics import planets, stars, transit

SPACING = 0.06  # of places x, stellar radii: what a fast planet crosses in a step
N_PLACES = 26
RADII = np.geomspace(0.012, 0.5, 30)
IMPACTS = np.r_[np.linspace(0, 0.7, 11), np.linspace(0.74, 1.14, 21)]
WHITE_BANDS = slice(1, 9)  # bands of least noise, which dominate white light
TEMPERATURE = 5000.0  # K; the limb darkening of a typical star is used for all
MODEL_ERROR = 0.01  # of a template, relative to the dip: spots, another limb darkening, the grid
SCALE_SPREAD = 0.05  # relative scale of a template: covers radii between two grid points
SMALLEST_SCALE = 1e-3
WIDEST_LOG_SPREAD = 2.0
SUN_AXIS = 4.2083  # of a one-day orbit about the Sun, solar radii
SMALLEST_STAR = 1e-2  # solar radii, solar masses, days
AWAY = np.abs(np.arange(N_STEPS) - MID_TRANSIT_STEP).astype(np.float32)  # minutes from mid-transit


class Path(NamedTuple):
    """Estimates of a planet's path across its star: expected values and standard deviations, [batch, 1] each.

    Attributes:
        log_ratio, log_spread: of ln(radius^2 / rough depth).
        impact, impact_spread: of the impact parameter, stellar radii.
    """

    log_ratio: Any
    log_spread: Any
    impact: Any
    impact_spread: Any


def orbit_of(star: Any) -> tuple[Any, Any]:
    """Return axis in stellar radii and period in days, [batch, 1] each, from raw stellar parameters [batch, 6].

    Kepler's third law in solar units: (a / R) = 4.2083 (M P^2)^(1/3) / R with P in days.
    """
    radius, mass, period = (star[:, STAR_NAMES.index(name), None] for name in ("star_rad", "star_mass", "period"))
    radius, mass, period = (ops.maximum(value, SMALLEST_STAR) for value in (radius, mass, period))
    return SUN_AXIS * ops.exp((ops.log(mass) + 2 * ops.log(period)) / 3) / radius, period


def along_the_path(dip: Any, axis: Any, period: Any) -> tuple[Any, Any]:
    """Return a dip as a function of x.

    Args:
        dip: [batch, 300], ramp divided out.
        axis, period: results of `orbit_of`.

    Returns:
        the dip at x = 0, .06, .12 ... [batch, 26], each the weighted mean of the steps near it; and the number of steps
        between two places, [batch, 1].
    """
    a_minute = 2 * np.pi / planets.MINUTES_PER_DAY / period  # radians of the orbit
    x = axis * ops.sin(ops.minimum(a_minute * ops.convert_to_tensor(AWAY[None]), np.pi / 2))
    speed = axis * a_minute
    places = ops.convert_to_tensor((SPACING * np.arange(N_PLACES, dtype=np.float32))[None, :, None])
    near = ops.relu(1 - ops.abs(x[:, None] - places) / ops.maximum(speed, SPACING)[:, :, None])
    near = near / (ops.sum(near, axis=2, keepdims=True) + 1e-6)
    return ops.matmul(near, dip[:, :, None])[:, :, 0], SPACING / speed


@functools.cache  # takes seconds, which every build of a model would repeat
def templates() -> np.ndarray:
    """Return dips of each radius and impact parameter at the places x, over radius^2: float32 [960, 26], read-only."""
    fine = np.linspace(0, SPACING * N_PLACES, 12 * N_PLACES + 1)
    u1, u2 = (np.array([values[WHITE_BANDS].mean()]) for values in stars.limb_darkening(TEMPERATURE))
    dips = [
        transit.blocked_flux(np.hypot(fine, impact), np.array([radius]), u1, u2)[0] / radius**2
        for radius in RADII
        for impact in IMPACTS
    ]
    near = np.maximum(1 - np.abs(fine - SPACING * np.arange(N_PLACES)[:, None]) / SPACING, 0)
    near /= near.sum(axis=1, keepdims=True)
    shapes = (np.array(dips) / transit.stellar_flux(u1, u2) @ near.T).astype(np.float32)
    shapes.flags.writeable = False
    return shapes


def path_of(along: Any, steps: Any, noise: Any, depth: Any) -> Path:
    """Return the posterior of radius and impact parameter given a dip along its path.

    Each template is fitted to the dip, in units of the rough depth, with a scale s = radius^2 / depth that has a
    Gaussian prior about the template's own radius. The likelihood is integrated over s analytically (linear least
    squares), and each template is weighted by its likelihood.

    Args:
        along, steps: results of `along_the_path`.
        noise: [batch, 1], of one step.
        depth: [batch, 1], rough depth.
    """
    shapes = templates()
    power = ops.convert_to_tensor(np.square(shapes).sum(axis=1)[None] + 1e-6)
    variance = ops.square(noise / depth) / (2 * steps) + MODEL_ERROR**2  # a place is passed twice
    seen = along / depth
    match = ops.matmul(seen, ops.convert_to_tensor(shapes.T))
    own = ops.divide(ops.convert_to_tensor(np.repeat(RADII**2, len(IMPACTS)).astype(np.float32)[None]), depth)
    width = ops.square(SCALE_SPREAD * own)
    certainty = ops.divide(power, variance) + 1 / width  # JAX's operators do not accept Keras's symbols
    scale = (match / variance + own / width) / certainty
    misfit = (ops.square(scale) * power - 2 * scale * match) / variance + ops.square(scale - own) / width
    weight = ops.softmax(-misfit / 2 - ops.log(certainty * width) / 2, axis=1)
    scale = ops.maximum(scale, SMALLEST_SCALE)
    within = ops.minimum(1 / certainty / ops.square(scale), WIDEST_LOG_SPREAD**2)
    impacts = ops.convert_to_tensor(np.tile(IMPACTS, len(RADII)).astype(np.float32)[None])
    return Path(*_moments(weight, ops.log(scale), within), *_moments(weight, impacts, 0.0))


def _moments(weight: Any, values: Any, variances: Any) -> tuple[Any, Any]:
    """Return mean and standard deviation of a mixture with these weights, means and variances."""
    mean = ops.sum(weight * values, axis=1, keepdims=True)
    variance = ops.sum(weight * (ops.square(ops.subtract(values, mean)) + variances), axis=1, keepdims=True)
    return mean, ops.sqrt(variance + 1e-6)

"""A planet's radius and impact parameter from four groups of bands together; `keras.ops` only.

Limb darkening falls from .6 in the visible to .1 in the infrared, so that the shapes of transits in different bands
differ in a way that depends on the impact parameter. A grid of radii and impact parameters is compared with the dips of
four groups of bands read along the planet's path (`transit_chord.py`), each with the limb darkening of its bands at the
star's temperature; the depth of each group is free, the impact parameter is common to all:

    dips [batch, 55, 300] ── along the path ──▶ [batch, 55, 30] ── groups ──▶ [batch, 4, 30]
        ── likelihood of 72 radii x 44 impacts, each group's scale integrated out ──▶ weights [batch, 3168]
        ── expected values ──▶ ln depth of each group, impact parameter, shape of each band's transit [batch, 55, 30]

Each band's depth is then measured with its own shape: white light's shape would bias it by its limb darkening.
"""

import functools
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.models.transit_templates import IMPACTS, N_PLACES, RADII, Profiles, limb_darkening, templates
from ariel_tf.physics import population, stars
from ariel_tf.physics.priors import Priors

GROUPS = stars.ALIKE
REFERENCE = 1  # the group of least noise
# The grid's radius is that of the leading group, the one with the best signal. Allowed deviation of a group's depth
# from the template's radius squared, relative: half a grid step for the leading group, the spectrum's range for others.
GRID_SPREAD, SCALE_SPREAD = 0.06, 0.3
MODEL_ERROR = 0.003  # of a template, relative to the dip: spots, limb darkening, the grid
# Templates have one radius for all groups: beyond this difference in ln depth a group's error grows.
LIKE_DEPTHS, UNLIKE_ERROR = 0.3, 0.05
CENTRAL_PLACES = 3  # at mid-transit, of which a group's depth is read roughly
SMALLEST_SCALE = 1e-3
WIDEST_LOG_SPREAD = 2.0
PRIOR_PLANETS = 4000
PRIOR_WIDTH = 0.1  # of ln radius, by which their distribution is smoothed
PRIOR_FLOOR = 1e-3  # of the density, so that no radius is ruled out
BEYOND_THE_LIMB = 0.03  # frequency of impact parameters above 1 relative to those below


class Posterior(NamedTuple):
    """Expected values and standard deviations.

    Attributes:
        log_scale, log_spread: ln(depth of a group / rough depth), [batch, 4].
        impact, impact_spread: stellar radii, [batch, 1].
        darkening: relative change of the linear limb-darkening coefficient, [batch, 1].
        moments: of the starlight behind a planet of each radius of the grid, over radius^2, with the impact parameter
            averaged out, [batch, 72, 90].
        first: u1 of each band, [batch, 55].
        shape: of a transit in each band over depth, at the reference group's radius, [batch, 55, 30].
        residual: of each group's dip, in standard deviations of noise and model, [batch, 4, 30].
    """

    log_scale: Any
    log_spread: Any
    impact: Any
    impact_spread: Any
    darkening: Any
    moments: Any
    first: Any
    shape: Any
    residual: Any


def posterior(profiles: Profiles, noise: Any, weight: Any, depth: Any, temperature: Any) -> Posterior:
    """Return the posterior of radius and impact parameter given the dips of all groups.

    Each template is fitted to a group's dip, in units of the rough depth, with a scale that has a Gaussian prior about
    the template's own radius squared. The likelihood is integrated over the scale analytically (linear least squares).

    Args:
        profiles: of the 55 bands.
        noise: [batch, 55], of one step.
        weight: [batch, 55], of each band in its group's mean.
        depth: [batch, 1], rough depth.
        temperature: of the star, K, [batch, 1].
    """
    member = np.zeros((N_WAVELENGTHS, len(GROUPS)), np.float32)
    for group, (start, stop) in enumerate(GROUPS):
        member[start:stop, group] = 1
    share = ops.expand_dims(weight, 2) * ops.convert_to_tensor(member[None])  # batch, 55, groups
    total = ops.sum(share, axis=1, keepdims=True)
    share = share / (total + 1e-30)
    turned = ops.transpose(share, (0, 2, 1))
    unseen = ops.transpose(ops.cast(total <= 0, "float32"), (0, 2, 1))  # a group without a usable band
    seen = ops.matmul(turned, profiles.dip) / depth[:, :, None]  # batch, groups, places
    group_noise = ops.sum(ops.square(turned * noise[:, None]), axis=2, keepdims=True) + unseen
    variance = group_noise / ops.square(depth)[:, :, None] * profiles.variance[:, None]
    leader, offset = _offset(seen, variance)
    uneven = _unevenness(profiles, noise, depth, share)
    unlike = ops.relu(ops.abs(offset) - LIKE_DEPTHS) + ops.relu(uneven - LIKE_DEPTHS)
    variance = variance + ops.square(MODEL_ERROR + UNLIKE_ERROR * unlike) * ops.exp(2 * offset)
    u1, u2 = limb_darkening(temperature)
    darkening = [ops.matmul(turned, u1[:, :, None]), ops.matmul(turned, ops.convert_to_tensor(u2[None, :, None]))]
    fit = _fitted(seen, variance, darkening, depth, (ops.exp(offset), leader))
    likely = ops.softmax(fit.log_likelihood + ops.convert_to_tensor(_log_prior()[None]), axis=1)
    mean = ops.sum(likely[:, None] * fit.log_scale, axis=2)
    spread = ops.sum(likely[:, None] * (ops.square(fit.log_scale - mean[:, :, None]) + fit.variance), axis=2)
    impacts = ops.convert_to_tensor(np.tile(IMPACTS, len(RADII)).astype(np.float32)[None])
    impact = ops.sum(likely * impacts, axis=1, keepdims=True)
    impact_spread = ops.sum(likely * ops.square(ops.subtract(impacts, impact)), axis=1, keepdims=True)
    delta = ops.sum(likely * fit.darkening, axis=1, keepdims=True)
    expected = _times(likely, np.concatenate(templates(), axis=1), "expected_moments")
    parts = [expected[:, None, start : start + N_PLACES] for start in range(0, 3 * N_PLACES, N_PLACES)]
    a, b = (u1 * (1 + delta))[:, :, None], ops.convert_to_tensor(u2[None, :, None])
    shape = (parts[0] - a * parts[1] - parts[2] * b) / (np.pi * (1 - a / 3 - b / 6))
    residual = (seen - ops.exp(mean)[:, :, None] * ops.matmul(turned, shape)) / ops.sqrt(variance)
    spreads = (ops.sqrt(spread + 1e-8), ops.sqrt(impact_spread + 1e-6))
    each_impact = ops.sum(ops.reshape(likely, (-1, len(RADII), len(IMPACTS))), axis=1)
    by_impact = templates().reshape(3, len(RADII), len(IMPACTS), N_PLACES).transpose(2, 1, 0, 3)
    at_radii = _times(each_impact, by_impact.reshape(len(IMPACTS), -1), "moments_of_radii")
    moments = ops.reshape(at_radii, (-1, len(RADII), 3 * N_PLACES))
    return Posterior(mean, spreads[0], impact, spreads[1], delta, moments, u1 * (1 + delta), shape, residual)


def shapes_at(found: Posterior, radius: Any) -> Any:
    """Return each band's transit over its depth, at its own radius, [batch, 55, 30].

    Args:
        found: result of `posterior`.
        radius: Rp/Rs, [batch, 55].
    """
    step = np.log(RADII[1] / RADII[0])
    place = ops.clip((ops.log(radius) - float(np.log(RADII[0]))) / step, 0.0, len(RADII) - 1.0)
    rows = ops.convert_to_tensor(np.arange(len(RADII), dtype=np.float32)[None, None])
    near = ops.relu(1 - ops.abs(place[:, :, None] - rows))  # batch, 55, radii
    moments = ops.matmul(near, found.moments)
    parts = [moments[:, :, index * N_PLACES : (index + 1) * N_PLACES] for index in range(3)]
    a = found.first[:, :, None]
    b = ops.convert_to_tensor(stars.limb_darkening(5000.0)[1].astype(np.float32)[None, :, None])
    return (parts[0] - a * parts[1] - parts[2] * b) / (np.pi * (1 - a / 3 - b / 6))


@functools.cache
def _log_prior() -> np.ndarray:
    """Return ln of the frequency of each template among the simulated planets: float32 [3168].

    Radii as they are drawn, smoothed; impact parameters uniform to 1 and rare beyond.
    """
    drawn = population.draw_population(np.random.default_rng(0), PRIOR_PLANETS, Priors())
    log_radius = np.log(drawn.radii[:, slice(*GROUPS[REFERENCE])]).mean(axis=1)
    apart = (np.log(RADII)[:, None] - log_radius) / PRIOR_WIDTH
    density = np.exp(-np.square(apart) / 2).mean(axis=1) + PRIOR_FLOOR
    weight = np.gradient(IMPACTS) * np.where(IMPACTS <= 1.0, 1.0, BEYOND_THE_LIMB)
    return np.log(np.outer(density, weight)).ravel().astype(np.float32)


class _Fit(NamedTuple):
    """Of each template: ln likelihood, limb darkening [batch, 3168]; ln scale, its variance [batch, groups, 3168]."""

    log_likelihood: Any
    darkening: Any
    log_scale: Any
    variance: Any


def _times(values: Any, matrix: np.ndarray, name: str) -> Any:
    """Multiply values [..., m] by a constant matrix [m, n] that is stored as weights, which are saved as numbers."""
    layer = keras.layers.Dense(matrix.shape[1], use_bias=False, trainable=False, dtype="float32", name=name)
    product = layer(values)
    layer.set_weights([matrix.astype(np.float32)])
    return product


def _against(values: Any, tables: list[np.ndarray], name: str) -> list[Any]:
    """Multiply values [batch, groups, 30] by tables of templates [3168, 30]: [batch, groups, 3168] each."""
    products = _times(values, np.concatenate(tables).T, name)
    count = len(tables[0])
    return [products[:, :, start : start + count] for start in range(0, count * len(tables), count)]


def _offset(seen: Any, variance: Any) -> tuple[Any, Any]:
    """Return the group with the best signal, and ln of each group's depth relative to it, as far as it is known.

    Returns:
        1 for the group of the largest depth over noise, 0 for the others, and the offsets, [batch, groups, 1] each.
    """
    depth = ops.mean(seen[:, :, :CENTRAL_PLACES], axis=2, keepdims=True)
    noise = ops.sqrt(ops.sum(variance[:, :, :CENTRAL_PLACES], axis=2, keepdims=True)) / CENTRAL_PLACES
    best = ops.argmax(ops.minimum(depth / noise, 1 / MODEL_ERROR)[:, :, 0] + _preference()[None], axis=1)
    leader = ops.one_hot(best, len(GROUPS))[:, :, None]
    reference, its_noise = (ops.sum(leader * part, axis=1, keepdims=True) for part in (depth, noise))
    safe = ops.maximum(reference, 0.02)
    uncertain = (ops.square(noise) + ops.square(its_noise)) / ops.square(safe)
    return leader, ops.log(ops.clip(depth / safe, 0.001, 1000.0)) / (1 + 25 * uncertain)


def _preference() -> Any:
    """Return a small preference for the group of least noise: it leads if others have about the same signal."""
    return ops.convert_to_tensor(np.eye(len(GROUPS), dtype=np.float32)[REFERENCE])


def _unevenness(profiles: Any, noise: Any, depth: Any, share: Any) -> Any:
    """Return the relative spread of the depths within each group, beyond their noise: [batch, groups, 1].

    Args:
        profiles, noise, depth: as for `posterior`.
        share: share of each band in each group's mean, [batch, 55, groups].
    """
    central = ops.mean(profiles.dip[:, :, :CENTRAL_PLACES], axis=2) / depth
    its = ops.square(noise / depth) * ops.sum(profiles.variance[:, :CENTRAL_PLACES], axis=1, keepdims=True)
    mean = ops.sum(share * central[:, :, None], axis=1)
    square = ops.sum(share * (ops.square(central) - its / CENTRAL_PLACES**2)[:, :, None], axis=1)
    return (ops.sqrt(ops.relu(square - ops.square(mean))) / ops.maximum(ops.abs(mean), 0.02))[:, :, None]


def _fitted(seen: Any, variance: Any, darkening: Any, depth: Any, level: Any) -> _Fit:
    """Fit the groups' dips by each template, with a scale for each group and one change of u1 for all.

    The change delta of the linear limb darkening, u1 (1 + delta), has a Gaussian prior of the stars' spread.
    With T a template, D = dT / d delta and Gaussian priors of the scales s about the template's radius squared,

        seen_g = s_g T_g + delta s0 D_g + noise;    s and delta are integrated out.

    Args:
        seen, variance: of each group and place, [batch, groups, 30].
        darkening: u1 and u2 of each group, [batch, groups, 1].
        depth: [batch, 1].
        level: expected depth of each group over the leading group's, and 1 for the leading group, 0 for others,
            [batch, groups, 1] each.
    """
    one, first, second = templates()
    certain = 1 / variance
    a, b = darkening
    flux = np.pi * (1 - a / 3 - b / 6)
    told = seen * certain

    pairs = [one * one, first * first, second * second, one * first, one * second, first * second]
    told_one, told_first, told_second = _against(told, [one, first, second], "templates")
    power_one, power_first, power_second, one_first, one_second, crossed = _against(certain, pairs, "template_products")
    match = (told_one - a * told_first - b * told_second) / flux
    power = (
        power_one
        + a * a * power_first
        + b * b * power_second
        - 2 * a * one_first
        - 2 * b * one_second
        + 2 * a * b * crossed
    ) / ops.square(flux)
    with_first = (one_first - a * power_first - b * crossed) / flux
    own = np.repeat(RADII**2, len(IMPACTS)).astype(np.float32)[None, None]
    level, leader = level
    own = ops.divide(ops.convert_to_tensor(own), depth[:, :, None]) * level
    width = ops.square(own * (SCALE_SPREAD + (GRID_SPREAD - SCALE_SPREAD) * leader))
    certainty, pull = power + 1 / width, match + own / width
    unit = own * a / flux
    slope = unit * (np.pi / 3 * power - with_first)  # D with T
    slope_power = ops.square(unit) * ((np.pi / 3) ** 2 * power - 2 * np.pi / 3 * with_first + power_first)
    slope_match = unit * (np.pi / 3 * match - told_first)
    spread = Priors().limb_darkening_spread
    q = ops.sum(slope_power - ops.square(slope) / certainty, axis=1) + 1 / spread**2
    delta = ops.sum(slope_match - slope * pull / certainty, axis=1) / q
    scale = (pull - slope * delta[:, None]) / certainty
    alone = ops.square(pull) / certainty - ops.square(own) / width - ops.log(certainty * width)
    log_likelihood = (ops.sum(alone, axis=1) + ops.square(delta) * q - ops.log(q * spread**2)) / 2
    scale = ops.maximum(scale, SMALLEST_SCALE)
    its_variance = 1 / certainty + ops.square(slope / certainty) / q[:, None]
    within = ops.minimum(its_variance / ops.square(scale), WIDEST_LOG_SPREAD**2)
    return _Fit(log_likelihood, delta, ops.log(scale), within)


def measured(profiles: Profiles, noise: Any, shape: Any, depth: Any) -> tuple[Any, Any]:
    """Return each band's depth over the rough depth, measured with its own shape, and its noise: [batch, 55] each.

    Args:
        profiles: of the 55 bands.
        noise: [batch, 55], of one step.
        shape: as in `Posterior`.
        depth: [batch, 1].
    """
    certain = 1 / profiles.variance[:, None]
    power = ops.sum(ops.square(shape) * certain, axis=2) + 1e-6
    ratio = ops.sum(shape * profiles.dip * certain, axis=2) / power / depth
    return ratio, noise / ops.sqrt(power) / depth

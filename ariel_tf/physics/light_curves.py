"""Light curves of many planets at once, each the mean of a pool of observations. NumPy only.

    star, orbit ──▶ distance of the planet from the star's centre [n, 300] ──▶ starlight behind it [n, 55, 300]
    spots near the path ──▶ light that the spots lack behind it [n, 55, 300]
                                                   ──▶ clean curves x ramp + noise ──▶ flux [n, 300, 55]

The same as `simulator.simulate_planet` for one planet, to within 1e-3 of its depth. The mean over a pool's spot
instances is exact: with D_i the missing flux of instance i and O_i the light that its spots lack behind the planet,

    flux = 1 - sum_i w_i (B - O_i) / (F - D_i)
"""

from collections.abc import Mapping

import numpy as np

from ariel_tf.challenge import MID_TRANSIT_STEP, MINUTES_PER_STEP, N_STEPS
from ariel_tf.physics import shadow_table
from ariel_tf.physics.detector import RAMP
from ariel_tf.physics.planets import MINUTES_PER_DAY
from ariel_tf.physics.population import Population, SpotMaps
from ariel_tf.physics.spots import overlap_area
from ariel_tf.physics.transit import stellar_flux

_BEHIND = 1e3  # stellar radii: distance assigned to a planet behind its star
_MINUTES = (np.arange(N_STEPS) - MID_TRANSIT_STEP) * MINUTES_PER_STEP
_ROWS_AT_ONCE = 32

Rows = dict[str, np.ndarray]


def rows_of(population: Population, maps: SpotMaps, weights: np.ndarray, noise: np.ndarray) -> Rows:
    """Return the arguments of `flux_of`: float32 arrays by name.

    Args:
        population: n planets.
        maps: s spot instances of each.
        weights: float [n, s], the share of each instance in the pool; a row's sum is 1.
        noise: float [n], the pool's noise relative to one observation's: 1 / sqrt(observations).
    """
    named = {
        "star": population.star,
        "scaled_axis": population.scaled_axis,
        "impact": population.impact,
        "radii": population.radii,
        "u1": population.u1,
        "u2": population.u2,
        "sigma": population.sigma * noise[:, None],
        "scale": noise,
        "weights": weights,
        "contrast": maps.contrast,
        "area": maps.area,
        "spots": np.stack([maps.x, maps.y, maps.radius, 1 - maps.mu], axis=-1),
    }
    made = {name: np.ascontiguousarray(values, np.float32) for name, values in named.items()}
    made["instance"] = maps.instance.astype(np.int32)
    return made


def flux_of(rows: Mapping[str, np.ndarray], rng: np.random.Generator, scales: np.ndarray | None = None) -> np.ndarray:
    """Return flux with ramp and white noise, float32 [n, 300, 55].

    Args:
        rows: result of `rows_of`.
        rng: source of the noise.
        scales: float [n, d], factors of sigma, to observe each row d times with different noise; the result is then
            [n, d, 300, 55].
    """
    n, bands = rows["radii"].shape
    times = np.ones((n, 1)) if scales is None else scales
    flux = np.empty((n, times.shape[1], N_STEPS, bands), np.float32)
    ramp = RAMP.astype(np.float32)
    close = shadow_table.lie_close(rows["radii"])
    spots = (rows["spots"][:, :, 2] > 0).sum(axis=1)
    for alike in (True, False):
        chosen = np.flatnonzero(close == alike)
        chosen = chosen[np.argsort(spots[chosen], kind="stable")]  # rows of few spots together: they cost less
        for start in range(0, len(chosen), _ROWS_AT_ONCE):
            index = chosen[start : start + _ROWS_AT_ONCE]
            curves = clean_curves({name: values[index] for name, values in rows.items()}) * ramp
            for draw in range(times.shape[1]):
                sigma = (rows["sigma"][index] * times[index, draw, None]).astype(np.float32)
                noise = rng.standard_normal(curves.shape, dtype=np.float32) * sigma[:, :, None]
                flux[index, draw] = (curves + noise).transpose(0, 2, 1)
    return flux[:, 0] if scales is None else flux


def clean_curves(rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return noise-free flux without the ramp, float32 [n, 55, 300].

    Args:
        rows: result of `rows_of`.
    """
    x, y = _sky_positions(rows["star"][:, 5], rows["scaled_axis"], rows["impact"])
    distance = np.hypot(x, y)
    u1, u2 = rows["u1"], rows["u2"]
    parts = shadow_table.moments(distance, rows["radii"])
    hidden = parts[..., 0] - u1[:, :, None] * parts[..., 1] - u2[:, :, None] * parts[..., 2]
    area = rows["area"]
    bright = area[:, :, None, 0] - u1[:, None] * area[:, :, None, 1] - u2[:, None] * area[:, :, None, 2]
    share = rows["weights"][:, :, None] / (stellar_flux(u1, u2)[:, None] - rows["contrast"] * bright)  # n, s, w
    spots, instance = _those_there(rows)
    limb = spots[:, :, 3, None]
    lacking = np.take_along_axis(share * rows["contrast"], instance[:, :, None], axis=1)  # n, k, w
    lacking *= 1 - u1[:, None] * limb - u2[:, None] * limb**2
    apart = np.hypot(x[:, None] - spots[:, :, 0, None], y[:, None] - spots[:, :, 1, None])
    planet = rows["radii"].mean(axis=1)[:, None, None]
    covered = overlap_area(apart, planet, np.maximum(spots[:, :, 2, None], 1e-6))
    # A spot's disc may extend beyond the limb, where there is no light to block.
    covered *= (distance < 1 + rows["radii"].max(axis=1)[:, None])[:, None] & (spots[:, :, 2, None] > 0)
    occulted = np.matmul(lacking.transpose(0, 2, 1), covered)
    return 1 - share.sum(axis=1)[:, :, None] * hidden + occulted


def _those_there(rows: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return spots [n, k, 4] and their instances [n, k], with no more columns than the row with most spots needs."""
    there = rows["spots"][:, :, 2] > 0
    order = np.argsort(~there, axis=1, kind="stable")[:, : max(1, int(there.sum(axis=1).max()))]
    return (
        np.take_along_axis(rows["spots"], order[:, :, None], axis=1),
        np.take_along_axis(rows["instance"], order, axis=1),
    )


def _sky_positions(period: np.ndarray, scaled_axis: np.ndarray, impact: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the position of planets in front of their stars at each step, [n, 300] each, as `planets.sky_position`."""
    phase = _MINUTES * (2 * np.pi / MINUTES_PER_DAY) / np.asarray(period, np.float64)[:, None]
    before = np.cos(phase)
    x = np.where(before > 0, scaled_axis[:, None] * np.sin(phase), _BEHIND)
    y = np.where(before > 0, impact[:, None] * before, _BEHIND)
    return x.astype(np.float32), y.astype(np.float32)

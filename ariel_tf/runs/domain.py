"""Compare planets with the training planets of a model, and describe the corrections of their light curves.

Ranges are those of the training planets, stored in `meta.json` of a run and in the card of a shipped model. A value
within them may still be unusual in combination with others; a value outside requires extrapolation by the network.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ariel_tf.challenge import PPM, STAR_NAMES, STAR_PARAMETERS

if TYPE_CHECKING:
    from ariel_tf.runs.pooling import Estimate

DEPTH = "depth"  # mean over wavelengths
SLACK = 0.02  # of a range's width, at each end
WORST_FIT = 6.0  # chi^2 per value; 1 of 60 planets of the default population has more, with 100 observations
_PERCENTILES = (0.05, 99.95)
_UNITS = {parameter.name: parameter.unit for parameter in STAR_PARAMETERS} | {DEPTH: "ppm"}

Ranges = Mapping[str, Sequence[float]]


def star_ranges(low: np.ndarray, high: np.ndarray) -> dict[str, list[float]]:
    """Return ranges of the stellar parameters by name, from the lowest and the highest value of each, [6]."""
    return {name: [float(low[place]), float(high[place])] for place, name in enumerate(STAR_NAMES)}


def depth_range(radii: np.ndarray) -> dict[str, list[float]]:
    """Return the range of nearly all depths, in ppm, from Rp/Rs [n, 55] of many planets."""
    depth = PPM * np.square(np.asarray(radii, np.float64)).mean(axis=1)
    return {DEPTH: [float(value) for value in np.percentile(depth, _PERCENTILES)]}


def outside(ranges: Ranges, star: np.ndarray, depth: float | None = None) -> list[str]:
    """Return the values of a planet that are outside the ranges, one text each.

    Args:
        ranges: result of `star_ranges` and `depth_range`; missing names are not checked.
        star: [6].
        depth: mean over wavelengths, in ppm, if known.
    """
    values = dict(zip(STAR_NAMES, np.asarray(star, np.float64).tolist(), strict=True))
    if depth is not None:
        values[DEPTH] = depth
    found = []
    for name, value in values.items():
        if name not in ranges:
            continue
        low, high = ranges[name]
        slack = SLACK * (high - low)
        if not low - slack <= value <= high + slack:
            found.append(f"{name} {_number(value)} {_UNITS[name]} (trained on {_number(low)} to {_number(high)})")
    return found


def unusual(ranges: Ranges, star: np.ndarray, found: "Estimate") -> list[str]:
    """Return the values of a measured planet that are outside the ranges, and whether a transit fits badly."""
    notes = outside(ranges, star, float(PPM * np.mean(np.square(found.radius))))
    if found.fit is not None and found.fit.chi_squared > WORST_FIT * found.fit.values:
        per_value = found.fit.chi_squared / found.fit.values
        notes.append(f"its light curves fit no transit well (chi^2 per value {per_value:.1f})")
    return notes


def corrections(found: "Estimate") -> list[str]:
    """Return the corrections of a measured planet's light curves and orbit, one text each."""
    notes, done = [], found.disturbances
    if done is not None:
        if done.outliers:
            notes.append(f"{done.outliers:,} cosmic rays replaced")
        if done.lost.any():
            notes.append(f"{done.lost.sum()} bands hold no light: replaced by their neighbours")
        if (done.ramp != 1).any():
            size = abs(np.median(done.ramp[done.ramp != 1]))
            notes.append(f"ramp of {np.sum(done.ramp != 1)} bands rescaled, {size:.2f} times the usual one")
        if done.moved:
            notes.append(f"mid-transit {abs(done.moved)} steps {'late' if done.moved > 0 else 'early'}, moved back")
        if done.unseen:
            notes.append(f"{done.unseen} steps of the transit without the planet: replaced by the other half, mirrored")
        if done.redness > 1:
            notes.append(f"red noise: uncertainties {done.redness:.2f} times larger")
    if found.speed != 1:
        notes.append(f"planet {found.speed:.2f} times as fast as on a circular orbit")
    return notes


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"

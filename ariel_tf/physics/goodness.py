"""How well a transit fits a planet's light curves, and whether another orbital speed fits better. NumPy only.

A star's mass and radius and the period determine the speed at which a planet on a circular orbit crosses the star. On
an eccentric orbit the speed differs by the factor (1 + e sin w) / sqrt(1 - e^2); Winn (2010), "Transits and
Occultations", eq. 16.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ariel_tf.challenge import N_WAVELENGTHS, STAR_NAMES
from ariel_tf.physics import planets, stars, transit
from ariel_tf.physics.detector import RAMP
from ariel_tf.planet import Planet, inverse_variance

FIRST_STEP = 15  # before it the ramp is steep
MODEL_ERROR = 0.004  # of a transit, relative to its depth: spots, limb darkening
SPEEDS = np.geomspace(0.68, 1.48, 12)  # of the planet, relative to a circular orbit's
FINER = (0.967, 1.034)
NEARBY = (
    -0.1,
    -0.06,
    -0.04,
    -0.02,
    -0.01,
    0.0,
    0.01,
    0.02,
    0.04,
    0.06,
    0.1,
)  # impact parameters that are also tried, relative to the estimate's
# A misfit is examined if chi^2 is this many standard deviations above its expectation; another speed is accepted
# if it lowers chi^2 by this much and explains this share of the excess.
SUSPICIOUS, BETTER, EXPLAINED = 3.0, 60.0, 0.5
GRAZING, SUSPICIOUS_GRAZING = 0.9, 50.0  # there, spots and the grid of templates leave larger misfits
SMALLEST = 0.03  # difference from a circular orbit's
_PERIOD, _MASS, _RADIUS = (STAR_NAMES.index(name) for name in ("period", "star_mass", "star_rad"))


Found = tuple[np.ndarray, float]


class Fit(NamedTuple):
    """Chi^2 of a transit in the mean light curves of four groups of bands, and the number of values."""

    chi_squared: float
    values: int

    @property
    def excess(self) -> float:
        """Return by how many standard deviations chi^2 exceeds its expectation."""
        return (self.chi_squared - self.values) / np.sqrt(2 * self.values)


class Curves(NamedTuple):
    """Dips of the groups [4, 300], their noise [4], and each band's weight in its group [4, 55]."""

    dip: np.ndarray
    noise: np.ndarray
    share: np.ndarray


def curves_of(planet: Planet) -> Curves:
    """Return mean light curves of groups of bands, over all observations of a planet."""
    mean = planet.flux.mean(axis=1, dtype=np.float64)
    noise = np.sqrt(np.mean(np.square(planet.scatter, dtype=np.float64), axis=0) / len(planet.scatter))
    weight = inverse_variance(noise[None])[0]
    bands = np.arange(N_WAVELENGTHS)
    share = np.stack([weight * ((bands >= low) & (bands < high)) for low, high in stars.ALIKE])
    share = share[share.sum(axis=1) > 0]
    total = share.sum(axis=1, keepdims=True)
    return Curves(1 - share / total @ (mean / RAMP), 1 / np.sqrt(total[:, 0]), share / total)


def fit(curves: Curves, star: np.ndarray, radii: np.ndarray, impact: float) -> Fit:
    """Compare a transit with the light curves; the depth of each group is free.

    Args:
        curves: result of `curves_of`.
        star: [6].
        radii: Rp/Rs, [55].
        impact: impact parameter, stellar radii.
    """
    period = float(star[_PERIOD])
    axis = planets.semi_major_axis(np.array(period), np.array(star[_MASS])) / (star[_RADIUS] * stars.SOLAR_RADIUS_M)
    distance = np.hypot(*planets.sky_position(period, float(axis), min(impact, float(axis))))
    u1, u2 = stars.limb_darkening(float(star[0]))
    model = curves.share @ (transit.blocked_flux(distance, radii, u1, u2) / transit.stellar_flux(u1, u2)[:, None])
    seen, model = curves.dip[:, FIRST_STEP:], model[:, FIRST_STEP:]
    variance = np.square(curves.noise)[:, None] + np.square(MODEL_ERROR * model)
    scale = np.sum(seen * model / variance, axis=1) / np.maximum(np.sum(model**2 / variance, axis=1), 1e-300)
    chi_squared = np.sum(np.square(seen - scale[:, None] * model) / variance)
    return Fit(float(chi_squared), seen.size - len(scale))


def star_of_speed(star: np.ndarray, speed: float) -> np.ndarray:
    """Return the star with the period that gives a planet on a circular orbit this relative speed: as period^-1/3."""
    changed = np.array(star, np.float64)
    changed[_PERIOD] /= speed**3
    return changed


def likelier_speed(
    curves: Curves, star: np.ndarray, first: Found, answer: Callable[[np.ndarray], list[Found]]
) -> tuple[float, Fit]:
    """Return the planet's speed relative to a circular orbit, 1 unless another is certain, and how well it fits.

    Args:
        curves: result of `curves_of`.
        star: [6].
        first: radii [55] and impact parameter at the usual speed.
        answer: function that returns radii and impact parameter for each of some stars [n, 6].
    """

    def tried(speeds: list[float]) -> list[Fit]:
        each = np.array([star_of_speed(star, speed) for speed in speeds])
        return [fit(curves, one, *found) for one, found in zip(each, answer(each), strict=True)]

    usual = fit(curves, star, *first)
    if usual.excess < SUSPICIOUS:
        return 1.0, usual
    # A misfit that a slightly different impact parameter explains is not evidence of another speed.
    radii, impact = first
    tuned = min((fit(curves, star, radii, abs(impact + away)) for away in NEARBY), key=lambda one: one.chi_squared)
    if tuned.excess < (SUSPICIOUS_GRAZING if impact > GRAZING else SUSPICIOUS):
        return 1.0, usual
    speeds = SPEEDS.tolist()
    fits = tried(speeds)
    best = int(np.argmin([one.chi_squared for one in fits]))
    near = [speeds[best] * factor for factor in FINER]
    speeds, fits = [speeds[best], *near], [fits[best], *tried(near)]
    best = int(np.argmin([one.chi_squared for one in fits]))
    gain = tuned.chi_squared - fits[best].chi_squared
    if abs(speeds[best] - 1) < SMALLEST or gain < BETTER or gain < EXPLAINED * (tuned.chi_squared - tuned.values):
        return 1.0, usual
    return speeds[best], fits[best]

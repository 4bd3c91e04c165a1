"""Planets and their orbits: radius, period, impact parameter, duration, and the selection of observable ones."""

from typing import NamedTuple

import numpy as np

from ariel_tf.challenge import MID_TRANSIT_STEP, MINUTES_PER_STEP, N_STEPS
from ariel_tf.physics.priors import Priors
from ariel_tf.physics.stars import GRAVITATION, SOLAR_MASS_KG, SOLAR_RADIUS_M, Stars

EARTH_RADIUS_M = 6.371e6
SECONDS_PER_DAY = 86400.0
MINUTES_PER_DAY = 1440.0


class Planets(NamedTuple):
    """n planets on circular orbits: float64 [n] each."""

    relative_radius: np.ndarray  # Rp/Rs in the clearest band
    period: np.ndarray  # days
    semi_major_axis: np.ndarray  # m
    scaled_axis: np.ndarray  # semi-major axis in stellar radii
    impact: np.ndarray  # impact parameter, stellar radii
    duration: np.ndarray  # minutes from first to last contact; 0 where there is no transit

    def accepted(self, priors: Priors) -> np.ndarray:
        """Return which planets the challenge's selection keeps: bool [n]."""
        return (
            (self.scaled_axis > 2.0)
            & (self.period > priors.period_low)
            & (self.period < priors.period_high)
            & (self.relative_radius > priors.relative_radius_low)
            & (self.relative_radius < priors.relative_radius_high)
            & (self.duration > priors.duration_low)
            & (self.duration < priors.duration_high)
        )


def draw_planets(rng: np.random.Generator, stars: Stars, priors: Priors, n: int) -> Planets:
    """Draw n planets before selection (see `Planets.accepted`), one for each of n stars or all around one star."""
    share = np.where(stars.temperature > priors.giant_host, priors.giant_share, priors.giant_share_cool)
    giant = rng.random(n) < share
    spread = np.where(giant, priors.giant_spread, priors.small_spread)
    small_radius = priors.small_radius * stars.radius**priors.small_slope
    radius = np.where(giant, priors.giant_radius, small_radius) * np.exp(spread * rng.standard_normal(n))
    relative_radius = radius * EARTH_RADIUS_M / (stars.radius * SOLAR_RADIUS_M)
    period = priors.period_median * np.exp(priors.period_spread * rng.standard_normal(n))
    axis = semi_major_axis(period, stars.mass)
    scaled_axis = axis / (stars.radius * SOLAR_RADIUS_M)
    impact = priors.impact_high * rng.random(n)
    duration = transit_duration(period, scaled_axis, impact, relative_radius)
    return Planets(relative_radius, period, axis, scaled_axis, impact, duration)


def semi_major_axis(period: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Return metres from days and solar masses by Kepler's third law: a^3 = G M P^2 / (4 pi^2)."""
    seconds = period * SECONDS_PER_DAY
    return np.cbrt(GRAVITATION * mass * SOLAR_MASS_KG * seconds**2 / (4 * np.pi**2))


def transit_duration(
    period: np.ndarray, scaled_axis: np.ndarray, impact: np.ndarray, relative_radius: np.ndarray
) -> np.ndarray:
    """Return minutes from first to last contact on a circular orbit; 0 if the planet misses the star.

    T14 = P / pi asin( sqrt((1 + k)^2 - b^2) / (a/R sin i) ), Winn (2010), "Transits and Occultations", eq. 14.
    """
    half_chord = np.sqrt(np.maximum((1 + relative_radius) ** 2 - impact**2, 0.0))
    in_plane = np.sqrt(np.maximum(scaled_axis**2 - impact**2, 1e-12))  # a/R sin i, with cos i = b / (a/R)
    return period * MINUTES_PER_DAY / np.pi * np.arcsin(np.minimum(half_chord / in_plane, 1.0))


def sky_position(period: float, scaled_axis: float, impact: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the position of the planet in front of the star at each step.

    Returns:
        x along and y across its path, float64 [300] each, in stellar radii from the star's centre; both are
        infinite while the planet is behind the star.
    """
    phase = 2 * np.pi * (np.arange(N_STEPS) - MID_TRANSIT_STEP) * MINUTES_PER_STEP / (period * MINUTES_PER_DAY)
    behind = np.cos(phase) <= 0
    return np.where(behind, np.inf, scaled_axis * np.sin(phase)), np.where(behind, np.inf, impact * np.cos(phase))

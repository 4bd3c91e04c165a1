"""Star spots: dark discs that make the visible transit deeper, and bumps where the planet crosses a spot."""

from typing import NamedTuple

import numpy as np

from ariel_tf.challenge import WAVELENGTHS_UM
from ariel_tf.physics.priors import Priors
from ariel_tf.physics.stars import black_body_photons

MOST_SPOTS = 400
NEAREST_LIMB = 0.05  # mu of the outermost spots
MOST_FILL = 0.2  # largest share of the face covered by spots
COOL_STAR = 4000.0  # K; cooler stars have more spots
RADII = (0.01, 0.13)  # stellar radii, of the smallest and the largest spot
PENUMBRA = (0.6, 1.0)  # temperature difference of a whole spot, relative to its umbra


class Spots(NamedTuple):
    """n spots on one star, seen from the front."""

    x: np.ndarray  # float64 [n], stellar radii, along the planet's path
    y: np.ndarray  # float64 [n], across it
    radius: np.ndarray  # float64 [n], stellar radii, of the disc of the same apparent area
    area: np.ndarray  # float64 [n], apparent, squared stellar radii
    loss: np.ndarray  # float64 [55, n], intensity that the spot lacks, in units of the star's central intensity

    @property
    def missing(self) -> np.ndarray:
        """Return the flux that all spots together take from the star, float64 [55]."""
        return self.loss @ self.area


def star_fill(rng: np.random.Generator, temperature: float, priors: Priors) -> float:
    """Draw a star's mean share of spotted face."""
    cool = priors.spot_fill_cool if temperature < COOL_STAR else 1.0
    fill = priors.spot_fill_median * cool * np.exp(priors.spot_fill_spread * rng.standard_normal())
    return float(min(fill, priors.spot_fill_high))


def coolness(temperature: np.ndarray | float) -> np.ndarray:
    """Return how much cooler an umbra is than its star, K: Berdyugina (2005), fitted by Maehara et al. (2017)."""
    return np.clip(3.58e-5 * temperature**2 + 0.249 * temperature - 808, 200, 2200)


def contrast_of(temperature: np.ndarray | float, cooler: np.ndarray | float) -> np.ndarray:
    """Return the share of a spot's light that is missing, by wavelength, for black bodies: float64 [..., 55].

    Args:
        temperature: temperature of the star, K, [..., 1] or a number.
        cooler: temperature difference of the spot, K, [..., 1] or a number.
    """
    star = black_body_photons(WAVELENGTHS_UM, temperature)
    return 1 - black_body_photons(WAVELENGTHS_UM, temperature - cooler) / star


def draw_spots(
    rng: np.random.Generator, fill: float, temperature: float, u1: np.ndarray, u2: np.ndarray, priors: Priors
) -> Spots:
    """Draw one spot instance: discs anywhere on the star's face until they cover this instance's fill.

    Spots are black bodies cooler than the star by `coolness`, times .6 to 1 for the lighter penumbra, and
    limb-darkened like the star.
    """
    fill = min(fill * np.exp(priors.spot_fill_instance * rng.standard_normal()), MOST_FILL)
    radius = priors.spot_radius_median * np.exp(priors.spot_radius_spread * rng.standard_normal(MOST_SPOTS))
    radius = np.clip(radius, *RADII)
    mu = rng.uniform(NEAREST_LIMB, 1, MOST_SPOTS)
    azimuth = rng.uniform(0, 2 * np.pi, MOST_SPOTS)
    cooler = coolness(temperature) * rng.uniform(*PENUMBRA)
    area = np.pi * radius**2 * mu  # foreshortened
    n = int(np.searchsorted(np.cumsum(area), fill * np.pi))
    mu, area, azimuth = mu[:n], area[:n], azimuth[:n]
    from_centre = np.sqrt(1 - mu * mu)
    contrast = contrast_of(temperature, cooler)
    intensity = 1 - u1[:, None] * (1 - mu) - u2[:, None] * (1 - mu) ** 2
    loss = contrast[:, None] * intensity
    return Spots(from_centre * np.cos(azimuth), from_centre * np.sin(azimuth), radius[:n] * np.sqrt(mu), area, loss)


def occulted_loss(spots: Spots, x: np.ndarray, y: np.ndarray, planet_radius: float) -> np.ndarray:
    """Return the flux that spots lack behind the planet, which it cannot block: float64 [55, t].

    Args:
        spots: spots of the star.
        x, y: float [t], the planet's centre, in stellar radii.
        planet_radius: Rp/Rs, one for all wavelengths (the bumps are small).
    """
    distance = np.hypot(x - spots.x[:, None], y - spots.y[:, None])  # n, t
    hit = (distance < (planet_radius + spots.radius)[:, None]).any(axis=1)
    if not hit.any():
        return np.zeros((len(spots.loss), len(x)))
    return spots.loss[:, hit] @ overlap_area(distance[hit], planet_radius, spots.radius[hit, None])


def overlap_area(distance: np.ndarray, radius_1: np.ndarray | float, radius_2: np.ndarray | float) -> np.ndarray:
    """Return the area common to two discs, by the law of cosines; broadcasts."""
    d = np.maximum(distance, 1e-9)
    angle_1 = np.arccos(np.clip((d * d + radius_1**2 - radius_2**2) / (2 * d * radius_1), -1, 1))
    angle_2 = np.arccos(np.clip((d * d + radius_2**2 - radius_1**2) / (2 * d * radius_2), -1, 1))
    both = radius_1 + radius_2
    heron = (both - d) * (d + radius_1 - radius_2) * (d - radius_1 + radius_2) * (both + d)
    return radius_1**2 * angle_1 + radius_2**2 * angle_2 - np.sqrt(np.maximum(heron, 0)) / 2

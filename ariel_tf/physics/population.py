"""Many planets at once: stars, orbits, spectra and spots drawn from the priors as arrays, for endless training data.

The simulator (`simulator.py`) makes one planet's observations, each from its own random numbers. Here n planets are
drawn from one generator, with the same formulas and distributions, and each is observed once: as the mean of any
number of photon-noise instances of one or several spot instances. `light_curves.py` computes their light curves.
"""

from typing import NamedTuple

import numpy as np

from ariel_tf.core.errors import UsageError
from ariel_tf.physics import detector, planets, spectra, spots, stars
from ariel_tf.physics.priors import Priors

PROPOSALS = 64  # planets drawn around a star, of which the first acceptable one is taken; if none is, another star
_ROUNDS = 400
_SPOTS_AT_ONCE = 48


class Population(NamedTuple):
    """n stars and their planets: float64 arrays.

    Attributes:
        star: [n, 6], `challenge.STAR_PARAMETERS`, rounded as in the challenge's headers.
        scaled_axis: [n], semi-major axis in stellar radii.
        impact: [n], impact parameter in stellar radii.
        radii: [n, 55], Rp/Rs.
        u1, u2: [n, 55], limb darkening.
        spot_fill: [n], mean share of spotted face.
        sigma: [n, 55], white noise of one step of one observation.
    """

    star: np.ndarray
    scaled_axis: np.ndarray
    impact: np.ndarray
    radii: np.ndarray
    u1: np.ndarray
    u2: np.ndarray
    spot_fill: np.ndarray
    sigma: np.ndarray


class SpotMaps(NamedTuple):
    """s spot instances of each of n stars.

    Attributes:
        contrast: float64 [n, s, 55], share of a spot's light that is missing.
        area: float64 [n, s, 3], sums over all spots of area x (1 - mu)^0, 1, 2; squared stellar radii.
        x, y, radius, mu: float64 [n, k], spots near the planet's path, of all instances; padded with radius 0.
        instance: int [n, k], instance of each of these spots.
    """

    contrast: np.ndarray
    area: np.ndarray
    x: np.ndarray
    y: np.ndarray
    radius: np.ndarray
    mu: np.ndarray
    instance: np.ndarray


def draw_population(rng: np.random.Generator, n: int, priors: Priors) -> Population:
    """Draw n stars, each with a planet that can be observed in every band.

    Args:
        rng: source of all random numbers.
        n: number of stars.
        priors: priors of the population.

    Raises:
        UsageError: these priors allow no observable planet.
    """
    hosts, companions, radii = _draw_observable(rng, n, priors)
    star = header_stars(hosts, companions.period)
    temperature = star[:, 0]
    scale = np.exp(priors.limb_darkening_spread * rng.standard_normal((n, 1)))
    u1, u2 = stars.limb_darkening(temperature[:, None], scale)
    photon_scale = np.exp(priors.noise_spread * rng.standard_normal(n))
    cool = np.where(temperature < spots.COOL_STAR, priors.spot_fill_cool, 1.0)
    fill = priors.spot_fill_median * cool * np.exp(priors.spot_fill_spread * rng.standard_normal(n))
    return Population(
        star=star,
        scaled_axis=companions.scaled_axis,
        impact=companions.impact,
        radii=radii,
        u1=u1,
        u2=np.broadcast_to(u2, u1.shape),
        spot_fill=np.minimum(fill, priors.spot_fill_high),
        sigma=detector.noise_sigma(temperature, star[:, 4], photon_scale),
    )


def _draw_observable(
    rng: np.random.Generator, n: int, priors: Priors
) -> tuple[stars.Stars, planets.Planets, np.ndarray]:
    """Draw n stars, a planet around each that can be observed in every band, and their radii [n, 55]."""
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    missing = n
    for _ in range(_ROUNDS):
        if missing <= 0:
            break
        hosts = stars.draw_stars(rng, priors, max(16, missing + missing // 8))
        each = stars.Stars(*(np.repeat(values, PROPOSALS) for values in hosts))
        companions = planets.draw_planets(rng, each, priors, len(each.mass))
        accepted = companions.accepted(priors).reshape(-1, PROPOSALS)
        open_hosts = np.flatnonzero(accepted.any(axis=1))
        while len(open_hosts):
            first = accepted[open_hosts].argmax(axis=1)
            index = open_hosts * PROPOSALS + first
            chosen = np.stack(companions)[:, index]
            one = planets.Planets(*chosen)
            radii = spectra.draw_spectra(rng, one.relative_radius, priors)
            widest = planets.transit_duration(one.period, one.scaled_axis, one.impact, radii.max(axis=1))
            kept = widest < priors.duration_widest
            found.append((np.stack(hosts)[:, open_hosts[kept]], chosen[:, kept], radii[kept]))
            missing -= int(kept.sum())
            accepted[open_hosts[~kept], first[~kept]] = False
            left = open_hosts[~kept]
            open_hosts = left[accepted[left].any(axis=1)]
    if missing > 0:
        raise UsageError("these priors hold no observable planet: widen the bounds on duration, period or radius")
    hosts_found = np.concatenate([one for one, _, _ in found], axis=1)
    planets_found = np.concatenate([one for _, one, _ in found], axis=1)
    order = rng.permutation(hosts_found.shape[1])[:n]  # stars that took several proposals are last
    radii = np.concatenate([one for _, _, one in found])[order]
    return stars.Stars(*hosts_found[:, order]), planets.Planets(*planets_found[:, order]), radii


def header_stars(hosts: stars.Stars, period: np.ndarray) -> np.ndarray:
    """Return the parameters of n stars, rounded as in the challenge's headers: gravity to .5 dex. float64 [n, 6]."""
    gravity = np.round(2 * stars.log_surface_gravity(hosts.mass, hosts.radius)) / 2
    columns = (
        np.round(hosts.temperature, 2),
        gravity,
        np.round(hosts.radius, 3),
        np.round(hosts.mass, 9),
        np.round(hosts.k_magnitude, 3),
        np.round(period, 9),
    )
    return np.stack(columns, axis=1)


def draw_spot_maps(rng: np.random.Generator, population: Population, instances: int, priors: Priors) -> SpotMaps:
    """Draw spot instances of every star; `spots.draw_spots` for many stars at once."""
    n = len(population.impact)
    mean = np.repeat(population.spot_fill, instances)
    fill = np.minimum(mean * np.exp(priors.spot_fill_instance * rng.standard_normal(len(mean))), spots.MOST_FILL)
    temperature = np.repeat(population.star[:, 0], instances)
    cooler = spots.coolness(temperature) * rng.uniform(*spots.PENUMBRA, len(mean))
    contrast = spots.contrast_of(temperature[:, None], cooler[:, None]).reshape(n, instances, -1)
    radius, mu, azimuth, area = _draw_discs(rng, fill, priors)
    limb = 1 - mu
    sums = np.stack([(area * limb**power).sum(axis=1) for power in range(3)], axis=1).reshape(n, instances, 3)
    from_centre = np.sqrt(1 - mu * mu)
    x, y, radius = from_centre * np.cos(azimuth), from_centre * np.sin(azimuth), radius * np.sqrt(mu)
    near = (area > 0) & _near_path(population, instances, y, radius)
    near, x, y, radius, mu = (values.reshape(n, -1) for values in (near, x, y, radius, mu))
    most = max(1, int(near.sum(axis=1).max()))
    order = np.argsort(~near, axis=1, kind="stable")[:, :most]
    kept = np.take_along_axis(near, order, axis=1)
    x, y, radius, mu = (np.take_along_axis(values, order, axis=1) for values in (x, y, radius, mu))
    instance = order // (near.shape[1] // instances)
    return SpotMaps(contrast, sums, x, y, np.where(kept, radius, 0.0), mu, np.where(kept, instance, 0))


def _draw_discs(rng: np.random.Generator, fill: np.ndarray, priors: Priors) -> tuple[np.ndarray, ...]:
    """Discs until they cover each instance's fill [m]: radius, mu, azimuth and apparent area [m, k]; area 0 is none."""
    parts: list[tuple[np.ndarray, ...]] = []
    covered, drawn = np.zeros(len(fill)), 0
    while drawn < spots.MOST_SPOTS and (covered < fill * np.pi).any():
        size = (len(fill), min(_SPOTS_AT_ONCE, spots.MOST_SPOTS - drawn))
        radius = priors.spot_radius_median * np.exp(priors.spot_radius_spread * rng.standard_normal(size))
        radius = np.clip(radius, *spots.RADII)
        mu = rng.uniform(spots.NEAREST_LIMB, 1, size)
        area = np.pi * radius**2 * mu  # foreshortened
        total = covered[:, None] + np.cumsum(area, axis=1)
        parts.append((radius, mu, rng.uniform(0, 2 * np.pi, size), np.where(total < fill[:, None] * np.pi, area, 0.0)))
        covered, drawn = total[:, -1], drawn + size[1]
    radius, mu, azimuth, area = (np.concatenate(columns, axis=1) for columns in zip(*parts, strict=True))
    used = max(1, int((area > 0).any(axis=0).sum()))
    return radius[:, :used], mu[:, :used], azimuth[:, :used], area[:, :used]


def _near_path(population: Population, instances: int, y: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Which spots the planet can touch: their distance across its path is small enough. bool [n instances, k]."""
    widest, mean = population.radii.max(axis=1), population.radii.mean(axis=1)
    farthest = np.minimum((1 + widest) / population.scaled_axis, 1.0)  # sine of the phase at the last contact
    lowest = population.impact * np.sqrt(1 - farthest**2)
    low, high, reach = (np.repeat(v, instances)[:, None] for v in (lowest, population.impact, mean))
    return (y > low - reach - radius) & (y < high + reach + radius)

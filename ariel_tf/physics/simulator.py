"""The simulator: any planet's observations, alone and in any order, from a seed and a planet number.

    priors ── draw_system ──▶ star, orbit, radii [55] ── transit, spots ──▶ clean light curves [55, 300] a spot instance
                                                                                 │ x ramp [300], + noise
                                                                                 ▼
                                                            planet.Planet: flux [55, n, 300]

Every random draw comes from a generator seeded with (seed, number, what, ...), so an observation does not depend on the
process, the order, or the number of observations simulated beside it.
"""

from dataclasses import dataclass

import numpy as np

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS
from ariel_tf.core.errors import UsageError
from ariel_tf.physics import detector, planets, spectra, spots, stars, transit
from ariel_tf.physics.population import PROPOSALS, header_stars
from ariel_tf.physics.priors import Priors
from ariel_tf.planet import Planet

__all__ = ["VERSION", "Priors", "System", "clean_curves", "draw_system", "simulate_planet"]

# Part of a data set's fingerprint: increased whenever the same arguments give other bytes.
VERSION = 4

_TRIES = 1000
_SYSTEM, _SPOTS, _NOISE = 0, 1, 2  # streams of random numbers


@dataclass(frozen=True, eq=False)
class System:
    """A star and its planet: everything that the observations of a planet have in common."""

    star: np.ndarray  # float64 [6], `challenge.STAR_PARAMETERS`
    orbit: np.ndarray  # float64 [2], `challenge.ORBIT_PARAMETERS`
    radii: np.ndarray  # float64 [55], Rp/Rs
    scaled_axis: float  # semi-major axis in stellar radii
    impact: float  # impact parameter, stellar radii
    u1: np.ndarray  # float64 [55], limb darkening
    u2: np.ndarray  # float64 [55]
    spot_fill: float  # mean share of spotted face
    sigma: np.ndarray  # float64 [55], white noise of one step


def simulate_planet(seed: int, number: int, spots: int, photons: int, priors: Priors = Priors()) -> Planet:  # noqa: B008
    """Simulate all observations of one planet: `spots` spot instances x `photons` noise instances.

    Args:
        seed: >= 0, seed of the whole population.
        number: number of the planet, 0 to 2^31 - 1; the text format allows 9999 at most.
        spots, photons: number of instances of each, 1 to 99. More instances do not change the first ones.
        priors: priors of the population.

    Returns:
        a `planet.Planet`, labelled, instances (1, 1) to (spots, photons) ascending.

    >>> simulate_planet(seed=1, number=7, spots=2, photons=3).flux.shape
    (55, 6, 300)
    """
    _check(seed, number, spots, photons)
    system = draw_system(seed, number, priors)
    curves = clean_curves(system, seed, number, spots, priors) * detector.RAMP
    curves32, sigma32 = curves.astype(np.float32), system.sigma.astype(np.float32)[:, None]
    flux = np.empty((N_WAVELENGTHS, spots * photons, N_STEPS), np.float32)
    for spot in range(spots):
        for photon in range(photons):
            noise = detector.white_noise(_generator(seed, number, _NOISE, spot + 1, photon + 1))
            noise *= sigma32
            np.add(curves32[spot], noise, out=flux[:, spot * photons + photon])
    instances = np.stack(np.meshgrid(np.arange(spots), np.arange(photons), indexing="ij"), axis=-1) + 1
    return Planet.from_observations(number, instances, system.star, flux, orbit=system.orbit, radii=system.radii)


def draw_system(seed: int, number: int, priors: Priors) -> System:
    """Draw a star and a planet from the priors. Star and orbit are rounded as in the challenge's headers."""
    rng = _generator(seed, number, _SYSTEM)
    hosts, companions, first, radii = _draw_observable(rng, priors)
    star = header_stars(hosts, companions.period[first : first + 1])[0]
    temperature = float(star[0])
    u1, u2 = stars.limb_darkening(temperature, np.exp(priors.limb_darkening_spread * rng.standard_normal()))
    photon_scale = np.exp(priors.noise_spread * rng.standard_normal())
    scaled_axis, impact = float(companions.scaled_axis[first]), float(companions.impact[first])
    inclination = np.degrees(np.arccos(impact / scaled_axis))
    return System(
        star=star,
        orbit=np.array([np.round(companions.semi_major_axis[first]), np.round(inclination, 8)]),
        radii=radii,
        scaled_axis=scaled_axis,
        impact=impact,
        u1=u1,
        u2=u2,
        spot_fill=spots.star_fill(rng, temperature, priors),
        sigma=detector.noise_sigma(temperature, float(star[4]), photon_scale),
    )


def _draw_observable(rng: np.random.Generator, priors: Priors) -> tuple[stars.Stars, planets.Planets, int, np.ndarray]:
    """Return a star, its planets, the index of the first that can be observed in every band, and its radii [55]."""
    for _ in range(_TRIES):
        hosts = stars.draw_stars(rng, priors, 1)
        companions = planets.draw_planets(rng, hosts, priors, PROPOSALS)
        for index in np.flatnonzero(companions.accepted(priors)):
            radii = spectra.draw_radii(rng, float(companions.relative_radius[index]), priors)
            path = (companions.period[index], companions.scaled_axis[index], companions.impact[index])
            if planets.transit_duration(*path, radii.max()) < priors.duration_widest:
                return hosts, companions, int(index), radii
    raise UsageError("these priors hold no observable planet: widen the bounds on duration, period or radius")


def clean_curves(system: System, seed: int, number: int, n_spots: int, priors: Priors) -> np.ndarray:
    """Return noise-free light curves without the ramp, float64 [n_spots, 55, 300], 1 outside the transit.

    If all spots together lack the flux S, of which the planet covers O, a planet that blocks B of a star's flux F
    leaves 1 - (B - O) / (F - S): spots outside its path make the transit deeper, spots under it shallower.
    """
    period = float(system.star[5])
    x, y = planets.sky_position(period, system.scaled_axis, system.impact)
    distance = np.hypot(x, y)
    during = np.flatnonzero(distance < 1 + system.radii.max())
    hidden = transit.blocked_flux(distance[during], system.radii, system.u1, system.u2)
    flux = transit.stellar_flux(system.u1, system.u2)
    mean_radius = float(system.radii.mean())
    curves = np.ones((n_spots, N_WAVELENGTHS, N_STEPS))
    for spot in range(n_spots):
        rng = _generator(seed, number, _SPOTS, spot + 1)
        dark = spots.draw_spots(rng, system.spot_fill, float(system.star[0]), system.u1, system.u2, priors)
        seen = hidden - spots.occulted_loss(dark, x[during], y[during], mean_radius)
        curves[spot][:, during] -= seen / (flux - dark.missing)[:, None]
    return curves


def _generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(key)))


def _check(seed: int, number: int, spots: int, photons: int) -> None:
    for name, value, low, high in (
        ("seed", seed, 0, 2**63),
        ("number", number, 0, 2**31 - 1),
        ("spots", spots, 1, 99),
        ("photons", photons, 1, 99),
    ):
        if not low <= value <= high:
            raise UsageError(f"a simulated planet's {name} must be in {low} to {high}. Received: {value}")

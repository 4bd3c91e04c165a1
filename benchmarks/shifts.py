"""Loss of the model included in the package on planets, stars and instruments unlike those of its training.

    python -m benchmarks.shifts                    60 planets of each kind, about 15 minutes
    python -m benchmarks.shifts "red noise" spots  only kinds whose name contains one of these texts
    python -m benchmarks.shifts --uncorrected      losses without the corrections of light curves

Each planet is predicted from 1, 8 (4 spots x 2) and 100 (10 x 10) of its observations. A disturbance is applied to the
same 60 planets as in the default population, so that losses are compared planet by planet; other populations contain
other planets.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from tqdm import tqdm

import ariel_tf
from ariel_tf.challenge import MID_TRANSIT_STEP, N_STEPS, N_WAVELENGTHS, PPM, depth_error
from ariel_tf.physics import detector, planets, simulator, spots, transit
from ariel_tf.physics.priors import Priors
from ariel_tf.physics.simulator import System
from ariel_tf.planet import Planet
from ariel_tf.runs.pooling import Estimate, combined, estimates, pools_of
from ariel_tf.runs.predictor import Predictor
from benchmarks.shipped_model import POOLS, part

SEED = 2024
HOME = Priors()
Random = np.random.Generator
_STEPS = np.arange(N_STEPS)


def unchanged(values, rng: Random):
    return values


@dataclass(frozen=True)
class Shift:
    """Differences of planets from those of the training.

    Attributes:
        priors: priors of the population.
        system: function that changes a star and its planet.
        curves: function that makes clean light curves [spots, 55, 300] from (system, number, spots, priors).
        light: function that changes these.
        ramp: [300].
        noise: function that changes white noise of unit variance, [55, 300].
        flux: function that changes the finished light curves, [55, n, 300]; its second argument is sigma [55].
    """

    priors: Priors = HOME
    system: Callable[[System, Random], System] = unchanged
    curves: Callable[[System, int, int, Priors], np.ndarray] | None = None
    light: Callable[[np.ndarray, Random], np.ndarray] = unchanged
    ramp: np.ndarray = field(default_factory=lambda: detector.RAMP)
    noise: Callable[[np.ndarray, Random], np.ndarray] = unchanged
    flux: Callable[[np.ndarray, np.ndarray, Random], np.ndarray] | None = None

    def observe(self, number: int, n_spots: int, photons: int) -> Planet:
        """Return a planet as from `simulator.simulate_planet`, but shifted."""
        rng = np.random.default_rng((SEED, number, 77))
        system = self.system(simulator.draw_system(SEED, number, self.priors), rng)
        if self.curves is None:
            clean = simulator.clean_curves(system, SEED, number, n_spots, self.priors)
        else:
            clean = self.curves(system, number, n_spots, self.priors)
        clean = self.light(clean, rng) * self.ramp
        flux = np.empty((N_WAVELENGTHS, n_spots * photons, N_STEPS), np.float32)
        for spot in range(n_spots):
            for photon in range(photons):
                noise = self.noise(rng.standard_normal((N_WAVELENGTHS, N_STEPS)), rng)
                flux[:, spot * photons + photon] = clean[spot] + noise * system.sigma[:, None]
        if self.flux is not None:
            flux = self.flux(flux, system.sigma, rng)
        instances = np.stack(np.meshgrid(np.arange(n_spots), np.arange(photons), indexing="ij"), axis=-1) + 1
        return Planet.from_observations(number, instances, system.star, flux, system.orbit, system.radii)


def moved(most: int):
    """Move mid-transit earlier or later by up to this many steps; the curve is flat at both ends."""

    def light(curves: np.ndarray, rng: Random) -> np.ndarray:
        return np.roll(curves, int(rng.integers(-most, most + 1)), axis=-1)

    return light


def cut(share: float):
    """Make the observation begin late or end early, so that a share of the transit is not observed."""

    def light(curves: np.ndarray, rng: Random) -> np.ndarray:
        during = np.flatnonzero(curves.min(axis=(0, 1)) < 1 - 1e-9)
        missing = int(share * len(during))
        curves = curves.copy()
        if not missing:
            return curves
        if rng.random() < 0.5:
            curves[..., : during[missing]] = 1
        else:
            curves[..., during[-missing] :] = 1
        return curves

    return light


def autoregressive(phi: float):
    """Return AR(1) noise of unit variance."""
    from scipy.signal import lfilter

    return lambda white, rng: lfilter([np.sqrt(1 - phi**2)], [1, -phi], white, axis=-1)


def pink(share: float):
    """Return noise of unit variance, a share of whose variance has a spectrum of 1/f."""

    def noise(white: np.ndarray, rng: Random) -> np.ndarray:
        frequency = np.fft.rfftfreq(4 * N_STEPS)
        spectrum = np.fft.rfft(rng.standard_normal((len(white), 4 * N_STEPS)), axis=-1)
        spectrum[:, 1:] /= np.sqrt(frequency[1:])
        spectrum[:, 0] = 0
        slow = np.fft.irfft(spectrum, axis=-1)
        slow /= slow.std(axis=-1, keepdims=True)
        return np.sqrt(1 - share) * white + np.sqrt(share) * slow[:, :N_STEPS]

    return noise


def dead_bands(count: int):
    """Make some bands constant, and others white noise without any light."""

    def flux(values: np.ndarray, sigma: np.ndarray, rng: Random) -> np.ndarray:
        for place, band in enumerate(rng.choice(N_WAVELENGTHS, count, replace=False)):
            values[band] = 1.0
            if place % 2:
                values[band] += (30 * sigma[band] * rng.standard_normal(values[band].shape)).astype(np.float32)
        return values

    return flux


def cosmic_rays(rate: float, size: float):
    """Raise a share of all values by up to this many sigma."""

    def flux(values: np.ndarray, sigma: np.ndarray, rng: Random) -> np.ndarray:
        hit = rng.random(values.shape) < rate
        return (values + hit * rng.uniform(5, size, values.shape) * sigma[:, None, None]).astype(np.float32)

    return flux


def times_noise(factor: float):
    return lambda system, rng: replace(system, sigma=factor * system.sigma)


def eccentric(low: float, high: float):
    """Change the planet's speed in transit from that of a circular orbit by (1 + e sin w) / sqrt(1 - e^2)."""

    def system(one: System, rng: Random) -> System:
        eccentricity, angle = rng.uniform(low, high), rng.uniform(0, 2 * np.pi)
        speed = (1 + eccentricity * np.sin(angle)) / np.sqrt(1 - eccentricity**2)
        return replace(one, scaled_axis=one.scaled_axis * speed)

    return system


def darkened(first: float, second: float):
    """Change limb-darkening coefficients in all bands."""
    return lambda system, rng: replace(system, u1=system.u1 + first, u2=system.u2 + second)


def square_root_law(system: System, number: int, n_spots: int, priors: Priors) -> np.ndarray:
    """Use I = 1 - c (1 - mu) - d (1 - sqrt(mu)), with the same flux and the same centre-to-limb loss; no spots."""
    import batman

    period = float(system.star[5])
    x, y = planets.sky_position(period, system.scaled_axis, system.impact)
    distance = np.hypot(x, y)
    curves = np.ones((n_spots, N_WAVELENGTHS, N_STEPS))
    parameters = batman.TransitParams()
    parameters.t0, parameters.per, parameters.a = 0.0, period, float(system.scaled_axis)
    parameters.inc = float(np.degrees(np.arccos(system.impact / system.scaled_axis)))
    parameters.ecc, parameters.w, parameters.limb_dark = 0.0, 90.0, "squareroot"
    times = (_STEPS - MID_TRANSIT_STEP) / (24 * 60)
    for band in range(N_WAVELENGTHS):
        loss = float(system.u1[band] + system.u2[band])
        parameters.rp, parameters.u = float(system.radii[band]), [0.3 * loss, 0.7 * loss]
        model = batman.TransitModel(parameters, times)
        curves[:, band] = np.where(distance < 1 + system.radii.max(), model.light_curve(parameters), 1.0)
    return curves


def faculae(excess: float, ratio: float):
    """Use bright patches instead of spots, hotter than the star by some kelvin, with a multiple of the spots' area."""

    def curves(system: System, number: int, n_spots: int, priors: Priors) -> np.ndarray:
        temperature = float(system.star[0])
        x, y = planets.sky_position(float(system.star[5]), system.scaled_axis, system.impact)
        distance = np.hypot(x, y)
        during = np.flatnonzero(distance < 1 + system.radii.max())
        hidden = transit.blocked_flux(distance[during], system.radii, system.u1, system.u2)
        flux = transit.stellar_flux(system.u1, system.u2)
        made = np.ones((n_spots, N_WAVELENGTHS, N_STEPS))
        for spot in range(n_spots):
            rng = np.random.default_rng((SEED, number, 78, spot))
            fill = ratio * system.spot_fill
            drawn = spots.draw_spots(rng, fill, temperature, system.u1, system.u2, priors)
            share = spots.contrast_of(temperature, -excess) / spots.contrast_of(temperature, excess)
            own = drawn.loss / drawn.loss.max(axis=1, keepdims=True) if len(drawn.x) else drawn.loss
            bright = drawn._replace(loss=own * (share * spots.contrast_of(temperature, excess))[:, None])
            seen = hidden - spots.occulted_loss(bright, x[during], y[during], float(system.radii.mean()))
            made[spot][:, during] -= seen / (flux - bright.missing)[:, None]
        return made

    return curves


def no_spots(system: System, number: int, n_spots: int, priors: Priors) -> np.ndarray:
    return simulator.clean_curves(replace(system, spot_fill=1e-9), SEED, number, n_spots, priors)


SHIFTS = {
    "the default population": Shift(),
    "mid-transit moved by up to 5 steps": Shift(light=moved(5)),
    "mid-transit moved by up to 20 steps": Shift(light=moved(20)),
    "a fifth of the transit not seen (flat)": Shift(light=cut(0.2)),
    "ramp 20 % larger": Shift(ramp=1 + 1.2 * (detector.RAMP - 1)),
    "ramp 20 % smaller": Shift(ramp=1 + 0.8 * (detector.RAMP - 1)),
    "noise x 0.5": Shift(system=times_noise(0.5)),
    "noise x 2": Shift(system=times_noise(2.0)),
    "red noise, AR(1) .3": Shift(noise=autoregressive(0.3)),
    "red noise, a fifth of the variance 1/f": Shift(noise=pink(0.2)),
    "five dead bands": Shift(flux=dead_bands(5)),
    "cosmic rays, one in 300 values, to 100 sigma": Shift(flux=cosmic_rays(1 / 300, 100)),
    "eccentricity .1 to .3": Shift(system=eccentric(0.1, 0.3)),
    "linear limb darkening + .1": Shift(system=darkened(0.1, 0.0)),
    "linear limb darkening - .1": Shift(system=darkened(-0.1, 0.0)),
    "quadratic limb darkening + .15": Shift(system=darkened(0.0, 0.15)),
    "square-root law of limb darkening, no spots": Shift(curves=square_root_law),
    "no spots": Shift(curves=no_spots),
    "faculae, 150 K hotter, 5 x the spots' area": Shift(curves=faculae(150.0, 5.0)),
    "spots x 3": Shift(replace(HOME, spot_fill_median=0.06)),
    "impact parameters to 1.1": Shift(replace(HOME, impact_high=1.1)),
    "durations of 20 to 280 minutes": Shift(
        replace(HOME, duration_low=20.0, duration_high=280.0, duration_widest=290.0)
    ),
    "planets twice as large": Shift(
        replace(HOME, giant_radius=2 * HOME.giant_radius, small_radius=2 * HOME.small_radius)
    ),
    "planets half as large": Shift(
        replace(
            HOME, giant_radius=HOME.giant_radius / 2, small_radius=HOME.small_radius / 2, relative_radius_low=0.0074
        )
    ),
    "atmospheres x 2": Shift(replace(HOME, atmosphere_median=2 * HOME.atmosphere_median)),
    "stars of 2600 to 3100 K": Shift(replace(HOME, temperature_low=2600.0, temperature_high=3100.0)),
    "stars of 7000 to 8000 K": Shift(replace(HOME, temperature_low=7000.0, temperature_high=8000.0)),
}  # fmt: skip


def uncorrected(trained: Predictor, planet: Planet) -> Estimate:
    """Return the prediction without corrections of light curves and with a circular orbit."""
    return combined(**trained.call_uncertain(*pools_of(planet)))


def corrected(trained: Predictor, planet: Planet) -> Estimate:
    ((_, found),) = estimates(trained, [planet])
    return found


def measure(
    trained: Predictor, shift: Shift, count: int, name: str, answer: Callable[[Predictor, Planet], Estimate]
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Return ppm of error in depth [count] and deviations in sigma [count, 55], by number of observations."""
    found: dict[int, list[tuple]] = {pool: [] for pool in POOLS}
    for number in tqdm(range(1, count + 1), name, unit=" planets", leave=False, disable=None):
        planet = shift.observe(number, 10, 10)
        for pool, (n_spots, photons) in POOLS.items():
            one = answer(trained, part(planet, n_spots, photons))
            error = np.mean(depth_error(planet.radii, one.radius, PPM))
            found[pool].append((error, (one.radius - planet.radii) / one.sigma))
    return {
        pool: (np.array([error for error, _ in rows]), np.array([away for _, away in rows]))
        for pool, rows in found.items()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("kinds", nargs="*", help="texts contained in the names of kinds")
    parser.add_argument("--model", default="transit-joint", help="a model included in the package")
    parser.add_argument("--planets", type=int, default=60, help="number of planets of each kind")
    parser.add_argument("--uncorrected", action="store_true", help="do not correct light curves")
    options = parser.parse_args(arguments)
    trained = ariel_tf.load(options.model)
    columns = [f"{what}, {pool}" for what in ("loss, ppm", "beside home", "median", "within 1 sigma") for pool in POOLS]
    print(f"| kind | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    home: dict[int, np.ndarray] = {}
    for name, shift in SHIFTS.items():
        if home and options.kinds and not any(kind in name for kind in options.kinds):
            continue
        found = measure(trained, shift, options.planets, name, uncorrected if options.uncorrected else corrected)
        errors = {pool: error for pool, (error, _) in found.items()}
        home = home or errors
        cells = [f"{error.mean():.0f}" for error in errors.values()]
        cells += [f"{error.mean() / home[pool].mean():.2f}" for pool, error in errors.items()]
        cells += [f"{_median(error, home[pool], shift):.2f}" for pool, error in errors.items()]
        cells += [f"{(np.abs(deviations) < 1).mean():.1%}" for _, deviations in found.values()]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _median(error: np.ndarray, home: np.ndarray, shift: Shift) -> float:
    """Return the median ratio of losses to those of the same planets by default, or of losses if planets differ."""
    return float(np.median(error / home) if shift.priors == HOME else np.median(error) / np.median(home))


if __name__ == "__main__":
    main()

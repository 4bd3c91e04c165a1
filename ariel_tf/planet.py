"""One planet with all its observations: noise outside transit, white light, validation; NumPy only."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from ariel_tf.challenge import FLUX_BOUNDS, N_STEPS, N_WAVELENGTHS, ORBIT_PARAMETERS, STAR_PARAMETERS, Key, holds_mask
from ariel_tf.core.errors import DataError

# Steps outside any transit: the mean dip is 5 % deep at steps 69 and 226, and the ramp is over by step 28.
OUT_OF_TRANSIT = np.r_[28:70, 228:300]

# A band below this share of the median scatter of its observation has no photon noise: it is dead, saturated or filled
# in. The quietest band of an observation has a share of 0.18 in real files, and 0.11 in 400 simulated ones.
NOISE_FREE_SHARE = 0.02
# The same limit for a planet compared with the other planets, at one wavelength. Stars differ more: the brightest of
# 400 simulated ones has a share of 0.006.
NOISE_FREE_PLANET_SHARE = 1e-4
SMALLEST_SCATTER = 1e-9
# A band with less than this share of the median scatter is examined further: smoothing and interpolation in time make
# differences of neighbouring steps small, but not those of distant steps. Of the 6,300 quietest of 33,600 simulated
# light curves none has a ratio above 2.0; means over 31 steps have 4.5, interpolation of every tenth step 8.
SMOOTH_SHARE = 0.25
SMOOTH_RATIO = 3.0
DISTANT_STEPS = 20


def out_of_transit_scatter(flux: np.ndarray) -> np.ndarray:
    """Return the white-noise standard deviation of light curves, from differences of neighbouring steps.

    Differences cancel slow variations (the ingress of a long transit, a spot), so only noise remains.

    Args:
        flux: float [..., 300].

    Returns:
        float32 [...], in units of the flux.
    """
    before = OUT_OF_TRANSIT[:-1][np.diff(OUT_OF_TRANSIT) == 1]
    step = flux[..., before + 1] - flux[..., before]
    return np.sqrt(np.mean(np.square(step, dtype=np.float64), axis=-1) / 2).astype(np.float32)


def band_scatter(flux: np.ndarray) -> np.ndarray:
    """Return `out_of_transit_scatter` of observations, with 0 for a band that was smoothed or interpolated.

    Args:
        flux: float [bands, n, 300].

    Returns:
        float32 [n, bands].
    """
    scatter = out_of_transit_scatter(flux)
    with np.errstate(invalid="ignore"):
        quiet = np.argwhere(scatter < SMOOTH_SHARE * np.median(scatter, axis=0))
    if len(quiet):
        curves = flux[quiet[:, 0], quiet[:, 1]]
        scatter[quiet[:, 0], quiet[:, 1]] *= ~is_smooth(curves)
    return np.ascontiguousarray(scatter.T)


def distant_steps() -> tuple[np.ndarray, np.ndarray]:
    """Return pairs of steps outside transit that are `DISTANT_STEPS` apart: first and last steps, int each."""
    first = OUT_OF_TRANSIT[np.isin(OUT_OF_TRANSIT + DISTANT_STEPS, OUT_OF_TRANSIT)]
    return first, first + DISTANT_STEPS


def is_smooth(curves: np.ndarray) -> np.ndarray:
    """Return which light curves [..., 300] have neighbouring steps too similar to contain noise: bool [...]."""
    first, last = distant_steps()
    step = curves[..., last].astype(np.float64) - curves[..., first]
    distant = np.sqrt(np.mean(np.square(step), axis=-1) / 2)
    return distant > SMOOTH_RATIO * out_of_transit_scatter(curves)


def noise_free_bands(scatter: np.ndarray) -> np.ndarray:
    """Return which bands have implausibly little noise compared with others of their observation: bool [n, w].

    Inverse-variance weights would ignore all other bands. If all bands are noise-free, none is marked.

    Args:
        scatter: float [n, w], noise outside transit; NaN where a band was not read.
    """
    return _below_median(np.asarray(scatter, np.float64), NOISE_FREE_SHARE)


def _below_median(scatter: np.ndarray, share: float) -> np.ndarray:
    """Return which values of a row are below a share of the median of its positive values; none if it has none."""
    positive = scatter > 0
    count = positive.sum(axis=1)
    ordered = np.sort(np.where(positive, scatter, np.inf), axis=1)
    rows = np.arange(len(scatter))
    median = (
        ordered[rows, np.maximum(count - 1, 0) // 2] + ordered[rows, np.minimum(count, scatter.shape[1] - 1) // 2]
    ) / 2
    return scatter < share * np.where(count, median, 0.0)[:, None]


def inverse_variance(scatter: np.ndarray, smallest: float = SMALLEST_SCATTER) -> np.ndarray:
    """Return the weight of each light curve, 1 / scatter^2, and 0 for a noise-free band: float64 [n, w].

    Args:
        scatter: float [n, w], noise outside transit.
        smallest: lower limit of the scatter of a light curve, for observations without any noise.
    """
    weight = 1 / np.maximum(np.asarray(scatter, np.float64), smallest) ** 2
    return np.where(noise_free_bands(scatter), 0.0, weight)


def noisy_mean(scatter: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Return each planet's mean scatter over the observations in which a band has noise: float64 [groups, w].

    The result is 0 where a band has noise in no observation.

    Args:
        scatter: float [rows, w], noise outside transit.
        group: int [rows], the planet of each row, 0 to groups - 1.
        groups: number of planets.
    """
    values = np.asarray(scatter, np.float64)
    noisy = ~noise_free_bands(values)
    total, count = np.zeros((2, groups, values.shape[1]))
    np.add.at(total, group, np.where(noisy, values, 0.0))
    np.add.at(count, group, noisy)
    return total / np.maximum(count, 1)


def planet_weights(scatter: np.ndarray) -> np.ndarray:
    """Return the weights of the weighted score, 1 / scatter^2: float64 [planets, w].

    A noise-free band has weight 0, and so has a planet without noise among planets with noise.

    Args:
        scatter: float [planets, w], of `noisy_mean`.
    """
    values = np.asarray(scatter, np.float64)
    weight = inverse_variance(values)
    return np.where(_below_median(values.T, NOISE_FREE_PLANET_SHARE).T, 0.0, weight)


def white_light(flux: np.ndarray, scatter: np.ndarray) -> np.ndarray:
    """Return the inverse-variance mean over wavelengths, without noise-free bands: the least noisy single light curve.

    Args:
        flux: float [55, n, 300].
        scatter: float [n, 55], from `band_scatter`.

    Returns:
        float32 [n, 300].
    """
    weight = inverse_variance(scatter)
    weight /= weight.sum(axis=1, keepdims=True)
    return np.einsum("nw,wnt->nt", weight, flux, optimize=True).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Planet:
    """All observations of one planet: the unit that is converted, simulated, stored and read as one record.

    Attributes:
        number: the planet, AAAA of the file names.
        instances: int32 [n, 2], (spot, photon) of each observation, ascending, without duplicates.
        star: float64 [6], `STAR_PARAMETERS`.
        orbit: float64 [2], `ORBIT_PARAMETERS`; NaN where unknown (test sets).
        radii: float64 [55], Rp/Rs; NaN where unknown (test sets).
        flux: float32 [55, n, 300], wavelength-major.
        scatter: float32 [n, 55], noise outside transit, from `band_scatter`.
        white: float32 [n, 300], from `white_light`.
    """

    number: int
    instances: np.ndarray
    star: np.ndarray
    orbit: np.ndarray
    radii: np.ndarray
    flux: np.ndarray
    scatter: np.ndarray
    white: np.ndarray

    @classmethod
    def from_observations(
        cls,
        number: int,
        instances: np.ndarray,
        star: np.ndarray,
        flux: np.ndarray,
        orbit: np.ndarray | None = None,
        radii: np.ndarray | None = None,
    ) -> Self:
        """Return a planet from its observations; scatter and white light are derived only here.

        Raises:
            DataError: a value is masked (the mask would be dropped).
        """
        for name, values in (("star", star), ("flux", flux), ("orbit", orbit), ("radii", radii)):
            if holds_mask(values):
                raise DataError(f"planet {number}: {name} has masked values: expected values without a mask.")
        flux = np.ascontiguousarray(flux, np.float32)
        scatter = band_scatter(flux)
        return cls(
            number=int(number),
            instances=np.asarray(instances, np.int32).reshape(-1, 2),
            star=np.asarray(star, np.float64),
            orbit=np.full(len(ORBIT_PARAMETERS), np.nan) if orbit is None else np.asarray(orbit, np.float64),
            radii=np.full(N_WAVELENGTHS, np.nan) if radii is None else np.asarray(radii, np.float64),
            flux=flux,
            scatter=scatter,
            white=white_light(flux, scatter),
        )

    @property
    def labelled(self) -> bool:
        return bool(np.isfinite(self.radii).all())

    @property
    def dead_bands(self) -> list[int]:
        """Return wavelengths at which an observation is noise-free, unlike its other bands (dead, saturated ...)."""
        return np.flatnonzero(noise_free_bands(self.scatter).any(axis=0)).tolist()

    @property
    def keys(self) -> list[Key]:
        return [Key(self.number, int(spot), int(photon)) for spot, photon in self.instances]


def planet_faults(planet: Planet) -> list[str]:
    """Return every violation of the record's bounds; empty if the planet is valid."""
    faults = []
    who = f"planet {planet.number:04d}"
    n = len(planet.instances)
    if n == 0:
        faults.append(f"{who}: has no observation")
    if len({tuple(row) for row in planet.instances.tolist()}) < n:
        faults.append(f"{who}: an observation (spot, photon) occurs twice")
    shapes = {"flux": (N_WAVELENGTHS, n, N_STEPS), "scatter": (n, N_WAVELENGTHS), "white": (n, N_STEPS)}
    received = {name: getattr(planet, name).shape for name in shapes}
    if received != shapes:
        wrong = [name for name in shapes if received[name] != shapes[name]]
        return [*faults, *(f"{who}: {name} has shape {received[name]}, expected {shapes[name]}" for name in wrong)]
    return faults + _light_curve_faults(planet) + _parameter_faults(planet)


def _light_curve_faults(planet: Planet) -> list[str]:
    """Return the faults of flux, scatter and white light, at most three positions of each."""
    low, high = FLUX_BOUNDS
    keys = [key.name for key in planet.keys]
    bad = np.argwhere(~((planet.flux > low) & (planet.flux < high)))[:3]  # NaN is invalid too
    faults = [
        f"{keys[row]}: flux is {planet.flux[wavelength, row, step]} at wavelength {wavelength}, step {step}, "
        f"expected ({low}, {high})"
        for wavelength, row, step in bad
    ]
    # Only light curves without any noise of their own have no scatter.
    curves = planet.flux.transpose(1, 0, 2)[planet.scatter == 0]
    sound = (planet.scatter > 0) & np.isfinite(planet.scatter)
    sound[planet.scatter == 0] = (out_of_transit_scatter(curves) == 0) | is_smooth(curves)
    faults += [
        f"{keys[row]}: scatter is {planet.scatter[row, wavelength]} at wavelength {wavelength}, expected more than 0"
        for row, wavelength in np.argwhere(~sound)[:3]
    ]
    bad = np.argwhere(~((planet.white > low) & (planet.white < high)))[:3]
    return faults + [
        f"{keys[row]}: white light is {planet.white[row, step]} at step {step}, expected ({low}, {high})"
        for row, step in bad
    ]


def _parameter_faults(planet: Planet) -> list[str]:
    """Return the faults of the star, the orbit and the radii; the last two may be unknown together."""
    who = f"planet {planet.number:04d}"
    known = not np.isnan(planet.radii).all()
    named = [*zip(STAR_PARAMETERS, planet.star, strict=True)]
    if known or not np.isnan(planet.orbit).all():
        named += zip(ORBIT_PARAMETERS, planet.orbit, strict=True)
    faults = [
        f"{who}: {parameter.name} is {value}, expected ({parameter.low}, {parameter.high}) {parameter.unit}"
        for parameter, value in named
        if not parameter.low < value < parameter.high
    ]
    bad = np.flatnonzero(~((planet.radii > 0) & (planet.radii <= 1))) if known else ()
    return faults + [
        f"{who}: relative radius is {planet.radii[wavelength]} at wavelength {wavelength}, expected (0, 1]"
        for wavelength in bad
    ]

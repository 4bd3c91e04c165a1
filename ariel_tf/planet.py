"""One planet and all its observations: noise outside transit, white light, bounds; NumPy only."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from ariel_tf.challenge import FLUX_BOUNDS, N_STEPS, N_WAVELENGTHS, ORBIT_PARAMETERS, STAR_PARAMETERS, Key

# Steps far from any transit: the mean dip is 5 % deep at steps 69 and 226, and the ramp is over by step 28.
OUT_OF_TRANSIT = np.r_[28:70, 228:300]


def out_of_transit_scatter(flux: np.ndarray) -> np.ndarray:
    """White-noise standard deviation of light curves, from differences of neighbouring steps.

    Differences cancel what varies slowly (a long transit's ingress, a spot), so only noise remains.

    Args:
        flux: float [..., 300].

    Returns:
        float32 [...], in units of the flux.
    """
    before = OUT_OF_TRANSIT[:-1][np.diff(OUT_OF_TRANSIT) == 1]
    step = flux[..., before + 1] - flux[..., before]
    return np.sqrt(np.mean(np.square(step, dtype=np.float64), axis=-1) / 2).astype(np.float32)


def white_light(flux: np.ndarray, scatter: np.ndarray) -> np.ndarray:
    """Inverse-variance mean over wavelengths: the least noisy single light curve.

    Args:
        flux: float [55, n, 300].
        scatter: float [n, 55], as of `out_of_transit_scatter`.

    Returns:
        float32 [n, 300].
    """
    weight = 1 / np.maximum(scatter.astype(np.float64), 1e-9) ** 2
    weight /= weight.sum(axis=1, keepdims=True)
    return np.einsum("nw,wnt->nt", weight, flux, optimize=True).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Planet:
    """All observations of one planet: what is converted, simulated, stored and read as one record.

    Attributes:
        number: the planet, AAAA of the file names.
        instances: int32 [n, 2], (spot, photon) of each observation, ascending, no duplicate.
        star: float64 [6], `STAR_PARAMETERS`.
        orbit: float64 [2], `ORBIT_PARAMETERS`; NaN where unknown (test sets).
        radii: float64 [55], Rp/Rs; NaN where unknown (test sets).
        flux: float32 [55, n, 300], wavelength-major.
        scatter: float32 [n, 55], noise outside transit, as of `out_of_transit_scatter`.
        white: float32 [n, 300], as of `white_light`.
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
        """A planet from its observations; scatter and white light are derived here and only here."""
        flux = np.ascontiguousarray(flux, np.float32)
        scatter = np.ascontiguousarray(out_of_transit_scatter(flux).T)
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
    def keys(self) -> list[Key]:
        return [Key(self.number, int(spot), int(photon)) for spot, photon in self.instances]


def planet_faults(planet: Planet) -> list[str]:
    """Every way in which a planet breaks the record's bounds; empty when it is sound."""
    faults = []
    who = f"planet {planet.number:04d}"
    n = len(planet.instances)
    if n == 0:
        faults.append(f"{who}: has no observation")
    if len({tuple(row) for row in planet.instances.tolist()}) < n:
        faults.append(f"{who}: an observation (spot, photon) stands twice")
    shapes = {"flux": (N_WAVELENGTHS, n, N_STEPS), "scatter": (n, N_WAVELENGTHS), "white": (n, N_STEPS)}
    received = {name: getattr(planet, name).shape for name in shapes}
    if received != shapes:
        wrong = [name for name in shapes if received[name] != shapes[name]]
        return [*faults, *(f"{who}: {name} has shape {received[name]}, expected {shapes[name]}" for name in wrong)]
    return faults + _light_curve_faults(planet) + _parameter_faults(planet)


def _light_curve_faults(planet: Planet) -> list[str]:
    """What is wrong with flux, scatter and white light; of each the first three places."""
    low, high = FLUX_BOUNDS
    keys = [key.name for key in planet.keys]
    bad = np.argwhere(~((planet.flux > low) & (planet.flux < high)))[:3]  # NaN is bad too
    faults = [
        f"{keys[row]}: flux is {planet.flux[wavelength, row, step]} at wavelength {wavelength}, step {step}, "
        f"expected ({low}, {high})"
        for wavelength, row, step in bad
    ]
    # Light curves without any noise have no scatter; they alone.
    quiet = [out_of_transit_scatter(planet.flux[w, row]) == 0 for row, w in np.argwhere(planet.scatter == 0)]
    sound = (planet.scatter > 0) & np.isfinite(planet.scatter)
    sound[planet.scatter == 0] = quiet
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
    """What is wrong with the star, the orbit and the radii; the last two may be unknown, both of them."""
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

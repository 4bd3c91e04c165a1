"""The facts of the Ariel Machine Learning Data Challenge, in NumPy only; everything may import this.

An observation is one challenge file: 55 light curves of 300 one-minute steps of one transit,

    flux [55 wavelengths, 300 steps]   relative to the quiet star, dimensionless
    star [6 parameters]                `STAR_PARAMETERS`, in the order of the file's header
    radii [55 wavelengths]             Rp/Rs, the target: the same in all observations of a planet

keyed by (planet, spot, photon), the AAAA_BB_CC of the file's name. A planet's observations differ by
the star's spots and by the photon noise; the planet, and so the target, is the same.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from ariel_tf.errors import DataError

N_WAVELENGTHS = 55
N_STEPS = 300
MINUTES_PER_STEP = 1.0
# Symmetry of the whole real train set's mean light curve (7 ppm rms about this step).
MID_TRANSIT_STEP = 147.75

# Band centres in micrometres: the grid of the challenge's own simulations.
WAVELENGTHS_UM = np.array(
    [
        0.547800, 0.702400, 0.954997, 1.152377, 1.271091, 1.403586, 1.547149, 1.704510, 1.878236, 1.966862,
        2.006815, 2.047104, 2.089071, 2.131036, 2.174679, 2.216641, 2.261961, 2.307606, 2.354231, 2.400855,
        2.450973, 2.497790, 2.549252, 2.599784, 2.652235, 2.707603, 2.760057, 2.815423, 2.873708, 2.931019,
        2.989302, 3.050501, 3.110729, 3.173869, 3.237984, 3.304037, 3.370092, 3.436146, 3.505115, 3.576998,
        3.648881, 3.720764, 3.798475, 3.871617, 4.028981, 4.302273, 4.594901, 4.906856, 5.240896, 5.594259,
        5.975230, 6.378287, 6.811703, 7.275497, 7.766891,
    ]
)  # fmt: skip


class Parameter(NamedTuple):
    """A header value of the challenge's files: its name there, its unit, and the open interval it must lie in."""

    name: str
    unit: str
    low: float
    high: float


STAR_PARAMETERS = (
    Parameter("star_temp", "K", 0.0, 1e5),
    Parameter("star_logg", "dex", -2.0, 10.0),
    Parameter("star_rad", "solar radii", 0.0, 1e4),
    Parameter("star_mass", "solar masses", 0.0, 1e3),
    Parameter("star_k_mag", "mag", -10.0, 40.0),
    Parameter("period", "days", 0.0, 1e6),
)
STAR_NAMES = tuple(parameter.name for parameter in STAR_PARAMETERS)
ORBIT_PARAMETERS = (
    Parameter("sma", "m", 0.0, 1e15),
    Parameter("incl", "deg", 0.0, 180.0),
)
# Relative radii lie in (0, 1]. Real flux lies in .3-1.3; far wider bounds catch wrong units, not noise.
FLUX_BOUNDS = (-10.0, 10.0)


class Key(NamedTuple):
    """An observation's identity: the AAAA, BB and CC of its file's name."""

    planet: int
    spot: int
    photon: int

    @property
    def name(self) -> str:
        return f"{self.planet:04d}_{self.spot:02d}_{self.photon:02d}"


_NAME = re.compile(r"(\d{4})_(\d{2})_(\d{2})", re.ASCII)


def parse_name(name: str) -> Key:
    """The key in a file's name without folder, with or without `.txt`.

    >>> parse_name("0052_01_10.txt")
    Key(planet=52, spot=1, photon=10)
    """
    match = _NAME.fullmatch(name.removesuffix(".txt"))
    if match is None:
        raise DataError(f"expected a file name like 0052_01_10.txt (planet_spot_photon), received {name!r}")
    return Key(*map(int, match.groups()))


def score(radii_true: np.ndarray, radii_predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The challenge's score: 10,000 is perfect, higher is better, there is no lower bound.

        10^4 - 10^6 * sum_ij( w_ij * 2 * y_ij * |yhat_ij - y_ij| ) / sum_ij( w_ij )

    2 y |dy| is the error in transit depth, so the loss is a mean absolute depth error in parts per
    million. Source: the evaluation page of the Ariel Machine Learning Data Challenge 2021 (ECML-PKDD).

    Args:
        radii_true: Rp/Rs, any shape.
        radii_predicted: the same shape.
        weights: broadcastable to that shape; 1 everywhere when absent (the organisers' public code).

    >>> round(score(np.array([0.1, 0.2]), np.array([0.1, 0.21])), 6)  # 10^4 - 10^6 (0 + 2 x .2 x .01) / 2
    8000.0
    """
    true = np.asarray(radii_true, np.float64)
    predicted = np.asarray(radii_predicted, np.float64)
    if true.shape != predicted.shape:
        raise ValueError(f"true and predicted radii differ in shape. Received: {true.shape}, {predicted.shape}")
    if true.size == 0:
        raise ValueError("the score of no predictions is undefined. Received: empty arrays")
    error = 2 * true * np.abs(predicted - true)
    w = np.ones_like(true) if weights is None else np.broadcast_to(np.asarray(weights, np.float64), true.shape)
    return float(1e4 - 1e6 * np.sum(w * error) / np.sum(w))


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

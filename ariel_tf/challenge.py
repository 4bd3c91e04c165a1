"""Definitions of the Ariel Machine Learning Data Challenge, in NumPy only; every module may import this one.

An observation is one challenge file: 55 light curves of 300 one-minute steps of one transit,

    flux [55 wavelengths, 300 steps]   relative to the quiet star, dimensionless
    star [6 parameters]                `STAR_PARAMETERS`, in the order of the file's header
    radii [55 wavelengths]             Rp/Rs, the target: the same in all observations of a planet

Observations are keyed by (planet, spot, photon), the AAAA_BB_CC of the file's name. Observations of a planet differ in
the star's spots and the photon noise; the planet, and therefore the target, is the same.
"""

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ariel_tf.core.errors import DataError

if TYPE_CHECKING:  # importing NumPy would double the run time of `--help`
    import numpy as np
    import numpy.typing as npt

N_WAVELENGTHS = 55
N_STEPS = 300
MINUTES_PER_STEP = 1.0
# Symmetry of the mean light curve of the whole real training set (7 ppm rms about this step).
MID_TRANSIT_STEP = 147.75

# Band centres in micrometres: the grid of the challenge's own simulations.
WAVELENGTHS_UM: tuple[float, ...] = (
    0.547800, 0.702400, 0.954997, 1.152377, 1.271091, 1.403586, 1.547149, 1.704510, 1.878236, 1.966862,
    2.006815, 2.047104, 2.089071, 2.131036, 2.174679, 2.216641, 2.261961, 2.307606, 2.354231, 2.400855,
    2.450973, 2.497790, 2.549252, 2.599784, 2.652235, 2.707603, 2.760057, 2.815423, 2.873708, 2.931019,
    2.989302, 3.050501, 3.110729, 3.173869, 3.237984, 3.304037, 3.370092, 3.436146, 3.505115, 3.576998,
    3.648881, 3.720764, 3.798475, 3.871617, 4.028981, 4.302273, 4.594901, 4.906856, 5.240896, 5.594259,
    5.975230, 6.378287, 6.811703, 7.275497, 7.766891,
)  # fmt: skip


class Instrument(NamedTuple):
    """A photometer or spectrometer of Ariel: its bands, indices from `first` to before `stop`, and range in um."""

    name: str
    first: int
    stop: int
    low: float
    high: float


# Source: Ariel Definition Study Report, ESA/SCI(2020)1.
INSTRUMENTS = (
    Instrument("VISPhot", 0, 1, 0.50, 0.60),
    Instrument("FGS1", 1, 2, 0.60, 0.80),
    Instrument("FGS2", 2, 3, 0.80, 1.10),
    Instrument("NIRSpec", 3, 9, 1.10, 1.95),
    Instrument("AIRS-CH0", 9, 44, 1.95, 3.90),
    Instrument("AIRS-CH1", 44, 55, 3.90, 7.80),
)


def instrument_of(wavelength: int) -> str:
    """Return the instrument that measures a band.

    >>> instrument_of(0), instrument_of(12), instrument_of(54)
    ('VISPhot', 'AIRS-CH0', 'AIRS-CH1')
    """
    return next(one.name for one in INSTRUMENTS if one.first <= wavelength < one.stop)


def band_edges() -> "np.ndarray":
    """Return the edges of each band in micrometres, halfway between centres of one instrument: float64 [55, 2].

    >>> band_edges()[[0, 3, 54]].round(3).tolist()
    [[0.5, 0.6], [1.1, 1.212], [7.521, 7.8]]
    """
    import numpy as np

    edges = np.empty((N_WAVELENGTHS, 2))
    for one in INSTRUMENTS:
        centres = np.array(WAVELENGTHS_UM[one.first : one.stop])
        bounds = np.concatenate([[one.low], (centres[1:] + centres[:-1]) / 2, [one.high]])
        edges[one.first : one.stop] = np.stack([bounds[:-1], bounds[1:]], axis=1)
    return edges


class Parameter(NamedTuple):
    """A header value of the challenge's files: its name in the file, unit, and open interval of valid values."""

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
# Relative radii are in (0, 1]. Real flux is in .3-1.3; the much wider bounds detect wrong units, not noise.
FLUX_BOUNDS = (-10.0, 10.0)


class Key(NamedTuple):
    """Identity of an observation: the AAAA, BB and CC of its file's name."""

    planet: int
    spot: int
    photon: int

    @property
    def name(self) -> str:
        return f"{self.planet:04d}_{self.spot:02d}_{self.photon:02d}"


_NAME = re.compile(r"(\d{4})_(\d{2})_(\d{2})", re.ASCII)


def parse_name(name: str) -> Key:
    """Return the key in a file's name (without folder, with or without `.txt`).

    >>> parse_name("0052_01_10.txt")
    Key(planet=52, spot=1, photon=10)
    """
    match = _NAME.fullmatch(name.removesuffix(".txt"))
    if match is None:
        raise DataError(f"expected a file name like 0052_01_10.txt (planet_spot_photon), received {name!r}")
    return Key(*map(int, match.groups()))


PERFECT_SCORE = 1e4
PPM = 1e6


def depth_error(true: Any, predicted: Any, unit: float = 1.0) -> Any:
    """Return 2 y |yhat - y|, the error in transit depth whose mean determines the score.

    Uses operators and `abs` only, so NumPy arrays, Keras tensors and plain numbers are accepted.

    Args:
        true: Rp/Rs.
        predicted: Rp/Rs, of the same shape and dtype.
        unit: 1 for a fraction of the star's light, `PPM` for parts per million.

    >>> round(depth_error(0.2, 0.21), 6)
    0.004
    """
    return 2 * unit * true * abs(predicted - true)


def signed_depth_error(true: Any, predicted: Any, unit: float = 1.0) -> Any:
    """Return 2 y (yhat - y): like `depth_error`, but positive where the predicted radius is too large."""
    return 2 * unit * true * (predicted - true)


def holds_mask(values: Any) -> bool:
    """Whether an array, or lists of arrays, have masked values; `np.asarray` would drop the mask.

    Args:
        values: a number, an array, or lists of them.
    """
    import numpy as np

    if isinstance(values, list | tuple):
        return any(map(holds_mask, values))
    return bool(np.ma.is_masked(values))


def score(
    radii_true: "npt.ArrayLike", radii_predicted: "npt.ArrayLike", weights: "npt.ArrayLike | None" = None
) -> float:
    """Return the challenge's score: 10,000 is perfect, higher is better, and there is no lower bound.

        10^4 - 10^6 * sum_ij( w_ij * 2 * y_ij * |yhat_ij - y_ij| ) / sum_ij( w_ij )

    2 y |dy| is the error in transit depth, so the loss is a mean absolute depth error in parts per
    million. Source: the evaluation page of the Ariel Machine Learning Data Challenge 2021 (ECML-PKDD).

    Args:
        radii_true: Rp/Rs, any shape.
        radii_predicted: the same shape.
        weights: broadcastable to that shape; by default, or if all are 0, every weight is 1 (the organisers' public
            code).

    Raises:
        ValueError: different shapes, no values, a value that is not finite or is masked (the mask would be dropped), or
            pandas tables with rows or columns in different orders.

    >>> round(score([0.1, 0.2], [0.1, 0.21]), 6)  # 10^4 - 10^6 (0 + 2 x .2 x .01) / 2
    8000.0
    """
    import numpy as np

    for name, values in (("true", radii_true), ("predicted", radii_predicted), ("weights", weights)):
        if holds_mask(values):
            raise ValueError(f"{name}: expected values without a mask; score the rest, such as values[~mask].")
        if values is not None and not np.isfinite(found := np.asarray(values, np.float64)).all():
            place = np.argwhere(~np.isfinite(found))[0].tolist()
            raise ValueError(f"{name}: expected finite numbers. Received: {found[tuple(place)]} at {place}")
    _refuse_other_labels(radii_true, radii_predicted)
    true = np.asarray(radii_true, np.float64)
    predicted = np.asarray(radii_predicted, np.float64)
    if true.shape != predicted.shape:
        raise ValueError(f"true and predicted radii differ in shape. Received: {true.shape}, {predicted.shape}")
    if true.size == 0:
        raise ValueError("the score of no predictions is undefined. Received: empty arrays")
    error = depth_error(true, predicted)
    w = np.ones_like(true) if weights is None else np.broadcast_to(np.asarray(weights, np.float64), true.shape)
    w = w if w.any() else np.ones_like(true)
    return float(PERFECT_SCORE - PPM * np.sum(w * error) / np.sum(w))


def _refuse_other_labels(true: Any, predicted: Any) -> None:
    """Refuse two pandas tables with the same row or column names in different orders, which NumPy would ignore."""
    for axis in ("index", "columns"):
        one, other = getattr(true, axis, None), getattr(predicted, axis, None)
        names = getattr(one, "names", None)
        if one is None or other is None or names is None or names != getattr(other, "names", None) or one.equals(other):
            continue
        if any(names) or set(one) == set(other):
            raise ValueError(f"true and predicted differ in their {axis}; align them first, as by true.loc[...].")

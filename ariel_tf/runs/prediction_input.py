"""The arguments of `Predictor.predict`: arrays, tables of stars, planets; checked and converted to rows of a model."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ariel_tf.challenge import FLUX_BOUNDS, N_STEPS, N_WAVELENGTHS, STAR_NAMES, STAR_PARAMETERS, holds_mask
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.planets import Data
from ariel_tf.data.selection import Row
from ariel_tf.planet import Planet

# Median flux of an observation: about 1, and a few percent less in the longest and deepest transits.
LEVELS = (0.5, 1.5)


def planets_in(given: Any) -> Iterable[Planet] | None:
    """Return the given planets, one, several or those of a data set; None for anything else, such as arrays."""
    if isinstance(given, Planet):
        return [given]
    if isinstance(given, Data | Iterator):
        return given
    if isinstance(given, list | tuple) and given and all(isinstance(one, Planet) for one in given):
        return given
    return None


def rows_of(planet: Planet, row: Row, observations: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows of one planet, in the form that a model reads.

    Args:
        planet: complete planet.
        row: unit of a row, `Signature.row`.
        observations: observations per row; 1 if a row is one observation.

    Returns:
        keys int [rows, 3], (planet, spot, photon) with 0 for what a row combines; flux float32 [rows, 55, 300] or
        [rows, observations, 55, 300]; star float64 [rows, 6].

    Raises:
        UsageError: not a planet.
        DataError: the planet has another number of observations than a row of the model.
    """
    if not isinstance(planet, Planet):
        raise UsageError(
            f"predict: expected planets, as `ariel_tf.open_data` yields. Received: {type(planet).__name__}"
        )
    flux = planet.flux.transpose(1, 0, 2)
    keys = np.column_stack([np.full(len(flux), planet.number), planet.instances])
    if row == "observation":
        return keys, flux, np.tile(planet.star, (len(flux), 1))
    groups = np.array([[planet.number, 0, 0]]) if row == "planet" else np.unique(keys * [1, 1, 0], axis=0)
    members = [np.flatnonzero((keys[:, 1] == key[1]) | (key[1] == 0)) for key in groups]
    for key, its in zip(groups, members, strict=True):
        if len(its) != observations:
            of = f"planet {planet.number:04d}" + f", spot {key[1]}" * (row == "spot")
            raise DataError(
                f"predict: a row of this model is {observations} observations of a {row}, and {of} has {len(its)}."
            )
    return groups, np.stack([flux[its] for its in members]), np.tile(planet.star, (len(groups), 1))


def star_values(star: Any) -> Any:
    """Return stellar parameters in the order of `challenge.STAR_PARAMETERS`: of a table by the names of its columns.

    Args:
        star: anything array-like, or a pandas DataFrame or Series whose names may have units, as in
            `Data.to_pandas("stars")`.

    Raises:
        UsageError: the table has other names.
    """
    names = getattr(star, "columns", getattr(star, "index", None))
    if names is None or not hasattr(star, "reindex"):
        return star
    plain = [str(name).split(" (")[0] for name in names]
    if sorted(plain) != sorted(STAR_NAMES):
        raise UsageError(f"predict: expected a star with the columns {', '.join(STAR_NAMES)}. Received: {plain}")
    return np.asarray(star)[..., [plain.index(name) for name in STAR_NAMES]]


def unmasked(name: str, values: Any) -> np.ndarray:
    """Return values as float32; `np.asarray` would drop a mask and keep the values below it.

    Raises:
        DataError: a value is masked.
        UsageError: values that are not numbers, or lists of different lengths.
    """
    if holds_mask(values):
        place = np.argwhere(np.ma.getmaskarray(np.ma.asarray(values)))[0].tolist()
        raise DataError(f"predict: {name} {place} is masked: expected a value. Fill it, or leave its row out.")
    try:
        return np.asarray(values, np.float32)
    except (TypeError, ValueError) as error:
        raise UsageError(f"predict: expected {name} as an array of numbers ({error}).") from None


def checked_arrays(
    flux: Any, star: Any, instances: tuple[int, ...], needs_star: bool
) -> tuple[np.ndarray, np.ndarray | None, bool]:
    """Return light curves and stars in the challenge's layout, in the form that a model reads.

    Args:
        flux: as for `Predictor.predict`.
        star: as for `Predictor.predict`; ignored if it is not needed.
        instances: observations of a row, if a row of the model has several; else empty.
        needs_star: whether the model reads the star.

    Returns:
        flux float32 [n, ..., 55, 300]; star float32 [n, 6] or None; whether one row was given without its axis.

    Raises:
        UsageError, DataError: as for `Predictor.predict`.
    """
    flux, stars = unmasked("flux", flux), None
    one, given = flux.ndim == 2 + len(instances), flux.shape
    flux = flux[None] if one else flux
    if flux.shape[1:] != (*instances, N_WAVELENGTHS, N_STEPS):
        expected = [*instances, N_WAVELENGTHS, N_STEPS]
        hint = _reordered(given, expected)
        raise UsageError(f"predict: expected flux {expected}, or [n, ...] of it. Received: {list(given)}{hint}")
    if needs_star:
        if star is None:
            raise UsageError(f"predict: this model needs star [n, {len(STAR_NAMES)}]: {', '.join(STAR_NAMES)}.")
        stars = unmasked("star", star_values(star))
        if stars.shape not in ((len(STAR_NAMES),), (len(flux), len(STAR_NAMES))):
            shapes = f"[{len(flux)}, {len(STAR_NAMES)}], or [{len(STAR_NAMES)}] for all rows"
            raise UsageError(f"predict: expected star {shapes}. Received: {list(stars.shape)}")
        stars = np.broadcast_to(stars, (len(flux), len(STAR_NAMES)))
    for name, values in (("flux", flux), ("star", stars)):
        if values is not None and not np.isfinite(values).all():  # a ReLU would turn a NaN into a plausible prediction
            row = int(np.argwhere(~np.isfinite(values))[0, 0])
            raise DataError(f"predict: {name} of row {row} is not finite.")
    refuse_bounds(flux, stars)
    return flux, stars, one


def _reordered(shape: tuple[int, ...], expected: list[int]) -> str:
    """Return a hint on the order of axes, if these are [55, n, 300], [n, 300, 55] or [300, 55]."""
    if len(shape) == 3 and (shape[0], shape[2]) == (N_WAVELENGTHS, N_STEPS):
        return "; a planet's flux is [wavelengths, observations, minutes]: pass flux.transpose(1, 0, 2), or the planet"
    swapped = [*expected[:-2], N_STEPS, N_WAVELENGTHS]
    return "; wavelengths and minutes are swapped" if list(shape[-len(swapped) :]) == swapped else ""


def refuse_bounds(flux: np.ndarray, star: np.ndarray | None) -> None:
    """Refuse flux and stellar parameters in other units.

    Args:
        flux: finite [n, ..., 55, 300].
        star: finite [n, 6] or None.
    """
    low, high = FLUX_BOUNDS
    if (outside := np.argwhere(~((flux > low) & (flux < high)))).size:
        place = outside[0].tolist()
        value = flux[tuple(place)]
        raise DataError(
            f"predict: flux {place} is {value:g}, expected ({low:g}, {high:g}), relative to the quiet star."
        )
    for row, one in enumerate(flux):
        if not LEVELS[0] < (level := float(np.median(one))) < LEVELS[1]:
            raise DataError(
                f"predict: the median flux of row {row} is {level:g}, expected about 1: flux relative to the star, "
                "not counts or magnitudes."
            )
    for row, values in enumerate(() if star is None else star):
        for parameter, value in zip(STAR_PARAMETERS, values, strict=True):
            if not parameter.low < value < parameter.high:
                raise DataError(
                    f"predict: {parameter.name} of row {row} is {value:g}, expected ({parameter.low:g}, "
                    f"{parameter.high:g}) {parameter.unit}."
                )

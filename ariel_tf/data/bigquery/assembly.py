"""Assemble planets from rows in any order; missing or extra rows are an error, so an epoch is never incomplete."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, ORBIT_PARAMETERS, STAR_NAMES
from ariel_tf.core.errors import DataError
from ariel_tf.data.bigquery.tables import KEY
from ariel_tf.planet import Planet


class Unsound(Exception):
    """Rows that were received twice or not at all: possibly a fault of the reading, so they may be read once more."""


def numbers(table: Any, name: str) -> np.ndarray:
    """Return a column of numbers; NULL becomes NaN in a column of FLOAT64.

    Raises:
        DataError: NULL in a column of whole numbers.
    """
    column = table.column(name)
    values = column.to_numpy()
    if column.null_count and "int" in str(column.type):
        raise DataError(f"expected a number in every row of column {name}, found NULL")
    return values


def lists(table: Any, name: str, width: int) -> np.ndarray:
    """Return a column of arrays as float64 [rows, width].

    Raises:
        DataError: an array of another length, or with NULL in it.
    """
    column = table.column(name).combine_chunks()
    flat = column.flatten()
    lengths = column.value_lengths().to_numpy(zero_copy_only=False)
    if flat.null_count or (lengths != width).any():
        odd = lengths[lengths != width]
        what = f"an array of {odd[0]}" if len(odd) else "one with NULL in it"
        raise DataError(f"expected arrays of {width} numbers in column {name}, found {what}")
    return flat.to_numpy(zero_copy_only=False).reshape(-1, width)


def fill_planets(
    stars: Mapping[int, Planet],
    planets: Sequence[int],
    wavelengths: Sequence[int],
    curves: Any,
    scatter: Any,
    white: Any | None,
) -> list[Planet]:
    """Assemble planets from the rows of some of their wavelengths.

    Args:
        stars: parameters and radii of each planet, without observations, from `bare_planets`.
        planets: planets to return, in this order.
        wavelengths: ascending; every planet has the same observations at each.
        curves, scatter, white: `pyarrow.Table`s of exactly these planets and wavelengths, in any order.

    Returns:
        planets with flux [wavelengths, n, 300]; scatter at other wavelengths, and white light if not requested, are
        NaN.

    Raises:
        Unsound: an observation occurs twice, or not in all of the wavelengths and tables.
    """
    keys, order = _sorted_keys(curves, (*KEY, "wavelength"))
    # Planet, wavelength, spot, photon: one planet's rows together, wavelength-major.
    flux = lists(curves, "flux", N_STEPS)
    scatter_keys, scatter_order = _sorted_keys(scatter, (*KEY, "wavelength"))
    noise = numbers(scatter, "value")[scatter_order].astype(np.float32)
    if not np.array_equal(keys, scatter_keys):
        raise Unsound("light_curves and scatter hold other observations")
    if white is not None:
        white_keys, white_order = _sorted_keys(white, KEY)
        white_flux = lists(white, "flux", N_STEPS)
    found = []
    for planet in planets:
        first, last = np.searchsorted(keys[:, 0], [planet, planet + 1])
        own = keys[first:last].reshape(len(wavelengths), -1, 4) if _divides(first, last, wavelengths) else None
        if own is None or not _is_grid(own, wavelengths):
            raise Unsound(
                f"planet {planet:04d} does not have the same observations, each once, at every requested wavelength"
            )
        n = own.shape[1]
        full = np.full((n, N_WAVELENGTHS), np.nan, np.float32)
        full[:, list(wavelengths)] = noise[first:last].reshape(len(wavelengths), n).T
        light = np.full((n, N_STEPS), np.nan, np.float32)
        if white is not None:
            begin, end = np.searchsorted(white_keys[:, 0], [planet, planet + 1])
            if not np.array_equal(white_keys[begin:end, 1:], own[0, :, 1:3]):
                raise Unsound(f"white_light and light_curves hold other observations of planet {planet:04d}")
            light = white_flux[white_order[begin:end]].astype(np.float32)
        bare = stars[planet]
        values = flux[order[first:last]].astype(np.float32).reshape(len(wavelengths), n, N_STEPS)
        instances = own[0, :, 1:3].astype(np.int32)
        found.append(Planet(planet, instances, bare.star, bare.orbit, bare.radii, values, full, light))
    return found


def _sorted_keys(table: Any, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the keys in the order planet, wavelength, spot, photon, and the positions of their rows; no duplicates."""
    keys = np.stack([numbers(table, name) for name in names], axis=1)
    sort = [keys[:, 2], keys[:, 1], *([keys[:, 3]] if len(names) == 4 else []), keys[:, 0]]
    order = np.lexsort(sort)
    keys = keys[order]
    if len(keys) > 1 and (keys[1:] == keys[:-1]).all(axis=1).any():
        raise Unsound("an observation occurs twice")
    return keys, order


def _divides(first: int, last: int, wavelengths: Sequence[int]) -> bool:
    return last > first and (last - first) % len(wavelengths) == 0


def _is_grid(own: np.ndarray, wavelengths: Sequence[int]) -> bool:
    """Whether every wavelength has the observations of the first."""
    return bool((own[..., 3] == np.asarray(wavelengths)[:, None]).all() and (own[..., 1:3] == own[:1, :, 1:3]).all())


def bare_planets(stars: Any, radii: Any, folds: Mapping[int, int], labelled: bool) -> dict[int, Planet]:
    """Return planets without observations, from the tables `stars` and `relative_radii`.

    Args:
        folds: planets and folds in the manifest.

    Raises:
        DataError: a planet of the manifest is missing, occurs twice, or has another fold; lists which.
    """
    faults = []
    column = numbers(stars, "planet").tolist()
    values = np.stack([numbers(stars, name) for name in STAR_NAMES], axis=1)
    orbits = np.stack([numbers(stars, parameter.name) for parameter in ORBIT_PARAMETERS], axis=1)
    fold_of = dict(zip(column, numbers(stars, "fold").tolist(), strict=True))
    row_of = {planet: row for row, planet in enumerate(column)}
    if len(row_of) < len(column):
        faults.append("stars: a planet occurs twice")
    targets = _targets(radii, labelled)
    found = {}
    for planet, fold in folds.items():
        if planet not in row_of:
            faults.append(f"planet {planet:04d} is in the manifest, but not in stars")
        elif fold_of[planet] != fold:
            faults.append(
                f"planet {planet:04d}: expected fold {fold} as in the manifest, found {fold_of[planet]} in stars"
            )
        elif labelled and planet not in targets:
            faults.append(f"planet {planet:04d}: expected its {N_WAVELENGTHS} radii in relative_radii, each once")
        else:
            row = row_of[planet]
            target = targets[planet] if labelled else np.full(N_WAVELENGTHS, np.nan)
            nothing = np.zeros((0, 0, 0), np.float32)
            instances = np.zeros((0, 2), np.int32)
            found[planet] = Planet(planet, instances, values[row], orbits[row], target, nothing, nothing, nothing)
    if faults:
        raise DataError("its stars and radii do not fit its manifest; upload the data set anew", faults)
    return found


def _targets(radii: Any, labelled: bool) -> dict[int, np.ndarray]:
    """Return the radii, float64 [55], of each planet that has all of them once."""
    if not labelled:
        return {}
    planet, wavelength, value = (numbers(radii, name) for name in ("planet", "wavelength", "value"))
    order = np.lexsort([wavelength, planet])
    unique, first, counts = np.unique(planet[order], return_index=True, return_counts=True)
    whole = np.arange(N_WAVELENGTHS)
    return {
        int(number): value[order[start : start + count]]
        for number, start, count in zip(unique, first, counts, strict=True)
        if count == N_WAVELENGTHS and np.array_equal(wavelength[order[start : start + count]], whole)
    }

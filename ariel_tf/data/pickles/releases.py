"""The ESA Datalabs releases of the challenge's data as pickles: the position of every observation of every planet.

    hackathon 2025    ADC21esac_train.pkl, ADC21esac_test.pkl: one dict with X, X_params, y, y_params, planet
    workshop 2024     train_X_data.pkl, train_X_params.pkl, train_y_data.pkl, train_y_params.pkl,
                      test_X_data.pkl, test_X_params.pkl: one part per file

A part is recognised by its content, not by its file's name:

    X          {"0001_01_01.txt": array [55, 300]}     X_params   table with the columns `challenge.STAR_PARAMETERS`
    y          {"0001_01_01.txt": array [55]}          y_params   table with the columns `challenge.ORBIT_PARAMETERS`

Rows are labelled by file name, by (planet, spot, photon), or by planet number. Light curves stay in the file.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, ORBIT_PARAMETERS, STAR_NAMES, Key
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.pickles import machine
from ariel_tf.data.pickles.rows import Rows, key_of, read_table
from ariel_tf.data.pickles.tables import Reader
from ariel_tf.data.pickles.values import Array, Span
from ariel_tf.data.text.discovery import Fault

ORBIT_NAMES = tuple(parameter.name for parameter in ORBIT_PARAMETERS)
# Parts of a release, and the table by planet that the hackathon's files contain in addition.
LIGHT_CURVES, STARS, RADII, ORBITS, PLANETS = "X", "X_params", "y", "y_params", "planet"


@dataclass(frozen=True)
class PickledPlanet:
    """Where the data of one planet are.

    Attributes:
        number: number of the planet.
        path: file of the light curves.
        stamp: size and time of that file, to detect a change.
        light_curves: array [55, 300] of each observation, in the file.
        stars: float64 [6] of each observation; missing if the tables have no row for it.
        radii: float64 [55] by its name in faults; None in a test set.
        orbits: float64 [2], likewise.
    """

    number: int
    path: str
    stamp: tuple[int, int]
    light_curves: dict[Key, Array]
    stars: dict[Key, np.ndarray]
    radii: dict[str, np.ndarray] | None
    orbits: dict[str, np.ndarray]


@dataclass
class Release:
    """Planets of some pickles, and the faults found."""

    labelled: bool
    tasks: list[PickledPlanet] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


@dataclass(frozen=True)
class _Part:
    """A part of a release: its value, and how to read it."""

    path: str
    value: Any
    reader: Reader


def read_release(paths: Sequence[Path], progress: Callable[[int], None] | None = None) -> Release:
    """Find every planet in the pickles of one release.

    Args:
        paths: paths of the pickles, all of one set.
        progress: called from time to time with the number of bytes passed.

    Raises:
        UsageError: a part is missing or occurs twice.
        DataError: a file is not such a pickle, or names an object that is not admitted.
        OSError: it cannot be read.
    """
    with contextlib.ExitStack() as stack:
        parts: dict[str, _Part] = {}
        stamps: dict[str, tuple[int, int]] = {}
        for path in paths:
            value = machine.load(path, progress)
            handle = os.open(path, os.O_RDONLY)
            stack.callback(os.close, handle)
            stamps[str(path)] = stamp_of(handle)
            reader = Reader(handle)
            with _named(str(path)):
                for name, part in _split(value, reader):
                    if name in parts:
                        raise UsageError(
                            f"--pickle: {path} and {parts[name].path} both hold {name}; give the files of one set, "
                            "training or test."
                        )
                    parts[name] = _Part(str(path), part, reader)
        _refuse_absent(parts)
        return _release(parts, stamps)


def stamp_of(handle: int) -> tuple[int, int]:
    """Return size and time of an open file."""
    status = os.fstat(handle)
    return status.st_size, status.st_mtime_ns


@contextlib.contextmanager
def _named(where: str) -> Iterator[None]:
    """Name the file in errors; report any other exception in a damaged table as one too."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{where}: {error}", error.faults) from None
    except (ValueError, TypeError, OverflowError, IndexError, KeyError, RecursionError) as error:
        raise DataError(f"{where}: expected tables as Datalabs exports them ({error}).") from error


def _split(value: Any, reader: Reader) -> Iterable[tuple[str, Any]]:
    """Return the parts that a pickle contains."""
    if type(value) is dict and LIGHT_CURVES in value:
        for name in (LIGHT_CURVES, STARS, RADII, ORBITS, PLANETS):
            if value.get(name) is not None:
                yield name, value[name]
        return
    if reader.is_table(value):
        columns = reader.columns(value)
        kinds = [name for name, first in ((STARS, STAR_NAMES[0]), (ORBITS, ORBIT_NAMES[0])) if first in columns]
        if not kinds and len(columns) == N_WAVELENGTHS:
            kinds = [RADII]
        if not kinds:
            raise DataError(f"expected a table with the column {STAR_NAMES[0]} or {ORBIT_NAMES[0]}")
        yield from ((name, value) for name in kinds)
        return
    shapes = {one.final_shape for one in reader.mapping(value).values() if type(one) is Array}
    if (N_WAVELENGTHS, N_STEPS) in shapes:
        yield LIGHT_CURVES, value
    elif shapes == {(N_WAVELENGTHS,)}:
        yield RADII, value
    else:
        raise DataError(
            f"expected a dict with X and X_params, or one of arrays [{N_WAVELENGTHS}, {N_STEPS}] or [{N_WAVELENGTHS}] "
            "by file name"
        )


def _refuse_absent(parts: dict[str, _Part]) -> None:
    for name, what, like in (
        (LIGHT_CURVES, "light curves", "ADC21esac_train.pkl or train_X_data.pkl"),
        (STARS, "stellar parameters", "train_X_params.pkl"),
        (ORBITS, "orbits of the radii", "train_y_params.pkl"),
    ):
        needed = name != ORBITS or RADII in parts
        if needed and name not in parts and not (name != LIGHT_CURVES and PLANETS in parts):
            given = ", ".join(dict.fromkeys(part.path for part in parts.values()))
            raise UsageError(f"--pickle: expected the {what} too, in a file like {like}. Received: {given}")


def _release(parts: dict[str, _Part], stamps: dict[str, tuple[int, int]]) -> Release:
    """Return planets from the parts."""
    release = Release(labelled=RADII in parts)
    curves = _light_curves(parts[LIGHT_CURVES], release.faults)
    stars = _parameters(parts, STARS, STAR_NAMES)
    radii: dict[int, dict[str, np.ndarray]] = {}
    orbits: dict[int, dict[str, np.ndarray]] = {}
    if release.labelled:
        radii = _radii(parts[RADII]).of_planets()
        orbits = _parameters(parts, ORBITS, ORBIT_NAMES).of_planets()
    path = parts[LIGHT_CURVES].path
    planets: dict[int, dict[Key, Array]] = {}
    for key in sorted(curves):
        planets.setdefault(key.planet, {})[key] = curves[key]
    for number, observations in planets.items():
        if release.labelled and not (number in radii and number in orbits):
            what = "radii" if number not in radii else "orbit"
            release.faults.append(Fault(path, f"planet {number:04d} has light curves, but no {what}"))
            continue
        found = {key: star for key in observations if (star := stars.get(key)) is not None}
        known = radii[number] if release.labelled else None
        release.tasks.append(
            PickledPlanet(number, path, stamps[path], observations, found, known, orbits.get(number, {}))
        )
    return release


def _light_curves(part: _Part, faults: list[Fault]) -> dict[Key, Array]:
    """Return the array of each observation; anything else is a fault."""
    found: dict[Key, Array] = {}
    places: set[Any] = set()
    with _named(f"{part.path}, X"):
        for label, value in part.reader.mapping(part.value).items():
            where = f"{part.path}[{ascii(label)[:60]}]"
            try:
                key = key_of(label)
                place = value.data.offset if type(value) is Array and isinstance(value.data, Span) else None
                if type(value) is not Array or value.final_shape != (N_WAVELENGTHS, N_STEPS) or place is None:
                    raise DataError(f"expected an array of [{N_WAVELENGTHS}, {N_STEPS}] numbers, found {_shape(value)}")
                if key in found:
                    raise DataError("the same observation occurs twice")
                if place in places:
                    raise DataError("another observation has the very same light curves")
            except DataError as error:
                faults.append(Fault(where, str(error)))
                continue
            found[key] = value
            places.add(place)
    return found


def _shape(value: Any) -> str:
    """Describe the shape of a value that is not light curves."""
    if type(value) is not Array:
        return "no array"
    swapped = value.final_shape == (N_STEPS, N_WAVELENGTHS)
    return f"[{', '.join(map(str, value.final_shape))}]{': it is transposed' if swapped else ''}"


def _radii(part: _Part) -> Rows:
    """Return float64 [55] of each observation or planet, from a dict of arrays or a table of 55 columns."""
    rows = Rows()
    with _named(f"{part.path}, y"):
        if part.reader.is_table(part.value):
            names = _in_order(list(part.reader.columns(part.value)))
            return read_table(part.reader, part.value, names, keys=False)
        known: dict[int, np.ndarray] = {}
        for label, value in part.reader.mapping(part.value).items():
            if id(value) not in known:
                known[id(value)] = part.reader.numbers(value, N_WAVELENGTHS)
            rows.put(label, known[id(value)])
    return rows


def _in_order(names: list[Any]) -> list[Any]:
    """Return the names of 55 columns, ascending by the numbers in them, which must be 0-54 or 1-55."""
    numbers = {name: int("".join(filter(str.isdecimal, str(name))) or -1) for name in names}
    ordered = sorted(names, key=numbers.__getitem__)
    first = numbers[ordered[0]] if ordered else -1
    if first not in (0, 1) or [numbers[name] for name in ordered] != list(range(first, first + N_WAVELENGTHS)):
        raise DataError(f"expected {N_WAVELENGTHS} columns like w1 ... w{N_WAVELENGTHS}, found {len(names)} others")
    return ordered


def _parameters(parts: dict[str, _Part], name: str, names: Sequence[str]) -> Rows:
    """Return stellar or orbital parameters by observation, or else by planet."""
    part = parts.get(name) or parts[PLANETS]
    with _named(f"{part.path}, {name if name in parts else PLANETS}"):
        return read_table(part.reader, part.value, names, keys=name in parts)

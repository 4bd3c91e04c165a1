"""Rows of tables by the observation or the planet in their labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ariel_tf.challenge import Key, parse_name
from ariel_tf.core.errors import DataError
from ariel_tf.data.pickles.tables import Reader

KEY_NAMES = ("planet", "stellar_spot", "photon")
_MOST_PLANETS = 9999


class Rows:
    """Values by observation, or by planet."""

    def __init__(self) -> None:
        self.by_key: dict[Key, np.ndarray] = {}
        self.by_planet: dict[int, np.ndarray] = {}

    def put(self, label: Any, value: np.ndarray) -> None:
        """Add the values of a row by its label."""
        if type(label) is int:
            if not 1 <= label <= _MOST_PLANETS:  # a plain row number begins with 0
                raise DataError(f"expected rows by file name or by planet, 1 to {_MOST_PLANETS}, found a row {label}")
            self.by_planet[label] = value
            return
        key = key_of(label)
        if key in self.by_key:
            raise DataError(f"{key.name} occurs twice")
        self.by_key[key] = value

    def get(self, key: Key) -> np.ndarray | None:
        found = self.by_key.get(key)
        return self.by_planet.get(key.planet) if found is None else found

    def of_planets(self) -> dict[int, dict[str, np.ndarray]]:
        """Yield for each planet its values, each with its name in faults; the same array is yielded once."""
        found: dict[int, dict[int, tuple[str, np.ndarray]]] = {}
        for key, value in self.by_key.items():
            found.setdefault(key.planet, {}).setdefault(id(value), (f"{key.name}.txt", value))
        for planet, value in self.by_planet.items():
            found.setdefault(planet, {}).setdefault(id(value), (f"planet {planet:04d}", value))
        return {planet: dict(values.values()) for planet, values in found.items()}


def read_table(reader: Reader, value: Any, names: Sequence[Any], keys: bool) -> Rows:
    """Return columns of a table, float64 [len(names)] per row; anything that is not a number becomes NaN.

    Args:
        keys: whether columns planet, stellar_spot and photon, if there are any, belong to the row.
    """
    columns = reader.columns(value)
    if absent := [name for name in names if name not in columns]:
        raise DataError(f"expected the columns {', '.join(map(str, names))}. Absent: {', '.join(map(str, absent))}")
    wanted = [columns[name]() for name in names]
    identity = [columns[name]() for name in KEY_NAMES] if keys and all(name in columns for name in KEY_NAMES) else []
    rows = Rows()
    for label in wanted[0]:
        numbers = [float(column[label]) if type(column[label]) in (int, float) else np.nan for column in wanted]
        written = tuple(map(_whole, (column[label] for column in identity)))
        if written and type(label) is not str:
            label = written
        elif written and key_of(label) != written:
            raise DataError(f"{ascii(label)[:60]} has the planet, spot and photon {written} in its row")
        rows.put(label, np.array(numbers))
    return rows


def _whole(value: Any) -> int:
    """Return a whole number, which a column with missing values stores as a float."""
    if type(value) is float and value.is_integer():
        return int(value)
    if type(value) is not int:
        raise DataError(f"expected whole numbers in the columns {', '.join(KEY_NAMES)}")
    return value


def key_of(label: Any) -> Key:
    """Return the observation in a row's label."""
    if type(label) is str:
        return parse_name(label)
    whole = type(label) is tuple and len(label) == 3 and all(type(part) is int for part in label)
    if not whole or not (0 <= label[0] <= _MOST_PLANETS and all(0 <= part <= 99 for part in label[1:])):
        raise DataError(f"expected a file name or (planet, spot, photon), found {ascii(label)[:60]}")
    return Key(*label)

"""Planets for notebooks: any data source as an iterable of whole planets, in NumPy, and as tables.

data = ariel_tf.open_data("DATA")
for planet in data: ...          every planet, one in memory at a time
data[52]                         planet 0052 alone
data.to_pandas("radii")          DataFrame, a row for each planet
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from tqdm import tqdm

from ariel_tf.challenge import N_WAVELENGTHS, ORBIT_PARAMETERS, STAR_PARAMETERS, WAVELENGTHS_UM
from ariel_tf.core.errors import UsageError
from ariel_tf.data.folds import N_FOLDS
from ariel_tf.data.integrity import read_planet, read_planets
from ariel_tf.data.sources import Source, open_source
from ariel_tf.data.sources.text import TextSource
from ariel_tf.planet import Planet

if TYPE_CHECKING:
    import pandas as pd

# Name of the columns axis of tables with one value per wavelength.
WAVELENGTH_COLUMNS = "wavelength (um)"
PARTS = ("stars", "orbits", "radii")


class Data:
    """The result of `ariel_tf.open_data`.

    Args:
        data: a value of `--data`, or a folder of challenge text files.
        params: folder of the targets of text files, if it is not `params_train` beside `noisy_train`.

    Attributes:
        source: source of the planets, `sources.base.Source`.
        labelled: whether radii are known.
        folds: fold by planet number.
    """

    def __init__(self, data: Path | str, params: Path | str | None = None):
        if params is not None:
            self.source: Source = TextSource(data, params)
        else:
            self.source = open_source(str(data), range(N_WAVELENGTHS))
        self.labelled = self.source.labelled
        self.folds = self.source.folds

    @property
    def numbers(self) -> list[int]:
        """Return the planets' numbers, ascending."""
        return sorted(self.folds)

    def __len__(self) -> int:
        return len(self.folds)

    def __repr__(self) -> str:
        known = "known" if self.labelled else "unknown"
        return f"{self.source.description}: {len(self)} planets, radii {known}"

    def __iter__(self) -> Iterator[Planet]:
        return self.planets()

    def __contains__(self, number: object) -> bool:
        return number in self.folds

    def __getitem__(self, number: int) -> Planet:
        """Return the planet of this number, as in the names of the files.

        Raises:
            UsageError: no such planet.
            DataError: its record or its files are damaged.
        """
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number not in self.folds:
            numbers = self.numbers
            raise UsageError(
                f"data[...]: expected the number of one of the {len(numbers)} planets of {self.source.description}, "
                f"{numbers[0]} to {numbers[-1]} (data.numbers). Received: {number!r}"
            )
        return read_planet(self.source, int(number))

    def planets(self, folds: Sequence[int] = range(N_FOLDS)) -> Iterator[Planet]:
        """Yield each planet of these folds once, one in memory at a time, with its orbit if known.

        Raises:
            DataError: a record or a file is damaged.
        """
        return read_planets(self.source, folds)

    def to_pandas(self, what: Literal["all", "stars", "orbits", "radii"] = "all") -> "pd.DataFrame":
        """Return a table with one row per planet, ascending; the first call reads all planets.

        Args:
            what: "stars" and "orbits" have columns with units, such as "star_temp (K)" and "sma (m)"; "radii" has the
                55 Rp/Rs, float64, by wavelength in micrometres; "all" joins the known ones.

        Raises:
            UsageError: the radii or the orbits are unknown.
            DataError: a record or a file is damaged.
        """
        import pandas as pd

        known = PARTS if self.labelled else PARTS[:1]
        if what != "all" and what not in known:
            words = f"expected one of all, {', '.join(PARTS)}" if what not in PARTS else f"the {what} are unknown"
            raise UsageError(f"to_pandas({what!r}): {words} in {self.source.description}.")
        tables = {name: pd.DataFrame(*self._tables[name]) for name in (known if what == "all" else (what,))}
        if what in tables:
            return tables[what].rename_axis(index="planet", columns=WAVELENGTH_COLUMNS if what == "radii" else None)
        return pd.concat(tables.values(), axis=1).rename_axis(index="planet")

    @cached_property
    def _tables(self) -> "dict[str, tuple[np.ndarray, list[int], list[str] | list[float]]]":
        """Return values [planets, columns], planets and names of the columns, for each of `PARTS`."""
        rows = {
            planet.number: (planet.star, planet.orbit, planet.radii)
            for planet in tqdm(self.planets(), "reading", len(self), unit=" planets", disable=None, leave=False)
        }
        columns: tuple[list[str], list[str], list[float]] = (
            [f"{one.name} ({one.unit})" for one in STAR_PARAMETERS],
            [f"{one.name} ({one.unit})" for one in ORBIT_PARAMETERS],
            list(WAVELENGTHS_UM),
        )
        return {
            name: (np.array([rows[number][part] for number in self.numbers]), self.numbers, columns[part])
            for part, name in enumerate(PARTS)
        }

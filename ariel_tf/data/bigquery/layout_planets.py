"""The layout that `pipelines.upload` writes: six tables, and a manifest of what each must contain."""

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ariel_tf.core.errors import DataError
from ariel_tf.data.bigquery.assembly import bare_planets, fill_planets
from ariel_tf.data.bigquery.connection import Connection
from ariel_tf.data.bigquery.streams import Reader
from ariel_tf.data.bigquery.tables import FILLED, KEY, MANIFEST, TABLES, expected_rows
from ariel_tf.data.manifest import MANIFEST_NAME, STATISTICS_NAME, Manifest, Shard
from ariel_tf.data.statistics import Statistics
from ariel_tf.planet import Planet

# What is read for light curves: table, columns, and whether its rows have a wavelength.
_CURVES = ("light_curves", (*KEY, "wavelength", "flux"))
_SCATTER = ("scatter", (*KEY, "wavelength", "value"))
_WHITE = ("white_light", (*KEY, "flux"))


class PlanetTables:
    """Planets in the tables of one data set.

    Args:
        reader: reader of tables.
        stars: function that returns every planet's parameters and radii, called at the first read.
    """

    session_bytes = 0

    def __init__(self, reader: Reader, stars: Callable[[], Mapping[int, Planet]]):
        self._reader, self._stars = reader, stars

    def wanted(self, planets: Sequence[int], wavelengths: Sequence[int], white: bool) -> list[tuple[str, Any, str]]:
        """Return table, columns and restriction of each read for these planets."""
        of_planets = restriction("planet", planets)
        narrow = f"{of_planets} AND {restriction('wavelength', wavelengths)}"
        return [(*_CURVES, narrow), (*_SCATTER, narrow), *([(*_WHITE, of_planets)] if white else [])]

    def read(self, planets: Sequence[int], wavelengths: Sequence[int], white: bool, rows: int | None) -> list[Planet]:
        """Return planets with the light curves of these wavelengths, ascending.

        Args:
            rows: number of observations of these planets, if known.

        Raises:
            Unsound: an observation was not received exactly once.
        """
        stars = self._stars()  # first: the most likely to be wrong
        curves, scatter, *light = (
            self._reader.read(
                table, columns, where, rows and rows * (len(wavelengths) if "wavelength" in columns else 1)
            )
            for table, columns, where in self.wanted(planets, wavelengths, white)
        )
        return fill_planets(stars, planets, wavelengths, curves, scatter, light[0] if light else None)


class UploadedTables(PlanetTables):
    """A data set as it was uploaded.

    Args:
        connection: open connection.
        reader: reader of tables.

    Raises:
        DataError: there is no finished upload, or a table has other columns or another number of rows.
    """

    def __init__(self, connection: Connection, reader: Reader):
        super().__init__(reader, lambda: self.stars)
        self._place, self.session_bytes = connection.address.description, connection.address.session_bytes
        self.files = self._check_tables(connection)
        self.manifest = Manifest.from_bytes(self.files[MANIFEST_NAME], self.files[STATISTICS_NAME], self._place)
        self._check_counts()
        self.parts: Sequence[Shard] = self.manifest.shards
        self.labelled = self.manifest.labelled
        self.fingerprint = self.manifest.fingerprint

    def _check_tables(self, connection: Connection) -> dict[str, bytes]:
        """Return the files in `manifest`, after checking every table's columns and number of rows."""
        tables = {name: connection.table(name) for name in TABLES}
        if tables[MANIFEST] is None:
            raise DataError(
                f"{self._place}: expected a data set there, found no table {MANIFEST}; `python -m pipelines.upload` "
                "makes one (55 tables train_table_N are read with --layout classic)"
            )
        faults = [f"{name}: expected this table, found none" for name in TABLES if tables[name] is None]
        for name, table in tables.items():
            if table is not None:
                faults += TABLES[name].faults(table.schema)
        if faults:
            raise DataError(f"{self._place}: its tables are not those of a data set; upload it anew", faults)
        # Counted by queries, which are free: an emulator's table descriptions may be out of date.
        counting = (f"SELECT '{name}', COUNT(*) FROM `{connection.address.table(name)}`" for name in TABLES)
        self._rows: dict[str, int] = dict(connection.rows(" UNION ALL ".join(counting)))
        if self._rows[MANIFEST] == 0:
            raise DataError(
                f"{self._place}: its upload is not complete, since its table {MANIFEST} is empty; repeat "
                "`python -m pipelines.upload` to resume it"
            )
        stored = self._reader.read(MANIFEST, ("name", "sha256", "content"), "").to_pylist()
        files = {row["name"]: row["content"] for row in stored}
        sound = all(hashlib.sha256(row["content"]).hexdigest() == row["sha256"] for row in stored)
        if len(stored) != 2 or files.keys() != {MANIFEST_NAME, STATISTICS_NAME} or not sound:
            raise DataError(
                f"{self._place}: expected {MANIFEST_NAME} and {STATISTICS_NAME} in table {MANIFEST}, each once and as "
                "uploaded, found something else; upload the data set anew"
            )
        return files

    def _check_counts(self) -> None:
        counts = (self.manifest.rows, len(self.manifest.planets), self.manifest.labelled)
        faults = [
            f"{name}: expected {expected} rows, found {self._rows[name]}"
            for name in FILLED
            if self._rows[name] != (expected := expected_rows(name, *counts))
        ]
        if faults:
            raise DataError(f"{self._place}: its tables do not fit its manifest; upload the data set anew", faults)

    @functools.cached_property
    def stars(self) -> dict[int, Planet]:
        """Return every planet's parameters and radii."""
        stars, radii = (
            self._reader.read(name, [column.name for column in TABLES[name].columns], "", self._rows[name])
            for name in ("stars", "relative_radii")
        )
        try:
            return bare_planets(stars, radii, self.manifest.planets, self.labelled)
        except DataError as error:
            raise DataError(f"{self._place}: {error.message}", error.faults) from error

    def statistics(self, folds: Sequence[int]) -> dict[str, Statistics]:
        return self.manifest.sums.choose(folds)


def restriction(column: str, numbers: Sequence[int]) -> str:
    """Return a restriction to rows with these numbers. The range alone lets BigQuery skip partitions and blocks.

    >>> restriction("planet", [3, 5, 4])
    'planet BETWEEN 3 AND 5'
    >>> restriction("wavelength", [7])
    'wavelength = 7'
    """
    wanted = sorted({int(number) for number in numbers})
    if len(wanted) == 1:
        return f"{column} = {wanted[0]}"
    between = f"{column} BETWEEN {wanted[0]} AND {wanted[-1]}"
    if wanted[-1] - wanted[0] + 1 == len(wanted):
        return between
    return f"{between} AND {column} IN ({', '.join(map(str, wanted))})"

"""The classic layout: 55 tables, one per wavelength, joined by planet with a table of stellar parameters.

    train_table_0 ... train_table_54    AAAA, BB, CC, _0 ... _299, label
    extra_params (`stars=` names it)    AAAA, star_temp, star_logg, star_rad, star_mass, star_k_mag, period
                                        and optionally sma, incl

These tables have no manifest, so folds come from `fold_seed`, scatter and white light from the flux, and statistics
from one pass over the wavelengths that are read. White light requires all 55 tables.
"""

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, ORBIT_PARAMETERS, STAR_NAMES
from ariel_tf.core.errors import DataError
from ariel_tf.data.bigquery.assembly import Unsound, numbers
from ariel_tf.data.bigquery.chunks import planets_in_chunks
from ariel_tf.data.bigquery.connection import Connection
from ariel_tf.data.bigquery.layout_planets import restriction
from ariel_tf.data.bigquery.streams import Reader
from ariel_tf.data.folds import assign_folds
from ariel_tf.data.shards import plan_shards
from ariel_tf.data.statistics import Moments, Statistics, Sums
from ariel_tf.planet import Planet, band_scatter, white_light

ALL = range(N_WAVELENGTHS)
KEY = ("AAAA", "BB", "CC")
STEPS = tuple(f"_{step}" for step in range(N_STEPS))
TABLES_AT_ONCE = 4


def table_of(wavelength: int) -> str:
    return f"train_table_{wavelength}"


@dataclass(frozen=True)
class Part:
    """Planets of one fold that are read together."""

    name: str
    fold: int
    planets: list[int]
    rows: int


class ClassicTables:
    """A data set of the classic layout.

    Args:
        connection: open connection.
        reader: reader of tables.
        wavelengths: wavelengths that will be read.

    Raises:
        DataError: a table or a column is missing, or a planet has no stellar parameters.
    """

    def __init__(self, connection: Connection, reader: Reader, wavelengths: Sequence[int]):
        self._connection, self._reader = connection, reader
        self._place, self.session_bytes = connection.address.description, connection.address.session_bytes
        self._wavelengths = sorted(set(wavelengths))
        self.fold_seed = connection.address.fold_seed
        tables = self._check_tables()
        self._stars = self._read_stars()
        self._first = table_of(self._wavelengths[0])
        self.observations = self._count()
        self.labelled = self._is_labelled()
        folds = assign_folds(self.observations, self.fold_seed)
        self.parts: Sequence[Part] = [
            Part(planned.name, planned.fold, planned.planets, sum(self.observations[p] for p in planned.planets))
            for planned in plan_shards(self.observations, self.fold_seed)
        ]
        # The fingerprint: the time of each table's last change, which BigQuery records, and the planets of each part.
        # More cannot be known without reading all data.
        facts = {name: [table.num_rows, str(table.modified)] for name, table in tables.items()}
        identity = json.dumps([facts, sorted(folds.items()), sorted(self.observations.items())])
        self.fingerprint = hashlib.sha256(identity.encode()).hexdigest()

    def _check_tables(self) -> dict[str, Any]:
        """Return the descriptions of all tables, after checking their columns."""
        names = [self._connection.address.stars, *map(table_of, ALL)]
        with ThreadPoolExecutor(8) as pool:
            tables = dict(zip(names, pool.map(self._connection.table, names), strict=True))
        columns = {name: {*KEY, *STEPS} for name in names[1:]} | {names[0]: {"AAAA", *STAR_NAMES}}
        faults = []
        for name, table in tables.items():
            if table is None:
                faults.append(f"{name}: expected this table, found none")
            elif table.table_type == "VIEW":
                faults.append(
                    f"{name}: expected a table, found a view; data that we uploaded are read without --layout"
                )
            elif absent := sorted(columns[name] - {column.name for column in table.schema}):
                faults.append(f"{name}: expected a column {absent[0]}, found none")
        if faults:
            hint = " (stars=TABLE in the address names another table)" if tables[names[0]] is None else ""
            raise DataError(f"{self._place}: its tables are not those of the classic layout{hint}", faults)
        return tables

    def _read_stars(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Return the stellar and orbital parameters, float64 [6] and [2], of each planet."""
        name = self._connection.address.stars
        known = {column.name for column in self._connection.table(name).schema}
        orbit = [parameter.name for parameter in ORBIT_PARAMETERS if parameter.name in known]
        table = self._reader.read(name, ("AAAA", *STAR_NAMES, *orbit), "")
        planets = numbers(table, "AAAA").tolist()
        stars = np.stack([numbers(table, column) for column in STAR_NAMES], axis=1).astype(np.float64)
        orbits = np.full((len(planets), len(ORBIT_PARAMETERS)), np.nan)
        for index, column in enumerate(orbit):
            orbits[:, index] = numbers(table, column)
        found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for planet, star, its_orbit in zip(planets, stars, orbits, strict=True):
            # One row per planet, or one per file: then all rows of a planet must be equal.
            if planet in found and not np.array_equal(found[planet][0], star):
                raise DataError(f"{self._place}: {name} holds two different stars of planet {planet:04d}")
            found[planet] = star, its_orbit
        return found

    def _count(self) -> dict[int, int]:
        """Return the number of observations of each planet, the same in every table that will be read."""
        place = self._connection.address.table(self._first)
        counts = dict(self._connection.rows(f"SELECT AAAA, COUNT(*) FROM `{place}` GROUP BY AAAA ORDER BY AAAA"))
        if not counts:
            raise DataError(f"{self._place}: expected observations in {self._first}, found none")
        if absent := sorted(counts.keys() - self._stars.keys()):
            names = ", ".join(f"{planet:04d}" for planet in absent[:5]) + ", ..." * (len(absent) > 5)
            raise DataError(
                f"{self._place}: planets in {self._first} that have no row in {self._connection.address.stars}: {names}"
            )
        return {int(planet): int(count) for planet, count in counts.items()}

    def _is_labelled(self) -> bool:
        """Whether the tables have labels in all rows rather than in none."""
        table = self._connection.table(self._first)
        if "label" not in {column.name for column in table.schema}:
            return False
        sql = f"SELECT COUNT(*), COUNT(label) FROM `{self._connection.address.table(self._first)}`"
        rows, labels = self._connection.rows(sql)[0]
        if labels not in (0, rows):
            raise DataError(
                f"{self._place}: {self._first} has a label in {labels} of {rows} rows; expected all or none"
            )
        return bool(labels)

    def wanted(self, planets: Sequence[int], wavelengths: Sequence[int], white: bool) -> list[tuple[str, Any, str]]:
        """Return table, columns and restriction of each read for these planets."""
        columns = (*KEY, *STEPS, *(["label"] if self.labelled else []))
        where = restriction("AAAA", planets)
        return [(table_of(wavelength), columns, where) for wavelength in (ALL if white else wavelengths)]

    def read(self, planets: Sequence[int], wavelengths: Sequence[int], white: bool, rows: int | None) -> list[Planet]:
        """Return planets with the light curves of these wavelengths, ascending.

        Raises:
            Unsound: an observation occurs twice, or not at every wavelength.
            DataError: a planet's label differs between observations.
        """
        expected = sum(self.observations[planet] for planet in planets)
        parts = self.wanted(planets, wavelengths, white)
        with ThreadPoolExecutor(TABLES_AT_ONCE) as pool:
            tables = list(pool.map(lambda part: self._reader.read(part[0], part[1], part[2], expected), parts))
        read = ALL if white else wavelengths
        sheets = [_Sheet(table, self.labelled) for table in tables]
        for wavelength, sheet in zip(read, sheets, strict=True):
            if not np.array_equal(sheet.keys, sheets[0].keys):
                raise Unsound(f"{table_of(wavelength)} and {table_of(read[0])} hold other observations")
        found = []
        for planet in planets:
            first, last = np.searchsorted(sheets[0].keys[:, 0], [planet, planet + 1])
            if last - first != self.observations[planet]:
                raise Unsound(
                    f"planet {planet:04d}: expected {self.observations[planet]} observations, received {last - first}"
                )
            found.append(
                self._planet(planet, dict(zip(read, sheets, strict=True)), slice(first, last), wavelengths, white)
            )
        return found

    def _planet(
        self, number: int, sheets: Mapping[int, "_Sheet"], rows: slice, wavelengths: Sequence[int], white: bool
    ) -> Planet:
        flux = np.stack([sheet.flux[sheet.order[rows]] for sheet in sheets.values()]).astype(np.float32)
        n = flux.shape[1]
        scatter = np.full((n, N_WAVELENGTHS), np.nan, np.float32)
        scatter[:, list(sheets)] = band_scatter(flux)
        radii = np.full(N_WAVELENGTHS, np.nan)
        for wavelength, sheet in sheets.items() if self.labelled else ():
            labels = sheet.labels[sheet.order[rows]]
            if (labels != labels[0]).any():
                raise DataError(f"{table_of(wavelength)}: planet {number:04d} has several labels; expected one")
            radii[wavelength] = labels[0]
        star, orbit = self._stars[number]
        instances = next(iter(sheets.values())).keys[rows, 1:].astype(np.int32)
        light = white_light(flux, scatter) if white else np.full((n, N_STEPS), np.nan, np.float32)
        own = flux[[list(sheets).index(wavelength) for wavelength in wavelengths]]
        return Planet(number, instances, star, orbit if self.labelled else orbit * np.nan, radii, own, scatter, light)

    def statistics(self, folds: Sequence[int]) -> Mapping[str, Any]:
        """Return statistics as a source does; NaN at wavelengths that are not read."""
        return _Statistics(self, folds)

    @functools.cache  # noqa: B019 - a layout lives as long as its process
    def sums(self, white: bool) -> Sums:
        """Return sums over all planets of the wavelengths that are read, from one pass."""
        fold_of = {planet: part.fold for part in self.parts for planet in part.planets}
        sums = Sums()
        planets = planets_in_chunks(
            self, self._place, self.observations, sum(self.observations.values()), self._wavelengths, white
        )
        for planet in planets:
            flux = np.full((N_WAVELENGTHS, *planet.flux.shape[1:]), np.nan)
            flux[self._wavelengths] = planet.flux
            fold = fold_of[planet.number]
            sums.add_moments(fold, "flux", Moments.of(flux, axis=1))
            sums.add_moments(fold, "white", Moments.of(planet.white))
            sums.add_moments(fold, "star", Moments.of(planet.star[None]))
            if self.labelled:
                sums.add_moments(fold, "radius", Moments.of(planet.radii[None]))
                sums.add_moments(fold, "depth", Moments.of(planet.radii[None] ** 2))
        return sums


class _Statistics(Mapping[str, Statistics]):
    """Statistics that are computed on request: those of white light need all tables."""

    def __init__(self, tables: ClassicTables, folds: Sequence[int]):
        self._tables, self._folds = tables, folds

    def __getitem__(self, quantity: str) -> Statistics:
        return self._tables.sums(quantity == "white").choose(self._folds)[quantity]

    def __iter__(self) -> Iterator[str]:
        return iter(("flux", "white", "star", "radius", "depth"))

    def __len__(self) -> int:
        return len([*self])


class _Sheet:
    """Return rows of one wavelength's table: keys ascending int64 [n, 3], and the position of each flux [n, 300]."""

    def __init__(self, table: Any, labelled: bool):
        keys = np.stack([numbers(table, name) for name in KEY], axis=1)
        self.order = np.lexsort(keys.T[::-1])
        self.keys = keys[self.order]
        if len(keys) > 1 and (self.keys[1:] == self.keys[:-1]).all(axis=1).any():
            raise Unsound("an observation occurs twice")
        self.flux = np.stack([numbers(table, name) for name in STEPS], axis=1)
        if np.isnan(self.flux).any():
            row = keys[np.argwhere(np.isnan(self.flux))[0, 0]]
            raise DataError(f"expected a number at every step, found NULL in {row[0]:04d}_{row[1]:02d}_{row[2]:02d}")
        self.labels = numbers(table, "label") if labelled else np.zeros(0)

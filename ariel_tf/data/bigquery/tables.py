"""The tables of a data set in BigQuery, and planets as their rows.

    light_curves   planet, spot, photon, wavelength, flux [300]    partitioned by wavelength, clustered by planet
    scatter        planet, spot, photon, wavelength, value         noise outside transit; likewise
    white_light    planet, spot, photon, flux [300]
    stars          planet, the six stellar parameters, sma, incl, fold
    relative_radii planet, wavelength, value                       no rows in a test set
    manifest       name, sha256, content                           manifest.json and statistics.npz, unchanged

Numbers are FLOAT64, which represents every float32 exactly. Values unknown in a test set are NULL. `manifest` is
filled last: a data set without it is an unfinished upload.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, ORBIT_PARAMETERS, STAR_NAMES
from ariel_tf.planet import Planet

MANIFEST = "manifest"
KEY = ("planet", "spot", "photon")


@dataclass(frozen=True)
class Column:
    """A column: INT64, FLOAT64, STRING or BYTES; mode REQUIRED, NULLABLE or REPEATED."""

    name: str
    kind: str
    mode: str = "REQUIRED"


@dataclass(frozen=True)
class Table:
    """A table's columns and layout on disk."""

    name: str
    columns: tuple[Column, ...]
    by_wavelength: bool = False
    clustered: bool = True

    def faults(self, schema: Sequence[Any]) -> list[str]:
        """Return the differences of a schema of BigQuery (`SchemaField`s), column by column; empty if it matches."""
        kinds = {"INTEGER": "INT64", "FLOAT": "FLOAT64"}
        found = {item.name: (kinds.get(item.field_type, item.field_type), item.mode or "NULLABLE") for item in schema}
        faults = []
        for column in self.columns:
            if column.name not in found:
                faults.append(f"{self.name}: expected a column {column.name} of {column.kind}, found none")
                continue
            kind, mode = found.pop(column.name)
            if kind != column.kind or (mode == "REPEATED") != (column.mode == "REPEATED"):
                expected, received = (
                    f"{'an array of ' * (m == 'REPEATED')}{k}" for k, m in ((column.kind, column.mode), (kind, mode))
                )
                faults.append(f"{self.name}: expected {expected} in column {column.name}, found {received}")
        return faults + [f"{self.name}: column {name} is none of ours" for name in found]


def _columns(**kinds: str) -> tuple[Column, ...]:
    return tuple(Column(name, *kind.split()) for name, kind in kinds.items())


_INSTANCE = dict.fromkeys(KEY, "INT64")
_NUMBERS = dict.fromkeys(STAR_NAMES, "FLOAT64") | {p.name: "FLOAT64 NULLABLE" for p in ORBIT_PARAMETERS}
TABLES = {
    table.name: table
    for table in (
        Table("light_curves", _columns(**_INSTANCE, wavelength="INT64", flux="FLOAT64 REPEATED"), by_wavelength=True),
        Table("scatter", _columns(**_INSTANCE, wavelength="INT64", value="FLOAT64"), by_wavelength=True),
        Table("white_light", _columns(**_INSTANCE, flux="FLOAT64 REPEATED")),
        Table("stars", _columns(planet="INT64", **_NUMBERS, fold="INT64")),
        Table("relative_radii", _columns(planet="INT64", wavelength="INT64", value="FLOAT64")),
        Table(MANIFEST, _columns(name="STRING", sha256="STRING", content="BYTES"), clustered=False),
    )
}
# Tables that contain planets.
FILLED = tuple(name for name in TABLES if name != MANIFEST)


def expected_rows(name: str, observations: int, planets: int, labelled: bool) -> int:
    """Return the number of rows of a table for these numbers of planets and of observations in total."""
    light_curves = observations * N_WAVELENGTHS
    return {
        "light_curves": light_curves,
        "scatter": light_curves,
        "white_light": observations,
        "stars": planets,
        "relative_radii": planets * N_WAVELENGTHS * labelled,
    }[name]


def arrow_tables(planets: Sequence[Planet], folds: Mapping[int, int]) -> dict[str, Any]:
    """Return planets as the rows of each table, `pyarrow.Table`s; light curves wavelength by wavelength."""
    import pyarrow as pa

    instances = np.concatenate([_instances(planet) for planet in planets])
    n = len(instances)
    keys = dict(zip(KEY, np.tile(instances, (N_WAVELENGTHS, 1)).T, strict=True))
    keys["wavelength"] = np.repeat(np.arange(N_WAVELENGTHS), n)
    flux = np.concatenate([planet.flux for planet in planets], axis=1).reshape(-1, N_STEPS)
    scatter = np.concatenate([planet.scatter for planet in planets]).T.ravel()
    white = np.concatenate([planet.white for planet in planets])
    numbers = np.array([planet.number for planet in planets])
    stars = {"planet": numbers}
    stars |= dict(zip(STAR_NAMES, np.stack([planet.star for planet in planets]).T, strict=True))
    orbit = np.stack([planet.orbit for planet in planets])
    stars |= {
        parameter.name: pa.array(values, from_pandas=True)  # NaN becomes NULL
        for parameter, values in zip(ORBIT_PARAMETERS, orbit.T, strict=True)
    }
    stars["fold"] = np.array([folds[planet.number] for planet in planets])
    labelled = [planet for planet in planets if planet.labelled]
    radii = {
        "planet": np.repeat(np.array([planet.number for planet in labelled], np.int64), N_WAVELENGTHS),
        "wavelength": np.tile(np.arange(N_WAVELENGTHS), len(labelled)),
        "value": np.concatenate([np.zeros(0), *(planet.radii for planet in labelled)]),
    }
    return {
        "light_curves": pa.table(keys | {"flux": as_lists(flux)}),
        "scatter": pa.table(keys | {"value": scatter.astype(np.float64)}),
        "white_light": pa.table(dict(zip(KEY, instances.T, strict=True)) | {"flux": as_lists(white)}),
        "stars": pa.table(stars),
        "relative_radii": pa.table(radii),
    }


def _instances(planet: Planet) -> np.ndarray:
    """int64 [n, 3]: planet, spot, photon."""
    return np.insert(planet.instances.astype(np.int64), 0, planet.number, axis=1)


def as_lists(values: np.ndarray) -> Any:
    """[rows, width] as an Arrow array of lists of float64."""
    import pyarrow as pa

    rows, width = values.shape
    offsets = np.arange(0, rows * width + 1, width, dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, np.ascontiguousarray(values, np.float64).ravel())


def views(place: str) -> Iterator[tuple[str, str]]:
    """Return the classic layout as views over the tables: (name, SQL) of train_table_0 ... train_table_54.

    Args:
        place: `project.dataset`, validated.
    """
    steps = ", ".join(f"flux[OFFSET({step})] AS _{step}" for step in range(N_STEPS))
    for wavelength in range(N_WAVELENGTHS):
        yield (
            f"train_table_{wavelength}",
            f"SELECT curve.planet AS AAAA, curve.spot AS BB, curve.photon AS CC, {steps}, radius.value AS label "
            f"FROM `{place}.light_curves` AS curve LEFT JOIN `{place}.relative_radii` AS radius "
            f"ON radius.planet = curve.planet AND radius.wavelength = {wavelength} "
            f"WHERE curve.wavelength = {wavelength}",
        )

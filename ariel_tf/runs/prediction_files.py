"""Write files of predicted radii: rows sorted by their keys, in any of four layouts.

    .txt        the challenge's submission: rows ascending AAAA_BB_CC, 55 tab-separated %.10f, no header, no keys
    .csv        the same numbers with their keys: planet, spot, photon, radius_00 ... radius_54
    .csv        the submission of ESA Datalabs: files (0001_01_01.txt ...), w1 ... w55, one row per observation
    .parquet    like the first .csv, in float64

For a pretrained model and for trained runs, the first .csv and .parquet contain sigma_00 ... sigma_54 too. The file's
SHA-256 is beside it (`core.checksum_files`), and checked when the file is read.

Rows arrive in any order and are collected in a scratch file beside the final one, so memory does not grow with their
number. `prediction_reader.py` reads the files back.

Tables are read and written with pyarrow: it writes Parquet in pieces, and pandas would need it for Parquet anyway.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from ariel_tf.challenge import N_WAVELENGTHS, Key
from ariel_tf.core.atomic_files import refuse_parent, require_utf8
from ariel_tf.core.checksum_files import replacing_with_sum
from ariel_tf.core.errors import DataError, UsageError

SUFFIXES = (".txt", ".csv", ".parquet")
KEYS = ("planet", "spot", "photon")
# Layouts of a .csv; a file that is read has it in its header.
LAYOUTS = ("keys", "datalabs")
DATALABS_COLUMNS = ("files", *(f"w{wavelength + 1}" for wavelength in range(N_WAVELENGTHS)))
# The smallest radius that ten decimals can represent: --clip replaces zero and negative radii by it.
SMALLEST = 1e-10
CHUNK_ROWS = 4096


def column(wavelength: int) -> str:
    """Return the name of a wavelength's column."""
    return f"radius_{wavelength:02d}"


def sigma_column(wavelength: int) -> str:
    """Return the name of the column of a wavelength's standard deviation."""
    return f"sigma_{wavelength:02d}"


def refuse_path(out: Path, overwrite: bool = False) -> None:
    """Raise if predictions cannot be written to this file.

    Args:
        out: the file.
        overwrite: accept an existing file.

    Raises:
        UsageError: another suffix, a folder that cannot be created, or the file exists.
    """
    require_utf8(out)
    if out.suffix not in SUFFIXES:
        raise UsageError(f"--out {out}: expected a name that ends in {', '.join(SUFFIXES)}.")
    refuse_parent(out)
    if out.exists() and not overwrite:
        raise UsageError(f"--out {out}: exists already; give another name, or --overwrite.")


class PredictionWriter:
    """Collects rows of radii in any order and writes them in ascending order of their keys.

    Args:
        folder: folder of its scratch file, which has no name and is removed however the process ends.
        rows: maximum number of rows.
        wavelengths: wavelengths of the columns.
        sigmas: whether each radius has a standard deviation, which .csv files with keys and .parquet contain too.
        shrink: function from the number of observations to the factor [wavelengths] of sigma for their combination.

    Raises:
        OSError: not enough space for the scratch file.
    """

    def __init__(
        self,
        folder: Path,
        rows: int,
        wavelengths: Sequence[int],
        sigmas: bool = False,
        shrink: Callable[[int], np.ndarray] | None = None,
    ):
        self.wavelengths, self._shrink = tuple(wavelengths), shrink
        self._columns = [*map(column, wavelengths), *(map(sigma_column, wavelengths) if sigmas else ())]
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (open during the writer's lifetime)
        shape = (max(rows, 1), len(self._columns))
        try:  # allocate all of it now: writing to a memory map on a full disk would kill the process
            os.posix_fallocate(self._file.fileno(), 0, max(1, shape[0] * shape[1] * np.dtype(np.float64).itemsize))
        except OSError as error:
            self._file.close()
            error.filename = str(folder)
            raise
        self._radii = np.memmap(self._file, np.float64, "r+", shape=shape)
        self._keys = np.zeros((rows, len(KEYS)), np.int32)
        self._repeats = np.ones(rows, np.int32)
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, keys: np.ndarray, radii: np.ndarray, repeats: int = 1) -> None:
        """Add rows.

        Args:
            keys: int [n, 3].
            radii: float [n, wavelengths]; with `sigmas`, [n, 2 wavelengths], radii first.
            repeats: number of observations in each row's prediction.
        """
        rows = slice(self.count, self.count + len(keys))
        self._keys[rows], self._radii[rows], self._repeats[rows] = keys, radii, repeats
        self.count += len(keys)

    def outside(self) -> int:
        """Return the number of radii outside (0, 1]."""
        count = len(self.wavelengths)
        return sum(int(((row[:, :count] <= 0) | (row[:, :count] > 1)).sum()) for _, row in self.in_order())

    def clip(self) -> None:
        """Clip every radius to (0, 1]."""
        for start in range(0, self.count, CHUNK_ROWS):
            rows = slice(start, min(start + CHUNK_ROWS, self.count))
            radii = self._radii[rows, : len(self.wavelengths)]
            self._radii[rows, : len(self.wavelengths)] = np.clip(radii, SMALLEST, 1)

    def in_order(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield keys [n, 3] and radii [n, wavelengths] in ascending order of their keys, some rows at a time."""
        order = np.lexsort(self._keys[: self.count].T[::-1])
        for start in range(0, self.count, CHUNK_ROWS):
            rows = order[start : start + CHUNK_ROWS]
            yield self._keys[rows], np.asarray(self._radii[rows])

    def by_planet(self, how: str) -> Iterator[tuple[int, int, np.ndarray]]:
        """Yield each planet, ascending: its number, number of observations, and the median or mean of its radii."""
        combine: Callable[..., np.ndarray] = np.median if how == "median" else np.mean
        keys = self._keys[: self.count]
        order = np.lexsort(keys.T[::-1])
        planets, starts = np.unique(keys[order, 0], return_index=True)
        for planet, rows in zip(planets, np.split(order, starts[1:]), strict=True):
            observations, values = int(self._repeats[rows].sum()), combine(self._radii[rows], axis=0)
            if self._shrink is not None:
                values[len(self.wavelengths) :] *= self._shrink(len(rows))
            yield int(planet), observations, values

    def rows(self, combine: str, repeat: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows of a file, some at a time: keys [n, 3] and radii [n, wavelengths].

        Args:
            combine: "none", "median" or "mean" over a planet's observations.
            repeat: one row for each observation, even if they were combined.
        """
        if combine == "none":
            repeats = self._repeats[np.lexsort(self._keys[: self.count].T[::-1])] if repeat else None
            start = 0
            for keys, radii in self.in_order():
                times = 1 if repeats is None else repeats[start : start + len(keys)]
                yield np.repeat(keys, times, axis=0), np.repeat(radii, times, axis=0)
                start += len(keys)
        else:
            for planet, observations, radii in self.by_planet(combine):
                times = observations if repeat else 1
                yield np.tile([planet, 0, 0], (times, 1)), np.tile(radii, (times, 1))

    @property
    def of_observations(self) -> bool:
        """Whether each row is the prediction for one observation rather than several."""
        return bool((self._repeats[: self.count] == 1).all() and (self._keys[: self.count] > 0).all())

    def write(self, path: Path, combine: str = "none") -> int:
        """Write the file in the format of its suffix; a .csv with its keys.

        Returns:
            The number of rows written.
        """
        with replacing_with_sum(path) as temporary:
            if path.suffix == ".parquet":
                return self._write_parquet(temporary, combine)
            with open(temporary, "w", encoding="utf-8", newline="\n") as file:
                return self._write_text(file, combine, path.suffix == ".txt")

    def write_datalabs(self, path: Path, combine: str = "none", observations: np.ndarray | None = None) -> int:
        """Write the submission of ESA Datalabs, for all 55 wavelengths.

        Args:
            path: path of the file.
            combine: as in `rows`.
            observations: int [n, 3], ascending, if rows are predictions for several observations.

        Returns:
            The number of rows written.
        """
        if observations is None:
            observations = self._keys[: self.count][np.lexsort(self._keys[: self.count].T[::-1])]
        form, count = "%s.txt" + ",%.10f" * N_WAVELENGTHS + "\n", 0
        with replacing_with_sum(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.write(",".join(DATALABS_COLUMNS) + "\n")
            for keys, radii in self.rows(combine, repeat=True):
                own = observations[count : count + len(keys)]
                if not np.array_equal(own[:, 0], keys[:, 0]):
                    raise DataError(f"{path}: expected {len(observations)} observations, received others.")
                for key, row in zip(own.tolist(), radii[:, :N_WAVELENGTHS].tolist(), strict=True):
                    file.write(form % (Key(*key).name, *row))
                count += len(keys)
        return count

    def _write_text(self, file: IO[str], combine: str, submission: bool) -> int:
        columns = self._columns[: len(self.wavelengths)] if submission else self._columns
        radii_form = ("\t" if submission else ",").join(["%.10f"] * len(columns)) + "\n"
        form = radii_form if submission else "%d,%d,%d," + radii_form
        if not submission:
            file.write(",".join([*KEYS, *columns]) + "\n")
        count = 0
        for keys, radii in self.rows(combine, repeat=submission):
            for key, row in zip(keys.tolist(), radii[:, : len(columns)].tolist(), strict=True):
                file.write(form % tuple(row if submission else key + row))
            count += len(keys)
        return count

    def _write_parquet(self, path: Path, combine: str) -> int:
        fields = [*((name, pa.int32()) for name in KEYS), *((name, pa.float64()) for name in self._columns)]
        schema, count = pa.schema(fields), 0
        with pyarrow.parquet.ParquetWriter(path, schema) as writer:
            for keys, radii in self.rows(combine, repeat=False):
                arrays = [*keys.T.astype(np.int32), *radii.T]
                writer.write_table(pa.table([pa.array(values) for values in arrays], schema=schema))
                count += len(keys)
        return count

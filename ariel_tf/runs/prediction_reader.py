"""Read files of predicted radii that `prediction_files.py` or other programs wrote in these layouts."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from ariel_tf.challenge import N_WAVELENGTHS, parse_name
from ariel_tf.core import checksum_files
from ariel_tf.core.errors import DataError
from ariel_tf.runs.prediction_files import DATALABS_COLUMNS, KEYS, column

# Limit on the rows if the number of observations is not known; the challenge's test set has 53,900.
MOST_ROWS = 300_000
# Limits on the characters of a line of 55 numbers and on the mean bytes of a row.
LONGEST_LINE, LARGEST_ROW = 1 << 14, 1 << 13


def read_predictions(path: Path, most: int = MOST_ROWS) -> tuple[np.ndarray | None, np.ndarray]:
    """Read a file of predictions for all 55 wavelengths.

    A .csv is the submission of ESA Datalabs if it has a column `files` or the columns w1 ... w55.

    Args:
        path: path of the file; its suffix names the format.
        most: maximum number of rows; reading stops at a file with more.

    Returns:
        keys int [rows, 3], or None for a .txt, which has none; radii float64 [rows, 55].

    Raises:
        DataError: the file has another layout, or more rows; names the line or the columns.
        OSError: it cannot be read.
    """
    refuse_size(path, most)
    found = _read(path, most)
    checksum_files.verify(path)  # last, since other faults name the place
    return found


def _read(path: Path, most: int) -> tuple[np.ndarray | None, np.ndarray]:
    if path.suffix == ".txt":
        return None, _read_submission(path, most)
    expected = [*KEYS, *map(column, range(N_WAVELENGTHS))]
    try:
        if path.suffix == ".parquet":
            table = _read_parquet(path, expected, most)
        elif {*DATALABS_COLUMNS[:3]} & {*(names := _csv_names(path))}:
            _refuse_datalabs_columns(path, names)
            return _datalabs(path, _read_csv(path, DATALABS_COLUMNS, most, pa.string()))
        else:
            _refuse_absent(path, expected, names)
            table = _read_csv(path, expected, most)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # errors of the disk; pyarrow also raises OSError for damaged pages
        reason = str(error).splitlines()[0][:300]
        form = "numbers in every column" if "conversion error" in reason else path.suffix[1:]
        raise DataError(f"{path}: expected {form} ({reason}).") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected column names in UTF-8 ({error.reason}).") from error
    try:
        keys = np.stack([table[name].to_numpy().astype(np.int64) for name in KEYS], axis=1)
    except (ValueError, TypeError, KeyError, pa.ArrowException) as error:
        raise DataError(f"{path}: expected numbers in every column ({error}).") from error
    return keys, _numbers(path, table, expected[len(KEYS) :])


def refuse_size(path: Path, most: int = MOST_ROWS) -> None:
    """Raise for a file that is too large, before any of it is parsed.

    Args:
        path: as for `read_predictions`.
        most: maximum number of rows.

    Raises:
        DataError: it has more bytes, or more lines, than that number of rows needs.
        OSError: it cannot be read.
    """
    size, largest = path.stat().st_size, (most + 1) * LARGEST_ROW
    if size > largest:
        raise DataError(f"{path}: expected {most:,} rows at most, {largest:,} bytes, received {size:,} bytes.")
    if path.suffix != ".parquet":  # its number of rows is read first
        lines = taken = 0
        with open(path, "rb") as file:  # a line that is far too long is refused by its reader
            while lines <= most + 1 and taken <= (lines + 256) * LARGEST_ROW and (piece := file.read(1 << 20)):
                lines, taken = lines + piece.count(b"\n"), taken + len(piece)
        _refuse_rows(path, lines - 1, most)


def _refuse_datalabs_columns(path: Path, names: Sequence[str]) -> None:
    """Refuse columns that differ from those of a submission of ESA Datalabs."""
    expected = f"expected the columns {', '.join(DATALABS_COLUMNS[:3])} ... {DATALABS_COLUMNS[-1]} in this order"
    if [*names[1:]] == [*DATALABS_COLUMNS[1:]] and names[0] != DATALABS_COLUMNS[0]:
        hint = "write it with to_csv(..., index_label='files')"
        raise DataError(f"{path}: {expected}. Received {names[0]!r} as the first: {hint}.")
    if tuple(names) != DATALABS_COLUMNS:
        pairs = zip_longest(names, DATALABS_COLUMNS)
        place, (name, right) = next((i, pair) for i, pair in enumerate(pairs, 1) if pair[0] != pair[1])
        raise DataError(f"{path}: {expected}. Received {name!r} as column {place}, expected {right!r}.")


def _datalabs(path: Path, table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Return keys and radii of a submission of ESA Datalabs with exactly these columns."""
    keys = np.empty((len(table), len(KEYS)), np.int64)
    for row, name in enumerate(table[0].to_pylist()):
        if not str(name).endswith(".txt"):
            raise DataError(f"{path}, row {row + 1}: expected a file name like 0001_01_01.txt, received {name!r}.")
        try:
            keys[row] = parse_name(name)
        except DataError as error:
            raise DataError(f"{path}, row {row + 1}: {error}") from None
    return keys, _numbers(path, table, DATALABS_COLUMNS[1:])


def _numbers(path: Path, table: pa.Table, names: Sequence[str]) -> np.ndarray:
    """Return columns of a table, float64 [rows, columns]."""
    try:
        return np.stack([table[name].to_numpy().astype(np.float64) for name in names], axis=1)
    except (ValueError, TypeError, KeyError, pa.ArrowException) as error:
        raise DataError(f"{path}: expected numbers in every column ({error}).") from error


def _read_parquet(path: Path, columns: Sequence[str], most: int) -> pa.Table:
    """Return the columns of a Parquet file, whose numbers of rows and columns are checked first."""
    with pyarrow.parquet.ParquetFile(path) as file:
        _refuse_absent(path, columns, file.schema_arrow.names)
        _refuse_rows(path, file.metadata.num_rows, most)
        for name in columns:
            kind = file.schema_arrow.field(name).type
            if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
                raise DataError(f"{path}: expected numbers in every column, received {kind} in {name}.")
        return file.read(list(columns))


def _csv_names(path: Path) -> list[str]:
    """Return the names of a CSV file's columns."""
    with pyarrow.csv.open_csv(path) as head:
        return list(head.schema.names)


def _read_csv(path: Path, columns: Sequence[str], most: int, first: Any = None) -> pa.Table:
    """Return the columns of a CSV file, read in pieces; numbers, except for the type `first` of the first column."""
    parts, rows = [], 0
    types = dict.fromkeys(columns, pa.float64()) | {columns[0]: first or pa.float64()}
    only = pyarrow.csv.ConvertOptions(include_columns=list(columns), column_types=types)
    with pyarrow.csv.open_csv(path, convert_options=only) as reader:
        for batch in reader:
            rows += batch.num_rows
            _refuse_rows(path, rows, most)
            parts.append(batch)
        return pa.Table.from_batches(parts, reader.schema)


def _refuse_absent(path: Path, columns: Sequence[str], names: Sequence[str]) -> None:
    if absent := [name for name in columns if name not in {*names}]:
        some = ", ".join(absent[:5]) + " ..." * (len(absent) > 5)
        raise DataError(f"{path}: expected columns {columns[0]} ... {columns[-1]}. Absent: {some}")


def _refuse_rows(path: Path, rows: int, most: int) -> None:
    if rows > most:
        raise DataError(f"{path}: expected {most:,} rows at most, one for each observation, found more.")


def _read_submission(path: Path, most: int) -> np.ndarray:
    """Read a submission in the challenge's layout: float64 [rows, 55]."""
    rows: list[np.ndarray] = []
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), ""), 1):
            _refuse_rows(path, number, most)
            cells = line.rstrip("\r\n").split("\t")
            if len(cells) != N_WAVELENGTHS:
                hint = "" if len(cells) > 1 else f" with tabs between them: {line[:40].rstrip()!r}"
                raise DataError(f"{path}, line {number}: expected {N_WAVELENGTHS} numbers, found {len(cells)}{hint}.")
            try:
                rows.append(np.array(cells, np.float64))
            except ValueError as error:
                raise DataError(f"{path}, line {number}: expected numbers only ({str(error)[:200]}).") from error
    if not rows:
        raise DataError(f"{path}: expected a row for each observation, found an empty file.")
    return np.stack(rows)

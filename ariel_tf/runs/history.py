"""`metrics.csv`, the history of a run: one row for each epoch. Only this module reads and writes it; no TensorFlow.

Rows are plain dictionaries, not a pandas table: a resumed training continues from them, so every value must be restored
to the last bit, and reading them must not require the import of pandas.
"""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ariel_tf.core.atomic_files import read_bounded, write_text
from ariel_tf.core.errors import DataError

NAME = "metrics.csv"
# The column that selects the best epoch.
VALIDATION_SCORE = "val_score"
# Limits on the bytes of the file and the numbers in it; each number takes about 100 bytes in memory.
LARGEST, MOST_CELLS = 32 << 20, 1_000_000


def write_history(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `metrics.csv`, always as a whole.

    Args:
        folder: the run folder.
        rows: one for each epoch, all with the columns of the first.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "epoch": int(row["epoch"])} for row in rows)
    write_text(folder / NAME, text.getvalue())


def read_history(folder: Path, state: Mapping[str, Any] | None = None) -> list[dict[str, float]]:
    """Read `metrics.csv`: one row for each epoch, empty if there is no such file.

    Args:
        folder: the run folder.
        state: state of the run. Only the rows of its saved epochs are returned, and they must be those that were saved.
            A process that was killed while saving may leave rows of later epochs; these are left out.

    Raises:
        DataError: the file is damaged or, with `state`, differs from what was saved.
    """
    path = folder / NAME
    if state is None:
        return _parse(path, read_bounded(path, LARGEST)) if path.is_file() else []
    epochs = state["epoch"]
    if not epochs:
        return []
    content = read_bounded(path, LARGEST) if path.is_file() else b""
    # The file is rewritten as a whole, but earlier rows never change: their bytes are those of the committed file.
    committed = b""
    try:
        committed = b"".join(content.splitlines(keepends=True)[: 1 + epochs])
        rows = _parse(path, committed)
    except DataError:
        rows = []
    if [row["epoch"] for row in rows] != list(range(1, epochs + 1)):
        raise DataError(
            f"{path}: expected a row for each of the {epochs} epochs that are saved; restore it, or "
            "start again with --overwrite."
        )
    if hashlib.sha256(committed).hexdigest() != state["files"].get(NAME):
        raise DataError(
            f"{path}: its first {epochs} epochs are not those that this run saved; restore it, or start again with "
            "--overwrite."
        )
    return rows


def _parse(path: Path, content: bytes) -> list[dict[str, float]]:
    if content.count(b",") + content.count(b"\n") > MOST_CELLS:
        raise DataError(f"{path}: expected a table of {MOST_CELLS:,} numbers at most.")
    try:
        lines = content.decode("utf-8").splitlines()
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(lines)]
        if rows and "epoch" not in rows[0]:
            raise ValueError("no column epoch")
    except (ValueError, TypeError, AttributeError, csv.Error) as error:
        raise DataError(f"{path}: expected a table with a row of numbers for each epoch ({error}).") from error
    return rows


def require_scores(folder: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Raise a `DataError` for rows without the column that selects the best epoch.

    Args:
        folder: the run folder, for the message.
        rows: rows of the run.
    """
    if any(VALIDATION_SCORE not in row for row in rows):
        raise DataError(
            f"{folder / NAME}: expected a column {VALIDATION_SCORE}; restore it, or start again with --overwrite."
        )


def best_row(rows: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """Return the row of the epoch with the highest validation score; the first of several.

    Raises:
        DataError: the column is missing.
    """
    require_scores(Path(), rows)
    return max(rows, key=lambda row: row[VALIDATION_SCORE])

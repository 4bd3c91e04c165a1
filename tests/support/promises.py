"""Counts of what `make soak` tried, printed as a table at the end of the tests."""

from typing import NamedTuple


class Row(NamedTuple):
    """One line of the table."""

    promise: str
    case: str
    tried: int
    failed: int


ROWS: list[Row] = []


def record(promise: str, case: str, tried: int, failed: int) -> None:
    """Add a line."""
    ROWS.append(Row(promise, case, tried, failed))


def lines() -> list[str]:
    """The table, with a sum for each promise."""
    form = "{:34s}{:30s}{:>8}{:>8}{:>8}"
    table = [form.format("promise", "case", "tried", "held", "failed")]
    for promise in dict.fromkeys(row.promise for row in ROWS):
        rows = [row for row in ROWS if row.promise == promise]
        total = Row(promise, "all", sum(row.tried for row in rows), sum(row.failed for row in rows))
        table += [form.format(r.promise, r.case, r.tried, r.tried - r.failed, r.failed) for r in (*rows, total)]
    return table

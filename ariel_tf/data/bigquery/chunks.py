"""Planets in chunks that are small in memory: one read session each; the next one is read while this one is used."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from ariel_tf.challenge import N_STEPS
from ariel_tf.core.errors import DataError
from ariel_tf.data.bigquery.assembly import Unsound
from ariel_tf.planet import Planet

# Size of received light curves, float64. Emulators accept at most 11 MB per stream.
CHUNK_BYTES = 32 << 20
ROW_BYTES = 8 * (N_STEPS + 4)
# A chunk is read once more if its rows are not received exactly once.
ATTEMPTS = 2

_T = TypeVar("_T")


class Tables(Protocol):
    """The tables from which planets are read.

    Attributes:
        session_bytes: light curves of a read session; 0 for `CHUNK_BYTES`.
    """

    session_bytes: int

    def read(self, planets: Sequence[int], wavelengths: Sequence[int], white: bool, rows: int | None) -> list[Planet]:
        """Return planets with the light curves of these wavelengths; `rows` is their number of observations, if known.

        Raises:
            Unsound: an observation was not received exactly once.
        """
        ...


def planets_in_chunks(
    tables: Tables, place: str, rows: Mapping[int, float], total: int, wavelengths: Sequence[int], white: bool
) -> Iterator[Planet]:
    """Yield planets, in order.

    Args:
        tables: tables to read from.
        place: name of the data set in errors.
        rows: observations of each planet in the order requested, possibly approximate.
        total: exact sum of the observations.
        wavelengths, white: as for a source's `records`.

    Raises:
        DataError: the received rows are not valid.
    """

    def read(chunk: Sequence[int]) -> list[Planet]:
        expected = total if len(chunk) == len(rows) else None
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return tables.read(chunk, wavelengths, white, expected)
            except Unsound as error:
                if attempt == ATTEMPTS:
                    raise DataError(f"{place}: {error}; make the tables anew") from error
            except DataError as error:
                if error.message.startswith(place):
                    raise
                raise DataError(f"{place}: {error.message}", error.faults) from error
        raise AssertionError("unreachable")

    for chunk in _ahead(map(read, chunks_of(rows, len(wavelengths), tables.session_bytes))):
        yield from chunk


def chunks_of(rows: Mapping[int, float], wavelengths: int, session_bytes: int) -> Iterator[list[int]]:
    """Yield groups of consecutive planets that are read in one session.

    Args:
        rows: observations of each planet in the order requested, possibly approximate.
        wavelengths: number of light curves that are read of each observation.
        session_bytes: bytes of light curves in a session, as in `Tables`; 0 for `CHUNK_BYTES`.
    """
    chunk: list[int] = []
    size = 0.0
    for planet, count in rows.items():
        needed = count * wavelengths * ROW_BYTES
        if chunk and size + needed > (session_bytes or CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0.0
        chunk.append(planet)
        size += needed
    if chunk:
        yield chunk


def _ahead(items: Iterator[_T]) -> Iterator[_T]:
    """Yield the same items, each fetched in a thread while the previous one is used."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, items, end)
        while (item := waiting.result()) is not end:
            waiting = pool.submit(next, items, end)
            yield item  # type: ignore[misc]

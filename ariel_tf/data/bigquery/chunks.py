"""Planets in chunks that are small in memory: a read session each, the next one read while this one is used."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from ariel_tf.challenge import N_STEPS
from ariel_tf.core.errors import DataError
from ariel_tf.data.bigquery.assembly import Unsound
from ariel_tf.planet import Planet

# Of light curves as they come, float64. Emulators want at most 11 MB a stream.
CHUNK_BYTES = 32 << 20
ROW_BYTES = 8 * (N_STEPS + 4)
# A chunk whose rows do not come once each is read once more.
ATTEMPTS = 2

_T = TypeVar("_T")


class Tables(Protocol):
    """What planets are read from."""

    def read(self, planets: Sequence[int], wavelengths: Sequence[int], white: bool, rows: int | None) -> list[Planet]:
        """Planets with the light curves of these wavelengths; `rows` is how many observations they have, if known.

        Raises:
            Unsound: what came is not each observation once.
        """
        ...


def planets_in_chunks(
    tables: Tables, place: str, rows: Mapping[int, float], total: int, wavelengths: Sequence[int], white: bool
) -> Iterator[Planet]:
    """Planets, in order.

    Args:
        tables: where from.
        place: what to call it in an error.
        rows: observations of each planet in the order wanted, perhaps roughly.
        total: of all of them, exactly.
        wavelengths, white: as of a source's `records`.

    Raises:
        DataError: what comes is not sound.
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

    for chunk in _ahead(map(read, _chunks(rows, len(wavelengths)))):
        yield from chunk


def _chunks(rows: Mapping[int, float], wavelengths: int) -> Iterator[list[int]]:
    chunk: list[int] = []
    size = 0.0
    for planet, count in rows.items():
        needed = count * wavelengths * ROW_BYTES
        if chunk and size + needed > CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0.0
        chunk.append(planet)
        size += needed
    if chunk:
        yield chunk


def _ahead(items: Iterator[_T]) -> Iterator[_T]:
    """The same items, each fetched in a thread while the one before is used."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, items, end)
        while (item := waiting.result()) is not end:
            waiting = pool.submit(next, items, end)
            yield item  # type: ignore[misc]

"""Whole planets in NumPy, with their orbits, for what no model sees: transit fits, pictures, tables by magnitude."""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import tensorflow as tf

from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.integrity import damaged
from ariel_tf.data.sources import Source
from ariel_tf.planet import Planet


@runtime_checkable
class HoldsWhole(Protocol):
    """A source that gives whole planets."""

    def whole(self, folds: Sequence[int]) -> Iterator[Planet]: ...


def whole_planets(source: Source, folds: Sequence[int]) -> Iterator[Planet]:
    """Each planet of these folds once, in the source's order, a planet at a time in memory.

    Raises:
        UsageError: a source that can't give them.
        DataError: a record is damaged, or a planet is not of these folds, comes twice or not at all.
    """
    if not isinstance(source, HoldsWhole):
        raise UsageError(
            f"--data {source.description}: expected a data folder, BigQuery or simulated planets for whole planets."
        )
    expected = {planet for planet, fold in source.folds.items() if fold in folds}
    try:
        for planet in source.whole(folds):
            if planet.number not in expected:
                raise DataError(f"{source.description}: planet {planet.number:04d} comes twice or is of another fold.")
            expected.remove(planet.number)
            yield planet
    except tf.errors.OpError as error:
        raise damaged(source, error) from error
    if expected:
        names = ", ".join(f"{planet:04d}" for planet in sorted(expected)[:10])
        raise DataError(f"{source.description}: planets that are announced were not received: {names}.")

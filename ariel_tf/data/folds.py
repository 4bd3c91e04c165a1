"""Planets to folds: once, from a recorded seed, the same on every machine.

All observations of a planet share one target, so a split by file would leak. A planet therefore lies
in exactly one of ten folds, and hold-out test, validation and cross-validation are choices of folds.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from ariel_tf.core.errors import UsageError
from ariel_tf.core.schema import option

N_FOLDS = 10


class Folds(NamedTuple):
    """The folds of a data set by what a training uses them for."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]


def assign_folds(planets: Iterable[int], seed: int) -> dict[int, int]:
    """The fold of each planet: its rank by hash(seed, planet), modulo 10.

    Ranks rather than hashes, so that fold sizes differ by one at most. The order of `planets` and
    duplicates in it do not matter; leaving a planet out does change the folds of the others.

    Args:
        planets: planet numbers.
        seed: any integer; recorded in the manifest.

    Returns:
        {planet: fold in 0-9}, ascending by planet.

    >>> sorted(assign_folds(range(10), seed=0).values())
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    unique = sorted({int(planet) for planet in planets})
    ranked = sorted(unique, key=lambda planet: _hash(seed, planet))
    fold = {planet: rank % N_FOLDS for rank, planet in enumerate(ranked)}
    return {planet: fold[planet] for planet in unique}


def first_planets(planets: Iterable[int], count: int) -> frozenset[int]:
    """So many of these planets, in an order that no seed changes: fewer are always among more.

    >>> sorted(first_planets(range(10), 2)), sorted(first_planets(range(10), 4))
    ([4, 9], [4, 5, 8, 9])
    """
    return frozenset(sorted(set(planets), key=lambda planet: _hash("planets", planet))[:count])


def _hash(seed: int | str, planet: int) -> bytes:
    # Not Python's hash(): that of a string changes with each process.
    return hashlib.blake2b(f"{seed}/{planet}".encode(), digest_size=16).digest()


def parse_folds(text: str, flag: str) -> tuple[int, ...]:
    """`8,9` to (8, 9); `all` to every fold.

    Raises:
        UsageError: anything else; names `flag`.
    """
    if text == "all":
        return tuple(range(N_FOLDS))
    parts = text.split(",")
    if not all(part.isdecimal() and len(part) < 10 and int(part) < N_FOLDS for part in parts):
        raise UsageError(f"{flag}: expected all, or numbers in 0-{N_FOLDS - 1} with commas. Received: {text}")
    return tuple(sorted({int(part) for part in parts}))


def folds_option(default: tuple[int, ...] | None, help: str, flag: str = "--folds", **how: Any) -> Any:
    """A field whose flag takes folds: `8,9` or `all`; other arguments as of `schema.option`."""
    return option(default, help, metavar="FOLDS", parse=lambda text: parse_folds(text, flag), **how)

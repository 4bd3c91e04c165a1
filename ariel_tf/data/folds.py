"""Assign planets to folds: once, from a recorded seed, and identically on every machine.

All observations of a planet have the same target, so a split by file would leak. A planet is therefore in exactly one
of ten folds, and hold-out test, validation and cross-validation are choices of folds.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from ariel_tf.core.errors import UsageError
from ariel_tf.core.numbers import whole_numbers
from ariel_tf.core.schema import option

N_FOLDS = 10


class Folds(NamedTuple):
    """The folds of a data set by role in a training."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]


def assign_folds(planets: Iterable[int], seed: int) -> dict[int, int]:
    """Return the fold of each planet: its rank by hash(seed, planet), modulo 10.

    Ranks rather than hashes, so that fold sizes differ by at most one. The order of `planets` and duplicates in it do
    not matter; leaving out a planet does change the folds of the others.

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
    """Return this many of the planets, in an order independent of any seed: smaller subsets are part of larger ones.

    >>> sorted(first_planets(range(10), 2)), sorted(first_planets(range(10), 4))
    ([4, 9], [4, 5, 8, 9])
    """
    return frozenset(sorted(set(planets), key=lambda planet: _hash("planets", planet))[:count])


def _hash(seed: int | str, planet: int) -> bytes:
    # Not Python's hash(): the hash of a string differs between processes.
    return hashlib.blake2b(f"{seed}/{planet}".encode(), digest_size=16).digest()


def parse_folds(text: str, flag: str) -> tuple[int, ...]:
    """Parse `8,9` to (8, 9), and `all` to every fold.

    Raises:
        UsageError: any other form; names `flag`.
    """
    if text == "all":
        return tuple(range(N_FOLDS))
    found = whole_numbers(text)
    if found is None or max(found) >= N_FOLDS:
        raise UsageError(f"{flag}: expected all, or numbers in 0-{N_FOLDS - 1} with commas. Received: {text}")
    return tuple(sorted(set(found)))


def folds_option(default: tuple[int, ...] | None, help: str, flag: str = "--folds", **how: Any) -> Any:
    """Return a field whose flag takes folds: `8,9` or `all`; other arguments as in `schema.option`."""
    return option(default, help, metavar="FOLDS", parse=lambda text: parse_folds(text, flag), **how)

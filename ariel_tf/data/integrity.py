"""Check that a source yields exactly the planets that it announced, each once; if not, an error names the fault."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ariel_tf.core.errors import DataError
from ariel_tf.data.graph import as_written, traced_once
from ariel_tf.data.mapped_rows import ChangedRow
from ariel_tf.data.sources.base import Source
from ariel_tf.planet import Planet, planet_faults

# Exceptions of TensorFlow for a shard that is missing, truncated, has a flipped bit, or holds other records or planets.
UNREADABLE = (
    tf.errors.DataLossError,
    tf.errors.FailedPreconditionError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
)


def expected_planets(source: Source, folds: Sequence[int]) -> np.ndarray:
    """Return the planets of the requested folds: int32 [planets], ascending."""
    return np.array(sorted(planet for planet, fold in source.folds.items() if fold in folds), np.int32)


def refuse_others(planets: tf.data.Dataset, expected: np.ndarray) -> tf.data.Dataset:
    """Return the same planets, with an error in the graph at an unexpected or repeated planet.

    Otherwise a shard copied over another could bring planets of the training folds into the test.
    """
    if not len(expected):
        return planets
    numbers = tf.constant(expected)

    @as_written
    def check(seen: tf.Tensor, planet: Any) -> tuple[Any, Any]:
        return traced_once(_seen_with)(seen, planet["planet"], numbers), planet

    return planets.scan(tf.zeros(len(expected), tf.bool), check)


def _seen_with(seen: tf.Tensor, number: tf.Tensor, expected: tf.Tensor) -> tf.Tensor:
    """Return which expected planets were seen, bool [planets], with a further one; an error if it is no new one."""
    place = tf.minimum(tf.searchsorted(expected, number[None])[0], tf.size(expected) - 1)
    known = tf.equal(expected[place], number)
    fault = tf.where(known, " occurs twice", " is not of the requested folds")
    name = tf.strings.as_string(number, width=4, fill="0")
    tf.debugging.Assert(known & ~seen[place], [tf.strings.join(["planet ", name, fault])])
    return tf.tensor_scatter_nd_update(seen, place[None, None], [True])


def read(
    source: Source, batches: Iterator[dict[str, Any]], folds: Sequence[int], whole: bool = True
) -> Iterator[dict[str, Any]]:
    """Yield the same batches of observations as NumPy arrays, checked.

    Args:
        source: open source.
        batches: batches with keys.
        folds: folds of the observations.
        whole: whether these are all batches; `refuse_incomplete` checks the keys of several parts together.

    Raises:
        DataError: a record is damaged, an observation or a planet is missing, occurs twice, or is of another fold.
    """
    announced = source.observations(folds)
    if announced == 0:
        raise DataError(f"{source.description}: folds {list(folds)} hold no observation.")
    keys: list[np.ndarray] = []
    seen = 0
    try:
        for batch in batches:
            keys.append(np.array(batch["key"]))
            seen += len(batch["key"])
            if seen > announced:
                break
            yield batch
    except ChangedRow as error:
        raise changed(source, error) from error
    except tf.errors.OpError as error:
        raise damaged(source, error) from error
    if whole or seen > announced:
        refuse_incomplete(source, folds, np.concatenate([np.zeros((0, 3), np.int32), *keys]))


def refuse_incomplete(source: Source, folds: Sequence[int], keys: np.ndarray) -> None:
    """Refuse observations that are not all that the source announces, each once.

    Args:
        source: open source.
        folds: folds of the observations.
        keys: int32 [n, 3], in any order.

    Raises:
        DataError: an observation or a planet is missing or occurs twice.
    """
    _refuse_keys(source, folds, keys)
    seen, announced = len(keys), source.observations(folds)
    if seen != announced:
        more = "more" if seen > announced else f"{seen}"
        raise DataError(f"{source.description}: expected {announced} observations, received {more}.")


def read_planets(source: Source, folds: Sequence[int]) -> Iterator[Planet]:
    """Yield whole planets of these folds, each once, in the source's order, one in memory at a time.

    Raises:
        DataError: a record is damaged, or a planet is missing, occurs twice or is of another fold.
    """
    expected = {planet for planet, fold in source.folds.items() if fold in folds}
    try:
        for planet in source.planets(folds):
            if planet.number not in expected:
                raise DataError(f"{source.description}: planet {planet.number:04d} occurs twice or is of another fold.")
            expected.remove(planet.number)
            _refuse_faults(source, planet)
            yield planet
    except tf.errors.OpError as error:
        raise damaged(source, error) from error
    if expected:
        names = ", ".join(f"{planet:04d}" for planet in sorted(expected)[:10])
        raise DataError(f"{source.description}: planets that are announced were not received: {names}.")


def read_planet(source: Source, number: int) -> Planet:
    """Return one whole planet.

    Args:
        source: open source.
        number: number of one of its planets.

    Raises:
        DataError: its record or its files are damaged or missing.
    """
    try:
        planet = source.planet(number)
    except tf.errors.OpError as error:
        raise damaged(source, error) from error
    if planet is None:
        raise DataError(f"{source.description}: planets that are announced were not received: {number:04d}.")
    _refuse_faults(source, planet)
    return planet


def _refuse_faults(source: Source, planet: Planet) -> None:
    if faults := planet_faults(planet):
        raise DataError(f"{source.description}: {faults[0]}; make the data set anew.", faults)


def _refuse_keys(source: Source, folds: Sequence[int], keys: np.ndarray) -> None:
    absent = np.setdiff1d(expected_planets(source, folds), keys[:, 0])
    if len(absent):
        names = ", ".join(f"{planet:04d}" for planet in absent[:10]) + " ..." * (len(absent) > 10)
        raise DataError(f"{source.description}: planets that are announced were not received: {names}.")
    unique, counts = np.unique(keys, axis=0, return_counts=True)
    if len(unique) < len(keys):
        planet, spot, photon = unique[np.argmax(counts > 1)]
        raise DataError(f"{source.description}: observation {planet:04d}_{spot:02d}_{photon:02d} occurs twice.")


def changed(source: Source, error: ChangedRow) -> DataError:
    """Return the exception to raise for a row in mapped files that differs from what was written."""
    return DataError(f"{source.description}: {error}; copy or make it anew.", source.faults())


def damaged(source: Source, error: tf.errors.OpError) -> Exception:
    """Return the exception to raise for an error of TensorFlow: one that names the damaged shards, or the error itself.

    Args:
        source: source that was read.
        error: returned unchanged if the data are not its cause.
    """
    if source.failure is not None:
        return source.failure
    message = error.message or ""
    if isinstance(error, tf.errors.InvalidArgumentError) and "IteratorGetNext" not in message:
        return error
    found = re.search(r"(?:assertion failed: \[|ChangedRow: )(planet \d+ [^\]\n]*)", message)
    reason = found[1] if found else "a record could not be read"
    faults = source.faults()
    again = "copy or make it anew" if faults else f"run `python -m pipelines.check {source.description}`"
    return DataError(f"{source.description}: {reason}; {again}.", faults)

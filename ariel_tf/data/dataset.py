"""Planets to shuffled batches of rows: the tf.data pipeline between a source and a model.

    planets  flux [wavelengths, n, 300]   one element a planet, from any source
      rows   flux [n, 300, wavelengths]   one row an observation, each with its key
    window   as many rows as memory allows, in a permutation drawn from (seed, epoch)
     batch   flux [batch, 300, wavelengths], star [batch, 6] -> radius [batch, wavelengths]

A window that holds all rows (one wavelength of the whole challenge is 150 MB) is read once and shuffled
perfectly each epoch; otherwise windows stream, shards and planets in an order of their own each epoch.
Either way the order is a function of (seed, epoch) alone, so a resumed run sees what an unbroken one saw.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from ariel_tf.challenge import N_STEPS
from ariel_tf.data.sources import Source
from ariel_tf.errors import DataError

# Rows of a window beyond this many bytes of flux stream from the source again each epoch.
MEMORY_BYTES = 2 << 30


@dataclass(frozen=True)
class Choice:
    """Which rows: observations of the planets in `folds`, at `wavelengths`."""

    folds: tuple[int, ...]
    wavelengths: tuple[int, ...]


def as_rows(planet: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """One planet's record to n rows: key [n, 3], star [n, 6], radius [n, w], scatter [n, w], flux [n, 300, w]."""
    instances = planet["instances"]
    n = tf.shape(instances)[0]
    number = tf.fill([n, 1], planet["planet"])
    return {
        "key": tf.concat([number, instances], axis=1),
        "star": tf.repeat(planet["star"][None], n, axis=0),
        "radius": tf.repeat(planet["radii"][None], n, axis=0),
        "scatter": planet["scatter"],
        "flux": tf.transpose(planet["flux"], [1, 2, 0]),
    }


def load(source: Source, choice: Choice) -> dict[str, tf.Tensor]:
    """All rows of a choice in memory, in ascending key order.

    Raises:
        DataError: the source yields fewer or more rows than it announced, or a damaged record.
    """
    announced = source.rows(choice.folds)
    if announced == 0:
        raise DataError(f"{source.description}: folds {list(choice.folds)} hold no observation.")
    rows = source.records(choice.folds, choice.wavelengths).map(as_rows, tf.data.AUTOTUNE)
    try:
        parts = list(rows.as_numpy_iterator())
    except tf.errors.OpError as error:
        raise damaged(source, error) from error
    table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if len(table["key"]) != announced:
        raise DataError(f"{source.description}: expected {announced} observations, received {len(table['key'])}.")
    order = np.lexsort(table["key"].T[::-1])
    return {name: tf.constant(values[order]) for name, values in table.items()}


def damaged(source: Source, error: tf.errors.OpError) -> DataError:
    reason = error.message.splitlines()[0] if error.message else type(error).__name__
    return DataError(
        f"{source.description}: a record could not be read ({reason}). Run `python -m pipelines.check` on it."
    )


def training_batches(
    source: Source,
    choice: Choice,
    batch_size: int,
    seed: int,
    first_epoch: int,
    epochs: int,
    memory: int = MEMORY_BYTES,
) -> tf.data.Dataset:
    """Shuffled batches of epochs `first_epoch` ... `epochs - 1` (counted from 0), one after another.

    Every epoch has `steps_of(rows, batch_size)` batches; its last one may be smaller.

    Returns:
        A dataset of row dictionaries as of `as_rows`, batched.
    """
    rows = source.rows(choice.folds)
    row_bytes = 4 * N_STEPS * len(choice.wavelengths)
    if rows * row_bytes <= memory:
        table = load(source, choice)

        def epoch_batches(order):
            return tf.data.Dataset.from_tensor_slices(permutation(rows, order)).batch(batch_size).map(gather, 2)

        def gather(index):
            return {name: tf.gather(values, index) for name, values in table.items()}

    else:

        def epoch_batches(order):
            return streamed_rows(source, choice, order, max(batch_size, memory // row_bytes)).rebatch(batch_size)

    epoch_numbers = tf.data.Dataset.range(first_epoch, epochs, output_type=tf.int32)
    batches = epoch_numbers.flat_map(lambda epoch: epoch_batches(tf.stack([tf.constant(seed), epoch])))
    return batches.prefetch(tf.data.AUTOTUNE)


def steps_of(rows: int, batch_size: int) -> int:
    """Batches that hold these rows, a partial last one counted."""
    return -(-rows // batch_size)


def permutation(n, order: tf.Tensor) -> tf.Tensor:
    """0 ... n - 1 in an order that is a function of `order` (int32 [2]) alone."""
    return tf.random.experimental.stateless_shuffle(tf.range(n), seed=order)


def streamed_rows(source: Source, choice: Choice, order: tf.Tensor, window: int) -> tf.data.Dataset:
    """One epoch's rows, shuffled within windows of `window` rows over planets in shuffled order."""

    def shuffled(rows):
        index = permutation(tf.shape(rows["key"])[0], order)
        return {name: tf.gather(values, index) for name, values in rows.items()}

    planets = source.records(choice.folds, choice.wavelengths, order=order)
    return planets.map(as_rows, tf.data.AUTOTUNE).rebatch(window).map(shuffled)


def table_batches(table: dict[str, tf.Tensor], batch_size: int) -> tf.data.Dataset:
    """Rows in memory as batches, in order."""
    return tf.data.Dataset.from_tensor_slices(table).batch(batch_size).prefetch(tf.data.AUTOTUNE)


def evaluation_batches(source: Source, choice: Choice, batch_size: int = 1024) -> Iterator[dict[str, Any]]:
    """Every row of a choice once, streamed in the source's order, as NumPy batches; each row has its key."""
    seen = 0
    rows = source.records(choice.folds, choice.wavelengths).map(as_rows, tf.data.AUTOTUNE).rebatch(batch_size)
    try:
        for batch in rows.prefetch(2).as_numpy_iterator():
            seen += len(batch["key"])
            yield batch
    except tf.errors.OpError as error:
        raise damaged(source, error) from error
    announced = source.rows(choice.folds)
    if seen != announced:
        raise DataError(f"{source.description}: expected {announced} observations, received {seen}.")


def for_model(rows: dict[str, Any], star: bool) -> tuple[dict[str, Any], Any]:
    """A batch of rows as what `fit` takes: (inputs, radius)."""
    inputs = {"flux": rows["flux"], "star": rows["star"]} if star else {"flux": rows["flux"]}
    return inputs, rows["radius"]

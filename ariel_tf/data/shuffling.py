"""Rows in shuffled batches, for the epochs of a training.

      rows   flux [n, 300, channels]      from memory, mapped files or a source, one per observation
    window   as many rows as memory allows, in a permutation drawn from (seed, epoch) and the window's number
     batch   flux [batch, 300, channels], star [batch, 6] -> radius [batch, targets]

If a window holds all rows (one wavelength of the whole challenge has 150 MB), they are read once and shuffled perfectly
in each epoch. Otherwise rows are streamed: shards in a different order in each epoch, a few of them interleaved, the
planets of each in the order of its file; a window then shuffles the rows that it holds. In both cases the order
depends only on (seed, epoch), so a resumed run reads the same rows as an uninterrupted one.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from ariel_tf.data.dataset import AHEAD, observations
from ariel_tf.data.graph import as_written
from ariel_tf.data.mapped_rows import MappedRows
from ariel_tf.data.selection import Selection
from ariel_tf.data.sources.base import Source

# Flux of a streamed window. Memory use is three times as much: one window in use, and two for preparing the next.
WINDOW_BYTES = 512 << 20


def shuffled_table(
    table: dict[str, tf.Tensor], batch_size: int, seed: int, first_epoch: int, epochs: int
) -> tf.data.Dataset:
    """Return rows in memory as shuffled batches of epochs `first_epoch` ... `epochs - 1`, one after another."""
    return _at(table, shuffled_places(len(table["key"]), batch_size, seed, first_epoch, epochs))


def shuffled_places(rows: int, batch_size: int, seed: int, first_epoch: int, epochs: int) -> tf.data.Dataset:
    """Return batches of row numbers, int64 [batch], in the order in which `shuffled_table` takes rows."""
    return _shuffled_places(np.arange(rows), batch_size, seed, first_epoch, epochs)


def cycled_table(
    table: dict[str, tf.Tensor], size: int, steps: int, seed: int, first_epoch: int, epochs: int
) -> tf.data.Dataset:
    """Return rows in memory as `steps` batches of `size` rows per epoch: all rows in a new order, as often as needed.

    Args:
        table: rows in memory.
        size: rows per batch.
        steps: batches per epoch.
        seed, first_epoch, epochs: as in `shuffled_table`.
    """
    rows = len(table["key"])
    copies = -(-size * steps // rows)

    def batches(order: tf.Tensor) -> tf.data.Dataset:
        drawn = tf.random.stateless_uniform([copies, rows], seed=order)
        places = tf.reshape(tf.argsort(drawn, axis=1), [-1])[: size * steps]
        return tf.data.Dataset.from_tensor_slices(places).batch(size)

    return _at(table, _epochs(batches, seed, first_epoch, epochs))


def _at(table: dict[str, tf.Tensor], places: tf.data.Dataset) -> tf.data.Dataset:
    """Return the rows of a table at these places, batches of row numbers."""
    # An element that repeats, since tf.data copies the tensors that a function captures.
    held = tf.data.Dataset.from_tensors(dict(table)).repeat()
    return (
        tf.data.Dataset.zip(places, held).map(as_written(lambda index, held: _gather(held, index)), 2).prefetch(AHEAD)
    )


def joined(batches: tf.data.Dataset, more: tf.data.Dataset) -> tf.data.Dataset:
    """Append each batch of `more` to that of `batches`."""

    @as_written
    def join(first: dict[str, tf.Tensor], second: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {name: tf.concat([first[name], second[name]], axis=0) for name in first if name in second}

    return tf.data.Dataset.zip(batches, more).map(join, 2)


def shuffled_mapped(rows: MappedRows, batch_size: int, seed: int, first_epoch: int, epochs: int) -> tf.data.Dataset:
    """Return rows in mapped files as the batches that `shuffled_table` makes of the same rows in memory."""
    places = _shuffled_places(rows.in_key_order(), batch_size, seed, first_epoch, epochs)
    return rows.batches(places).prefetch(AHEAD)


def _shuffled_places(places: np.ndarray, batch_size: int, seed: int, first_epoch: int, epochs: int) -> tf.data.Dataset:
    """Return batches of `places` (int64 [rows]), in a different order in each epoch."""

    def batches(order: tf.Tensor) -> tf.data.Dataset:
        shuffled = tf.gather(places, permutation(len(places), order))
        return tf.data.Dataset.from_tensor_slices(shuffled).batch(batch_size)

    return _epochs(batches, seed, first_epoch, epochs)


def shuffled_stream(
    source: Source,
    selection: Selection,
    batch_size: int,
    seed: int,
    first_epoch: int,
    epochs: int,
    memory: int = WINDOW_BYTES,
) -> tf.data.Dataset:
    """Return rows read in each epoch, shuffled in windows of `memory` bytes over shards in shuffled order."""
    # Whole batches: each comes from one window, and none is assembled from two.
    window = max(1, memory // selection.signature.observation_bytes // batch_size) * batch_size

    def windows(order: tf.Tensor) -> tf.data.Dataset:
        numbered = observations(source, selection, order).rebatch(window).enumerate()
        return numbered.map(
            as_written(lambda number, rows: (tf.random.experimental.stateless_fold_in(order, number), rows))
        )

    @as_written
    def shuffled(order: tf.Tensor, rows: Any) -> tf.data.Dataset:
        index = tf.data.Dataset.from_tensor_slices(permutation(tf.shape(rows["key"])[0], order)).batch(batch_size)
        return index.map(as_written(lambda index: _gather(rows, index)))

    # One window is put together while another is used, the next epoch's first one too.
    ahead = _epochs(windows, seed, first_epoch, epochs).prefetch(1)
    return ahead.flat_map(shuffled).prefetch(AHEAD)


def shuffled_share(
    shard: Source, selection: Selection, steps: int, seed: int, first_epoch: int, epochs: int
) -> tf.data.Dataset:
    """Return one host's share of each batch in a training on several hosts, each of which reads its own shards.

        shards of the training folds --distributed by rows--> a part for each host, the same in every epoch
        a host's rows of an epoch    --as many batches as there are steps--> its share of each step

    All rows are read once per epoch. The hosts' parts differ by at most one shard, and so do their shares of a step,
    whose sizes differ by at most one row.

    Args:
        shard: part of the source from `Source.shard`; at least one row per step.
        selection: rows of the whole training.
        steps: steps of an epoch, of all hosts together.
        seed, first_epoch, epochs: as in `shuffled_stream`.
    """
    edges = np.arange(steps + 1) * shard.observations(selection.folds) // steps
    own = max(1, int(np.diff(edges).max()))
    rows = shuffled_stream(shard, selection, own, seed, first_epoch, epochs)
    return rows.rebatch(np.diff(edges).astype(np.int64))  # in turn, and again in the next epoch


def _gather(rows: dict[str, tf.Tensor], index: tf.Tensor) -> dict[str, tf.Tensor]:
    return {name: tf.gather(values, index) for name, values in rows.items()}


def _epochs(
    batches: Callable[[tf.Tensor], tf.data.Dataset], seed: int, first_epoch: int, epochs: int
) -> tf.data.Dataset:
    numbers = tf.data.Dataset.range(first_epoch, epochs, output_type=tf.int32)
    return numbers.flat_map(as_written(lambda epoch: batches(tf.stack([tf.constant(seed), epoch]))))


def permutation(n: int | tf.Tensor, order: tf.Tensor) -> tf.Tensor:
    """Return 0 ... n - 1 in an order that depends only on `order` (int32 [2])."""
    return tf.random.experimental.stateless_shuffle(tf.range(n), seed=order)

"""The tf.data pipeline between a source and a model: planets to shuffled batches of rows.

    planets  flux [wavelengths, n, 300]   one element per planet, from any source
      rows     flux [n, 300, channels]      one row per observation, each with its key
    window   as many rows as memory allows, in a permutation drawn from (seed, epoch) and the window's number
     batch   flux [batch, 300, channels], star [batch, 6] -> radius [batch, targets]

A row can also contain all observations of a planet, or all photon-noise instances of one of its spot instances; its
flux then has one more axis, [instances, 300, channels].

If a window holds all rows (one wavelength of the whole challenge has 150 MB), they are read once and shuffled perfectly
in each epoch. Otherwise rows are streamed: shards in a different order in each epoch, a few of them interleaved, the
planets of each in the order of its file; a window then shuffles the rows that it holds. In both cases the order
depends only on (seed, epoch), so a resumed run reads the same rows as an uninterrupted one.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from ariel_tf.challenge import STAR_PARAMETERS
from ariel_tf.data import arrays
from ariel_tf.data.graph import as_written, traced_once
from ariel_tf.data.integrity import UNREADABLE as UNREADABLE
from ariel_tf.data.integrity import damaged as damaged
from ariel_tf.data.integrity import expected_planets, read, refuse_others
from ariel_tf.data.mapped_rows import MappedRows
from ariel_tf.data.selection import Selection, Signature
from ariel_tf.data.sources.base import Source
from ariel_tf.data.statistics import Moments, Statistics
from ariel_tf.data.tables import drawn, grouped, reorder

# Rows of more than this many bytes are streamed from the source in each epoch. `load` needs little more than the rows.
MEMORY_BYTES = 2 << 30

# Flux of a streamed window. Memory use is three times as much: one window in use, and two for preparing the next.
WINDOW_BYTES = 512 << 20

# Flux in a batch for prediction, in bytes: large enough to be fast, small compared with a window.
PREDICTED_BYTES = 16 << 20

# Planets parsed in parallel, and batches prefetched: tf.data's own choices grow, at 1 to 7 MB a planet and 34 MB a
# batch.
PARALLEL = 4
AHEAD = 2


def as_rows(planet: dict[str, tf.Tensor], signature: Signature) -> dict[str, tf.Tensor]:
    """Parse one planet's record to its n observations.

    Returns:
        key int32 [n, 3], star [n, 6], radius [n, targets], scatter [n, targets], flux [n, 300, channels].
    """
    instances = planet["instances"]
    n = tf.shape(instances)[0]
    columns = [signature.inputs.index(wavelength) for wavelength in signature.targets]
    flux = planet["flux"]
    if signature.white_light:
        flux = tf.concat([flux, planet["white"][None]], axis=0)
    return {
        "key": tf.concat([tf.fill([n, 1], planet["planet"]), instances], axis=1),
        "star": tf.repeat(planet["star"][None], n, axis=0),
        "radius": tf.repeat(tf.gather(planet["radii"], columns)[None], n, axis=0),
        "scatter": tf.gather(planet["scatter"], columns, axis=1),
        "flux": tf.transpose(flux, [1, 2, 0]),
    }


def observations(source: Source, selection: Selection, order: tf.Tensor | None = None) -> tf.data.Dataset:
    """Return one element per planet: its observations from `as_rows`."""
    planets = source.records(selection, order)
    if not source.endless:
        planets = refuse_others(planets, expected_planets(source, selection.folds))
    return planets.map(as_written(traced_once(as_rows, selection.signature)), PARALLEL)


def load(source: Source, selection: Selection) -> dict[str, tf.Tensor]:
    """Load all rows of a selection into memory, in ascending key order.

    Raises:
        DataError: the source yields fewer or more observations than announced, a damaged record, or planets with
            different numbers of observations where a row contains several.
    """
    table: dict[str, np.ndarray] = {}
    filled = 0
    for batch in read(source, _in_order(source, selection), selection.folds):
        if not table:
            rows = source.observations(selection.folds)
            table = {name: arrays.empty((rows, *values.shape[1:]), values.dtype) for name, values in batch.items()}
        for name, values in batch.items():
            table[name][filled : filled + len(values)] = values
        filled += len(batch["key"])
    order = np.lexsort(table["key"].T[::-1])
    for values in table.values():
        reorder(values, order)
    if selection.stride > 1:
        table = {name: values[:: selection.stride] for name, values in table.items()}
    if selection.signature.row != "observation":
        table = grouped(table, selection.signature.row)
    if selection.bootstrap_seed is not None:
        table = drawn(table, selection.bootstrap_seed)
    return {name: arrays.as_tensor(values) for name, values in table.items()}


def fits_in_memory(source: Source, selection: Selection, memory: int | None = None) -> bool:
    """Whether the rows of a selection are read once and held in memory, rather than streamed in each epoch.

    Args:
        memory: limit on their size in bytes; `MEMORY_BYTES` by default.
    """
    if selection.needs_memory:
        return True
    if source.endless:
        return False
    signature = selection.signature
    # Besides the flux a row has its key, star, radii and scatter.
    row_bytes = signature.observation_bytes + 4 * (3 + len(STAR_PARAMETERS) + 2 * len(signature.targets))
    return source.observations(selection.folds) * row_bytes <= (MEMORY_BYTES if memory is None else memory)


def shuffled_table(
    table: dict[str, tf.Tensor], batch_size: int, seed: int, first_epoch: int, epochs: int
) -> tf.data.Dataset:
    """Return rows in memory as shuffled batches of epochs `first_epoch` ... `epochs - 1`, one after another."""
    places = _shuffled_places(np.arange(len(table["key"])), batch_size, seed, first_epoch, epochs)
    return _at(table, places)


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


def table_batches(table: dict[str, tf.Tensor], batch_size: int) -> tf.data.Dataset:
    """Return rows in memory as batches, in order."""
    return tf.data.Dataset.from_tensor_slices(table).batch(batch_size).prefetch(AHEAD)


def evaluation_batches(
    source: Source, selection: Selection, batch_size: int = 1024, part: slice = slice(None)
) -> Iterator[dict[str, Any]]:
    """Yield every row of a selection once, as NumPy batches; each row has its key.

    Observations stream in the source's order; rows that combine or skip observations are loaded first.

    Args:
        part: batches to yield, by their numbers; all by default.
    """
    if selection.needs_memory:
        table = table_batches(load(source, selection), batch_size).as_numpy_iterator()
        yield from itertools.islice(table, part.start, part.stop)
    else:
        batches = _in_order(source, selection, batch_size, part)
        yield from read(source, batches, selection.folds, whole=part == slice(None))


def _in_order(
    source: Source, selection: Selection, size: int | None = None, part: slice = slice(None)
) -> Iterator[dict[str, Any]]:
    """Yield every observation once, in the source's order: from mapped files or memory if possible, else from records.

    Args:
        size: rows per batch; None for the best size for the source.
        part: batches to yield.
    """
    for rows in (source.mapped(selection), source.held(selection)):
        if rows is not None:
            return rows.in_order(size or prediction_batch_size(selection.signature), part)
    batches = observations(source, selection)
    batches = batches.rebatch(size) if size else batches
    if part != slice(None):
        first = part.start or 0
        batches = batches.skip(first).take(-1 if part.stop is None else part.stop - first)
    return batches.prefetch(2).as_numpy_iterator()


def prediction_batch_size(signature: Signature) -> int:
    """Return the number of rows of a batch for prediction."""
    return max(1, min(1024, PREDICTED_BYTES // signature.observation_bytes))


def for_model(rows: dict[str, Any], star: bool) -> tuple[dict[str, Any], Any]:
    """Return a batch of rows as the input of `fit`: (inputs, radius)."""
    inputs = {"flux": rows["flux"], "star": rows["star"]} if star else {"flux": rows["flux"]}
    return inputs, rows["radius"]


def statistics(source: Source, selection: Selection, table: dict[str, tf.Tensor] | None) -> dict[str, Statistics]:
    """Return the statistics that a model of this selection needs, over the planets and observations of its folds.

    Flux statistics come from the source's sums, without a pass over the data; for rows that combine observations, whose
    columns the sums do not include, from the table.

    Args:
        table: rows of the selection; needed only for rows of a spot instance or a planet.

    Returns:
        "flux" in the layout of a row, "star" [6], "radius" and "depth" [targets].
    """
    signature, sums = selection.signature, source.statistics(selection.folds)
    if signature.row == "observation":
        white = sums["white"] if signature.white_light else None
        parts = {
            part: np.stack(
                [*getattr(sums["flux"], part)[list(signature.inputs)], *([getattr(white, part)] if white else [])], -1
            )
            for part in ("mean", "std", "min", "max")
        }
        flux = Statistics(sums["flux"].count, **parts)
    else:
        assert table is not None
        flux = Moments.of(table["flux"].numpy()).statistics()
    targets = list(signature.targets)
    return {
        "flux": flux,
        "star": sums["star"],
        "radius": sums["radius"].map(lambda values: values[targets]),
        "depth": sums["depth"].map(lambda values: values[targets]),
    }

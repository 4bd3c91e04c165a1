"""The rows of a selection, read from a source: loaded into memory, or streamed in order; and their statistics.

    planets  flux [wavelengths, n, 300]   one element per planet, from any source
      rows     flux [n, 300, channels]      one row per observation, each with its key

A row can also contain all observations of a planet, or all photon-noise instances of one of its spot instances; its
flux then has one more axis, [instances, 300, channels]. `data.shuffling` makes the batches of a training of the rows.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from ariel_tf.challenge import STAR_PARAMETERS
from ariel_tf.data import arrays
from ariel_tf.data.graph import as_written, traced_once
from ariel_tf.data.integrity import UNREADABLE as UNREADABLE
from ariel_tf.data.integrity import damaged as damaged
from ariel_tf.data.integrity import expected_planets, read, refuse_others
from ariel_tf.data.selection import Selection, Signature
from ariel_tf.data.sources.base import Source
from ariel_tf.data.statistics import Moments, Statistics
from ariel_tf.data.tables import drawn, grouped, reorder

# Rows of more than this many bytes are streamed from the source in each epoch. `load` needs little more than the rows.
MEMORY_BYTES = 2 << 30

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
    return {name: arrays.as_tensor(values) for name, values in _loaded(source, selection, channels_first=False).items()}


def load_by_channel(source: Source, selection: Selection) -> dict[str, np.ndarray]:
    """Load all rows of a selection like `load`, with flux as [channels, n, 300] or [channels, n, instances, 300]."""
    table = _loaded(source, selection, channels_first=True)
    flux = np.moveaxis(table.pop("flux"), -1, 0)
    if not flux.flags.c_contiguous:  # rows were drawn or left out
        flux, moved = arrays.empty(flux.shape, flux.dtype), flux
        flux[...] = moved
    return table | {"flux": flux}


def _loaded(source: Source, selection: Selection, channels_first: bool) -> dict[str, np.ndarray]:
    """Return all rows of a selection, in ascending key order.

    Args:
        channels_first: whether flux, which has the same shape in both cases, has its channels first in memory.
    """
    table: dict[str, np.ndarray] = {}
    filled = 0
    for batch in read(source, _in_order(source, selection), selection.folds):
        if not table:
            rows = source.observations(selection.folds)
            for name, values in batch.items():
                if name == "flux" and channels_first:
                    steps, channels = values.shape[1:]
                    table[name] = np.moveaxis(arrays.empty((channels, rows, steps), values.dtype), 0, -1)
                else:
                    table[name] = arrays.empty((rows, *values.shape[1:]), values.dtype)
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
    return table


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


def statistics(source: Source, selection: Selection, table: dict[str, Any] | None) -> dict[str, Statistics]:
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
        flux = Moments.of(np.asarray(table["flux"])).statistics()
    targets = list(signature.targets)
    return {
        "flux": flux,
        "star": sums["star"],
        "radius": sums["radius"].map(lambda values: values[targets]),
        "depth": sums["depth"].map(lambda values: values[targets]),
    }

"""The rows of one training: for training, for validation, and for the test score."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.errors import UsageError
from ariel_tf.data import dataset, shuffling
from ariel_tf.data.augment import Augment
from ariel_tf.data.graph import as_written
from ariel_tf.data.mapped_rows import MappedRows
from ariel_tf.data.sources import Source
from ariel_tf.training import cluster
from ariel_tf.training.flux_statistics import cached_flux_pass, flux_pass


def batches_of(values: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Return consecutive parts of `size` rows; the last one may be smaller."""
    return (values[start : start + size] for start in range(0, len(values), size))


def _mapped_batches(rows: MappedRows, size: int) -> tf.data.Dataset:
    """Return rows in mapped files as batches, in key order."""
    places = tf.data.Dataset.from_tensor_slices(rows.in_key_order()).batch(size)
    return rows.batches(places).prefetch(dataset.AHEAD)


class TrainingData:
    """The rows of one training.

    Args:
        source: open source with planets in every fold that the configuration names.
        config: resolved configuration.
        load: function that reads rows like `dataset.load`; trainings that share rows pass one with a cache.
        memory: bytes that the training rows may take; None for `dataset.MEMORY_BYTES`.
        windows: whether rows are read anew in each epoch, in windows, even where they could be shuffled as a whole.
        also: second source, of which a share of each batch is; None for none.

    Attributes:
        statistics: statistics of the training rows, from `dataset.statistics`.
    """

    def __init__(
        self,
        source: Source,
        config: TrainConfig,
        load: Callable[..., Any] = dataset.load,
        memory: int | None = None,
        windows: bool = False,
        also: Source | None = None,
    ):
        self.source, self.config, self._load = source, config, load
        if config.also and also is None:
            raise UsageError("--also: expected a training of one model; a search trains on one data set.")
        self._selection = config.selection("train")
        if source.endless and self._selection.needs_memory:
            raise UsageError(
                f"--data {source.description}: other planets in each epoch, so that no row can be kept; expected "
                "neither --every nor --bootstrap, and a model whose row is one observation."
            )
        self._in_windows = windows
        held = not windows and dataset.fits_in_memory(source, self._selection, memory)
        self._table = load(source, self._selection) if held else None
        self._mapped = None if held else source.mapped(self._selection)
        if self._table is None and "mix" in config.augmentations:
            raise UsageError("--augment mix: needs all training rows in memory, and they do not fit; leave mix out.")
        self._validation_table: dict[str, tf.Tensor] | None = None
        self._also = None if also is None else self._second(also, memory)
        self.statistics = dataset.statistics(source, self._selection, self._table)
        if config.needs_pass:
            batches, count = self._flux(), self.count
            if self._table is None:
                self.statistics |= cached_flux_pass(batches, count, config, source, self._selection)
            else:
                self.statistics |= flux_pass(batches, count, config)

    def _second(self, also: Source, memory: int | None) -> dict[str, tf.Tensor]:
        """Return the training rows of the second source."""
        if also.endless or not dataset.fits_in_memory(also, self._selection, memory):
            raise UsageError(
                f"--also {also.description}: expected rows that fit in memory. Give more --memory, or that data set as "
                "--data and this one as --also."
            )
        return self._load(also, self._selection)

    def _flux(self) -> Iterator[np.ndarray]:
        """Yield the raw flux of all training rows, batch by batch."""
        size = dataset.prediction_batch_size(self._selection.signature)
        if self._table is None:
            yield from (rows["flux"] for rows in dataset.evaluation_batches(self.source, self._selection, size))
        else:
            yield from batches_of(self._table["flux"].numpy(), size)

    @property
    def count(self) -> int:
        """Number of training rows per epoch."""
        return self.source.observations(self._selection.folds) if self._table is None else len(self._table["key"])

    @property
    def steps(self) -> int:
        """Number of batches per epoch; the last one may be smaller."""
        return -(-self.count // self.config.own_rows)

    @property
    def _streams(self) -> bool:
        """Whether the training rows are shuffled in windows."""
        return self._in_windows or (self._table is None and self._mapped is None)

    @functools.cached_property
    def part(self) -> Source | None:
        """Return this host's part of rows streamed to several; None if every host reads all and uses its share."""
        index, count = cluster.task()
        if count == 1 or not self._streams or self._also is not None:
            return None
        folds = self._selection.folds
        shards = [self.source.shard(folds, one, count) for one in range(count)]
        # At least half of an equal share, so that none of a host's devices is left without a row.
        enough = (self.config.batch_size // count // 2 + 1) * self.steps
        if any(shard is None or shard.observations(folds) < enough for shard in shards):
            return None
        return shards[index]

    @property
    def table(self) -> dict[str, tf.Tensor] | None:
        """The training rows in memory; None if they are not there."""
        return self._table

    def in_key_order(self, size: int) -> tf.data.Dataset | None:
        """Return the training rows as (inputs, radius) batches in key order.

        Returns:
            None if they are shuffled in windows, augmented, or mixed with a second source.
        """
        if self._also is not None or self.config.augmentations or self._streams:
            return None
        if self._table is not None:
            return self.pairs(dataset.table_batches(self._table, size))
        assert self._mapped is not None
        return self.pairs(_mapped_batches(self._mapped, size))

    def places(self, first_epoch: int) -> tf.data.Dataset:
        """Return the numbers of the rows of `in_key_order` in the batches of `training`, int64."""
        config = self.config
        return shuffling.shuffled_places(self.count, config.own_rows, config.seed, first_epoch, config.epochs)

    def training(self, first_epoch: int) -> tf.data.Dataset:
        """Return (inputs, radius) batches of the epochs from `first_epoch` on, or this host's shares (`part`)."""
        config = self.config
        order = (config.seed, first_epoch, config.epochs)
        if self.part is not None:
            batches = shuffling.shuffled_share(self.part, self._selection, self.steps, *order)
        elif self._streams:
            batches = shuffling.shuffled_stream(self.source, self._selection, config.own_rows, *order)
        elif self._mapped is not None:
            batches = shuffling.shuffled_mapped(self._mapped, config.own_rows, *order)
        else:
            assert self._table is not None
            batches = shuffling.shuffled_table(self._table, config.own_rows, *order)
        if self._also is not None:
            size = config.batch_size - config.own_rows
            batches = shuffling.joined(batches, shuffling.cycled_table(self._also, size, self.steps, *order))
        if config.augmentations:
            augment = Augment(config.augmentations, config.seed, self._table)
            batches = batches.enumerate(first_epoch * self.steps).map(as_written(augment), 2)
        return self.pairs(batches)

    def validation(self) -> tf.data.Dataset:
        """Return the rows of the validation folds, with keys: in memory, or from mapped files."""
        selection = self.config.selection("validation")
        size = dataset.prediction_batch_size(selection.signature)
        mapped = None if self._mapped is None else self.source.mapped(selection)
        if mapped is not None:
            return _mapped_batches(mapped, size)
        return dataset.table_batches(self.validation_table(), size)

    def validation_table(self) -> dict[str, tf.Tensor]:
        """Return the rows of the validation folds, with keys, in memory."""
        if self._validation_table is None:
            self._validation_table = self._load(self.source, self.config.selection("validation"))
        return self._validation_table

    def test(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of the test folds, with keys, as NumPy batches."""
        selection = self.config.selection("test")
        return dataset.evaluation_batches(self.source, selection, dataset.prediction_batch_size(selection.signature))

    def pairs(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Convert rows to the input of `fit`: (inputs, radius)."""
        return batches.map(as_written(lambda rows: dataset.for_model(rows, star=bool(self.config.star_names))))

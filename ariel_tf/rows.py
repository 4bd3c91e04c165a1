"""From a configuration to its rows: those it trains on, validates with, and is scored on."""

from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from ariel_tf.data import dataset
from ariel_tf.data.dataset import Choice
from ariel_tf.data.sources import Source
from ariel_tf.models import registry
from ariel_tf.training.configuration import Configuration

# Flux held by a batch that is only predicted, in bytes: large enough to be fast, small beside a window.
PREDICTED_BYTES = 16 << 20


def choice_of(config: Configuration, folds: Sequence[int], every: int = 1) -> Choice:
    """The rows of these folds as a configuration's model sees them."""
    unit = registry.entry(config.model).unit
    return Choice(tuple(folds), config.targets, config.seen, config.sees_white, unit, every)


def predicted_batch(choice: Choice) -> int:
    """Rows of a batch that is only predicted."""
    return max(1, min(1024, PREDICTED_BYTES // choice.observation_bytes))


class Rows:
    """The rows of one training.

    Args:
        source: open; holds planets in every fold that the configuration names.
        config: resolved.

    Attributes:
        statistics: of the training rows, as of `dataset.statistics`.
    """

    def __init__(self, source: Source, config: Configuration):
        self.source, self.config = source, config
        self._choice = choice_of(config, config.train_folds, config.every)
        self._table = dataset.load(source, self._choice) if dataset.fits_in_memory(source, self._choice) else None
        self.statistics = dataset.statistics(source, self._choice, self._table)

    @property
    def count(self) -> int:
        """Training rows, those of an epoch."""
        return self.source.rows(self._choice.folds) if self._table is None else len(self._table["key"])

    @property
    def steps(self) -> int:
        """Batches of an epoch; the last one may be smaller."""
        return -(-self.count // self.config.batch_size)

    def training(self, first_epoch: int) -> tf.data.Dataset:
        """(inputs, radius) batches of the epochs from `first_epoch` on."""
        config = self.config
        order = (config.batch_size, config.seed, first_epoch, config.epochs)
        if self._table is None:
            return self.pairs(dataset.shuffled_stream(self.source, self._choice, *order))
        return self.pairs(dataset.shuffled_table(self._table, *order))

    def validation(self) -> tf.data.Dataset:
        """The validation folds' rows, with keys, in memory."""
        choice = choice_of(self.config, self.config.validation_folds)
        return dataset.table_batches(dataset.load(self.source, choice), predicted_batch(choice))

    def test(self) -> Iterator[dict[str, Any]]:
        """The test folds' rows, with keys, as NumPy batches."""
        choice = choice_of(self.config, self.config.test_folds)
        return dataset.evaluation_batches(self.source, choice, predicted_batch(choice))

    def pairs(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Rows to what `fit` takes: (inputs, radius)."""
        return batches.map(lambda rows: dataset.for_model(rows, star=bool(self.config.star_names)))

"""The rows of a training of several wavelengths at once, in memory or in mapped files, and their statistics."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import Role, TrainConfig
from ariel_tf.data import arrays, dataset, shuffling
from ariel_tf.data.integrity import changed
from ariel_tf.data.mapped_rows import ChangedRow
from ariel_tf.data.selection import Selection
from ariel_tf.data.sources import Source
from ariel_tf.training.data import TrainingData, batches_of
from ariel_tf.training.flux_statistics import flux_pass
from ariel_tf.training.stacked.tables import MappedTable, Table


class StackedData:
    """The rows of a training of several wavelengths at once, each in the order of its own training.

    Args:
        source: open for all wavelengths that these read.
        configs: resolved; they differ only in wavelength, and the rows of each fit in memory or are in arrays.
        memory: bytes that the training rows of all may take; None for `dataset.MEMORY_BYTES`. Rows that take more are
            read from arrays in each epoch; without arrays they are held in memory nevertheless.

    Attributes:
        train, validation: `Table`, or `MappedTable`.
        statistics: statistics of each wavelength's training rows, from `dataset.statistics`.
    """

    def __init__(self, source: Source, configs: Sequence[TrainConfig], memory: int | None = None):
        self.source, self.configs, self.config = source, configs, configs[0]
        self._is_mapped = is_mapped(source, configs, memory)
        self.train: Table | MappedTable
        self.validation: Table | MappedTable
        if self._is_mapped:
            self.statistics = self._statistics_of_each(memory)
            self.train, self.validation = self._mapped("train"), self._mapped("validation")
        else:
            rows = self._load("train")
            self.statistics = self._statistics(rows)
            self.train, self.validation = self._table(rows), self._table(self._load("validation"))

    def _mapped(self, role: Role) -> MappedTable:
        rows = self.source.mapped(selection_of(self.configs, role))
        assert rows is not None
        return MappedTable(rows, self._mapped_table)

    def _load(self, role: Role) -> dict[str, Any]:
        """Return rows of all wavelengths; flux as [wavelengths and white, rows, ..., 300] unless all models read it."""
        selection = selection_of(self.configs, role)
        if self.config.channels == "all":
            return {name: values.numpy() for name, values in dataset.load(self.source, selection).items()}
        return dataset.load_by_channel(self.source, selection)

    def _flux(self, rows: dict[str, np.ndarray], index: int) -> np.ndarray:
        """Return the channels of the index-th wavelength: [rows, ..., 300, channels]."""
        flux = rows["flux"]
        if self.config.channels == "all":
            return flux
        if self.config.signature.white_light:
            return np.stack([flux[index], flux[-1]], axis=-1)
        return flux[index][..., None]

    def _statistics(self, rows: dict[str, np.ndarray]) -> list[dict[str, Any]]:
        found = []
        for index, config in enumerate(self.configs):
            flux = self._flux(rows, index)
            its = dataset.statistics(self.source, config.selection("train"), {"flux": flux})
            if config.needs_pass:
                size = dataset.prediction_batch_size(config.signature)
                its |= flux_pass(batches_of(flux, size), len(flux), config)
            found.append(its)
        return found

    def _statistics_of_each(self, memory: int | None) -> list[dict[str, Any]]:
        """Return the statistics of each wavelength's own training; a pass has the rows of one wavelength in memory."""
        if not self.config.needs_pass or self.config.channels != "all":
            limit = memory if self.config.needs_pass else 0
            return [TrainingData(self.source, config, memory=limit).statistics for config in self.configs]
        first = TrainingData(self.source, self.config, memory=memory).statistics
        shared = {name: values for name, values in first.items() if name in ("flux", "power")}
        return [dataset.statistics(self.source, config.selection("train"), None) | shared for config in self.configs]

    def _table(self, rows: dict[str, np.ndarray]) -> Table:
        """Return rows of `_load` as a table, without a copy of their light curves."""
        count, flux = len(self.configs), rows["flux"]
        own = shared = None
        if self.config.channels == "all":
            shared = arrays.as_tensor(flux)
        else:
            own = arrays.as_tensor(flux[:count])[..., None]
            shared = arrays.as_tensor(flux[count])[..., None] if self.config.signature.white_light else None
        star = tf.constant(rows["star"]) if self.config.star_names else None
        return Table(tf.constant(rows["radius"].T[..., None]), own, shared, star)

    def _mapped_table(self, rows: dict[str, Any]) -> Table:
        """Return rows of mapped files, flux [rows, 300, wavelengths and white], as a table."""
        count, flux = len(self.configs), rows["flux"]
        own = shared = None
        if self.config.channels == "all":
            shared = flux
        else:
            own = tf.transpose(flux[..., :count], [2, 0, 1])[..., None]
            shared = flux[..., count:] if self.config.signature.white_light else None
        return Table(
            tf.transpose(rows["radius"])[..., None], own, shared, rows["star"] if self.config.star_names else None
        )

    @property
    def steps(self) -> int:
        """Number of batches per epoch; the last one may be smaller."""
        return -(-self.train.rows // self.config.batch_size)

    def prepare(self, prepared: Callable[[Any], Any]) -> None:
        """Replace both tables by what a function, `Stack.prepared`, makes of them."""
        self.train = prepared(self.train)  # one after the other, so that memory never holds both twice
        self.validation = prepared(self.validation)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Context in which a damaged row is reported by the name of its data set and file.

        Raises:
            DataError: a row in mapped files differs from what was written.
        """
        try:
            yield
        except ChangedRow as error:
            raise changed(self.source, error) from error
        except dataset.UNREADABLE as error:
            raise dataset.damaged(self.source, error) from error

    def drop_tables(self) -> None:
        """Free the memory of both tables."""
        del self.train, self.validation

    def order(self, epoch: int) -> tf.Tensor:
        """Return the order of an epoch's rows: int32 [rows], that of a training of one wavelength."""
        return shuffling.permutation(self.train.rows, tf.constant([self.config.seed, epoch], tf.int32))

    def batches(self, role: Role) -> Iterator[Iterator[dict[str, Any]]]:
        """Return each wavelength's rows of the folds of a role, with keys, as NumPy batches.

        Each wavelength's rows are read from its own arrays if there are any and rows are not held in memory.
        """
        size = dataset.prediction_batch_size(self.config.signature)
        if self._is_mapped and self.source.mapped(self.config.selection(role)) is not None:
            for config in self.configs:
                yield dataset.evaluation_batches(self.source, config.selection(role), size)
            return
        rows = self._load(role)
        for index in range(len(self.configs)):
            own = {name: rows[name] for name in ("key", "star")}
            own |= {name: rows[name][:, index : index + 1] for name in ("radius", "scatter")}
            own["flux"] = self._flux(rows, index)
            starts = range(0, len(own["key"]), size)
            yield ({name: values[start : start + size] for name, values in own.items()} for start in starts)


def is_mapped(source: Source, configs: Sequence[TrainConfig], memory: int | None = None) -> bool:
    """Whether the rows of several wavelengths are read from mapped files, since they take more memory than they may.

    A pass over the rows of each wavelength needs arrays of each.
    """
    config, selection = configs[0], selection_of(configs, "train")
    if dataset.fits_in_memory(source, selection, memory) or source.mapped(selection) is None:
        return False
    return not config.needs_pass or source.mapped(config.selection("train")) is not None


def selection_of(configs: Sequence[TrainConfig], role: Role) -> Selection:
    """Return the selection of the rows of several wavelengths, which differ in nothing else."""
    chosen = (config.wavelength.chosen[0] for config in configs)
    return configs[0].replace(wavelength=Targets.each(chosen)).selection(role)

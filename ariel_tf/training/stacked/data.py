"""Rows of several wavelengths in memory, for models that are trained side by side."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Self

import tensorflow as tf

from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import Role, TrainConfig
from ariel_tf.data import dataset, shuffling
from ariel_tf.data.sources import Source
from ariel_tf.training.data import batches_of
from ariel_tf.training.flux_statistics import flux_pass


class Table(NamedTuple):
    """Rows of all wavelengths in memory, or a batch of them; float32.

    Attributes:
        radius: [W, rows, 1].
        own: [W, rows, ..., 300, 1], each wavelength's light curves; None if all read the same. In a prepared table
            (`Stack.prepared`) the features of each wavelength, a list of [W, rows, ...].
        shared: [rows, ..., 300, channels], read by all: white light, or everything; or None.
        star: [rows, 6] or None.
    """

    radius: Any
    own: Any
    shared: Any
    star: Any

    @property
    def rows(self) -> int:
        return int(self.radius.shape[1])

    def take(self, index: Any) -> Self:
        """Return the rows of an index [n]."""
        index = tf.cast(index, tf.int64)  # a GPU computes addresses in the index's type, and tables exceed 2^31 numbers

        def rows(values: Any, axis: Any) -> Any:
            return tf.nest.map_structure(
                lambda each: None if each is None else tf.gather(each, index, axis=axis), values
            )

        return type(self)(rows(self.radius, 1), rows(self.own, 1), rows(self.shared, 0), rows(self.star, 0))

    @property
    def values(self) -> int:
        """Return how many numbers of light curves a row has for each wavelength, on average."""
        count = self.radius.shape[0]
        own = 0 if self.own is None else count * math.prod(self.own.shape[2:])
        return (own + (0 if self.shared is None else math.prod(self.shared.shape[1:]))) // count

    def inputs(self, own: Any) -> Any:
        """Return the inputs of one wavelength's model, or of its network, given its part of `own`."""
        if isinstance(own, list):
            return own
        parts = [part for part in (own, self.shared) if part is not None]
        flux = parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1)
        return {"flux": flux} if self.star is None else {"flux": flux, "star": self.star}

    def of(self, index: int) -> dict[str, Any]:
        """Return the inputs of the model of the index-th wavelength."""
        return self.inputs(None if self.own is None else self.own[index])


class StackedData:
    """The rows of a training of several wavelengths at once, each in the order of its own training.

    Args:
        source: open for all wavelengths that these read.
        configs: resolved; they differ only in wavelength, and the rows of each fit in memory.

    Attributes:
        train, validation: `Table`.
        statistics: statistics of each wavelength's training rows, from `dataset.statistics`.
    """

    def __init__(self, source: Source, configs: Sequence[TrainConfig]):
        self.source, self.configs, self.config = source, configs, configs[0]
        config = self.config
        rows = self._load("train")
        self.statistics = [
            dataset.statistics(source, config.selection("train"), {"flux": self._flux(rows, index)})
            for index, config in enumerate(configs)
        ]
        if config.needs_pass:
            size = dataset.prediction_batch_size(config.signature)
            for index, its in enumerate(self.statistics):
                its |= flux_pass(batches_of(self._flux(rows, index).numpy(), size), len(rows["key"]), config)
        self.train = self._table(rows)
        self.validation = self._table(self._load("validation"))

    def _load(self, role: Role) -> dict[str, tf.Tensor]:
        """Return rows of all wavelengths: flux [rows, ..., 300, wavelengths and white], radius [rows, wavelengths]."""
        together = self.config.replace(wavelength=Targets.each(config.wavelength.chosen[0] for config in self.configs))
        return dataset.load(self.source, together.selection(role))

    def _flux(self, rows: dict[str, tf.Tensor], index: int) -> tf.Tensor:
        """Return the channels of the index-th wavelength: [rows, ..., 300, channels]."""
        if self.config.channels == "all":
            return rows["flux"]
        columns = [index, len(self.configs)] if self.config.signature.white_light else [index]
        return tf.gather(rows["flux"], columns, axis=-1)

    def _table(self, rows: dict[str, tf.Tensor]) -> Table:
        count, flux = len(self.configs), rows["flux"]
        own = shared = None
        if self.config.channels == "all":
            shared = flux
        else:
            last = len(flux.shape) - 1
            own = tf.transpose(flux[..., :count], [last, *range(last)])[..., None]
            shared = flux[..., count:] if self.config.signature.white_light else None
        star = rows["star"] if self.config.star_names else None
        return Table(tf.transpose(rows["radius"])[..., None], own, shared, star)

    @property
    def steps(self) -> int:
        """Number of batches per epoch; the last one may be smaller."""
        return -(-self.train.rows // self.config.batch_size)

    def prepare(self, prepared: Callable[[Table], Table]) -> None:
        """Replace both tables by what a function, `Stack.prepared`, makes of them."""
        self.train = prepared(self.train)  # one after the other, so that memory never holds both twice
        self.validation = prepared(self.validation)

    def order(self, epoch: int) -> tf.Tensor:
        """Return the order of an epoch's rows: int32 [rows], that of a training of one wavelength."""
        return shuffling.permutation(self.train.radius.shape[1], tf.constant([self.config.seed, epoch], tf.int32))

    def batches(self, role: Role) -> Iterator[list[dict[str, Any]]]:
        """Return each wavelength's rows of the folds of a role, with keys, as lists of NumPy batches."""
        rows, size = self._load(role), dataset.prediction_batch_size(self.config.signature)
        for index in range(len(self.configs)):
            own = {name: rows[name].numpy() for name in ("key", "star")}
            own |= {name: rows[name].numpy()[:, index : index + 1] for name in ("radius", "scatter")}
            own["flux"] = self._flux(rows, index).numpy()
            starts = range(0, len(own["key"]), size)
            yield [{name: values[start : start + size] for name, values in own.items()} for start in starts]

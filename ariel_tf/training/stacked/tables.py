"""Rows of several wavelengths, for models that are trained side by side: in memory, or read from mapped files.

    Table         flux [W, rows, 300, 1] in memory                       --calls--> itself, and some steps of it
    MappedTable   positions in mapped files, in the order of an epoch    --calls--> a `Table` of the rows of some steps

Both give the same rows in the same order.
"""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Self

import numpy as np
import tensorflow as tf

from ariel_tf.data.graph import as_written
from ariel_tf.data.mapped_rows import MappedRows

# Approximate duration of a compiled call: a signal and the progress bar wait for its end.
CALL_SECONDS = 0.5
# Light curves that are read from mapped files for one call. Memory use is some four times as much: parts made ahead.
PART_BYTES = 32 << 20


class Call(NamedTuple):
    """Rows of one compiled call of some steps.

    Attributes:
        table: rows in memory, `Table`.
        order: order of these rows, int32 [rows].
        first, last: steps of this order; `last` is not one of them.
    """

    table: Any
    order: Any
    first: int
    last: int


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

    def calls(self, order: Any, batch_size: int) -> Iterator[Call]:
        """Yield all steps of an order of the rows, as many in each call as take about `CALL_SECONDS`.

        Args:
            order: int32 [rows].
            batch_size: rows per step.
        """
        order, steps = tf.convert_to_tensor(order, tf.int32), -(-self.rows // batch_size)
        first, count = 0, 4
        while first < steps:
            started, last = time.perf_counter(), min(first + count, steps)
            yield Call(self, order, first, last)
            count = max(1, int((last - first) * CALL_SECONDS / (time.perf_counter() - started)))
            first = last

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


class MappedTable:
    """Rows of all wavelengths in mapped files; those of the next call are read while one runs.

    Args:
        mapped: rows in the files.
        as_table: function from rows, as `MappedRows.read` returns them, to a `Table`.
    """

    def __init__(self, mapped: MappedRows, as_table: Callable[[dict[str, Any]], Table]):
        self._mapped, self._as_table = mapped, as_table
        self._places = mapped.in_key_order()

    @property
    def rows(self) -> int:
        return len(self._places)

    def take(self, index: Any) -> Table:
        """Return the rows of an index [n]."""
        rows = self._mapped.read(self._places[np.asarray(index)])
        return self._as_table({name: tf.constant(values) for name, values in rows.items()})

    def parts(self, order: Any, batch_size: int) -> Iterator[Table]:
        """Yield the rows of an order, those of whole steps and about `PART_BYTES` at a time.

        Raises:
            dataset.UNREADABLE: a row differs from what was written.
        """
        size = batch_size * max(1, PART_BYTES // (batch_size * self._mapped.row_bytes))
        places = tf.data.Dataset.from_tensor_slices(self._places[np.asarray(order)]).batch(size)
        yield from self._mapped.batches(places).map(as_written(self._as_table)).prefetch(1)

    def calls(self, order: Any, batch_size: int) -> Iterator[Call]:
        """Yield all steps of an order of the rows like `Table.calls`."""
        for table in self.parts(order, batch_size):
            yield from table.calls(tf.range(table.rows), batch_size)

"""Models of one architecture, one per wavelength, trained as one; each is trained exactly as it would be alone.

    weights   [W, ...]                      a leading wavelength axis on every weight, optimiser slot, constant
    batch     own flux [W, B, ..., 300, 1]  the same B rows for all, each wavelength's own column of them
    features  [W, rows, ...]                what precedes the weights, computed once for all epochs (`features.py`)
    one step  tf.vectorized_map over W of:  forward, loss, gradient       (ordinary Keras of one model)
              optimizer.apply(gradients)    element-wise, so a stacked weight is W weights side by side

Many small matrix products become few batched ones; nothing else changes. The sum of W losses has the gradients of the W
losses; Adam, Nadam, RMSprop and SGD update every number independently; and order, initial weights and dropout do not
depend on the wavelength. Anything that acts on all weights together is refused, and a check at construction compares
the stack's outputs with each model's.

Epochs run as a compiled loop over rows in memory rather than through Keras's `fit`: `fit` costs 50-180 ms per epoch and
a call of Python per step, and its metrics are one number each instead of one per wavelength.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ariel_tf.challenge import PERFECT_SCORE, PPM
from ariel_tf.data import arrays
from ariel_tf.models.losses import ArielScore, RadiusLoss
from ariel_tf.training import distribute
from ariel_tf.training.stacked import layers
from ariel_tf.training.stacked.features import FEATURE_ROWS, halves
from ariel_tf.training.stacked.layers import NotStackable
from ariel_tf.training.stacked.tables import MappedTable, Table
from ariel_tf.training.stacked.variables import StackedVariables, random_layers


class Sums(NamedTuple):
    """Loss and score of each wavelength over an epoch's rows: float64 [W]."""

    loss: np.ndarray
    score: np.ndarray


class Stack:
    """W models as one.

    Args:
        models: built models of one architecture, compiled with `RadiusLoss`, with inputs "flux" and optionally "star",
            made in the scope of a strategy; several devices then share each batch's rows.
        sample: a few rows for the check.
        fused: whether the weights are updated in one pass.
        batch_size: rows per step. The features of no more rows are computed at once: `memory.needed` estimates the
            memory of a batch.

    Attributes:
        variables: weights, optimiser and constants of all models.

    Raises:
        NotStackable: the models have an operation that cannot be vectorised, or the outputs of the stack differ.
    """

    def __init__(
        self, models: Sequence[keras.Model], sample: Table, fused: bool = True, batch_size: int = FEATURE_ROWS
    ):
        layers.refuse_unstackable(models[0])
        self.models, self.strategy = models, models[0].distribute_strategy
        self._feature_rows = min(batch_size, FEATURE_ROWS)
        with self.strategy.scope():
            self.variables = StackedVariables(models, fused)
            self._score = ArielScore(models[0].loss.head)
            self._scale = tf.stack([tf.reshape(tf.constant(model.loss.scale, tf.float64), [-1]) for model in models])
        self._traced: dict[Any, Any] = {}
        # Larger features would not fit in the memory that rows may take.
        split = halves(self.variables.template, sample.values // 2)
        self._features: keras.Model | None = None
        if split:
            self._features, self.template = split
            with contextlib.suppress(NotStackable):
                self._check(sample)
                return
            self._features = None  # they depend on the whole batch, or have other rows: instances of all planets
        self.template = self.variables.template
        self._check(sample)

    def _check(self, sample: Table) -> None:
        """Compare the stack's outputs with each model's own."""
        try:
            rows = self.prepared(sample)
            received = tf.function(self._answers, autograph=False).get_concrete_function(rows)(rows).numpy()
        except (ValueError, NotImplementedError, tf.errors.OpError) as error:
            # An operation without a vectorised form raises one of the first two while traced, or the third when run.
            reason = str(error).splitlines()[0]
            raise NotStackable(
                f"model {self.template.name} can't be trained as a stack: {reason}. Take --stack no."
            ) from error
        expected = np.stack([model(sample.of(i), training=False).numpy() for i, model in enumerate(self.models)])
        if received.shape != expected.shape:
            raise NotStackable(
                f"model {self.template.name} can't be trained as a stack: its outputs in the stack have shape "
                f"{list(received.shape)}, alone {list(expected.shape)}. Take --stack no."
            )
        apart = np.abs(received - expected).max(axis=(1, 2))
        if not (apart <= 1e-4 * np.abs(expected).max()).all():
            raise NotStackable(
                f"model {self.template.name} can't be trained as a stack: the outputs of model "
                f"{int(np.argmax(apart))} in the stack and alone differ by {apart.max():.3g}. Take --stack no."
            )

    def prepared(self, table: Table | MappedTable) -> Table | MappedTable:
        """Return a table with the models' features in place of light curves, or the same table if they have none.

        It is on the GPU if there is one, unless its rows are in mapped files.
        """
        if self._features is not None:
            table = self._featured(table)
        if isinstance(table, MappedTable) or not tf.config.list_logical_devices("GPU"):
            return table
        return tf.nest.map_structure(lambda values: None if values is None else tf.identity(values), table)

    def _featured(self, table: Table | MappedTable) -> Table:
        """Return a table of the features of all rows, in memory."""
        held: list[np.ndarray] = []
        size, filled = self._feature_rows, 0
        for call in table.calls(np.arange(table.rows), size):
            for step in range(call.first, call.last):
                index = call.order[step * size : (step + 1) * size]
                count = len(index)
                index = tf.pad(index, [[0, size - count]], constant_values=index[-1])  # one size, one trace
                parts = self._call(self._features_of, call.table, index)
                if not held:
                    held = [_rows_like(part, table.rows) for part in parts]
                for values, part in zip(held, parts, strict=True):
                    values[:, filled : filled + count] = part[:, :count].numpy()
                filled += count
        radius, *own = map(arrays.as_tensor, held)
        return Table(radius, own, None, None)

    def _call(self, function: Callable, table: Table, *others: Any) -> Any:
        """Call a function as a graph, which is traced once for tables of any number of rows."""
        specs = [tf.TensorSpec(other.shape, other.dtype) for other in others]
        if function == self._train_steps:
            specs[0] = tf.TensorSpec([None], tf.int32)  # the order of the rows
        arguments = (_any_rows(table), *specs)
        key = (function.__name__, *tf.nest.flatten(arguments))
        if key not in self._traced:
            self._traced[key] = tf.function(function, autograph=False).get_concrete_function(*arguments)
        return self._traced[key](table, *others)

    # One wavelength: everything in this part is ordinary Keras of one model.

    def _forward(
        self, part: dict[str, Any], batch: Table, seeds: list[Any], training: bool
    ) -> tuple[Any, list[Any], list[Any], list[Any]]:
        """Return output [B, 1], new state, new seeds, and losses of layers for one wavelength."""
        left, random = iter(part["state"]), iter(seeds)
        state = [next(random) if is_seed else next(left) for is_seed in self.variables.is_seed]
        with self.variables.holding(part["constants"]):
            output, state, losses = self.template.stateless_call(
                part["weights"], state, batch.inputs(part.get("own")), training=training, return_losses=True
            )
        own = [new for new, is_seed in zip(state, self.variables.is_seed, strict=True) if not is_seed]
        drawn = [new for new, is_seed in zip(state, self.variables.is_seed, strict=True) if is_seed]
        return output, own, drawn, losses

    def _measure(self, part: dict[str, Any], output: Any) -> tuple[Any, Any]:
        """Return mean loss and sum of score errors of one wavelength's batch."""
        head, kind = self.models[0].loss.head, self.models[0].loss.kind
        loss = RadiusLoss(kind, head, part["scale"], dtype=self.models[0].loss.dtype)(part["radius"], output)
        loss = loss * self.strategy.num_replicas_in_sync  # by which Keras divides; shares are weighed exactly below
        zero = tf.zeros([], self._score.dtype)
        error, _ = self._score.stateless_update_state([zero, zero], part["radius"], output)
        return loss, error

    # All wavelengths.

    def _split(self, batch: Table) -> dict[str, Any]:
        """Return the values that differ between wavelengths, each with a leading axis W."""
        parts = {
            "weights": [tf.convert_to_tensor(variable.value) for variable in self.variables.weights],
            "state": [tf.convert_to_tensor(variable.value) for variable in self.variables.state],
            "constants": [values for _, _, values in self.variables.constants],
            "scale": self._scale,
            "radius": batch.radius,
        }
        return parts if batch.own is None else parts | {"own": batch.own}

    def _map(self, function: Callable, batch: Table) -> Any:
        # A while loop over wavelengths, TensorFlow's fallback, would be slower than models one by one.
        return tf.vectorized_map(function, self._split(batch), fallback_to_while_loop=False)

    def _features_of(self, table: Table, index: Any) -> list[Any]:
        """Return radius and features of rows, each [W, n, ...]."""
        batch, features = table.take(index), self._features
        assert features is not None

        def one(part: dict[str, Any]) -> list[Any]:
            with self.variables.holding(part["constants"]):
                return keras.tree.flatten(features(batch.inputs(part.get("own")), training=False))

        return [batch.radius, *self._map(one, batch)]

    def _answers(self, batch: Table) -> Any:
        return self._map(lambda part: self._forward(part, batch, self.variables.seeds(), False)[0], batch)

    def _train_one_step(self, batch: Table, share: Any) -> tuple[Any, Any]:
        """Update all weights by one step; return loss and score errors [W] of the whole batch.

        Args:
            batch: this device's rows.
            share: fraction of the whole batch on this device, so that the devices' losses add up to its mean.
        """
        seeds = self.variables.seeds()

        def one(part: dict[str, Any]) -> tuple[Any, ...]:
            with tf.GradientTape() as tape:
                tape.watch(part["weights"])
                output, state, drawn, extra = self._forward(part, batch, seeds, True)
                loss, error = self._measure(part, output)
                loss = share * tf.add_n([loss, *extra])
            return tape.gradient(loss, part["weights"]), state, drawn, loss, error

        gradients, state, drawn, loss, error = self._map(one, batch)
        gradients, loss, error = distribute.all_reduce_sum((gradients, loss, error))
        self.variables.optimizer.apply(gradients, self.variables.weights)
        for variable, value in zip(self.variables.state, state, strict=True):
            variable.assign(value)
        for (_, generator), values in zip(random_layers(self.template), drawn, strict=True):
            generator.state.assign(values[0])  # all drew the same
        return loss, error

    def _test_one_step(self, batch: Table, share: Any) -> Any:
        def one(part: dict[str, Any]) -> tuple[Any, ...]:
            output, _, _, extra = self._forward(part, batch, self.variables.seeds(), False)
            loss, error = self._measure(part, output)
            return share * tf.add_n([loss, *extra]), error

        return distribute.all_reduce_sum(self._map(one, batch))

    def _on_devices(self, step: Callable, table: Table, index: Any) -> Any:
        """Run a step on each device's share of the rows."""

        def own(index: Any) -> Any:
            mine, share = distribute.replica_slice(index)
            return step(table.take(mine), tf.cast(share, table.radius.dtype))

        found = self.strategy.run(own, (index,))
        return [self.strategy.experimental_local_results(values)[0] for values in found]

    def _loop(self, step: Callable, table: Table, order: Any, batch_size: int, first: Any, last: Any) -> Any:
        """Return sums over steps `first` ... `last` - 1 of loss x rows, and of score errors: float64 [2, W]."""

        def body(number: Any, sums: Any) -> tuple[Any, Any]:
            index = order[number * batch_size : (number + 1) * batch_size]
            loss, error = self._on_devices(step, table, index)
            loss = tf.cast(loss, tf.float64) * tf.cast(tf.size(index), tf.float64)
            return number + 1, sums + tf.stack([loss, tf.cast(error, tf.float64)])

        start = (first, tf.zeros([2, len(self.models)], tf.float64))
        return tf.while_loop(lambda number, _: number < last, body, start, parallel_iterations=1)[1]

    def _train_steps(self, table: Table, order: Any, batch_size: int, first: Any, last: Any) -> Any:
        return self._loop(self._train_one_step, table, order, batch_size, first, last)

    def _test_rows(self, table: Table, batch_size: int) -> Any:
        rows = tf.shape(table.radius)[1]
        steps = (rows + batch_size - 1) // batch_size
        return self._loop(self._test_one_step, table, tf.range(rows), batch_size, 0, steps)

    def train(self, table: Table, order: tf.Tensor, batch_size: int, first: int, last: int) -> np.ndarray:
        """Train the batches `first` ... `last` - 1 of an order of the rows.

        Args:
            table: all rows of the order.
            order: order of the rows, int32 [rows].

        Returns:
            Sums of loss x rows and of score errors, float64 [2, W]; `sums` takes their totals over the epoch.
        """
        return self._call(self._train_steps, table, order, *map(tf.constant, (batch_size, first, last))).numpy()

    def test(self, table: Table | MappedTable, batch_size: int) -> Sums:
        """Return loss and score of all rows, without training."""
        if isinstance(table, Table):
            return self.sums(self._test(table, batch_size), table.rows)
        parts = [self._test(part, batch_size) for part in table.parts(np.arange(table.rows), batch_size)]
        return self.sums(np.sum(parts, axis=0), table.rows)

    def _test(self, table: Table, batch_size: int) -> np.ndarray:
        return self._call(self._test_rows, table, tf.constant(batch_size)).numpy()

    @staticmethod
    def sums(added: np.ndarray, rows: int) -> Sums:
        loss, error = added / rows
        return Sums(loss, PERFECT_SCORE - PPM * error)


def _any_rows(table: Table) -> Table:
    """Return the specification of a table with any number of rows."""

    def spec(values: Any, axis: int) -> Any:
        shape = [None if place == axis else size for place, size in enumerate(values.shape)]
        return tf.TensorSpec(shape, values.dtype)

    def specs(part: Any, axis: int) -> Any:
        return tf.nest.map_structure(lambda values: None if values is None else spec(values, axis), part)

    return Table(specs(table.radius, 1), specs(table.own, 1), specs(table.shared, 0), specs(table.star, 0))


def _rows_like(part: tf.Tensor, rows: int) -> np.ndarray:
    """Return an empty array for values of this many rows, like those of a part, [W, n, ...]."""
    return arrays.empty((part.shape[0], rows, *part.shape[2:]), np.dtype(part.dtype.as_numpy_dtype))

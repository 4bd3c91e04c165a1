"""Models of one architecture, one per wavelength, trained as one; each is trained exactly as it would be alone.

    weights   [W, ...]                      a leading wavelength axis on every weight, optimiser slot, constant
    batch     own flux [W, B, ..., 300, 1]  the same B rows for all, each wavelength's own column of them
    one step  tf.vectorized_map over W of:  forward, loss, gradient       (ordinary Keras of one model)
              optimizer.apply(gradients)    element-wise, so a stacked weight is W weights side by side

Many small matrix products become few batched ones; nothing else changes. The sum of W losses has the gradients of the W
losses; Adam, Nadam, RMSprop and SGD update every number independently; and order, initial weights and dropout do not
depend on the wavelength. Anything that acts on all weights together is refused, and a check at construction compares
the stack's outputs with each model's.

Epochs run as a compiled loop over rows in memory rather than through Keras's `fit`: `fit` costs 50-180 ms per epoch and
a call of Python per step, and its metrics are one number each instead of one per wavelength.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import h5py
import keras
import numpy as np
import tensorflow as tf

from ariel_tf.challenge import PERFECT_SCORE, PPM
from ariel_tf.core.errors import DataError
from ariel_tf.models.losses import ArielScore, RadiusLoss
from ariel_tf.runs.model_file import check_weights_file
from ariel_tf.training import distribute, fused_update
from ariel_tf.training.callbacks import random_state
from ariel_tf.training.stacked import layers
from ariel_tf.training.stacked.data import Table
from ariel_tf.training.stacked.layers import NotStackable


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

    Attributes:
        learning_rate: learning rate of the current step.

    Raises:
        NotStackable: the models have an operation that cannot be vectorised, or the outputs of the stack differ.
    """

    def __init__(self, models: Sequence[keras.Model], sample: Table, fused: bool = True):
        layers.refuse_unstackable(models[0])
        self._fused = fused
        self.models, self.strategy = models, models[0].distribute_strategy
        with self.strategy.scope():
            self._build()
        self._train = tf.function(self._train_steps, autograph=False)
        self._test = tf.function(self._test_rows, autograph=False)
        self._check(sample)

    def _build(self) -> None:
        models = self.models
        self.template = keras.models.clone_model(models[0], clone_function=layers.stand_in)
        self._score = ArielScore(models[0].loss.head)
        self._originals = dict(self._pairs())
        seeds = [id(generator.state) for _, generator in random_layers(self.template)]
        self._is_seed = [id(variable) in seeds for variable in self.template.non_trainable_variables]
        own = [v for v, seed in zip(self.template.non_trainable_variables, self._is_seed, strict=True) if not seed]
        self._parts = [*self.template.trainable_variables, *own]
        self.weights = [self._stacked(variable, True) for variable in self.template.trainable_variables]
        self.state = [self._stacked(variable, False) for variable in own]
        # From NumPy: given another variable's value, Keras would make the two one.
        self.best = [keras.Variable(v.numpy(), trainable=False, dtype=v.dtype) for v in [*self.weights, *self.state]]
        self._constants = list(self._stacked_constants())
        self._scale = tf.stack([tf.reshape(tf.constant(model.loss.scale, tf.float64), [-1]) for model in models])
        self.optimizer = type(models[0].optimizer).from_config(models[0].optimizer.get_config())
        if self._fused:
            fused_update.fuse(self.optimizer)
        self.optimizer.build(self.weights)
        distribute.expect_summed_gradients(self.optimizer)

    @property
    def learning_rate(self) -> float:
        return float(keras.ops.convert_to_numpy(self.optimizer.learning_rate))

    def _pairs(self) -> Iterator[tuple[int, list[keras.Variable]]]:
        """Yield the id of each variable of the template, and the variables of the models that it represents."""
        for layer in self.template.layers:
            for index, variable in enumerate(layer.variables):
                yield id(variable), [model.get_layer(layer.name).variables[index] for model in self.models]

    def _stacked(self, variable: keras.Variable, trainable: bool) -> keras.Variable:
        values = np.stack([original.numpy() for original in self._originals[id(variable)]])
        return keras.Variable(values, trainable=trainable, dtype=variable.dtype, name=variable.name)

    def _stacked_constants(self) -> Iterator[tuple[keras.layers.Layer, str, tf.Tensor]]:
        for layer in self.template.layers:
            for name in layers.constants_of(layer):
                values = [getattr(model.get_layer(layer.name), name) for model in self.models]
                # Cast as the layer itself does, so that both round alike.
                yield layer, name, tf.stack([keras.ops.cast(value, layer.compute_dtype) for value in values])

    def _check(self, sample: Table) -> None:
        """Compare the stack's outputs with each model's own."""
        try:
            received = tf.function(self._answers, autograph=False).get_concrete_function(sample)(sample).numpy()
        except (ValueError, NotImplementedError, tf.errors.OpError) as error:
            # An operation without a vectorised form raises one of the first two while traced, or the third when run.
            reason = str(error).splitlines()[0]
            raise NotStackable(
                f"model {self.template.name} can't be trained as a stack: {reason}. Take --stack no."
            ) from error
        expected = np.stack([model(sample.of(i), training=False).numpy() for i, model in enumerate(self.models)])
        apart = np.abs(received - expected).max(axis=(1, 2))
        if not (apart <= 1e-4 * np.abs(expected).max()).all():
            raise NotStackable(
                f"model {self.template.name} can't be trained as a stack: the outputs of model "
                f"{int(np.argmax(apart))} in the stack and alone differ by {apart.max():.3g}. Take --stack no."
            )

    # One wavelength: everything in this part is ordinary Keras of one model.

    def _forward(
        self, part: dict[str, Any], batch: Table, seeds: list[Any], training: bool
    ) -> tuple[Any, list[Any], list[Any], list[Any]]:
        """Return output [B, 1], new state, new seeds, and losses of layers for one wavelength."""
        left, random = iter(part["state"]), iter(seeds)
        state = [next(random) if is_seed else next(left) for is_seed in self._is_seed]
        with self._holding(part["constants"]):
            output, state, losses = self.template.stateless_call(
                part["weights"], state, batch.inputs(part.get("own")), training=training, return_losses=True
            )
        own = [new for new, is_seed in zip(state, self._is_seed, strict=True) if not is_seed]
        drawn = [new for new, is_seed in zip(state, self._is_seed, strict=True) if is_seed]
        return output, own, drawn, losses

    @contextmanager
    def _holding(self, values: Sequence[Any]) -> Iterator[None]:
        """Give the template the constants of one wavelength while it is traced in this block."""
        before = [getattr(layer, name) for layer, name, _ in self._constants]
        try:
            for (layer, name, _), value in zip(self._constants, values, strict=True):
                setattr(layer, name, value)
            yield
        finally:
            for (layer, name, _), value in zip(self._constants, before, strict=True):
                setattr(layer, name, value)

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
            "weights": [tf.convert_to_tensor(variable.value) for variable in self.weights],
            "state": [tf.convert_to_tensor(variable.value) for variable in self.state],
            "constants": [values for _, _, values in self._constants],
            "scale": self._scale,
            "radius": batch.radius,
        }
        return parts if batch.own is None else parts | {"own": batch.own}

    def _map(self, function: Callable, batch: Table) -> Any:
        # A while loop over wavelengths, TensorFlow's fallback, would be slower than models one by one.
        return tf.vectorized_map(function, self._split(batch), fallback_to_while_loop=False)

    def _seeds(self) -> list[Any]:
        return [tf.convert_to_tensor(generator.state.value) for _, generator in random_layers(self.template)]

    def _answers(self, batch: Table) -> Any:
        return self._map(lambda part: self._forward(part, batch, self._seeds(), False)[0], batch)

    def _train_one_step(self, batch: Table, share: Any) -> tuple[Any, Any]:
        """Update all weights by one step; return loss and score errors [W] of the whole batch.

        Args:
            batch: this device's rows.
            share: fraction of the whole batch on this device, so that the devices' losses add up to its mean.
        """
        seeds = self._seeds()

        def one(part: dict[str, Any]) -> tuple[Any, ...]:
            with tf.GradientTape() as tape:
                tape.watch(part["weights"])
                output, state, drawn, extra = self._forward(part, batch, seeds, True)
                loss, error = self._measure(part, output)
                loss = share * tf.add_n([loss, *extra])
            return tape.gradient(loss, part["weights"]), state, drawn, loss, error

        gradients, state, drawn, loss, error = self._map(one, batch)
        gradients, loss, error = distribute.all_reduce_sum((gradients, loss, error))
        self.optimizer.apply(gradients, self.weights)
        for variable, value in zip(self.state, state, strict=True):
            variable.assign(value)
        for (_, generator), values in zip(random_layers(self.template), drawn, strict=True):
            generator.state.assign(values[0])  # all drew the same
        return loss, error

    def _test_one_step(self, batch: Table, share: Any) -> Any:
        def one(part: dict[str, Any]) -> tuple[Any, ...]:
            output, _, _, extra = self._forward(part, batch, self._seeds(), False)
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
        """Train the batches `first` ... `last` - 1 of an epoch.

        Args:
            table: all rows.
            order: order of the rows in the epoch, int32 [rows].

        Returns:
            Sums of loss x rows and of score errors, float64 [2, W]; `sums` takes their totals over the epoch.
        """
        return self._train(table, order, *map(tf.constant, (batch_size, first, last))).numpy()

    def test(self, table: Table, batch_size: int) -> Sums:
        """Return loss and score of all rows, without training."""
        return self.sums(self._test(table, tf.constant(batch_size)).numpy(), table)

    @staticmethod
    def sums(added: np.ndarray, table: Table) -> Sums:
        loss, error = added / table.radius.shape[1]
        return Sums(loss, PERFECT_SCORE - PPM * error)

    # What comes before and after an epoch.

    def reseed(self, seed: int, epoch: int) -> None:
        """Set the generators of random layers as `callbacks.Reseed` does for a single model."""
        states = {name: random_state(seed, epoch, index) for index, name in self._random_indices()}
        for name, generator in random_layers(self.template):
            generator.state.assign(states[name].astype(generator.state.dtype))

    def _random_indices(self) -> Iterator[tuple[int, str]]:
        for index, layer in enumerate(self.models[0]._flatten_layers()):
            if getattr(layer, "seed_generator", None) is not None:
                yield index, layer.name

    def keep_best(self, which: np.ndarray) -> None:
        """Store the weights of these wavelengths (bool [W]) as their best."""
        for best, variable in zip(self.best, [*self.weights, *self.state], strict=True):
            chosen = tf.reshape(which, [-1] + [1] * (len(variable.shape) - 1))
            best.assign(tf.where(chosen, variable.value, best.value))

    def finite(self) -> np.ndarray:
        """Return whether all weights of each wavelength are finite: bool [W]."""
        found = [np.isfinite(v.numpy()).reshape(len(self.models), -1).all(axis=1) for v in self.weights]
        return np.logical_and.reduce(found)

    def take_out_best(self) -> None:
        """Copy the best weights of each wavelength to its own model."""
        for part, best in zip(self._parts, self.best, strict=True):
            for original, value in zip(self._originals[id(part)], best.numpy(), strict=True):
                original.assign(value)

    def _kept(self) -> list[Any]:
        return [*self.weights, *self.state, *self.best, *self.optimizer.variables]

    def save(self, target: Path | BinaryIO) -> None:
        """Write weights, best weights and optimiser as HDF5."""
        with h5py.File(target, "w") as file:
            for index, variable in enumerate(self._kept()):
                file.create_dataset(f"{index:04d}", data=variable.numpy())

    def load(self, path: Path) -> None:
        """Back from `save`; DataError where the file does not fit."""
        check_weights_file(path)
        try:
            with h5py.File(path) as file:
                for index, variable in enumerate(self._kept()):
                    variable.assign(file[f"{index:04d}"][()])
        except (KeyError, OSError, ValueError) as error:
            raise DataError(f"{path}: does not fit the models ({str(error).splitlines()[0]}).") from error


def random_layers(model: keras.Model) -> list[tuple[str, Any]]:
    """Return names and seed generators of the layers that draw random numbers."""
    found = [(layer.name, getattr(layer, "seed_generator", None)) for layer in model._flatten_layers()]
    return [(name, generator) for name, generator in found if generator is not None]

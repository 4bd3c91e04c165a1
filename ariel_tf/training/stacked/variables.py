"""Variables of models of one architecture, side by side: every weight, optimiser slot and constant is [W, ...]."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import keras
import numpy as np
import tensorflow as tf

from ariel_tf.core.errors import DataError
from ariel_tf.runs.model_file import check_weights_file
from ariel_tf.training import distribute, fused_update
from ariel_tf.training.callbacks import random_state
from ariel_tf.training.stacked import layers


class StackedVariables:
    """Variables of W models of one architecture; to be created in the scope of the models' strategy.

    Args:
        models: built and compiled models.
        fused: whether the weights are updated in one pass over memory.

    Attributes:
        template: one model, whose layers represent those of all models.
        weights: trainable variables, [W, ...].
        state: non-trainable variables, [W, ...], except those of random layers.
        best: weights and state of each wavelength's best epoch, [W, ...].
        is_seed: for each non-trainable variable of the template, whether it belongs to a random layer.
        constants: layer, name and values [W, ...] of each constant that a layer has beside its variables.
        optimizer: optimiser of the weights.
    """

    def __init__(self, models: Sequence[keras.Model], fused: bool = True):
        self._models = models
        self.template = keras.models.clone_model(models[0], clone_function=layers.stand_in)
        self._originals = dict(self._pairs())
        seeds = [id(generator.state) for _, generator in random_layers(self.template)]
        self.is_seed = [id(variable) in seeds for variable in self.template.non_trainable_variables]
        own = [v for v, seed in zip(self.template.non_trainable_variables, self.is_seed, strict=True) if not seed]
        self._parts = [*self.template.trainable_variables, *own]
        self.weights = [self._stacked(variable, True) for variable in self.template.trainable_variables]
        self.state = [self._stacked(variable, False) for variable in own]
        # From NumPy: given the value of another variable, Keras would let both share it.
        self.best = [keras.Variable(v.numpy(), trainable=False, dtype=v.dtype) for v in [*self.weights, *self.state]]
        self.constants = list(self._stacked_constants())
        self.optimizer = type(models[0].optimizer).from_config(models[0].optimizer.get_config())
        if fused:
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
                yield id(variable), [model.get_layer(layer.name).variables[index] for model in self._models]

    def _stacked(self, variable: keras.Variable, trainable: bool) -> keras.Variable:
        values = np.stack([original.numpy() for original in self._originals[id(variable)]])
        return keras.Variable(values, trainable=trainable, dtype=variable.dtype, name=variable.name)

    def _stacked_constants(self) -> Iterator[tuple[keras.layers.Layer, str, tf.Tensor]]:
        for layer in self.template.layers:
            for name in layers.constants_of(layer):
                values = [getattr(model.get_layer(layer.name), name) for model in self._models]
                # Cast as the layer itself does, so that both round alike.
                yield layer, name, tf.stack([keras.ops.cast(value, layer.compute_dtype) for value in values])

    @contextmanager
    def holding(self, values: Sequence[Any]) -> Iterator[None]:
        """Give the template the constants of one wavelength while it is traced in this block."""
        before = [getattr(layer, name) for layer, name, _ in self.constants]
        try:
            for (layer, name, _), value in zip(self.constants, values, strict=True):
                setattr(layer, name, value)
            yield
        finally:
            for (layer, name, _), value in zip(self.constants, before, strict=True):
                setattr(layer, name, value)

    def seeds(self) -> list[Any]:
        """Return the states of the random layers' generators."""
        return [tf.convert_to_tensor(generator.state.value) for _, generator in random_layers(self.template)]

    def reseed(self, seed: int, epoch: int) -> None:
        """Set the generators of random layers as `callbacks.Reseed` does for a single model."""
        states = {name: random_state(seed, epoch, index) for index, name in self._random_indices()}
        for name, generator in random_layers(self.template):
            generator.state.assign(states[name].astype(generator.state.dtype))

    def _random_indices(self) -> Iterator[tuple[int, str]]:
        for index, layer in enumerate(self._models[0]._flatten_layers()):
            if getattr(layer, "seed_generator", None) is not None:
                yield index, layer.name

    def keep_best(self, which: np.ndarray) -> None:
        """Store the weights of these wavelengths (bool [W]) as their best."""
        for best, variable in zip(self.best, [*self.weights, *self.state], strict=True):
            chosen = tf.reshape(which, [-1] + [1] * (len(variable.shape) - 1))
            best.assign(tf.where(chosen, variable.value, best.value))

    def finite(self) -> np.ndarray:
        """Return whether all weights of each wavelength are finite: bool [W]."""
        found = [np.isfinite(v.numpy()).reshape(len(self._models), -1).all(axis=1) for v in self.weights]
        return np.logical_and.reduce(found)

    def take_out_best(self) -> None:
        """Copy the best weights of each wavelength to its own model."""
        for part, best in zip(self._parts, self.best, strict=True):
            for original, value in zip(self._originals[id(part)], best.numpy(), strict=True):
                original.assign(value)

    def kept(self) -> list[Any]:
        """Return all variables that `save` writes."""
        return [*self.weights, *self.state, *self.best, *self.optimizer.variables]

    def save(self, target: Path | BinaryIO) -> None:
        """Write weights, best weights and optimiser as HDF5."""
        with h5py.File(target, "w") as file:
            for index, variable in enumerate(self.kept()):
                file.create_dataset(f"{index:04d}", data=variable.numpy())

    def load(self, path: Path) -> None:
        """Read what `save` wrote.

        Raises:
            DataError: the file is damaged or belongs to other models.
        """
        check_weights_file(path)
        try:
            with h5py.File(path) as file:
                for index, variable in enumerate(self.kept()):
                    variable.assign(file[f"{index:04d}"][()])
        except (KeyError, OSError, ValueError) as error:
            raise DataError(f"{path}: does not fit the models ({str(error).splitlines()[0]}).") from error


def random_layers(model: keras.Model) -> list[tuple[str, Any]]:
    """Return names and seed generators of the layers that draw random numbers."""
    found = [(layer.name, getattr(layer, "seed_generator", None)) for layer in model._flatten_layers()]
    return [(name, generator) for name, generator in found if generator is not None]

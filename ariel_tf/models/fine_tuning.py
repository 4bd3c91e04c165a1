"""Train a model further from saved weights; freeze its backbone in the first epochs, then train it slowly."""

from collections.abc import Callable
from dataclasses import dataclass

import keras

from ariel_tf.core.errors import UsageError
from ariel_tf.models.losses import predicted_radius


@dataclass
class FineTuning:
    """A backbone that is frozen for some epochs and trained afterwards.

    Attributes:
        epoch: number of frozen epochs.
        fine_rate: factor of the learning rate from then on.
        backbone: frozen layers, until `unfrozen`.
        compile: function that compiles with a fraction of the learning rate and a new optimiser.
    """

    epoch: int
    fine_rate: float
    backbone: keras.Model
    compile: Callable[[float], None]
    unfrozen: bool = False

    def set(self, unfrozen: bool) -> None:
        """Unfreeze or freeze the backbone; does nothing if it is already in that state."""
        if unfrozen == self.unfrozen:
            return
        self.unfrozen = unfrozen
        self.backbone.trainable = unfrozen
        if unfrozen:
            for layer in self.backbone.layers:
                # Layers that are not trained keep their statistics too, which our small batches would spoil.
                layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
        self.compile(self.fine_rate if unfrozen else 1.0)


def continued(start: keras.Model, expected: keras.Model, head: str) -> keras.Model:
    """Return a model to train, made of the layers of a saved model.

    Args:
        start: saved model, from raw input to radii.
        expected: untrained model of the same configuration.
        head: head of both models, "radius" or "depth".

    Raises:
        UsageError: their weights differ in shape.
    """
    if [weight.shape for weight in start.weights] != [weight.shape for weight in expected.weights]:
        raise UsageError(f"--init-from: the weights that were saved are not those of a model {expected.name}.")
    one = keras.Input((1,))
    (output,) = start.outputs
    for _ in keras.Model(one, predicted_radius(one, head)).operations[1:]:
        output = output._keras_history.operation.input
    return keras.Model({tensor.name: tensor for tensor in start.inputs}, output, name=start.name)


def trunk_of(model: keras.Model) -> keras.Model:
    """Return the part of a model before its last layers, after which there is no other layer with weights.

    Raises:
        UsageError: no layer with weights is left in that part.
    """
    last = [layer for layer in model.layers if layer.weights and not _followed(layer)]
    trunk = keras.Model(model.inputs, [layer.input for layer in last])
    if not trunk.weights:
        raise UsageError(f"--set frozen_epochs: the model {model.name} has no layers before its last ones.")
    return trunk


def _followed(layer: keras.layers.Layer) -> bool:
    """Return whether a layer with weights comes after this one."""
    found = list(layer._outbound_nodes)
    while found:
        operation = found.pop().operation
        if getattr(operation, "weights", None):
            return True
        found += operation._outbound_nodes
    return False

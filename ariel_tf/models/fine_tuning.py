"""A pretrained backbone that is frozen for the first epochs and then trained at a lower learning rate."""

from collections.abc import Callable
from dataclasses import dataclass

import keras


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

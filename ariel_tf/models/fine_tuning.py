"""A pretrained backbone that is frozen for the first epochs and then trained at a lower learning rate."""

from collections.abc import Callable
from dataclasses import dataclass

import keras


@dataclass
class FineTuning:
    """A backbone that is frozen for some epochs, then trained too.

    Attributes:
        epoch: how many epochs are frozen.
        fine_rate: of the learning rate, from then on.
        backbone: frozen now, unless `unfrozen`.
        compile: with a fraction of the learning rate, and an optimiser that starts from nothing.
    """

    epoch: int
    fine_rate: float
    backbone: keras.Model
    compile: Callable[[float], None]
    unfrozen: bool = False

    def set(self, unfrozen: bool) -> None:
        """Unfreeze or freeze it; nothing happens if it already is."""
        if unfrozen == self.unfrozen:
            return
        self.unfrozen = unfrozen
        self.backbone.trainable = unfrozen
        if unfrozen:
            for layer in self.backbone.layers:
                # Layers that are not trained keep their statistics too, which small batches of ours would ruin.
                layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
        self.compile(self.fine_rate if unfrozen else 1.0)

"""What a model does to raw light curves first: layers of the model itself, saved with it.

Their constants come from the training folds only, through the manifest's sums. Every transform is made
of Keras's own layers, so a saved model needs none of our code.
"""

import keras
import numpy as np

# The organisers' baseline: (x - 1) / 0.04.
BASELINE_SCALE = 0.04


def transform_flux(x, name: str, statistics):
    """Scale light curves.

    Args:
        x: symbolic float32 [batch, steps, channels], or with one axis more.
        name: none or a key of `TRANSFORMS`.
        statistics: `Statistics` of the training folds, arrays in the layout of a row of `x`.

    Returns:
        symbolic float32 of the shape of `x`.
    """
    if name == "none":
        return x
    offset, scale = TRANSFORMS[name](statistics)
    shape = statistics.mean.shape
    return affine(x, np.broadcast_to(offset, shape), np.broadcast_to(scale, shape), name="transform")


def affine(x, offset: np.ndarray, scale: np.ndarray, name: str):
    """(x - offset) / scale by column; a column that never varies becomes 0, not infinite.

    Always float32: in half precision a depth of .001 would drown in the rounding of fluxes near 1.
    """
    scale = np.where(scale > 0, scale, 1.0)
    axes = tuple(range(1, len(x.shape)))
    layer = keras.layers.Normalization(axis=axes, mean=offset, variance=np.square(scale), dtype="float32", name=name)
    return layer(x)


TRANSFORMS = {
    # (x - 1) / 0.04
    "baseline": lambda s: (1.0, BASELINE_SCALE),
    # each step's mean and standard deviation over the training rows
    "standardize": lambda s: (s.mean, s.std),
    # minus each step's mean, over the largest absolute value left
    "max-abs": lambda s: (s.mean, np.maximum(s.max - s.mean, s.mean - s.min)),
    # each step to [0, 1] over the training rows
    "min-max": lambda s: (s.min, s.max - s.min),
}

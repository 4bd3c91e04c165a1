"""What a model does to raw light curves first: layers of the model itself, saved with it.

Their constants come from the training folds only, through the manifest's sums. Every transform is made
of Keras's own layers, so a saved model needs none of our code.
"""

import keras
import numpy as np
from keras import ops

from ariel_tf.challenge import STAR_NAMES
from ariel_tf.training.configuration import Configuration

# The organisers' baseline: (x - 1) / 0.04.
BASELINE_SCALE = 0.04
# Far tails that past participants cut: few stars lie there, and a standardised network sees little else of them.
STAR_CLIPS = {
    "star_rad": (0.0, 1.8),
    "star_mass": (0.0, 1.5),
    "star_k_mag": (7.0, np.inf),
    "period": (0.0, 16.0),
}
# The challenge's files give surface gravity in these steps (dex) only.
GRAVITIES = (3.5, 4.0, 4.5, 5.0)


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


def transform_star(star, config: Configuration, statistics):
    """Stellar parameters as a model sees them.

    Args:
        star: symbolic float32 [batch, 6], raw.
        config: names them (`--star`), and says whether far tails are clipped and how surface gravity enters.
        statistics: `Statistics` [6] over the training planets.

    Returns:
        symbolic float32 [batch, k], standardised; the four levels of a one-hot gravity come last.
    """
    one_hot = config.logg == "one-hot" and "star_logg" in config.star_names
    columns = [STAR_NAMES.index(name) for name in config.star_names if not (one_hot and name == "star_logg")]
    parts = []
    if columns:
        x = ops.take(star, columns, axis=1)
        if config.clip_star == "yes":
            bounds = [STAR_CLIPS.get(STAR_NAMES[column], (-np.inf, np.inf)) for column in columns]
            low, high = (ops.convert_to_tensor(bound) for bound in np.array(bounds, np.float32).T)
            x = ops.minimum(ops.maximum(x, low), high)
        spread = statistics.map(lambda values: values[columns])
        parts.append(affine(x, spread.mean, spread.std, name="star_transform"))
    if one_hot:
        gravity = star[:, STAR_NAMES.index("star_logg"), None]
        parts.append(ops.cast(ops.abs(gravity - ops.convert_to_tensor(GRAVITIES, "float32")) < 0.25, "float32"))
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=1)


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

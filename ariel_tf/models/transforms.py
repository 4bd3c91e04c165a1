"""Transforms of raw light curves: layers of the model itself, saved with it.

Their constants come from the training folds only: from the manifest's sums or, where those are not sufficient
(`--ramp`, `--function`, Yeo-Johnson), from one pass over the training rows. Every transform consists of Keras's own
layers, so a saved model needs none of our code.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ariel_tf.challenge import STAR_NAMES
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.errors import UsageError
from ariel_tf.models import yeo_johnson
from ariel_tf.models.yeo_johnson import Power
from ariel_tf.physics.detector import RAMP

# The organisers' baseline: (x - 1) / 0.04.
BASELINE_SCALE = 0.04
# The step by which the ramp of the real training set's mean light curve is over.
RAMP_STEPS = 28
# Floor of the flux, for which a logarithm or a root would become too large.
SMALLEST_FLUX = 0.01
# Tails that past participants clipped: they contain few stars, which would dominate a standardised input.
STAR_CLIPS = {
    "star_rad": (0.0, 1.8),
    "star_mass": (0.0, 1.5),
    "star_k_mag": (7.0, np.inf),
    "period": (0.0, 16.0),
}
# The challenge's files give surface gravity in these steps (dex) only.
GRAVITIES = (3.5, 4.0, 4.5, 5.0)


def shape_flux(x: Any, steps: Sequence[int], ramp: str = "keep", function: str = "none") -> Any:
    """Apply the steps before scaling: the ramp set to 1 or divided out, then a function of each flux.

    Args:
        x: float32 [..., steps, channels].
        steps: indices of these steps among the 300.
        ramp: keep, one or divide.
        function: none or a key of `FUNCTIONS`.

    Returns:
        float32 of the shape of `x`.
    """
    if ramp == "one":
        kept = np.array([float(step >= RAMP_STEPS) for step in steps], np.float32)[:, None]
        if not kept.all():
            x = x * kept + (1 - kept)
    elif ramp == "divide":
        x = x / RAMP[list(steps)].astype(np.float32)[:, None]
    return x if function == "none" else FUNCTIONS[function][0](x)


def transform_flux(x: Any, name: str, statistics: Any, power: Power | None = None) -> Any:
    """Scale light curves.

    Args:
        x: symbolic float32 [batch, steps, channels], or with one axis more.
        name: none, yeo-johnson, or a key of `TRANSFORMS`.
        statistics: `Statistics` of the training folds, arrays in the layout of a row of `x`.
        power: of the training folds, for yeo-johnson.

    Returns:
        symbolic float32 of the shape of `x`.
    """
    if name == "none":
        return x
    x = affine(x, *_offset_and_scale(name, statistics), name="transform")
    if name != "yeo-johnson":
        return x
    assert power is not None
    return affine(yeo_johnson.apply(x, power.exponent), power.mean, power.std, name="power_transform")


def _offset_and_scale(name: str, statistics: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the arguments of `affine`, in the layout of a row."""
    offset, scale = TRANSFORMS["standardize" if name == "yeo-johnson" else name](statistics)
    shape = statistics.mean.shape
    return np.broadcast_to(offset, shape), np.broadcast_to(scale, shape)


def invert_flux(y: Any, config: TrainConfig, statistics: Any, power: Power | None = None) -> Any:
    """Return light curves as they were recorded, from the inputs of a model of this configuration.

    Args:
        y: float [batch, steps, channels], result of `transform_flux` after `shape_flux`.
        config: resolved configuration.
        statistics, power: of the chosen steps, as used for the transform.

    Returns:
        float of the shape of `y`. A flux that a floor of `FUNCTIONS` had clipped is returned as the floor.

    Raises:
        UsageError: the ramp was set to 1, which cannot be undone.
    """
    if config.ramp == "one":
        raise UsageError("--ramp one: has no inverse, the ramp is lost; --ramp divide has one.")
    if config.transform == "yeo-johnson":
        assert power is not None
        y = yeo_johnson.invert(
            y * ops.cast(_or_one(power.std), y.dtype) + ops.cast(power.mean, y.dtype), power.exponent
        )
    if config.transform != "none":
        offset, scale = _offset_and_scale(config.transform, statistics)
        y = y * ops.cast(_or_one(scale), y.dtype) + ops.cast(offset, y.dtype)
    if config.function != "none":
        y = FUNCTIONS[config.function][1](y)
    if config.ramp == "divide":
        y = y * ops.cast(RAMP[list(config.time_steps)][:, None], y.dtype)
    return y


def _or_one(scale: np.ndarray) -> np.ndarray:
    """Return a scale to divide by: 1 if a column never varies."""
    return np.where(scale > 0, scale, 1.0)


def transform_star(star: Any, config: TrainConfig, statistics: Any) -> Any:
    """Return stellar parameters as inputs of a model.

    Args:
        star: symbolic float32 [batch, 6], raw.
        config: names them (`--star`), and determines whether tails are clipped and how surface gravity is encoded.
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


def affine(x: Any, offset: np.ndarray, scale: np.ndarray, name: str) -> Any:
    """Return (x - offset) / scale by column; a column that never varies becomes 0, not infinite.

    Always float32: in half precision a depth of .001 would be lost in the rounding of fluxes near 1.
    """
    scale = _or_one(scale)
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

# Functions of the flux with their inverses.
FUNCTIONS = {
    "log": (lambda x: ops.log(ops.maximum(x, SMALLEST_FLUX)), ops.exp),
    "sqrt": (lambda x: ops.sqrt(ops.maximum(x, SMALLEST_FLUX)), ops.square),
    "square": (ops.square, lambda y: ops.sqrt(ops.maximum(y, 0.0))),
    "exp": (ops.exp, lambda y: ops.log(ops.maximum(y, 1.0))),
}

"""Light curves cut into segments: each light curve is standardised separately, and its moments are kept as inputs."""

from itertools import pairwise
from typing import Any

import keras
from keras import ops

from ariel_tf.config.model_registry import model
from ariel_tf.core.errors import UsageError
from ariel_tf.models.builder import Inputs
from ariel_tf.models.dense import with_star

SMALLEST_STD = 1e-6


def moments(x: Any) -> tuple[Any, Any, Any, Any]:
    """Return mean, standard deviation, skewness and kurtosis along time: [batch, steps, c] -> 4 x [batch, 1, c]."""
    mean = ops.mean(x, axis=1, keepdims=True)
    centred = x - mean
    std = ops.sqrt(ops.mean(ops.square(centred), axis=1, keepdims=True)) + SMALLEST_STD
    z = centred / std
    skew = ops.mean(z * z * z, axis=1, keepdims=True)
    kurtosis = ops.mean(ops.square(z) * ops.square(z), axis=1, keepdims=True)
    return mean, std, skew, kurtosis


@model(scope="any", epochs=40, batch_size=64, steps="30:300", transform="baseline", head="depth", loss="mae",
       joint={"channels": "all"})  # fmt: skip
def segments(hp: Any, inputs: Inputs) -> Any:
    """Each series standardised on its own, moments kept; means of 20 segments; dense over each, then over all.

    Source: the architecture of a 2019 challenge system (score 9795 then).
    """
    n = hp.Int("segments", 2, 60, default=20)
    x = inputs.flux
    steps, channels = x.shape[1:]
    if steps < n:
        raise UsageError(f"--set segments: expected no more segments than time steps, {steps}. Received: {n}")
    mean, std, skew, kurtosis = moments(x)
    z = (x - mean) / std
    # Segment s averages the steps s * steps / n ... : whole steps, with sizes that differ by at most one.
    edges = [round(index * steps / n) for index in range(n + 1)]
    parts = [ops.mean(z[:, first:last], axis=1, keepdims=True) for first, last in pairwise(edges)]
    means = ops.concatenate(parts, axis=1)  # [batch, n, channels]
    units = hp.Int("units", 4, 256, sampling="log", default=32)
    each = keras.layers.Dense(units, activation="relu", name="each_segment")(means)
    kept = ops.concatenate([mean, ops.log(std), skew, ops.log(kurtosis + SMALLEST_STD)], axis=1)
    features = [keras.layers.Flatten(name="segments")(each), keras.layers.Flatten(name="moments")(kept)]
    if channels == 1:  # one series: its few segment means are used directly
        features.append(keras.layers.Flatten(name="means")(means * std))
    y = with_star(keras.layers.Concatenate(name="together")(features), inputs)
    for name, default in (("first", 512), ("second", 256)):
        y = keras.layers.Dense(hp.Int(name, 4, 2048, sampling="log", default=default), activation="relu", name=name)(y)
    return y

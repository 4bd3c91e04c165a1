"""Convolutions along time."""

from typing import Any

import keras

from ariel_tf.config.model_registry import model
from ariel_tf.models.builder import Inputs
from ariel_tf.models.dense import with_star


@model(scope="any", epochs=20, batch_size=50, optimizer="adam", loss="mse", joint={"channels": "all", "head": "depth"})
def cnn(hp: Any, inputs: Inputs) -> Any:
    """Conv1D 1024-256 over windows of --set kernel=5 (or 1) steps, then a dense head.

    The windows do not overlap, so kernel 5 reads the 300 steps reshaped to 60 x 5. With kernel 1, `stride` 1 reads
    every step. `convolution=separable` (Chollet 2017, arXiv:1610.02357) first weighs each light curve's window by
    itself, `multiplier` times, and then mixes: few weights for 55 curves.
    """
    separable = hp.Choice("convolution", ["plain", "separable"], default="plain") == "separable"
    multiplier = hp.Int("multiplier", 1, 8, default=4) if separable else 0
    kernel = hp.Int("kernel", 1, 25, default=5)
    stride = hp.Int("stride", 1, 25, default=5)
    first, second = (
        hp.Int(name, 4, 2048, sampling="log", default=filters) for name, filters in (("first", 1024), ("second", 256))
    )
    options = {"padding": "same", "activation": "relu", "name": "first"}
    if separable:
        layer = keras.layers.SeparableConv1D(first, kernel, stride, depth_multiplier=multiplier, **options)
    else:
        layer = keras.layers.Conv1D(first, kernel, stride, **options)
    x = keras.layers.Conv1D(second, 1, activation="relu", name="second")(layer(inputs.flux))
    x = keras.layers.AveragePooling1D(2, padding="same", name="pool")(x)
    x = with_star(keras.layers.Flatten(name="flat")(x), inputs)
    return keras.layers.Dense(hp.Int("dense", 4, 1024, default=64), activation="relu", name="dense")(x)


@model(scope="any", epochs=40, batch_size=64, star="all", optimizer="adamw", head="depth", loss="mae",
       joint={"channels": "all", "epochs": 60})  # fmt: skip
def dilated(hp: Any, inputs: Inputs) -> Any:
    """Six blocks of dilated Conv1D, PReLU, batch normalisation and pooling; a stellar branch joins before the head.

    Source: the architecture of the 2021 challenge's best system (DeepBlueAI): filters 64-64-128-128-256-256, dense
    2000-500, stellar 64-16.
    """
    width = hp.Float("width", 0.1, 2.0, sampling="log", default=1.0)
    x = inputs.flux
    for index, filters in enumerate((64, 64, 128, 128, 256, 256)):
        filters = max(1, round(filters * width))
        x = keras.layers.Conv1D(filters, 3, dilation_rate=2, padding="same", name=f"conv_{index}")(x)
        x = keras.layers.PReLU(shared_axes=[1], name=f"prelu_{index}")(x)
        x = keras.layers.BatchNormalization(name=f"norm_{index}")(x)
        x = keras.layers.AveragePooling1D(2, padding="same", name=f"pool_{index}")(x)
    x = keras.layers.Flatten(name="flat")(x)
    for index, units in enumerate((2000, 500)):
        x = keras.layers.Dense(max(1, round(units * width)), activation="relu", name=f"dense_{index}")(x)
    if inputs.star is None:
        return x
    star = keras.layers.Dense(64, activation="relu", name="star_0")(inputs.star)
    star = keras.layers.Dense(16, activation="relu", name="star_1")(star)
    return keras.layers.Concatenate(name="with_star")([x, star])

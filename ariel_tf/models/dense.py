"""Dense networks: light curves flattened, stellar parameters beside them."""

import keras

from ariel_tf.models.builder import Inputs
from ariel_tf.models.registry import model


def flattened(inputs: Inputs):
    """[batch, steps, channels] and [batch, k] -> [batch, steps * channels + k]."""
    flux = keras.layers.Flatten(name="flat")(inputs.flux)
    if inputs.star is None:
        return flux
    return keras.layers.Concatenate(name="with_star")([flux, inputs.star])


@model(epochs=13, batch_size=20, steps="0:300", optimizer="adam", loss="mse")
def baseline(hp, inputs: Inputs):
    """Dense 1064-256, ReLU: the challenge's per-wavelength baseline network."""
    x = flattened(inputs)
    for name, default in (("first", 1064), ("second", 256)):
        units = hp.Int(name, 4, 4096, sampling="log", default=default)
        x = keras.layers.Dense(units, activation="relu", name=name)(x)
    return x


@model(epochs=50, batch_size=50, steps="99:200", optimizer="adam", loss="mse")
def squid(hp, inputs: Inputs):
    """Dense 30-125-250-125-30, leaky ReLU, on the 101 steps about mid-transit."""
    x = flattened(inputs)
    width = hp.Float("width", 0.1, 8.0, sampling="log", default=1.0)
    slope = hp.Float("slope", 0.0, 0.5, default=0.2)
    for index, units in enumerate((30, 125, 250, 125, 30)):
        x = keras.layers.Dense(max(1, round(units * width)), name=f"dense_{index}")(x)
        x = keras.layers.LeakyReLU(negative_slope=slope, name=f"leaky_{index}")(x)
    return x

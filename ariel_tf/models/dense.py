"""Dense networks: light curves flattened, concatenated with stellar parameters."""

from typing import Any

import keras

from ariel_tf.config.model_registry import model
from ariel_tf.models.builder import Inputs

ACTIVATIONS = ("linear", "relu", "tanh", "sigmoid", "gelu")


def flattened(inputs: Inputs) -> Any:
    """[batch, steps, channels] and [batch, k] -> [batch, steps * channels + k]."""
    return with_star(keras.layers.Flatten(name="flat")(inputs.flux), inputs)


def with_star(features: Any, inputs: Inputs) -> Any:
    """Concatenate features [batch, f] and the stellar parameters, if any."""
    if inputs.star is None:
        return features
    return keras.layers.Concatenate(name="with_star")([features, inputs.star])


def activation_of(hp: Any, default: str) -> str:
    """Return the setting `activation`, used by all dense layers except the head."""
    return hp.Choice("activation", list(ACTIVATIONS), default=default)


def dense_stack(hp: Any, x: Any, sizes: dict[str, int]) -> Any:
    """Apply dense layers, each with a setting for its size, followed by dropout with a common rate."""
    activation = activation_of(hp, "relu")
    dropout = hp.Float("dropout", 0.0, 0.9, default=0.0)
    for name, default in sizes.items():
        units = hp.Int(name, 4, 4096, sampling="log", default=default)
        x = keras.layers.Dense(units, activation=activation, name=name)(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"{name}_dropout")(x)
    return x


@model(epochs=13, batch_size=20, optimizer="adam", loss="mse")
def baseline(hp: Any, inputs: Inputs) -> Any:
    """Dense 1064-256, ReLU: the challenge's per-wavelength baseline network."""
    return dense_stack(hp, flattened(inputs), {"first": 1064, "second": 256})


@model(epochs=50, batch_size=50, steps="99:200", optimizer="adam", loss="mse")
def squid(hp: Any, inputs: Inputs) -> Any:
    """Dense 30-125-250-125-30, leaky ReLU, on the 101 steps about mid-transit."""
    x = flattened(inputs)
    width = hp.Float("width", 0.1, 8.0, sampling="log", default=1.0)
    slope = hp.Float("slope", 0.0, 0.5, default=0.2)
    for index, units in enumerate((30, 125, 250, 125, 30)):
        x = keras.layers.Dense(max(1, round(units * width)), name=f"dense_{index}")(x)
        x = keras.layers.LeakyReLU(negative_slope=slope, name=f"leaky_{index}")(x)
    return x


@model(epochs=15, batch_size=5, optimizer="nadam", loss="mse")
def nadam(hp: Any, inputs: Inputs) -> Any:
    """Dense 5-1024-256, ReLU, Nadam: a narrow first layer, made for the partial set of --every 47."""
    return dense_stack(hp, flattened(inputs), {"first": 5, "second": 1024, "third": 256})


@model(scope="any", epochs=30, batch_size=50, head="depth", loss="mae", joint={"epochs": 60})
def linear(hp: Any, inputs: Inputs) -> Any:
    """Dense layers without activation, a linear map; --set activation=... makes a network of it."""
    x = flattened(inputs)
    layers = hp.Int("layers", 1, 6, default=2)
    units = hp.Int("units", 4, 2048, sampling="log", default=128)
    activation = activation_of(hp, "linear")
    for index in range(layers):
        x = keras.layers.Dense(units, activation=activation, name=f"dense_{index}")(x)
    return x


@model(scope="joint", channels="all", epochs=40, batch_size=64, head="depth", loss="mae")
def dense(hp: Any, inputs: Inputs) -> Any:
    """Dense layers from all 55 light curves to all 55 radii: --set shape=1024-256 and others."""
    shapes = ["1024-256", "256-1024-256", "1024-512-256", "1179-393-110"]
    shape = hp.Choice("shape", shapes, default="1024-256")
    dropout = hp.Float("dropout", 0.0, 0.9, default=0.1 if shape == "1179-393-110" else 0.0)
    activation = activation_of(hp, "relu")
    x = flattened(inputs)
    for index, units in enumerate(shape.split("-")):
        x = keras.layers.Dense(int(units), activation=activation, name=f"dense_{index}")(x)
        if dropout and index == 0:
            x = keras.layers.Dropout(dropout, name="dropout")(x)
    return x


@model(unit="planet", epochs=40, batch_size=157, transform="max-abs", optimizer="adam", loss="mse")
def compressed(hp: Any, inputs: Inputs) -> Any:
    """Dense 4-1024-256 on all observations of a planet side by side: 100 x 300 columns a row."""
    return dense_stack(hp, flattened(inputs), {"first": 4, "second": 1024, "third": 256})

"""Recurrent networks along time. Bidirectional ones return the last state of each direction, not the last step.

The last step of a bidirectional layer's output contains a backward state that has read only one step.
"""

from typing import Any

import keras

from ariel_tf.config.model_registry import model
from ariel_tf.models.builder import Inputs
from ariel_tf.models.dense import with_star

CELLS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


def cell_of(hp: Any) -> type[keras.layers.Layer]:
    """Return the recurrent layer that the setting `cell` names (GRU: Cho et al. 2014, arXiv:1406.1078)."""
    return CELLS[hp.Choice("cell", list(CELLS), default="lstm")]


def last_state(
    x: Any, kind: type[keras.layers.Layer], units: int, bidirectional: bool, dropout: float, name: str
) -> Any:
    """[batch, steps, channels] -> [batch, units], or [batch, 2 * units] of both directions.

    Keras's Bidirectional with `return_sequences=False` joins each direction's own last state.
    """
    layer = kind(units, dropout=dropout, name=name)
    return keras.layers.Bidirectional(layer, name=f"{name}_both_ways")(x) if bidirectional else layer(x)


@model(scope="any", epochs=10, batch_size=50, steps="0:300:3", loss="mse", head="depth", joint={"channels": "all"})
def lstm(hp: Any, inputs: Inputs) -> Any:
    """Two LSTM (or --set cell=gru) layers of 512 units, dropout .1; --set bidirectional=yes reads it both ways."""
    kind = cell_of(hp)
    units = hp.Int("units", 4, 1024, sampling="log", default=512)
    dropout = hp.Float("dropout", 0.0, 0.9, default=0.1)
    bidirectional = hp.Boolean("bidirectional", default=False)
    layer = kind(units, dropout=dropout, return_sequences=True, name="first")
    x = keras.layers.Bidirectional(layer, name="first_both_ways")(inputs.flux) if bidirectional else layer(inputs.flux)
    return with_star(last_state(x, kind, units, bidirectional, dropout, "second"), inputs)


@model(scope="joint", channels="all", epochs=15, batch_size=64, steps="50:300:2", head="depth", loss="mae")
def lstm_cnn(hp: Any, inputs: Inputs) -> Any:
    """Two branches, BiLSTM (or GRU) 128 and Conv1D(256, kernel 55), each to 512, joined by add or concat, 512-256."""
    kind = cell_of(hp)
    units = hp.Int("units", 4, 512, sampling="log", default=128)
    kernel = hp.Int("kernel", 1, 55, default=55)
    together = hp.Choice("together", ["add", "concat"], default="add")
    recurrent = last_state(inputs.flux, kind, units, True, 0.0, "lstm")
    recurrent = keras.layers.Dense(512, activation="relu", name="from_lstm")(recurrent)
    layer = keras.layers.Conv1D(256, kernel, strides=5, padding="same", activation="relu", name="conv")
    convolved = keras.layers.GlobalAveragePooling1D(name="pool")(layer(inputs.flux))
    convolved = keras.layers.Dense(512, activation="relu", name="from_conv")(convolved)
    join = keras.layers.Add(name="join") if together == "add" else keras.layers.Concatenate(name="join")
    x = with_star(join([recurrent, convolved]), inputs)
    for index, size in enumerate((512, 256)):
        x = keras.layers.Dense(size, activation="relu", name=f"dense_{index}")(x)
    return x

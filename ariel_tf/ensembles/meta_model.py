"""The meta-model of a stack: from the radii that the base models predict to better ones.

    radii of base models [batch, members, wavelengths] --> ridge on depths, or dense --> radii [batch, wavelengths]

Both consist of Keras's own layers and become part of the one saved model.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from ariel_tf.models.losses import ArielScore, RadiusLoss

# Below any observable planet: the square root stays finite if a sum of depths is not positive.
SMALLEST_DEPTH = 1e-10
# Number of reweightings of the ridge towards the least absolute error, as in the score: compared with plain least
# squares they gained 16 to 19 points on 400 simulated planets.
ROUNDS = 5
# Hidden layers of the dense meta-model that the challenge's first authors described.
UNITS = (256, 1024, 1024, 256)


def ridge_features(radii: np.ndarray) -> np.ndarray:
    """Return the inputs of a ridge at each wavelength: every member's depth there, and its mean over wavelengths.

    Args:
        radii: float [rows, members, wavelengths].

    Returns:
        float64 [wavelengths, rows, members or 2 members].
    """
    depth = np.square(np.asarray(radii, np.float64))
    own = depth.transpose(2, 0, 1)
    if depth.shape[2] == 1:
        return own
    return np.concatenate([own, np.broadcast_to(depth.mean(axis=2), own.shape)], axis=2)


def ridge(coefficients: np.ndarray, intercepts: np.ndarray, members: int) -> keras.Model:
    """Return a fitted ridge on `ridge_features` as a model.

    Args:
        coefficients: float [wavelengths, members or 2 members].
        intercepts: float [wavelengths].
    """
    wavelengths = len(intercepts)
    radii = keras.Input((members, wavelengths), name="level_0")
    depth = ops.square(radii)
    total = _weighed(depth, coefficients[:, :members].T)
    if coefficients.shape[1] > members:
        mean = ops.mean(depth, axis=2, keepdims=True)
        total = total + _weighed(ops.repeat(mean, wavelengths, axis=2), coefficients[:, members:].T)
    depth = keras.layers.Rescaling(1.0, intercepts.tolist(), dtype="float32")(total)
    return keras.Model({"level_0": radii}, ops.sqrt(ops.maximum(depth, SMALLEST_DEPTH)), name="level_1")


def _weighed(depth: Any, weights: np.ndarray) -> Any:
    """Return the sum over members of [batch, members, wavelengths] times [members, wavelengths], in full float32."""
    return ops.sum(depth * ops.convert_to_tensor(weights.astype(np.float32)), axis=1)


def dense(statistics: Mapping[str, Any], members: int, star: bool, flux: bool) -> keras.Model:
    """Return a dense network on the base models' radii; it starts as their mean and learns a correction.

    Args:
        statistics: `Statistics` of the training rows: "level_0" [members, wavelengths], "radius" [wavelengths], and
            "star" [6] and "flux" [300, channels] if they are inputs.
        members: number of base models.
        star: whether it reads the stellar parameters.
        flux: whether it also reads the light curves.
    """
    wavelengths = len(statistics["radius"].mean)
    shapes = {"level_0": (members, wavelengths)}
    shapes |= {"star": statistics["star"].mean.shape} if star else {}
    shapes |= {"flux": statistics["flux"].mean.shape} if flux else {}
    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    parts = [keras.layers.Flatten()(_standardised(inputs[name], statistics[name])) for name in shapes]
    x = parts[0] if len(parts) == 1 else keras.layers.Concatenate()(parts)
    for units in UNITS:
        x = keras.layers.Dense(units, activation="relu")(x)
    head = keras.layers.Dense(wavelengths, kernel_initializer="zeros", dtype="float32", name="head")(x)
    spread = np.maximum(statistics["radius"].std, 1e-6).tolist()
    correction = keras.layers.Rescaling(spread, dtype="float32")(head)
    return keras.Model(inputs, ops.mean(inputs["level_0"], axis=1) + correction, name="level_1")


def _standardised(x: Any, statistics: Any) -> Any:
    axes = tuple(range(1, len(x.shape)))
    variance = np.square(np.where(statistics.std > 0, statistics.std, 1.0))
    return keras.layers.Normalization(axis=axes, mean=statistics.mean, variance=variance, dtype="float32")(x)


def fit_dense(
    model: keras.Model, train: tuple[dict, np.ndarray], validation: tuple[dict, np.ndarray], epochs: int, scale: float
) -> None:
    """Train a dense meta-model to its best validation score.

    Args:
        train, validation: inputs by name, and radii [rows, wavelengths].
        epochs: maximum number of epochs.
        scale: standard deviation of depths over the training rows.
    """
    # A second model of the same layers is compiled: `model` becomes part of one that loads without our loss.
    trained = keras.Model(model.input, model.output)
    trained.compile(keras.optimizers.Adam(3e-4), RadiusLoss("ariel", "radius", scale), metrics=[ArielScore()])
    best = keras.callbacks.EarlyStopping("val_score", mode="max", patience=10, restore_best_weights=True)
    trained.fit(*train, validation_data=validation, epochs=epochs, batch_size=64, verbose=0, callbacks=[best])

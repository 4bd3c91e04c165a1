"""Requirements on model functions outside this package, so that their runs can be trained and loaded."""

from pathlib import Path
from typing import Any

import keras

from ariel_tf.core.errors import UsageError


def refuse_features(features: Any, name: str, others: tuple[type, ...]) -> None:
    """Refuse a function's result if the head cannot use it.

    Args:
        features: result of the function.
        name: name of the model.
        others: types accepted in place of features.

    Raises:
        UsageError: not a tensor [batch, number].
    """
    if isinstance(features, others):
        return
    shape = getattr(features, "shape", None)
    if not isinstance(features, keras.KerasTensor) or len(features.shape) != 2 or features.shape[1] is None:
        received = f"shape {list(shape)}" if shape is not None else type(features).__name__
        raise UsageError(
            f"--model {name}: expected features of shape [batch, number], such as of keras.layers.Flatten(). "
            f"Received: {received}"
        )


def refuse_layers(model: keras.Model, name: str) -> None:
    """Refuse layers with which the run's folder could not be loaded again.

    Args:
        model: built model.
        name: value of `--model`.

    Raises:
        UsageError: a Lambda layer, or a class of the user's that is not registered.
    """
    package = Path(name.split(":")[0]).stem
    for layer in model._flatten_layers(include_self=False):
        kind = type(layer)
        if isinstance(layer, keras.layers.Lambda):
            raise UsageError(f"--model {name}: a Lambda layer cannot be loaded again; use keras.ops or a Layer class.")
        own = kind.__module__.partition(".")[0] not in ("keras", "ariel_tf")
        if own and ">" not in keras.saving.get_registered_name(kind):
            raise UsageError(
                f"--model {name}: decorate its layer {kind.__name__} with "
                f'@keras.saving.register_keras_serializable(package="{package}"), so that the run can be loaded.'
            )

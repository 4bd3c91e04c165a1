"""Steps of a model as named layers, so that its summary and its graph show a few layers, not fifty operations."""

from collections.abc import Callable
from typing import Any

import keras


def stage(name: str, function: Callable[..., Any], **tensors: Any) -> Any:
    """Apply a function of tensors as one layer.

    The layer is a functional model of Keras's own operations: it has no weights, changes no result, and loads without
    our code.

    Args:
        name: name of the layer.
        function: function that takes the tensors by name and returns one tensor or a named tuple of tensors.
        tensors: symbolic tensors of the model that is being built.

    Returns:
        The result of the function for these tensors.
    """
    inputs = {
        key: keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=f"{name}_{key}")
        for key, tensor in tensors.items()
    }
    found = function(**inputs)
    several = isinstance(found, tuple)
    layer = keras.Model(list(inputs.values()), list(found) if several else found, name=name)
    result = layer(list(tensors.values()))
    return type(found)(*result) if several else result

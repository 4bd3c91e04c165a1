"""Features of a model: what it computes from its inputs before the first weight.

    inputs --features--> tensors that depend on no weight --network--> output

Features are the same in every epoch, so they are computed once for rows in memory. `transit` gains most: its model of
transits takes more than half of a training step, and its features are 46 numbers, where two light curves have 600.
"""

import math
from typing import Any, NamedTuple

import keras

# Rows whose features are computed at once, at most.
FEATURE_ROWS = 256


class Halves(NamedTuple):
    """A model in two parts that share its layers.

    Attributes:
        features: the model's inputs to a list of tensors, without weights and random numbers.
        network: these tensors to the model's output.
    """

    features: keras.Model
    network: keras.Model

    @property
    def row_bytes(self) -> int:
        """Return the bytes of a row's features in float32."""
        return 4 * sum(math.prod(one.shape[1:]) for one in self.features.outputs)


def halves(model: keras.Model, largest: int) -> Halves | None:
    """Split a functional model where its weights begin.

    Args:
        model: functional model.
        largest: maximum number of values of all features of a row.

    Returns:
        None if nothing comes before the weights, if the features are larger or of unknown size, or if the network would
        have its variables in another order.
    """
    border = _border(model)
    if any(None in tensor.shape[1:] for tensor in border):
        return None
    if all(any(tensor is one for one in model.inputs) for tensor in border):
        return None
    if sum(math.prod(tensor.shape[1:]) for tensor in border) > largest:
        return None
    network = keras.Model(border, model.output, name=model.name)
    if [id(variable) for variable in network.variables] != [id(variable) for variable in model.variables]:
        return None
    return Halves(keras.Model(model.input, border), network)


def _operation(tensor: Any) -> Any:
    return tensor._keras_history.operation


def _is_fixed(operation: Any) -> bool:
    """Whether an operation has no variable, and no layer that can do something else in training."""
    if getattr(operation, "variables", ()):
        return False
    layers = operation._flatten_layers() if isinstance(operation, keras.layers.Layer) else []
    return not any(one._call_has_training_arg for one in layers if not isinstance(one, keras.Model))


def _border(model: keras.Model) -> list[Any]:
    """Return the last tensors that depend on no variable and on no layer that acts in training.

    Generators of random numbers have variables, too.
    """
    free: dict[int, bool] = {}

    def sources(tensor: Any) -> list[Any]:
        operation, index, _ = tensor._keras_history
        return operation._inbound_nodes[index].input_tensors

    def is_free(tensor: Any) -> bool:
        if id(tensor) not in free:
            free[id(tensor)] = _is_fixed(_operation(tensor)) and all(map(is_free, sources(tensor)))
        return free[id(tensor)]

    found: dict[int, Any] = {}
    visited: set[int] = set()  # a residual network has twice as many paths with each block

    def collect(tensor: Any) -> None:
        if id(tensor) in visited:
            return
        visited.add(id(tensor))
        if is_free(tensor):
            found[id(tensor)] = tensor
            return
        for source in sources(tensor):
            collect(source)

    for output in model.outputs:
        collect(output)
    return list(found.values())

"""Models that can be trained as a stack, and replacements for some of their layers.

A stack guarantees that each model is trained exactly as it would be alone. That holds only if nothing acts on all
weights together, and only for layers whose every operation TensorFlow can vectorise.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from ariel_tf.core.errors import UsageError

# Layers that vectorise well: dense, convolutional, and the layers between them.
LAYERS = (
    *(layers.InputLayer, layers.Dense, layers.Conv1D, layers.SeparableConv1D, layers.Dropout, layers.GaussianNoise),
    *(layers.BatchNormalization, layers.LayerNormalization, layers.Normalization, layers.Rescaling),
    *(layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU, layers.Softmax),
    *(layers.Flatten, layers.Reshape, layers.Permute, layers.RepeatVector, layers.Concatenate),
    *(layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum),
    *(layers.AveragePooling1D, layers.MaxPooling1D, layers.GlobalAveragePooling1D, layers.GlobalMaxPooling1D),
)
# Their state is one number per weight, and counters that all models share.
OPTIMIZERS = ("Adam", "AdamW", "Nadam", "RMSprop", "SGD")
# Plain constants of these layers, which differ between models of one architecture.
CONSTANTS = {layers.Normalization: ("mean", "variance"), layers.Rescaling: ("scale", "offset")}


class NotStackable(UsageError):
    """This model is trained one wavelength at a time."""


def unfolded(layer: Any, x: Any, weights: Any) -> Any:
    """Compute a convolution as one matrix product over unfolded windows.

    TensorFlow cannot vectorise a convolution whose filter differs between models, but it can vectorise a matrix
    product.

    Args:
        layer: the convolution.
        x: [batch, steps, channels].
        weights: [kernel, channels, filters].

    Returns:
        [batch, windows, filters], the output of the layer.
    """
    kernel, dilation, stride = layer.kernel_size[0], layer.dilation_rate[0], layer.strides[0]
    steps, channels, span = x.shape[1], x.shape[2], (kernel - 1) * dilation
    whole = (-(-steps // stride) - 1) * stride + span + 1  # steps that windows at every stride need
    pad = {"causal": span, "same": max(whole - steps, 0), "valid": 0}[layer.padding]
    left = pad if layer.padding == "causal" else pad // 2
    x = ops.pad(x, [[0, 0], [left, pad - left], [0, 0]])
    windows = (steps + pad - span - 1) // stride + 1
    last = (windows - 1) * stride + 1
    starts = [index * dilation for index in range(kernel)]
    x = ops.concatenate([x[:, start : start + last : stride] for start in starts], axis=-1)
    flat = ops.reshape(x, (-1, kernel * channels))
    answer = ops.matmul(flat, ops.reshape(weights, (kernel * channels, layer.filters)))
    answer = ops.reshape(answer, (-1, windows, layer.filters))
    if layer.use_bias:
        answer = answer + layer.bias
    return layer.activation(answer)


class UnfoldedConv1D(layers.Conv1D):
    """Conv1D, unfolded. Such layers exist only while a stack trains and are never saved."""

    def call(self, x: Any) -> Any:
        return unfolded(self, x, self.kernel)


class UnfoldedSeparableConv1D(layers.SeparableConv1D):
    """SeparableConv1D, unfolded: a convolution whose weights are products of those along time and across channels."""

    def call(self, x: Any) -> Any:
        along = ops.transpose(self.depthwise_kernel, (1, 0, 2))  # [channels, kernel, multiplier]
        across = ops.reshape(self.pointwise_kernel, (-1, self.depth_multiplier, self.filters))
        return unfolded(self, x, ops.transpose(ops.matmul(along, across), (1, 0, 2)))


@tf.custom_gradient
def gelu(x: Any) -> tuple[Any, Callable]:
    """Compute x times the normal distribution function of x, GELU (Hendrycks and Gimpel 2016, arXiv:1606.08415).

    Equal to TensorFlow's up to rounding; with its gradient nine passes over the values instead of sixteen.
    """
    scaled = x * -tf.cast(math.sqrt(0.5), x.dtype)  # cast like TensorFlow's, which was temporarily float32
    share = 0.5 * tf.math.erfc(scaled)

    def gradient(upstream: Any) -> Any:
        return upstream * (share - scaled * math.sqrt(1 / math.pi) * tf.exp(-tf.square(scaled)))

    return x * share, gradient


STAND_INS: dict[Any, Any] = {layers.Conv1D: UnfoldedConv1D, layers.SeparableConv1D: UnfoldedSeparableConv1D}


def stand_in(layer: layers.Layer) -> layers.Layer:
    """Return a layer of the same name and configuration for the stack's template."""
    kind = STAND_INS.get(type(layer), type(layer))
    found = kind.from_config(layer.get_config())
    if getattr(found, "activation", None) is keras.activations.gelu:  # exact, without its approximation by a tanh
        found.activation = gelu
    return found


def constants_of(layer: layers.Layer) -> tuple[str, ...]:
    """Return the names of a layer's plain constants."""
    return tuple(name for name in CONSTANTS.get(type(layer), ()) if getattr(layer, name) is not None)


def refuse_unstackable(model: keras.Model) -> None:
    """Raise if training a stack of such models would differ from training each alone.

    Args:
        model: one of them, compiled.

    Raises:
        NotStackable: names the layer or setting that prevents it.
    """
    for reason in (*_about_layers(model.layers), *_about_optimizer(model)):
        raise NotStackable(f"model {model.name} can't be trained as a stack: {reason}. Take --stack no.")


def _about_layers(found: Sequence[Any]) -> Iterator[str]:
    for layer in found:
        if isinstance(layer, keras.Model) and not layer.variables:  # operations under one name (`models.stages`)
            yield from _about_layers(layer.layers)
        elif type(layer) not in LAYERS:
            yield f"its layer {layer.name}, {type(layer).__name__}, works in steps or is unknown to stacks"
        if type(layer) in STAND_INS and (getattr(layer, "groups", 1) > 1 or layer.data_format != "channels_last"):
            yield f"its layer {layer.name} is a grouped convolution, or one with channels first"
        if layer.compute_dtype in ("float16", "bfloat16"):
            yield "half precision is not stacked (float16 needs a loss scale, which follows all weights together)"
        if any(weight.constraint is not None for weight in layer.weights):
            yield f"its layer {layer.name} has a constraint on its weights"


def _about_optimizer(model: keras.Model) -> Iterator[str]:
    optimizer = model.optimizer
    if model.distribute_strategy.num_replicas_in_sync > 1 and any(
        isinstance(layer, layers.BatchNormalization) for layer in model.layers
    ):
        yield "on several devices the batch normalisation of a stack would see each device's rows alone"
    if model.jit_compile is True:
        yield "with --jit yes, XLA does not finish compiling a stack"
    if type(optimizer).__name__ not in OPTIMIZERS:
        yield f"its optimiser {type(optimizer).__name__} is none of {', '.join(OPTIMIZERS)}"
    elif optimizer.clipnorm or optimizer.global_clipnorm:
        yield "--set clip_norm=... acts on all weights together"
    elif optimizer.use_ema or optimizer.gradient_accumulation_steps:
        yield "its optimiser averages weights or accumulates gradients"

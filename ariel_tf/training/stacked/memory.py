"""How much memory a stack needs, how much there is, and so how many wavelengths train together."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import keras
import tensorflow as tf

from ariel_tf.core import resources
from ariel_tf.training.stacked import layers

# What may be taken of the free memory: estimates err, and others run beside us.
SHARE = 0.7
# Rows are held as read and by wavelength for a moment, while they are loaded: 2.06 times their bytes were measured.
TABLE_COPIES = 2.1
# Of each weight: the stack's and the model's own, the best, two slots of the optimiser, gradient, three temporaries.
WEIGHT_COPIES = 9
# Of each layer's output: forward, backward, and one in between.
OUTPUT_COPIES = 3


def needed(model: keras.Model, batch_size: int, rows: int, row_bytes: int) -> int:
    """Bytes that one wavelength of a stack needs, roughly.

    Args:
        model: one of the stack's.
        batch_size: rows a step.
        rows: of training and validation.
        row_bytes: of one row's own light curves.
    """
    weights = sum(math.prod(variable.shape) for variable in model.variables)
    outputs = sum(_numbers(layer) for layer in model.layers)
    own = 4 * (WEIGHT_COPIES * weights + OUTPUT_COPIES * batch_size * outputs)
    return own + math.ceil(TABLE_COPIES * rows * row_bytes)


def _numbers(layer: Any) -> int:
    """Numbers that a layer computes for a row; a convolution unfolds its windows first."""
    numbers = math.prod(layer.output.shape[1:])
    if type(layer) in layers.STAND_INS:
        numbers += layer.output.shape[1] * layer.kernel_size[0] * layer.input.shape[-1]
    return int(numbers)


def available() -> int:
    """Bytes that are free: of the GPU where there is one, else of the machine and of this process's group."""
    gpus = tf.config.list_logical_devices("GPU")
    if gpus:
        from tensorflow.python.client import device_lib

        limits = [device.memory_limit for device in device_lib.list_local_devices() if device.device_type == "GPU"]
        return int(limits[0]) - int(
            tf.config.experimental.get_memory_info(gpus[0].name.removeprefix("/device:"))["current"]
        )
    return resources.free_memory()


def groups(wavelengths: Sequence[int], each: int, free: int, jobs: int = 1) -> list[list[int]]:
    """Wavelengths in as few groups, of about one size, as fit; none where not even two do.

    Args:
        wavelengths: to train.
        each: bytes that one needs.
        free: bytes that are free.
        jobs: that share them, a group at a time each.

    >>> groups(range(5), each=10, free=30)
    [[0], [1, 2], [3, 4]]
    """
    together = int(SHARE * free / jobs // each)
    if together < min(2, len(wavelengths)):
        return []
    count = max(-(-len(wavelengths) // together), min(jobs, len(wavelengths)))
    edges = [len(wavelengths) * index // count for index in range(count + 1)]
    return [list(wavelengths[first:last]) for first, last in pairwise(edges)]

"""Memory that a stack needs, memory that is free, and therefore how many wavelengths are trained together."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import keras
import tensorflow as tf

from ariel_tf.core import resources
from ariel_tf.training import numbered_rows
from ariel_tf.training.stacked import layers

# Share of the free memory that may be used: estimates are inexact, and other processes run.
SHARE = 0.7
# While rows are loaded they are held both as read and by wavelength: 2.06 times their bytes were measured.
TABLE_COPIES = 2.1
# Of each weight: the stack's and the model's own, the best, two slots of the optimiser, gradient, three temporaries.
WEIGHT_COPIES = 9
# Of each layer's output: forward, backward, and one in between.
OUTPUT_COPIES = 3


def needed(model: keras.Model, batch_size: int, rows: int, row_bytes: int) -> int:
    """Estimate the bytes that one wavelength of a stack needs.

    Args:
        model: one model of the stack.
        batch_size: rows per step.
        rows: rows of training and validation.
        row_bytes: bytes of one row's own light curves.
    """
    weights = sum(math.prod(variable.shape) for variable in model.variables)
    outputs = sum(_numbers(layer) for layer in model.layers)
    own = 4 * (WEIGHT_COPIES * weights + OUTPUT_COPIES * batch_size * outputs)
    return own + math.ceil(TABLE_COPIES * rows * row_bytes)


def _numbers(layer: Any) -> int:
    """Return the number of values that a layer computes per row; a convolution unfolds its windows first."""
    numbers = sum(math.prod(output.shape[1:]) for output in keras.tree.flatten(layer.output))
    if type(layer) in layers.STAND_INS:
        numbers += layer.output.shape[1] * layer.kernel_size[0] * layer.input.shape[-1]
    return int(numbers)


def available() -> int:
    """Return the bytes that are free: on the GPU if there is one, else on the machine and in this process's group."""
    gpus = tf.config.list_logical_devices("GPU")
    return numbered_rows.free_bytes(gpus[0].name) if gpus else resources.free_memory()


def groups(wavelengths: Sequence[int], each: int, free: int, jobs: int = 1) -> list[list[int]]:
    """Divide wavelengths into as few groups as fit, of about equal size; none if not even two fit.

    Args:
        wavelengths: wavelengths to train.
        each: bytes that one needs.
        free: bytes that are free.
        jobs: number of jobs that share them, each with one group at a time.

    >>> groups(range(5), each=10, free=30)
    [[0], [1, 2], [3, 4]]
    """
    together = int(SHARE * free / jobs // each)
    if together < min(2, len(wavelengths)):
        return []
    count = max(-(-len(wavelengths) // together), min(jobs, len(wavelengths)))
    edges = [len(wavelengths) * index // count for index in range(count + 1)]
    return [list(wavelengths[first:last]) for first, last in pairwise(edges)]

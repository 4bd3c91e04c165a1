"""Memory that a stack needs, memory that is free, and therefore how many wavelengths are trained together."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from ariel_tf.config.targets import Targets
from ariel_tf.core import resources
from ariel_tf.training import numbered_rows
from ariel_tf.training.stacked import layers
from ariel_tf.training.stacked.data import is_mapped
from ariel_tf.training.stacked.features import halves

if TYPE_CHECKING:
    from ariel_tf.training.job import TrainingJob

# Share of the free memory that may be used: estimates are inexact, and other processes run.
SHARE = 0.7
# Bytes of rows in memory, relative to those of their light curves.
TABLE_COPIES = 1.1
# Of each weight: the stack's and the model's own, the best, two slots of the optimiser, gradient, three temporaries.
WEIGHT_COPIES = 9
# Of each layer's output: forward, backward, and one in between.
OUTPUT_COPIES = 3


def needed_by_each(job: "TrainingJob", model: keras.Model, wavelengths: Sequence[int]) -> int:
    """Estimate the bytes that each wavelength of a stack needs.

    Args:
        job: job of the run.
        model: model of one of them.
        wavelengths: wavelengths that may become one stack.
    """
    configs = [job.config.replace(wavelength=Targets.one(wavelength)) for wavelength in wavelengths]
    config, source = configs[0], job.source
    selection = config.selection("train")
    loaded = source.observations((*config.train_folds, *config.validation_folds))
    rows, row_bytes = loaded // selection.stride, selection.signature.observation_bytes
    held = rows * feature_bytes(model, row_bytes)
    if not is_mapped(source, configs, job.options.memory_bytes):
        held += loaded * row_bytes
        if selection.stride > 1 or selection.bootstrap_seed is not None:  # copied from all
            held += rows * row_bytes
    return needed(model, config.batch_size, held)


def feature_bytes(model: keras.Model, row_bytes: int) -> int:
    """Return the bytes of a row's features, which are in memory; 0 if they are computed in each step."""
    split = halves(model, row_bytes // 8)
    return split.row_bytes if split else 0


def needed(model: keras.Model, batch_size: int, held: int) -> int:
    """Estimate the bytes that one wavelength of a stack needs.

    Args:
        model: one model of the stack.
        batch_size: rows per step.
        held: bytes of its rows of training and validation that are in memory.
    """
    weights = sum(math.prod(variable.shape) for variable in model.variables)
    outputs = sum(_numbers(layer) for layer in model.layers)
    own = 4 * (WEIGHT_COPIES * weights + OUTPUT_COPIES * batch_size * outputs)
    return own + math.ceil(TABLE_COPIES * held)


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

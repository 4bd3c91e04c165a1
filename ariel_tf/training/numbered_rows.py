"""Rows of a training in memory, which each step takes by their numbers: as features, or on a GPU, or both.

    tf.data     batches of row numbers, int64 [n]
    memory      what the model computes before its weights    --gather--> inputs of its network  (`stacked.features`)
                or flux [rows, 300, channels], star [rows, 6] --gather--> inputs of the model    (on a GPU)
                radius [rows, targets]

Otherwise tf.data gathers the rows of each step and copies them to the device (4 MB for 64 rows of all wavelengths), and
the model computes its features again in every epoch: two thirds of a step of `transit`, nine tenths of a joint one.
The rows, and their order, are the same.
"""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from ariel_tf.data import dataset
from ariel_tf.training.stacked.features import Halves, halves

if TYPE_CHECKING:
    from ariel_tf.training.data import TrainingData

# Share of the free memory of a GPU that rows may take; the others are for weights and the outputs of layers.
SHARE = 0.5
# Rows whose features are computed at once, at most.
FEATURE_ROWS = 256
# Differences between the outputs of a model and of its parts, relative to the largest output.
ROUNDING = 1e-4

Take = Callable[[Any], tuple[Any, Any]]


class NumberedRows(NamedTuple):
    """Rows of a training in memory.

    Attributes:
        training: (row numbers [n]) -> (inputs of `network`, radius), of the training rows.
        places: function from the number of finished epochs to a dataset of the row numbers of each remaining step.
        validation: the same as `training`, of the validation rows.
        validation_places: dataset of the row numbers of each validation step, for one pass.
        network: what the steps train: the model, or the part of it that has weights.
    """

    training: Take
    places: Callable[[int], tf.data.Dataset]
    validation: Take
    validation_places: tf.data.Dataset
    network: keras.Model


def gpu() -> str | None:
    """Return the name of the GPU of this process; None without one, or with several, between which rows are shared."""
    gpus = tf.config.list_logical_devices("GPU")
    return gpus[0].name if len(gpus) == 1 else None


def free_bytes(device: str) -> int:
    """Return the bytes of a GPU that are free.

    Args:
        device: its name, as `gpu` returns it.
    """
    from tensorflow.python.client import device_lib

    limits = [found.memory_limit for found in device_lib.list_local_devices() if found.device_type == "GPU"]
    return int(limits[0]) - int(tf.config.experimental.get_memory_info(device.removeprefix("/device:"))["current"])


def hold(
    rows: "TrainingData", model: keras.Model, device: str | None, free: Callable[[str], int] = free_bytes
) -> NumberedRows | None:
    """Return the rows of a training as features, or on a device.

    Args:
        rows: rows of the training.
        model: built and compiled model, on one device.
        device: name of a GPU; None for none.
        free: function that returns the bytes of a device that are free.

    Returns:
        None if steps read their rows as batches: rows that are not in memory or in mapped files as they are trained on,
        rows too large for the GPU, or no GPU and a model without features.

    Raises:
        dataset.UNREADABLE: damaged rows in mapped files.
    """
    batches = rows.in_key_order(min(rows.config.batch_size, FEATURE_ROWS))
    if batches is None:
        return None
    validation, limit = rows.pairs(rows.validation()), SHARE * free(device) if device else math.inf
    split = features_of(model, batches)
    if split and rows.count * sum(math.prod(one.shape[1:]) for one in split.features.outputs) * 4 > rows.memory:
        split = None
    held: list[Any]
    if split is not None:
        held = [_computed(split.features, batches, rows.count), _computed(split.features, validation)]
    elif device and rows.table is not None and _bytes(rows.table) < limit:
        tables = [rows.table, rows.validation_table()]
        held = [dataset.for_model(table, star=bool(rows.config.star_names)) for table in tables]
    else:
        return None
    if sum(values.shape.num_elements() * values.dtype.size for values in tf.nest.flatten(held)) > limit:
        return None
    batch = dataset.prediction_batch_size(rows.config.signature)
    return NumberedRows(
        training=_taker(held[0], device),
        places=rows.places,
        validation=_taker(held[1], device),
        validation_places=tf.data.Dataset.range(len(held[1][1])).batch(batch),
        network=split.network if split else model,
    )


def features_of(model: keras.Model, batches: tf.data.Dataset) -> Halves | None:
    """Return a model's features and its network; None if it has none that can be computed once.

    Args:
        model: functional model.
        batches: (inputs, radius); the first rows are tried.
    """
    values = sum(math.prod(spec.shape[1:]) for spec in batches.element_spec[0].values())
    split = halves(model, values // 2)
    if split is None:
        return None
    inputs, _ = next(iter(batches.unbatch().batch(2)))
    try:  # each row for itself: features that depend on the other rows of a batch differ between epochs
        each = [{name: rows[place : place + 1] for name, rows in inputs.items()} for place in range(2)]
        found = [split.network(_features(split.features, one), training=False) for one in each]
        expected, received = model(inputs, training=False), tf.concat(found, axis=0)
    except (ValueError, TypeError, tf.errors.OpError):  # a layer that takes no single row
        return None
    if received.shape != expected.shape:
        return None
    apart, largest = np.abs(received.numpy() - expected.numpy()).max(), np.abs(expected.numpy()).max()
    # A layer before the weights may add to the loss; it would be left out.
    return split if apart <= ROUNDING * largest and not split.features.losses else None


def _features(features: keras.Model, inputs: Mapping[str, Any]) -> list[Any]:
    return list(keras.tree.flatten(features(inputs, training=False)))


def _bytes(table: Mapping[str, tf.Tensor]) -> int:
    return sum(table[name].shape.num_elements() * table[name].dtype.size for name in ("flux", "star", "radius"))


def _computed(features: keras.Model, batches: tf.data.Dataset, rows: int | None = None) -> tuple[list[Any], Any]:
    """Return the features and radii of all rows.

    Args:
        features: model from inputs to features.
        batches: (inputs, radius) in order.
        rows: their number, for the progress bar.
    """
    compute = tf.function(lambda batch: _features(features, batch), autograph=False, reduce_retracing=True)
    parts: list[list[Any]] = [[] for _ in features.outputs]
    radii = []
    with tqdm(total=rows, desc="features", unit=" rows", leave=False, disable=None, delay=2) as bar:
        for inputs, radius in batches:
            for found, values in zip(parts, compute(inputs), strict=True):
                found.append(values)
            radii.append(radius)
            bar.update(len(radius))
    return [tf.concat(found, axis=0) for found in parts], tf.concat(radii, axis=0)


def _taker(held: Any, device: str | None) -> Take:
    """Return a function (row numbers [n]) -> (inputs, radius), which takes them of rows on a device."""
    with tf.device(device):
        held = tf.nest.map_structure(tf.identity, held)

    def take(index: Any) -> tuple[Any, Any]:
        return tf.nest.map_structure(lambda values: tf.gather(values, index), held)

    return take

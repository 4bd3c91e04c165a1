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

from ariel_tf.data import arrays, dataset
from ariel_tf.training.stacked.features import FEATURE_ROWS, Halves, halves

if TYPE_CHECKING:
    from ariel_tf.training.data import TrainingData

# Share of the free memory of a GPU that rows may take; the others are for weights and the outputs of layers.
SHARE = 0.5
# Features of more bytes are computed in each step. Not the memory that is free: a run that is resumed must do the same.
FEATURE_BYTES = dataset.MEMORY_BYTES
# Differences between the outputs of a model and of its parts, and between features of a row alone and in a batch,
# relative to the largest.
ROUNDING, ALONE = 1e-4, 1e-2

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
    """Return the bytes of a GPU that are free; 0 if TensorFlow does not say.

    Args:
        device: its name, as `gpu` returns it.
    """
    from tensorflow.python.client import device_lib

    number = tf.config.get_visible_devices("GPU")[0].name.rpartition(":")[2]
    gpus = tf.compat.v1.GPUOptions(visible_device_list=number, allow_growth=True)
    try:
        devices = device_lib.list_local_devices(session_config=tf.compat.v1.ConfigProto(gpu_options=gpus))
        limits = [found.memory_limit for found in devices if found.device_type == "GPU"]
        used = tf.config.experimental.get_memory_info(device.removeprefix("/device:"))["current"]
    except (RuntimeError, ValueError, tf.errors.OpError):
        return 0
    return int(limits[0]) - int(used) if limits else 0


def hold(
    rows: "TrainingData",
    model: keras.Model,
    each: Callable[[], None] = lambda: None,
    device: str | None = None,
    free: Callable[[str], int] = free_bytes,
) -> NumberedRows | None:
    """Return the rows of a training as features, or for a GPU as they are.

    Whether steps take them by their numbers depends on the model and the data alone, so that a resumed training does
    the same, bit for bit. They are on the GPU if they fit there, else in memory.

    Args:
        rows: rows of the training.
        model: built and compiled model, on one device.
        each: function that is called after each batch of features; it may raise.
        device: name of a GPU; None for none.
        free: function that returns the bytes of a device that are free.

    Returns:
        None if steps read their rows as batches: rows that are augmented, mixed or shuffled in windows, or a model
        without features and no GPU, or rows in mapped files.

    Raises:
        dataset.UNREADABLE: damaged rows in mapped files.
    """
    batches = rows.in_key_order(min(rows.config.batch_size, FEATURE_ROWS))
    if batches is None:
        return None
    validation = rows.pairs(rows.validation())
    split = features_of(model, batches)
    if split and rows.count * split.row_bytes > FEATURE_BYTES:
        split = None
    held: list[Any]
    if split is not None:
        held = [_computed(split.features, part, each) for part in (batches, validation)]
    elif device and rows.table is not None:
        tables = [rows.table, rows.validation_table()]
        held = [dataset.for_model(table, star=bool(rows.config.star_names)) for table in tables]
    else:
        return None
    size = sum(values.nbytes for values in tf.nest.flatten(tf.nest.map_structure(np.asarray, held)))
    if device is None or size > SHARE * free(device):
        device = "/device:CPU:0"
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
    inputs, radius = next(iter(batches.unbatch().batch(2)))
    try:
        together = _features(split.features, inputs)
        alone = [
            _features(split.features, {name: rows[place : place + 1] for name, rows in inputs.items()})
            for place in range(len(radius))
        ]
        expected, received = model(inputs, training=False), split.network(together, training=False)
    except (ValueError, TypeError, tf.errors.OpError):  # a layer that takes no single row
        return None
    # Features that depend on the other rows of a batch differ between epochs, and a layer may add to the loss.
    pairs = [(both, tf.concat(parts, axis=0), ALONE) for both, *parts in zip(together, *alone, strict=True)]
    same = all(_near(*pair) for pair in [*pairs, (expected, received, ROUNDING)])
    return split if same and not split.features.losses else None


def _near(one: Any, other: Any, rounding: float) -> bool:
    """Whether two tensors agree within a fraction of the largest value of the first."""
    first, second = np.asarray(one, np.float64), np.asarray(other, np.float64)
    return first.shape == second.shape and np.abs(first - second).max() <= rounding * np.abs(first).max()


def _features(features: keras.Model, inputs: Mapping[str, Any]) -> list[Any]:
    return list(keras.tree.flatten(features(inputs, training=False)))


def _computed(features: keras.Model, batches: tf.data.Dataset, each: Callable[[], None]) -> tuple[list[Any], Any]:
    """Return the features and radii of all rows, in memory.

    Args:
        features: model from inputs to features.
        batches: (inputs, radius) in order.
        each: function that is called after each batch.
    """
    compute = tf.function(lambda batch: _features(features, batch), autograph=False, reduce_retracing=True)
    parts: list[list[np.ndarray]] = [[] for _ in range(len(features.outputs) + 1)]
    count = int(batches.cardinality())
    with tqdm(total=count, desc="features", unit=" batches", leave=False, disable=None, delay=2) as bar:
        for inputs, radius in batches:
            for found, values in zip(parts, [*compute(inputs), radius], strict=True):
                found.append(values.numpy())
            bar.update()
            each()
    held = []
    for found in parts:
        held.append(arrays.as_tensor(np.concatenate(found)))
        found.clear()
    return held[:-1], held[-1]


def _taker(held: Any, device: str) -> Take:
    """Return a function (row numbers [n]) -> (inputs, radius), which takes them of rows on a device."""
    with tf.device(device):
        held = tf.nest.map_structure(tf.identity, held)

        def take(index: Any) -> tuple[Any, Any]:
            with tf.device(device):
                return tf.nest.map_structure(lambda values: tf.gather(values, index), held)

    return take

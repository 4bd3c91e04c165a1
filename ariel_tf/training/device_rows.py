"""Rows of a training in the memory of a GPU, where each step takes its own by their numbers.

    tf.data     batches of row numbers, int64 [n]
    GPU         flux [rows, 300, channels], star [rows, 6], radius [rows, targets]  --gather--> (inputs, radius)

Otherwise the processor gathers the rows of each step, and copies them to the GPU: 4 MB for 64 rows of all wavelengths.
The rows, and their order, are the same.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf

from ariel_tf.data import dataset

if TYPE_CHECKING:
    from ariel_tf.training.data import TrainingData

# Share of the free memory of a GPU that rows may take; the others are for weights and the outputs of layers.
SHARE = 0.5
NEEDED = ("flux", "star", "radius")


class DeviceRows(NamedTuple):
    """Rows of a training on a device.

    Attributes:
        training: (row numbers [n]) -> (inputs, radius), of the training rows.
        places: function from the number of finished epochs to a dataset of the row numbers of each remaining step.
        validation: the same as `training`, of the validation rows.
        validation_places: dataset of the row numbers of each validation step, for one pass.
    """

    training: Callable[[Any], Any]
    places: Callable[[int], tf.data.Dataset]
    validation: Callable[[Any], Any]
    validation_places: tf.data.Dataset


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


def hold(rows: "TrainingData", device: str | None, free: Callable[[str], int] = free_bytes) -> DeviceRows | None:
    """Copy the rows of a training to a device; None if they are not in memory as they are trained on, or do not fit.

    Args:
        rows: rows of the training.
        device: name of the device; None for none.
        free: function that returns the bytes of a device that are free.
    """
    if device is None or rows.plain_table is None:
        return None
    train, validation = rows.plain_table, rows.validation_table()
    needed = [table[name] for table in (train, validation) for name in NEEDED]
    size = sum(values.shape.num_elements() * values.dtype.size for values in needed)
    if size > SHARE * free(device):
        return None
    star = bool(rows.config.star_names)
    batch = dataset.prediction_batch_size(rows.config.signature)
    return DeviceRows(
        training=_taker(train, star, device),
        places=rows.places,
        validation=_taker(validation, star, device),
        validation_places=tf.data.Dataset.range(len(validation["key"])).batch(batch),
    )


def _taker(table: Mapping[str, tf.Tensor], star: bool, device: str) -> Callable[[Any], Any]:
    """Return a function (row numbers [n]) -> (inputs, radius), which takes rows of a copy on a device."""
    with tf.device(device):
        held = {name: tf.identity(table[name]) for name in NEEDED}

    def take(index: Any) -> Any:
        return dataset.for_model({name: tf.gather(values, index) for name, values in held.items()}, star)

    return take

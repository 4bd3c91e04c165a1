"""The `tf.distribute` strategy of `--devices`: one device, several of a host, or several hosts.

`core.devices` parses the option without TensorFlow.
"""

import functools
import os
from collections.abc import Callable
from typing import Any

from ariel_tf.core import messages, tf_startup
from ariel_tf.core.devices import Devices, describe_gpus
from ariel_tf.core.errors import UsageError
from ariel_tf.training import cluster

# Sums on a GPU are added in any order otherwise, so that a resumed training would not equal an uninterrupted one.
# TensorFlow reads the same variable: 0 leaves the order open, for an operation that has no deterministic form.
DETERMINISTIC = "TF_DETERMINISTIC_OPS"


@functools.cache
def strategy_of(devices: Devices) -> Any:
    """Return the `tf.distribute` strategy of `--devices`: TensorFlow's default for one device.

    Call it before anything else starts TensorFlow's devices, which cannot be chosen afterwards; the same devices
    return the same strategy again. With several workers it waits until all of them have started. GPU memory is
    allocated as needed, and GPUs compute the same numbers each time (`DETERMINISTIC`).

    Raises:
        UsageError: devices that this machine does not have.
    """
    _, workers = cluster.task()
    if workers > 1 and devices.kind == "cpu" and devices.numbers:
        raise UsageError(f"--devices {devices}: several hosts take the whole CPU of each, --devices cpu.")
    if workers > 1:
        messages.info(f"waiting for the {workers} workers of this training")
        cluster.wait_for_workers()
    tf = tf_startup.import_tensorflow(start_devices=False)
    with tf_startup.notices_hidden():
        try:
            found = _choose(tf, devices)
            if workers > 1:
                cluster.name_workers_only()
                return tf.distribute.MultiWorkerMirroredStrategy()
            names = [device.name for device in found()]
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise UsageError(
                f"--devices {devices}: this process has started other devices already ({reason})."
            ) from error
        if len(names) > 1:
            return tf.distribute.MirroredStrategy(names)
        return tf.distribute.get_strategy()


def _choose(tf: Any, devices: Devices) -> Callable[[], list[Any]]:
    """Make the chosen devices the visible ones; return a function that starts and lists them."""
    gpus = tf.config.list_physical_devices("GPU")
    if devices.kind == "gpu" or (devices.kind == "auto" and gpus):
        wanted = devices.numbers or tuple(range(len(gpus)))
        if not gpus or max(wanted) >= len(gpus):
            raise UsageError(f"--devices {devices}: {describe_gpus(len(gpus))} here.")
        tf.config.set_visible_devices([gpus[number] for number in wanted], "GPU")
        for number in wanted:
            tf.config.experimental.set_memory_growth(gpus[number], True)
        if os.environ.get(DETERMINISTIC, "1") != "0":
            tf.config.experimental.enable_op_determinism()
        return lambda: tf.config.list_logical_devices("GPU")
    if gpus:
        tf.config.set_visible_devices([], "GPU")
    wanted = devices.numbers or (0,)
    cpu, parts = tf.config.list_physical_devices("CPU")[0], max(wanted) + 1
    if parts > len(tf.config.get_logical_device_configuration(cpu) or [None]):
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * parts)
    return lambda: [tf.config.list_logical_devices("CPU")[number] for number in wanted]


def describe_devices(strategy: Any) -> str:
    """Return `on 2 devices, `, or an empty text for one device."""
    devices = strategy.num_replicas_in_sync
    return f"on {devices} devices, " if devices > 1 else ""


def check_batch(strategy: Any, batch_size: int, rows: int = 0) -> None:
    """Refuse a batch that cannot be divided among the devices.

    Args:
        strategy: result of `strategy_of`.
        batch_size: rows per step, over all devices.
        rows: rows per epoch; 0 if not known yet.

    Raises:
        UsageError: it is not a multiple of the devices, or an epoch's last batch has fewer rows than devices; names
            suitable sizes.
    """
    devices = strategy.num_replicas_in_sync

    def fits(size: int) -> bool:
        last = rows % size if rows % size else size
        return size % devices == 0 and (not rows or min(last, rows) >= devices)

    if fits(batch_size):
        return
    below = next((size for size in range(batch_size, 0, -1) if fits(size)), None)
    above = next((size for size in range(batch_size, 2 * batch_size + 4 * devices) if fits(size)), None)
    near = " or ".join(str(size) for size in (below, above) if size)
    if batch_size % devices:
        why = f"does not divide by {devices} devices"
    else:
        last = rows % batch_size or rows
        why = f"leaves {last} of {rows} rows in an epoch's last step, fewer than there are devices ({devices})"
    advice = f"take {near}" if near else "there are too few rows for so many devices"
    raise UsageError(f"--batch-size {batch_size}: {why}; {advice}.")

"""`--devices`: which devices a training asks for; no TensorFlow."""

from dataclasses import dataclass

from ariel_tf.core.errors import UsageError

DEVICES_HELP = (
    "auto: every GPU there is, else the CPU; cpu; gpu:0,1 for some GPUs; cpu:0,1 for parts of the CPU, to try it out"
)


@dataclass(frozen=True)
class Devices:
    """What `--devices` asks for; no numbers means all of the kind, and of CPUs one."""

    kind: str
    numbers: tuple[int, ...]


def parse_devices(text: str) -> Devices:
    """`auto`, `cpu`, `gpu`, `gpu:0,1`, `cpu:0,1`.

    Raises:
        UsageError: no such form, or a device twice.

    >>> parse_devices("gpu:0,2")
    Devices(kind='gpu', numbers=(0, 2))
    """
    kind, colon, listed = text.partition(":")
    parts = listed.split(",") if colon else []
    sound = kind in ("cpu", "gpu") or (kind == "auto" and not colon)
    if not sound or any(not part.isascii() or not part.isdecimal() for part in parts):
        raise UsageError(f"--devices: expected auto, cpu, gpu, gpu:0,1 or cpu:0,1. Received: {text}")
    numbers = tuple(map(int, parts))
    if len(set(numbers)) < len(numbers):
        raise UsageError(f"--devices: expected each device once. Received: {text}")
    return Devices(kind, numbers)


def describe_gpus(gpus: int) -> str:
    """What TensorFlow finds, in words."""
    return f"TensorFlow finds GPUs 0-{gpus - 1}" if gpus else "TensorFlow finds no GPU"

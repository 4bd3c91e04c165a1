"""`--devices`: the devices requested for a training; no TensorFlow."""

from dataclasses import dataclass
from typing import Self

from ariel_tf.core.errors import UsageError
from ariel_tf.core.numbers import whole_numbers

DEVICES_HELP = (
    "auto: every GPU there is, else the CPU; cpu; gpu:0,1 for some GPUs; cpu:0,1 for parts of the CPU, to try it out"
)


@dataclass(frozen=True)
class Devices:
    """Devices of one kind; parses and prints `--devices`.

    Attributes:
        kind: auto, cpu or gpu.
        numbers: indices of the devices; empty means every GPU, or one CPU.

    >>> Devices.parse("gpu:0,2"), str(Devices.parse("gpu:0,2"))
    (Devices(kind='gpu', numbers=(0, 2)), 'gpu:0,2')
    """

    kind: str = "auto"
    numbers: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `auto`, `cpu`, `gpu`, `gpu:0,1` or `cpu:0,1`.

        Raises:
            UsageError: another form, or a device listed twice.
        """
        kind, colon, listed = text.partition(":")
        sound = kind in ("cpu", "gpu") or (kind == "auto" and not colon)
        numbers = whole_numbers(listed) if colon else ()
        if not sound or numbers is None:
            raise UsageError(f"--devices: expected auto, cpu, gpu, gpu:0,1 or cpu:0,1. Received: {text}")
        if len(set(numbers)) < len(numbers):
            raise UsageError(f"--devices: expected each device once. Received: {text}")
        return cls(kind, numbers)

    def __str__(self) -> str:
        return self.kind + (":" + ",".join(map(str, self.numbers)) if self.numbers else "")


DEFAULT_DEVICES = Devices()


def describe_gpus(gpus: int) -> str:
    """Return the GPUs that TensorFlow finds, as part of a sentence."""
    return f"TensorFlow finds GPUs 0-{gpus - 1}" if gpus else "TensorFlow finds no GPU"

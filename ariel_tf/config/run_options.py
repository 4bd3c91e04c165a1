"""Options of a training that do not change the model: devices, processes, memory, and where results are written."""

import functools
import importlib.util
from pathlib import Path

from ariel_tf.core import cli, resources
from ariel_tf.core.devices import Devices
from ariel_tf.core.errors import UsageError
from ariel_tf.core.numbers import whole_numbers
from ariel_tf.core.schema import Schema, option

# Small enough for any machine, so that the order of rows, and therefore the model, is the same on all machines.
MEMORY = "2G"
# Services that `--track` accepts: packages, each with an extra of the same name.
TRACKERS = ("none", "wandb", "mlflow")


def require_tracker(service: str) -> None:
    """Refuse a tracking service whose package is not installed.

    Raises:
        UsageError: names what to install.
    """
    if service != "none" and importlib.util.find_spec(service) is None:
        raise UsageError(f"--track {service}: its package is not installed; pip install 'ariel_tf[{service}]'.")


def parse_profile(text: str) -> tuple[int, ...] | str:
    """Parse `10:20` to (10, 20); any other text is left for the check to refuse."""
    numbers = whole_numbers(text, ":")
    return numbers if numbers and len(numbers) == 2 else text


class RunOptions(Schema):
    """Options that do not change the trained model.

    Attributes:
        command: the command that resumes this training, for messages and the run's README; not a flag.
        arguments: options of `python -m ariel_tf.train` that start another process of this training; not a flag.
    """

    run: Path | None = cli.run_folder(shown="runs/MODEL-wNN-HASH of the options")
    overwrite: bool = cli.overwrite()
    dry_run: bool = cli.dry_run("print the options, the data and the model; train nothing")
    stack: str = option(
        "auto", "train a list of wavelengths together or one by one; auto: together where that is faster",
        group=cli.WHERE_IT_RUNS, choices=("auto", "yes", "no")
    )  # fmt: skip
    devices: Devices = cli.devices()
    jobs: int = cli.jobs("number of processes for a list of wavelengths, with a GPU or a share of the cores each")
    memory: str = option(
        MEMORY, "memory for training rows, like 8G, or auto for half of what is free; rows that do not fit and "
        "are not in arrays are read again in each epoch, in windows", group=cli.WHERE_IT_RUNS, metavar="SIZE",
        check=lambda text: text == "auto" or resources.parse_bytes(text) is not None, expected="a size like 8G, or auto"
    )  # fmt: skip
    price: float | None = cli.price()
    profile: tuple[int, ...] | None = option(
        None, "profile these training steps for TensorBoard, like 10:20", group=cli.WHERE_IT_GOES, metavar="FIRST:LAST",
        parse=lambda text: parse_profile(text), check=lambda steps: len(steps) == 2 and 1 <= steps[0] <= steps[1],
        expected="the first and the last step, like 10:20"
    )  # fmt: skip
    histograms: bool = option(
        False, "write a histogram of each weight after each epoch for TensorBoard", group=cli.WHERE_IT_GOES
    )
    track: str = option(
        "none", "also log the training to a tracking service, offline by default", group=cli.WHERE_IT_GOES,
        choices=TRACKERS
    )  # fmt: skip
    command: str = ""
    arguments: tuple[str, ...] = ()

    @property
    def memory_bytes(self) -> int:
        """Return the bytes that the rows of one training may take; several jobs share the limit."""
        return resources.parse_bytes(self.memory) or (_free_memory() // (2 * self.jobs) if self.memory == "auto" else 0)


@functools.cache
def _free_memory() -> int:
    """Return the memory that is free at the first call, since a training must always make the same decision."""
    return resources.free_memory()

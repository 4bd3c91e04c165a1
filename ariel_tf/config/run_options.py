"""How a training runs and where its results go; no part of the model."""

from pathlib import Path

from ariel_tf.core import cli
from ariel_tf.core.devices import Devices
from ariel_tf.core.schema import Schema, option


class RunOptions(Schema):
    """Options that leave the trained model as it is.

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
    price: float | None = cli.price()
    command: str = ""
    arguments: tuple[str, ...] = ()

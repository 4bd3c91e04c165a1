"""Train a model of one wavelength, of each of several, or of all jointly.

    python -m ariel_tf.train --wavelength 12

Read aloud: options become a configuration; a source of planets is opened; the model is built with the
training folds' statistics; a run folder is made or resumed; `fit` trains, saving as it goes; the best
epoch's model is scored once on the test folds, and the run is described in words and a picture.

A list of wavelengths, `--wavelength 0-54`, trains one such model for each: `train_all` tells how.

TensorFlow is imported inside functions, once every mistake in an option has been found.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ariel_tf.config import model_registry
from ariel_tf.config import train_options as flags
from ariel_tf.config.run_options import RunOptions
from ariel_tf.config.targets import Targets
from ariel_tf.core import cli, processes
from ariel_tf.core.errors import UsageError, run_command
from ariel_tf.core.schema import option
from ariel_tf.data.bigquery.address import is_address
from ariel_tf.runs.folder import move_aside
from ariel_tf.training import cluster, distribute, heartbeat
from ariel_tf.training.job import print_cost, train, with_data

EXAMPLES = (
    "--wavelength 12",
    "--model squid --wavelength 0-54 --jobs 2 --run runs/squid",
    "--model dense --wavelength joint --data DATA --epochs 5 --dry-run",
    "--config runs/squid/config.json --seed 1",
)


class Options(RunOptions):
    """What `python -m ariel_tf.train` takes beside the configuration."""

    list_models: bool = option(False, "print the models and stop")


def parser() -> cli.Parser:
    made = cli.Parser("ariel_tf.train", __doc__, examples=EXAMPLES)
    flags.add_options(made)
    made.add_schema(Options)
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = cli.given(arguments)
    heartbeat.start()
    given = parser().parse_args(arguments)
    options = Options.from_flags(given)
    if options.list_models:
        for entry in model_registry.entries().values():
            print(f"{entry.name:12s}{entry.summary}")
        return
    processes.stop_with_parent()
    config = flags.from_arguments(given)
    check_list_options(options, config.wavelength)
    config = with_data(config)
    if options.dry_run and is_address(config.data):
        print_cost(config, options.price)
        return
    # Without --overwrite: whoever repeats it wants to go on, not to start again.
    kept = [argument for argument in arguments if argument != "--overwrite"]
    command = os.environ.get(heartbeat.COMMAND) or cli.repeated("ariel_tf.train", arguments)
    rest = (command, options.run, options.overwrite, options.dry_run, processes.devices_of(options.devices))
    if not config.wavelength.is_list:
        train(config, *rest)
    elif options.jobs > 1 and processes.number() is None and not options.dry_run:
        if options.overwrite:
            overwrite(options.run)
        processes.Jobs([sys.executable, "-m", "ariel_tf.train", *kept], options.jobs, options.devices).run()
    else:
        distribute.strategy_of(rest[-1])
        from ariel_tf.training.per_wavelength import train_all

        train_all(config, options.stack, *rest, options.jobs)


def overwrite(path: Path | None) -> None:
    """Move an earlier run aside before several jobs begin."""
    if path is None:
        raise UsageError("--overwrite: with --jobs, expected --run with it, the run to move aside.")
    if (path / "config.json").is_file():
        move_aside(path)


def check_list_options(options: RunOptions, targets: Targets) -> None:
    """Refuse options that only a list of wavelengths takes, or that this list does not take."""
    if targets.is_list:
        if options.jobs > 1 and cluster.task()[1] > 1:
            raise UsageError("--jobs: expected none with TF_CONFIG, whose workers train one wavelength after another.")
        return
    for name, value, default in (("--stack", options.stack, "auto"), ("--jobs", options.jobs, 1)):
        if value != default:
            raise UsageError(f"{name} {value}: expected a list of wavelengths with it, like --wavelength 0-54.")


if __name__ == "__main__":
    run_command(main)

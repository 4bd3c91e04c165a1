"""Train a model of one wavelength, of each of several, or of all jointly.

    python -m ariel_tf.train --wavelength 12

Read aloud: options become a configuration; a source of planets is opened; the model is built with the
training folds' statistics; a run folder is made or resumed; `fit` trains, saving as it goes; the best
epoch's model is scored once on the test folds, and the run is described in words and a picture.

A list of wavelengths, `--wavelength 0-54`, trains one such model for each: `train_all` tells how.

TensorFlow is imported inside functions, once every mistake in an option has been found.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ariel_tf.config import model_registry
from ariel_tf.config import train_options as flags
from ariel_tf.config.targets import Targets
from ariel_tf.core import processes
from ariel_tf.core.devices import DEVICES_HELP, parse_devices
from ariel_tf.core.errors import UsageError, run_command
from ariel_tf.data.bigquery.address import is_address
from ariel_tf.data.bigquery.cost import add_price_flag
from ariel_tf.runs.folder import move_aside
from ariel_tf.training import cluster, distribute, heartbeat
from ariel_tf.training.job import print_cost, train, with_data


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    heartbeat.start()
    parser = argparse.ArgumentParser(prog="python -m ariel_tf.train", description=(__doc__ or "").split("\n")[0])
    flags.add_options(parser)
    add_price_flag(parser)
    where = parser.add_argument_group("where it runs")
    where.add_argument("--devices", default="auto", metavar="DEVICES", help=f"{DEVICES_HELP} (default: auto)")
    folder = parser.add_argument_group("where it goes")
    folder.add_argument(
        "--run", type=Path, metavar="RUN", help="run folder (default: runs/MODEL-wNN-HASH of the options)"
    )
    folder.add_argument("--overwrite", action="store_true", help="move a run that is already there aside")
    folder.add_argument(
        "--dry-run", action="store_true", help="show the options, the data and the model; train nothing"
    )
    folder.add_argument(
        "--stack",
        choices=("auto", "yes", "no"),
        help="train a list of wavelengths together or one by one (default: auto, together where that is faster)",
    )
    where.add_argument(
        "--jobs", type=int, default=1, help="processes for a list of wavelengths, a GPU or a share of the cores each"
    )
    folder.add_argument("--list-models", action="store_true", help="show the models and stop")
    options = parser.parse_args(arguments)
    if options.list_models:
        for entry in model_registry.entries().values():
            print(f"{entry.name:12s}{entry.summary}")
        return
    parse_devices(options.devices)
    processes.stop_with_parent()
    config = flags.from_arguments(options)
    check_list_options(options, config.wavelength)
    config = with_data(config)
    if options.dry_run and is_address(config.data):
        print_cost(config, options.price)
        return
    # Without --overwrite: whoever repeats it wants to go on, not to start again.
    kept = [argument for argument in arguments if argument != "--overwrite"]
    command = os.environ.get(heartbeat.COMMAND) or shlex.join(["python", "-m", "ariel_tf.train", *kept])
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

        train_all(config, options.stack or "auto", *rest, options.jobs)


def overwrite(path: Path | None) -> None:
    """Move an earlier run aside before several jobs begin."""
    if path is None:
        raise UsageError("--overwrite: with --jobs, expected --run with it, the run to move aside.")
    if (path / "config.json").is_file():
        move_aside(path)


def check_list_options(options: argparse.Namespace, targets: Targets) -> None:
    """Refuse options that only a list of wavelengths takes, or that this list does not take."""
    if targets.is_list:
        if options.jobs < 1:
            raise UsageError(f"--jobs: expected 1 or more. Received: {options.jobs}")
        if options.jobs > 1 and cluster.task()[1] > 1:
            raise UsageError("--jobs: expected none with TF_CONFIG, whose workers train one wavelength after another.")
        return
    for name, value in (("--stack", options.stack), ("--jobs", options.jobs if options.jobs != 1 else None)):
        if value:
            raise UsageError(f"{name} {value}: expected a list of wavelengths with it, like --wavelength 0-54.")


if __name__ == "__main__":
    run_command(main)

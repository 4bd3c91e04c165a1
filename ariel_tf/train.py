"""Train a model of one wavelength, of each of several, or of all jointly.

    python -m ariel_tf.train --wavelength 12

The options become a configuration; a source of planets is opened; the model is built with the statistics of the
training folds; a run folder is created or resumed; `fit` trains and saves; the best epoch's model is scored once on the
test folds, and the run is described in a model card and a plot (`training.job`).

A list of wavelengths, `--wavelength 0-54`, trains one such model for each (`training.per_wavelength`).

TensorFlow is imported inside functions, once every mistake in an option has been found.
"""

import os
from collections.abc import Sequence

from ariel_tf.config import model_registry, train_config
from ariel_tf.config.run_options import RunOptions
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core import cli, processes
from ariel_tf.core.errors import UsageError, run_command
from ariel_tf.core.json_output import json_output
from ariel_tf.core.schema import option
from ariel_tf.data.bigquery.address import is_address
from ariel_tf.training import heartbeat
from ariel_tf.training.dry_run import print_cost
from ariel_tf.training.opening import locate_data
from ariel_tf.training.start import check, train

EXAMPLES = (
    "--wavelength 12",
    "--model squid --wavelength 0-54 --jobs 2 --run runs/squid",
    "--model dense --wavelength joint --data DATA --epochs 5 --dry-run",
    "--config runs/squid/config.json --seed 1",
)


class Options(RunOptions):
    """Options of `python -m ariel_tf.train` in addition to the configuration."""

    list_models: bool = option(False, "print the models and exit")
    json_object: bool = cli.as_json("the final report")


def parser() -> cli.Parser:
    made = cli.Parser("ariel_tf.train", __doc__, examples=EXAMPLES)
    train_config.add_flags(made)
    made.add_schema(Options)
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = cli.given(arguments)
    heartbeat.start()
    given = parser().parse_args(arguments)
    options = Options.from_flags(given)
    if options.list_models:
        for name, summary in model_registry.summaries().items():
            print(f"{name:12s}{summary}")
        return
    processes.stop_with_parent()
    with json_output(options.json_object) as result:
        config = TrainConfig.from_flags(given)
        check(config, options)
        config = locate_data(config)
        if options.dry_run and is_address(config.data):
            print_cost(config, options)
            return
        if options.json_object and options.jobs > 1 and options.run is None:
            raise UsageError("--json: with --jobs, expected --run with it, the run to report.")
        path = train(
            config,
            options.replace(
                devices=processes.devices_in_job(options.devices),
                command=os.environ.get(heartbeat.COMMAND) or cli.repeated("ariel_tf.train", arguments),
                arguments=tuple(argument for argument in arguments if argument not in ("--overwrite", "--json")),
            ),
        )
        if options.json_object:
            from ariel_tf.evaluation.run import final_report

            result |= final_report(path or options.run, options.dry_run)


if __name__ == "__main__":
    run_command(main)

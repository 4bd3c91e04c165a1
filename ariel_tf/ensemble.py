"""Combine models into one ensemble, which is a run like any other.

    python -m ariel_tf.ensemble average RUN RUN ... --run OUT

    average, weighted, median     combine existing runs
    kfold                         train one configuration on k choices of validation folds and average the models
    bagging                       train one configuration on planets drawn with replacement and average the models
    stacking                      train a meta-model on the out-of-fold predictions of base models

OUT is a run folder: its `best.keras` is one Keras model that contains all members, so `evaluate`, `predict` and
`export` accept it. Runs can be combined if they were trained on the same data and none of them was trained on, or
selected by, planets in another's test folds.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from ariel_tf.config import train_config
from ariel_tf.config.run_options import RunOptions
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core import cli
from ariel_tf.core.errors import UsageError, run_command
from ariel_tf.core.schema import Schema, option
from ariel_tf.core.tf_startup import import_tensorflow
from ariel_tf.ensembles.combine import combine_runs
from ariel_tf.ensembles.members import Members
from ariel_tf.ensembles.resampling import train_bagging, train_kfold
from ariel_tf.training.opening import locate_data

# Options of `train` that determine how each member is trained.
OF_MEMBERS = ("stack", "devices", "jobs")


class Options(Schema):
    """Options of every kind of ensemble."""

    how: ClassVar[str]
    run: Path = cli.run_folder("run folder of the ensemble", default=..., metavar="OUT")
    overwrite: bool = cli.overwrite()


class Average(Options):
    """Average the predictions of runs."""

    how: ClassVar[str] = "average"

    runs: tuple[Path, ...] = cli.runs("run folders of any kind")
    data: str | None = cli.data(shown="the data of the runs")


class Weighted(Average):
    """Average the predictions of runs, weighted by their scores on the validation planets."""

    how: ClassVar[str] = "weighted"

    weights: str = option(
        "nnls",
        "nnls: non-negative least squares of the depth error; softmax: softmax of the scores",
        choices=("nnls", "softmax"),
    )
    temperature: float | None = option(
        None, "temperature of softmax, in points of the score", metavar="POINTS", shown="50"
    )


class Median(Average):
    """Take the median of the predictions of runs."""

    how: ClassVar[str] = "median"


class KFold(Options):
    """Train one configuration on k choices of validation folds and average the models."""

    how: ClassVar[str] = "kfold"

    splits: int = option(
        4, "number of parts into which the folds are split; each is left out of one training", metavar="K"
    )


class Bagging(Options):
    """Train one configuration on planets drawn with replacement and average the models."""

    how: ClassVar[str] = "bagging"

    members: int = option(5, "number of models", metavar="N")


class Stacking(KFold):
    """Train a meta-model on the out-of-fold predictions of base models."""

    how: ClassVar[str] = "stacking"

    blocks: int | None = option(None, "train one base model for each of N blocks of time steps", metavar="N", shown="6")
    level_0: tuple[Path, ...] | None = option(
        None, "train base models with the configurations of these runs, instead of --blocks", metavar="RUN", nargs="+",
        flag="--base-models", aliases=("--level-0",)
    )  # fmt: skip
    level_1: str = option(
        "ridge", "meta-model", choices=("ridge", "dense", "dense+flux"), flag="--meta-model", aliases=("--level-1",)
    )
    level_1_epochs: int | None = option(
        None, "maximum epochs of a dense meta-model", metavar="N", shown="50", flag="--meta-model-epochs",
        aliases=("--level-1-epochs",)
    )  # fmt: skip
    members_of: Path | None = option(None, "reuse the base models of this stacking run", metavar="STACK")


KINDS: dict[str, type[Options]] = {
    "average": Average,
    "weighted": Weighted,
    "median": Median,
    "kfold": KFold,
    "bagging": Bagging,
    "stacking": Stacking,
}
EXAMPLES = {
    "average": "average runs/a runs/b --run runs/mean",
    "weighted": "weighted runs/a runs/b --weights softmax --run runs/weighted",
    "median": "median runs/a runs/b runs/c --run runs/median",
    "kfold": "kfold --splits 4 --model squid --run runs/kfold",
    "bagging": "bagging --members 5 --model squid --run runs/bagging",
    "stacking": "stacking --model dense --wavelength joint --run runs/stack",
}


def parser() -> cli.Parser:
    made = cli.Parser("ariel_tf.ensemble", __doc__, examples=EXAMPLES.values())
    made.add_commands("HOW", [(how, _parser_of(how)) for how in KINDS])
    return made


def _parser_of(how: str) -> cli.Parser:
    example = EXAMPLES[how].removeprefix(f"{how} ")
    made = cli.Parser("ariel_tf.ensemble", KINDS[how].__doc__, KINDS[how], examples=[example], word=how)
    if not issubclass(KINDS[how], Average):
        train_config.add_flags(made)
        made.add_schema(RunOptions, OF_MEMBERS)
    return made


def members_of(given: argparse.Namespace, command: str = "") -> Members:
    """Return the models to train for an ensemble, from the parsed arguments of a kind that trains its members."""
    runs = KINDS[given.command_word].from_flags(given).model_dump().get("level_0")
    if runs:
        from ariel_tf.ensembles.stacking import configuration_file, refuse_training_options

        refuse_training_options(given)
        given.config = configuration_file(runs[0])  # wavelengths, data and folds are those of the first run
    config = locate_data(TrainConfig.from_flags(given))
    how = {name: value for name, value in RunOptions.given(given).items() if name in OF_MEMBERS}
    return Members(config, RunOptions(**how), command)


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = cli.given(arguments)
    given = parser().parse_args(arguments)
    options = KINDS[given.command_word].from_flags(given)
    command = cli.repeated("ariel_tf.ensemble", arguments)
    if isinstance(options, Average):
        if len(options.runs) < 2:
            raise UsageError(f"{options.how}: expected two runs or more. Received: {options.runs[0]}")
        combine_runs(options, command)
        return
    members = members_of(given, command)
    import_tensorflow(start_devices=False)  # before the imports below, which would print its notices
    if isinstance(options, Stacking):
        from ariel_tf.ensembles.stacking import train_stacking

        train_stacking(options, members)
    elif isinstance(options, KFold):
        train_kfold(members, options.splits, options.run, options.overwrite)
    elif isinstance(options, Bagging):
        train_bagging(members, options.members, options.run, options.overwrite)


if __name__ == "__main__":
    run_command(main)

"""Combine models into one, which is a run like any other.

    python -m ariel_tf.ensemble average RUN RUN ... --run OUT

    average, weighted, median     combine runs that exist already
    kfold                         train one configuration on k choices of validation folds, and average
    bagging                       train one configuration on planets drawn with replacement, and average
    stacking                      train a meta-model on the out-of-fold predictions of base models

OUT is a run folder: its `best.keras` is one Keras model that holds all members, so `evaluate`, `predict` and `export`
work on it. Runs can be combined if they were trained on the same data and none of them was trained on, or chosen by,
planets that another holds out as its test.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ariel_tf import train
from ariel_tf.config import train_options as flags
from ariel_tf.core import cli
from ariel_tf.core.errors import UsageError, run_command
from ariel_tf.core.schema import Schema, option
from ariel_tf.ensembles.combine import combine_runs


class Options(Schema):
    """What every kind of ensemble takes."""

    run: Path = cli.run_folder("run folder of the ensemble", default=..., metavar="OUT")
    overwrite: bool = cli.overwrite()


class Average(Options):
    """Average the predictions of runs."""

    runs: tuple[Path, ...] = cli.runs("run folders of any kind")


class Weighted(Average):
    """Average the predictions of runs, weighted by their scores on the validation planets."""

    weights: str = option(
        "nnls", "weights by non-negative least squares, or softmax of the scores", choices=("nnls", "softmax")
    )
    temperature: float | None = option(
        None, "temperature of softmax, in points of the score", metavar="POINTS", shown="50"
    )


class Median(Average):
    """Take the median of the predictions of runs."""


class KFold(Options):
    """Train one configuration on k choices of validation folds, and average."""

    splits: int = option(4, "number of choices of validation folds", metavar="K")


class Bagging(Options):
    """Train one configuration on planets drawn with replacement, and average."""

    members: int = option(5, "number of models", metavar="N")


class Stacking(KFold):
    """Train a meta-model on the out-of-fold predictions of base models."""

    blocks: int | None = option(None, "base models: one for each of N blocks of time steps", metavar="N", shown="6")
    level_0: tuple[Path, ...] | None = option(
        None, "base models: configured like these runs instead", metavar="RUN", nargs="+", aliases=("--base-models",)
    )
    level_1: str = option("ridge", "meta-model", choices=("ridge", "dense", "dense+flux"), aliases=("--meta-model",))
    level_1_epochs: int | None = option(
        None, "epochs of a dense meta-model, at most", metavar="N", shown="50", aliases=("--meta-model-epochs",)
    )
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
        flags.add_options(made)
    return made


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options, and what the training of members takes beside its configuration, such as --stack."""
    given, rest = parser().parse_known_args(arguments)
    how = given.command_word
    return argparse.Namespace(**vars(given) | dict(KINDS[how].from_flags(given)), how=how), rest


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = cli.given(arguments)
    options, rest = parse(arguments)
    command = cli.repeated("ariel_tf.ensemble", arguments)
    if issubclass(KINDS[options.how], Average):
        if rest:
            raise UsageError(f"{options.how}: unknown option {rest[0]}.")
        if len(options.runs) < 2:
            raise UsageError(f"{options.how}: expected two runs or more. Received: {options.runs[0]}")
        combine_runs(options, command)
        return
    from ariel_tf.ensembles.members import train_ensemble

    train_ensemble(options, rest, command, train)


if __name__ == "__main__":
    run_command(main)

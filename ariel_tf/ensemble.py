"""Combine models into one: `python -m ariel_tf.ensemble average RUN RUN ... --run OUT`.

    average, weighted, median     of runs that are there already
    kfold                         one configuration, trained on k choices of validation folds, averaged
    bagging                       one configuration, trained on planets drawn with replacement, averaged
    stacking                      a model on top of models, trained on out-of-fold predictions only

OUT is a run folder like any other: its `best.keras` is one Keras model that holds all members, so `evaluate`,
`predict` and `export` work on it. Runs go together when they were trained on the same data and none of them was
trained on, or chosen by, planets that another holds out as its test.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ariel_tf import train
from ariel_tf.config import train_options as flags
from ariel_tf.core.errors import UsageError, run_command
from ariel_tf.ensembles.combine import combine_runs

TRAINED_HERE = {
    "kfold": "train one configuration on k choices of validation folds, and average",
    "bagging": "train one configuration on planets drawn with replacement, and average",
    "stacking": "train a model on the out-of-fold predictions of others",
}
OF_RUNS = {
    "average": "the mean of runs",
    "weighted": "the mean of runs, weighted by how well they do on the validation planets",
    "median": "the median of runs",
}


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    # What the training of members takes beside its configuration, such as --stack, goes to `train` as it is.
    options, rest = _parser().parse_known_args(arguments)
    kept = [argument for argument in arguments if argument != "--overwrite"]
    command = shlex.join(["python", "-m", "ariel_tf.ensemble", *kept])
    if options.how in OF_RUNS:
        if rest:
            raise UsageError(f"{options.how}: unknown option {rest[0]}.")
        if len(options.runs) < 2:
            raise UsageError(f"{options.how}: expected two runs or more. Received: {options.runs[0]}")
        combine_runs(options, command)
        return
    from ariel_tf.ensembles.members import train_ensemble

    train_ensemble(options, rest, command, train)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ariel_tf.ensemble", description=(__doc__ or "").split("\n")[0])
    kinds = parser.add_subparsers(dest="how", required=True, metavar="HOW")
    for how, about in (OF_RUNS | TRAINED_HERE).items():
        kind = kinds.add_parser(how, help=about, description=about)
        if how in OF_RUNS:
            kind.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders, of any kind")
        else:
            flags.add_options(kind)
        group = kind.add_argument_group("the ensemble")
        group.add_argument("--run", type=Path, required=True, metavar="OUT", help="run folder of the ensemble")
        group.add_argument("--overwrite", action="store_true", help="move a run that is already there aside")
        if how == "weighted":
            group.add_argument(
                "--weights", choices=("nnls", "softmax"), default="nnls", help="non-negative least squares, or softmax"
            )
            group.add_argument("--temperature", type=float, help="of softmax, in points of the score (default: 50)")
        if how in ("kfold", "stacking"):
            group.add_argument("--splits", type=int, default=4, metavar="K", help="(default: 4)")
        if how == "bagging":
            group.add_argument("--members", type=int, default=5, metavar="N", help="(default: 5)")
        if how == "stacking":
            group.add_argument("--blocks", type=int, metavar="N", help="level 0: a model a block of steps (default: 6)")
            group.add_argument("--level-0", type=Path, nargs="+", metavar="RUN", help="level 0: as these runs instead")
            group.add_argument("--level-1", choices=("ridge", "dense", "dense+flux"), default="ridge")
            group.add_argument("--level-1-epochs", type=int, metavar="N", help="of a dense one, at most (default: 50)")
            group.add_argument(
                "--members-of", type=Path, metavar="STACK", help="take level 0 from a stack that has the same already"
            )
    return parser


if __name__ == "__main__":
    run_command(main)

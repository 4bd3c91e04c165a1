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
from typing import Any

import numpy as np

from ariel_tf.ensemble_run import collect, configuration_of, open_data, report, save, together
from ariel_tf.errors import UsageError, run_command
from ariel_tf.training import options as flags
from ariel_tf.training.runs import RunFolder

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
    from ariel_tf.ensemble_training import train_ensemble

    train_ensemble(options, rest, command)


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


def combine_runs(options: argparse.Namespace, command: str) -> None:
    """Average, weigh or take the median of runs.

    Raises:
        UsageError: runs that do not go together.
        DataError: their data are not what they were trained on.
    """
    from ariel_tf.quiet import import_tensorflow

    import_tensorflow()
    from ariel_tf.training.trained import Trained, folds_of, refuse_other_data

    if len({path.resolve() for path in options.runs}) < len(options.runs):
        raise UsageError(f"{options.how}: a run is named twice.")
    each = [Trained.load(path) for path in options.runs]
    refuse_other_data(each)
    folds = folds_of(each)
    how: dict[str, Any] = {"how": options.how, "members": [str(path) for path in options.runs]}
    how["models"] = [one.digest for one in each]
    if options.how == "weighted":
        how["weights"] = options.weights
        if options.weights == "softmax":
            how["temperature"] = 50.0 if options.temperature is None else options.temperature
        elif options.temperature is not None:
            raise UsageError("--temperature: is one of --weights softmax; least squares has none.")
        if not folds[1]:
            raise UsageError("weighted: expected a validation fold that no run was trained on; average them instead.")
    configuration = describe(how, each, folds)
    with RunFolder(options.run, configuration, each[0].fingerprint, options.overwrite) as run:
        if not run.state["finished"]:
            finish(run, each, command)
        report(run)


def describe(how: dict[str, Any], each: Sequence[Any], folds: Sequence[Sequence[int]]) -> dict[str, Any]:
    """The configuration of an ensemble of `Trained` runs."""
    from ariel_tf.training.composed import Member, union

    sight = union([Member(str(one.path), one.model, one.sight) for one in each])
    names = sorted({str(one.configuration["model"]) for one in each})
    return configuration_of(how, ", ".join(names), sight, each[0].data, folds)


def finish(run: RunFolder, each: Sequence[Any], command: str) -> None:
    """Combine the members, score the result once on the test folds, and commit the run.

    Args:
        run: of the ensemble.
        each: the members, `Trained`.
        command: what the user repeats.
    """
    from ariel_tf.training.composed import Member, averaged, median

    how = run.configuration["ensemble"]
    members = [Member(str(one.path), one.model, one.sight) for one in each]
    source = open_data(run, each[0])
    # Where members chose their epoch by different folds, each is judged by its own: together, out of fold.
    common = run.configuration["validation_folds"]
    validation = [collect(one, source, common or one.validation_folds) for one in each]
    weights = None
    if how["how"] == "median":
        model, _ = median(members)
    else:
        weights = _weights(how, run, each, validation)
        model, _ = averaged(members, weights)
    table = [
        {"name": str(one.path), "validation": _score(own), "test": _score(collect(one, source, _test(run)))}
        for one, own in zip(each, validation, strict=True)
    ]
    if weights is not None:
        table = [row | {"weight": float(weight.mean())} for row, weight in zip(table, weights, strict=True)]
    save(run, model, source, table, command, None if common else together(validation))


def _test(run: RunFolder) -> list[int]:
    return run.configuration["test_folds"]


def _score(predictions: Any) -> float | None:
    return None if predictions is None else predictions.scores()["planet"]


def _weights(how: dict[str, Any], run: RunFolder, each: Sequence[Any], validation: Sequence[Any]) -> np.ndarray:
    """Weights [members, wavelengths], from the validation planets where they are asked for."""
    from ariel_tf.challenge import score
    from ariel_tf.training import weights

    def weigh(group: list[int], targets: list[int]) -> np.ndarray:
        if how["how"] != "weighted":
            return np.full(len(group), 1 / len(group))
        columns = [[each[i].targets.index(wavelength) for wavelength in targets] for i in group]
        predicted = np.stack([validation[i].predicted[:, its] for i, its in zip(group, columns, strict=True)])
        true = validation[group[0]].true[:, columns[0]]
        if how["weights"] == "softmax":
            return weights.softmax([score(true, own) for own in predicted], how["temperature"])
        return weights.least_squares(true, predicted)

    from ariel_tf.training.composed import Member, union

    targets = union([Member(str(one.path), one.model, one.sight) for one in each]).targets
    return weights.by_wavelength(targets, [one.targets for one in each], weigh)


if __name__ == "__main__":
    run_command(main)

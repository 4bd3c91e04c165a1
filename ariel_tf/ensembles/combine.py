"""Average, weight or take the median of trained models, and score the result."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ariel_tf.core.errors import UsageError
from ariel_tf.data.remote import refuse_unnamed
from ariel_tf.ensembles.run import collect, configuration_of, open_data, report, save, together
from ariel_tf.runs.compatibility import folds_of, refuse_other_data
from ariel_tf.runs.folder import RunFolder


def combine_runs(options: Any, command: str) -> None:
    """Average, weight or take the median of runs.

    Raises:
        UsageError: runs that cannot be combined.
        DataError: their data differ from those they were trained on.
    """
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.runs.predictor import Predictor

    if len({path.resolve() for path in options.runs}) < len(options.runs):
        raise UsageError(f"{options.how}: a run is named twice.")
    each = [Predictor.load(path) for path in options.runs]
    if not options.data:
        for one in each:
            refuse_unnamed(one.data, one.path / "config.json")
    refuse_other_data(each)
    folds = folds_of(each)
    how: dict[str, Any] = {"how": options.how, "members": [str(path) for path in options.runs]}
    how["models"] = [one.digest for one in each]
    if options.how == "weighted":
        how["weights"] = options.weights
        if options.weights == "softmax":
            how["temperature"] = 50.0 if options.temperature is None else options.temperature
        elif options.temperature is not None:
            raise UsageError("--temperature: requires --weights softmax; least squares has no temperature.")
        if not folds[1]:
            raise UsageError("weighted: expected a validation fold that no run was trained on; average them instead.")
    configuration = describe(how, each, folds)
    with RunFolder(options.run, configuration, each[0].fingerprint, options.overwrite) as run:
        if not run.state["finished"]:
            finish(run, each, command, options.data)
        report(run)


def describe(how: dict[str, Any], each: Sequence[Any], folds: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Return the configuration of an ensemble of `Predictor` runs."""
    from ariel_tf.models.composite import union_of

    signature = union_of([one.member for one in each])
    names = sorted({str(one.configuration["model"]) for one in each})
    return configuration_of(how, ", ".join(names), signature, each[0].data, folds)


def finish(run: RunFolder, each: Sequence[Any], command: str, data: str | None = None) -> None:
    """Combine the members, score the result once on the test folds, and complete the run.

    Args:
        run: run folder of the ensemble.
        each: the members, `Predictor`.
        command: command that the user repeats.
        data: current location of the members' data; None for where they were trained.
    """
    from ariel_tf.models.composite import averaged, median

    how = run.configuration["ensemble"]
    members = [one.member for one in each]
    source = open_data(run, each[0], data)
    # If members selected their epoch by different folds, each is scored on its own: together, out of fold.
    common = run.configuration["validation_folds"]
    validation = [collect(one, source, common or one.folds.validation) for one in each]
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
    """Return weights [members, wavelengths], from the validation planets if requested."""
    from ariel_tf.challenge import score
    from ariel_tf.ensembles import blend_weights

    def weigh(group: list[int], targets: list[int]) -> np.ndarray:
        if how["how"] != "weighted":
            return np.full(len(group), 1 / len(group))
        columns = [[each[i].targets.index(wavelength) for wavelength in targets] for i in group]
        predicted = np.stack([validation[i].predicted[:, its] for i, its in zip(group, columns, strict=True)])
        true = validation[group[0]].true[:, columns[0]]
        if how["weights"] == "softmax":
            return blend_weights.softmax([score(true, own) for own in predicted], how["temperature"])
        return blend_weights.least_squares(true, predicted)

    from ariel_tf.models.composite import union_of

    targets = union_of([one.member for one in each]).targets
    return blend_weights.by_wavelength(targets, [one.targets for one in each], weigh)

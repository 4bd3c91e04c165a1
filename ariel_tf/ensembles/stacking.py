"""Stacking: base models are trained several times, each without some planets, whose predictions train a meta-model.

    training folds  0 1 | 2 3 | 4 5 | 6 7                       --splits 4
    members/l0-k0   is trained without 0 1 and predicts them     and so on: every training planet is predicted by
    members/l0-k1   is trained without 2 3 and predicts them     a model that was not trained on it

The meta-model is fitted to these out-of-fold predictions; the validation folds select its penalty or epoch, and the
test folds score the result once. In the saved model a base model is the mean of its splits.

The base models are one model for each block of time steps (six blocks of 50 by default), or models with the
configurations of some runs (`--base-models`). Configuration files and the inputs of saved models call base models
`level_0` and the meta-model `level_1`.
"""

import argparse
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ariel_tf.challenge import N_STEPS
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.atomic_files import read_json
from ariel_tf.core.errors import UsageError
from ariel_tf.core.fields import flag_name
from ariel_tf.core.printable import masked
from ariel_tf.data.selection import Selection, Signature, union
from ariel_tf.ensembles.members import Members, parts
from ariel_tf.ensembles.resampling import check_count
from ariel_tf.ensembles.run import collect, configuration_for, open_data, report, save, together
from ariel_tf.runs.committed import read_configuration, recorded_fingerprint
from ariel_tf.runs.folder import RunFolder
from ariel_tf.runs.state import is_finished

BLOCKS = 6
META_MODEL_EPOCHS = 50
# Options of the command that apply beside --base-models.
BESIDE_RUNS = ("--data", "--wavelength", "--validation-folds", "--test-folds", "--seed")


def train_stacking(options: Any, members: Members) -> None:
    """Train the base models and the meta-model, and score the result.

    Args:
        options: options of the command, `ensemble.Stacking`.
        members: configuration of the base models; with `--base-models` it gives only their data, wavelengths and folds.

    Raises:
        ArielError: an error that the user can mend, in one sentence.
    """
    config = members.config
    check_count("--splits", options.splits, len(config.train_folds))
    if (row := config.signature.row) != "observation":
        raise UsageError(f"stacking: a row of {config.model} is a whole {row}; take another model.")
    how = {"how": "stacking", "splits": options.splits, "trained": config.as_json()}
    names, base_models = of_runs(options.level_0, members) if options.level_0 else blocks(options.blocks)
    how |= {"level_0": names}
    folder = members_of(options.members_of, how) if options.members_of else options.run / "members"
    how |= meta_model_options(options)
    folds = parts(config.train_folds, options.splits)
    configuration = configuration_for(members, how, config.validation_folds)
    if options.level_0:
        configuration |= reads_of(base_models)
    fingerprint = "" if options.overwrite else recorded_fingerprint(options.run)
    with RunFolder(options.run, configuration, fingerprint, options.overwrite) as run:
        if not run.state["finished"]:
            changes = {
                f"l{index}-k{split}": change | {"test_folds": sorted([*part, *config.test_folds])}
                for index, change in enumerate(base_models)
                for split, part in enumerate(folds)
            }
            each = members.train(folder, changes)
            Stacking(run, each, names, folds, config.seed).finish(members.command)
        report(run)


def meta_model_options(options: Any) -> dict[str, Any]:
    """Return the options of the meta-model, checked."""
    epochs = options.level_1_epochs
    if options.level_1 == "ridge":
        if epochs is not None:
            raise UsageError("--meta-model-epochs: requires --meta-model dense or dense+flux; a ridge has no epochs.")
        return {"level_1": "ridge"}
    if epochs is not None and epochs < 1:
        raise UsageError(f"--meta-model-epochs: expected 1 or more. Received: {epochs}")
    return {"level_1": options.level_1, "level_1_epochs": epochs or META_MODEL_EPOCHS}


def blocks(count: int | None) -> tuple[list[str], list[dict[str, Any]]]:
    """Return base models: one for each block of time steps."""
    count = BLOCKS if count is None else count
    if not 1 <= count <= N_STEPS:
        raise UsageError(f"--blocks: expected 1 to {N_STEPS}. Received: {count}")
    edges = [N_STEPS * index // count for index in range(count + 1)]
    steps = [f"{first}:{last}" for first, last in pairwise(edges)]
    return [f"steps {text}" for text in steps], [{"steps": text} for text in steps]


def of_runs(runs: Sequence[Path], members: Members) -> tuple[list[str], list[dict[str, Any]]]:
    """Return base models with the configurations of runs, on the data and the folds of this ensemble."""
    base_models, ours = [], members.config.as_json()
    for path in runs:
        configuration_file(path)
        values = read_configuration(path)
        if values["wavelength"] != ours["wavelength"]:
            raise UsageError(
                f"--base-models {path}: predicts wavelength {values['wavelength']}, expected "
                f"{ours['wavelength']}, the value of --wavelength."
            )
        base_models.append(values | {name: ours[name] for name in ("data", "validation_folds")})
    return [str(path) for path in runs], base_models


def refuse_training_options(options: argparse.Namespace) -> None:
    """Refuse training options for members whose configurations come from runs."""
    flags = {name: flag_name(name, flag) for name, flag in TrainConfig.flags().items()}
    last = {"settings": flags.pop("settings"), "config": "--config", "blocks": "--blocks"}
    given = [flag for name, flag in (flags | last).items() if getattr(options, name, None) is not None]
    if refused := [flag for flag in given if flag not in BESIDE_RUNS]:
        raise UsageError(
            f"--base-models: the models are trained with the options of these runs, so {', '.join(refused)} would "
            f"have no effect; leave it out. Only options of the meta-model are accepted: {', '.join(BESIDE_RUNS)}."
        )


def members_of(stack: Path, how: dict[str, Any]) -> Path:
    """Return the folder of another stack's members, if its base models are the requested ones."""
    file = stack / "config.json"
    there = read_configuration(stack).get("ensemble", {}) if file.is_file() else {}
    if there.get("how") != "stacking" or not is_finished(stack):
        raise UsageError(f"--members-of {stack}: expected the run folder of a finished stack.")
    if differing := [name for name, value in masked(how).items() if there.get(name) != value]:
        raise UsageError(
            f"--members-of {stack}: its base models differ in {', '.join(differing)}; expected the "
            "options of the command that made it, except --run and --meta-model."
        )
    return stack / "members"


def configuration_file(path: Path) -> Path:
    """Return the path of the `config.json` of a run that may be a base model."""
    file = path / "config.json"
    if not file.is_file():
        raise UsageError(f"--base-models {path}: expected a run folder.")
    if "ensemble" in read_json(file, dict):
        raise UsageError(f"--base-models {path}: expected a run of one model, received an ensemble.")
    return file


def reads_of(base_models: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the keys of `config.json` that describe what models of several configurations read together."""
    signatures, names = [], []
    for values in base_models:
        config = TrainConfig.from_json(values)
        signatures.append(config.signature)
        names.append(config.model)
    return {"model": f"stacking of {', '.join(sorted(set(names)))}"} | union(signatures, names).as_json()


class Stacking:
    """Trained base models, and the meta-model on top of them.

    Args:
        run: run folder of the ensemble.
        each: `Predictor` members, all splits of the first, then of the second ...
        names: names of the base models, for people.
        folds: folds that each split's members were trained without.
        seed: random seed of a dense meta-model.
    """

    def __init__(
        self, run: RunFolder, each: Sequence[Any], names: Sequence[str], folds: Sequence[list[int]], seed: int
    ):
        self.run, self.each, self.names, self.folds, self.seed = run, each, names, folds, seed
        self.source = open_data(run, each[0])
        for index, one in enumerate(each):
            part = folds[index % len(folds)]
            if seen := set(part) & {*one.folds.train, *one.folds.validation}:
                raise UsageError(
                    f"{one.path}: was trained on folds {sorted(seen)}, which it should predict out of fold."
                )

    def finish(self, command: str) -> None:
        """Fit the meta-model, compose all models and save the result."""
        train, validation = self.out_of_fold(), self.of_validation()
        table = [
            {"name": name, "out of fold": predictions.scores()["planet"]}
            for name, predictions in zip(self.names, train, strict=True)
        ]
        how = self.run.configuration["ensemble"]["level_1"]
        model = self.fit_ridge(train) if how == "ridge" else self.fit_dense(train, validation, how.endswith("+flux"))
        save(self.run, self.composed(model), self.source, table, command)

    def out_of_fold(self) -> list[Any]:
        """Return each base model's predictions of all training planets, none by a split trained on the planet."""
        splits = len(self.folds)
        return [
            together([collect(self.each[first + k], self.source, self.folds[k]) for k in range(splits)])
            for first in range(0, len(self.each), splits)
        ]

    def of_validation(self) -> list[Any]:
        """Return each base model's predictions of the validation planets, the mean over its splits."""
        splits, folds = len(self.folds), self.run.configuration["validation_folds"]
        means = []
        for first in range(0, len(self.each), splits):
            its = [collect(one, self.source, folds) for one in self.each[first : first + splits]]
            means.append(its[0].replaced(np.mean([one.predicted for one in its], axis=0)))
        return means

    def fit_ridge(self, train: Sequence[Any]) -> Any:
        """Fit a ridge of least absolute depth error; cross-validation on the out-of-fold rows selects its penalty."""
        from ariel_tf.ensembles import meta_model
        from ariel_tf.physics.regression import Ridge

        features = meta_model.ridge_features(np.stack([one.predicted for one in train], axis=1))
        fitted = Ridge(rounds=meta_model.ROUNDS).fit(features, train[0].true)
        return meta_model.ridge(*fitted.affine(), members=len(train))

    def fit_dense(self, train: Sequence[Any], validation: Sequence[Any], sees_flux: bool) -> Any:
        """Fit a dense network on the base models' radii, the star and, if requested, the light curves."""
        import keras

        from ariel_tf.data.statistics import Moments
        from ariel_tf.ensembles import meta_model
        from ariel_tf.models.composite import names_of

        sees_star = any("star" in names_of(one.model) for one in self.each)
        radii = np.stack([one.predicted for one in train], axis=1).astype(np.float32)
        depth = float(np.square(train[0].true).std())
        inputs = {"level_0": radii} | self._beside(self.run.configuration["train_folds"], sees_star, sees_flux)
        statistics = {name: Moments.of(values).statistics() for name, values in inputs.items()}
        statistics["radius"] = Moments.of(train[0].true).statistics()
        keras.utils.set_random_seed(self.seed)
        model = meta_model.dense(statistics, len(train), sees_star, sees_flux)
        held = {"level_0": np.stack([one.predicted for one in validation], axis=1).astype(np.float32)}
        held |= self._beside(self.run.configuration["validation_folds"], sees_star, sees_flux)
        epochs = self.run.configuration["ensemble"]["level_1_epochs"]
        meta_model.fit_dense(model, (inputs, train[0].true), (held, validation[0].true), epochs, depth)
        return model

    def _beside(self, folds: Sequence[int], star: bool, flux: bool) -> dict[str, np.ndarray]:
        """Return the star and the light curves of these folds, in key order."""
        from ariel_tf.data import dataset

        if not (star or flux):
            return {}
        config = self.run.configuration
        targets = self.each[0].targets
        signature = Signature.from_json(targets, config) if flux else Signature(targets[:1], targets[:1])
        table = dataset.load(self.source, Selection(tuple(folds), signature))
        return {name: table[name].numpy() for name, wanted in (("star", star), ("flux", flux)) if wanted}

    def composed(self, meta_model: Any) -> Any:
        """Return base models and meta-model as one model of raw light curves."""
        from keras import layers, ops

        from ariel_tf.models.composite import compose

        members = [one.member for one in self.each]
        splits = len(self.folds)
        wanted = [tensor.name.split(":")[0] for tensor in meta_model.inputs]

        def join(answers: Sequence[Any], raw: dict[str, Any]) -> Any:
            means = []
            for first in range(0, len(answers), splits):
                its = answers[first : first + splits]
                means.append(layers.Average(dtype="float32")(its) if splits > 1 else its[0])
            inputs = {"level_0": ops.stack(means, axis=1)}
            return meta_model(inputs | {name: raw[name] for name in wanted if name != "level_0"})

        return compose(members, join, "stacking")

"""Train gradient-boosted trees, one forest for each wavelength.

    python -m ariel_tf.trees --wavelength all --data DATA

    RUN/best.keras       all forests as one Keras model: raw light curves in, radii out; does not need XGBoost
        trees/w12.ubj    each wavelength's booster in XGBoost's own binary JSON
        config.json ...  as in any run: `evaluate`, `predict`, `ensemble` and `export` accept it

Trees read segment means of a wavelength's folded light curve and of white light, the noise of both, and the stellar
parameters. The extra `trees` installs XGBoost.
"""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ariel_tf.config.choices import parse_settings
from ariel_tf.config.hyperparameters import Settings
from ariel_tf.config.targets import list_option
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core import cli, resources
from ariel_tf.core.atomic_files import remove_leftovers, replacing
from ariel_tf.core.errors import UsageError, run_command
from ariel_tf.core.resources import Progress, format_count
from ariel_tf.core.schema import Schema, option
from ariel_tf.data.folds import N_FOLDS, Folds, folds_option
from ariel_tf.data.selection import Selection, Signature
from ariel_tf.runs.folder import RunFolder
from ariel_tf.training.job import default_path
from ariel_tf.training.opening import check_folds, locate_data


class Options(Schema):
    """Options of `python -m ariel_tf.trees`."""

    wavelength: tuple[int, ...] = list_option("wavelengths: one, or a list like all, 3,7,12-20", (12,))
    data: str = cli.data("", shown="the folder ./data if it holds a manifest, else simulated")
    channels: str = option("own+white", "light curves that the trees read", choices=("own", "own+white"))
    star: str = option("all", "stellar parameters that the trees read", choices=("none", "all"))
    validation_folds: tuple[int, ...] = folds_option(
        (8,), "folds whose score selects the number of trees", "--validation-folds"
    )
    test_folds: tuple[int, ...] = folds_option((9,), "folds for the final test score", "--test-folds")
    set: tuple[str, ...] = option((), "a setting: depth, rounds, l2 ...; repeatable", metavar="NAME=VALUE", append=True)
    seed: int = option(0, "random seed of the rows and columns that each tree is fitted on", metavar="N")
    run: Path | None = cli.run_folder(shown="runs/trees-wNN-HASH of the options")
    overwrite: bool = cli.overwrite()

    @property
    def targets(self) -> tuple[int, ...]:
        """Wavelengths, ascending."""
        return self.wavelength

    @property
    def white(self) -> bool:
        """Whether trees read white light too."""
        return self.channels == "own+white"

    @property
    def reads_star(self) -> bool:
        return self.star == "all"

    @property
    def folds(self) -> Folds:
        """Return the folds by role."""
        return Folds(self.train_folds, self.validation_folds, self.test_folds)

    @property
    def train_folds(self) -> tuple[int, ...]:
        held_out = {*self.validation_folds, *self.test_folds}
        return tuple(fold for fold in range(N_FOLDS) if fold not in held_out)


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """Features and radii of some folds.

    Attributes:
        features: float32 [rows, f] of all wavelengths, from `models.tree_ensemble.feature_model`.
        radii: float64 [rows, wavelengths].
    """

    features: np.ndarray
    radii: np.ndarray


def parser() -> cli.Parser:
    examples = ["--wavelength 12", "--wavelength all --data DATA --set depth=4 --run runs/trees"]
    return cli.Parser("ariel_tf.trees", __doc__, Options, examples=examples)


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = cli.given(arguments)
    options = Options.from_flags(parser().parse_args(arguments))
    if set(options.validation_folds) & set(options.test_folds):
        raise UsageError("--validation-folds and --test-folds share a fold.")
    data = locate_data(TrainConfig(data=options.data)).data
    grow(options.replace(data=data), cli.repeated("ariel_tf.trees", arguments))


def grow(options: Options, command: str) -> None:
    """Train a forest per wavelength, score it once on the test folds, and write a run folder.

    Raises:
        UsageError: an unknown setting, or XGBoost is not installed.
        DataError: data without radii, or a fold without a planet.
    """
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.data.sources import open_source
    from ariel_tf.ensembles import boosted_trees
    from ariel_tf.ensembles import run as ensemble_run
    from ariel_tf.models.tree_ensemble import columns_of, feature_model, forest_model

    boosted_trees.xgboost()
    hp = Settings(parse_settings(options.set))
    boosted_trees.settings(hp), boosted_trees.rounds(hp)
    hp.refuse_unknown()
    source = open_source(options.data, options.targets)
    check_folds(source, options.folds)
    signature = Signature(options.targets, options.targets, options.white)
    folds = options.folds
    how = {"how": "trees", "star": options.reads_star, "seed": options.seed}
    configuration = ensemble_run.configuration_of(how, "XGBoost", signature, source.description, folds)
    configuration |= {"model": "trees", "settings": hp.values}
    path = options.run or default_path(configuration, source.fingerprint)
    with RunFolder(path, configuration, source.fingerprint, options.overwrite) as run:
        if not run.state["finished"]:
            features = feature_model(len(options.targets) + options.white, options.reads_star)
            trained, held = (read_table(source, options, features, its) for its in folds[:2])
            trees = [boosted_trees.trees_of(booster) for booster in boosted(run, hp, options, trained, held)]
            targets = range(len(options.targets))
            columns = [columns_of(index, len(targets), options.white, options.reads_star) for index in targets]
            scales = [boosted_trees.unit(trained.radii[:, index]) for index in targets]
            model = forest_model(trees, features, columns, *np.array(scales).T)
            rows = [
                {"name": f"wavelength {wavelength}: {format_count(len(its), 'tree')}"}
                for wavelength, its in zip(options.targets, trees, strict=True)
            ]
            ensemble_run.save(run, model, source, rows, command)
        ensemble_run.report(run)


def boosted(run: RunFolder, hp: Any, options: Options, trained: Table, held: Table) -> list[Any]:
    """Return the booster of each wavelength, trained in parallel on all cores; boosters saved in the run are read."""
    from ariel_tf.ensembles import boosted_trees

    (run.path / "trees").mkdir(exist_ok=True)
    remove_leftovers(run.path / "trees")
    names = [f"trees/w{wavelength:02d}.ubj" for wavelength in options.targets]
    saved = {name for name in names if run.is_sound(name)}

    def booster_of(index: int) -> Any:
        if names[index] in saved:
            return boosted_trees.xgboost().Booster(model_file=run.path / names[index])
        return fit_one(hp, options, trained, held, index)[0]

    boosters = []
    with Progress(len(names), "forest") as progress, ThreadPoolExecutor(resources.available_cpus()) as pool:
        try:
            for name, booster in zip(names, pool.map(booster_of, range(len(names))), strict=True):
                if name not in saved:
                    with replacing(run.path / name) as temporary:
                        booster.save_model(temporary)
                    run.commit((name,))
                boosters.append(booster)
                progress(1)
        except BaseException:  # Ctrl-C: do not start the remaining boosters
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return boosters


def read_table(source: Any, options: Options, features: Any, folds: Sequence[int]) -> Table:
    """Return the features of the rows of some folds, computed batch by batch; light curves are not kept."""
    from ariel_tf.data import dataset

    selection = Selection.of(folds, options.targets, options.white)
    names = [tensor.name.split(":")[0] for tensor in features.inputs]
    seen, radii = [], []
    for rows in dataset.evaluation_batches(source, selection, dataset.prediction_batch_size(selection.signature)):
        seen.append(np.asarray(features({name: rows[name] for name in names})))
        radii.append(np.asarray(rows["radius"], np.float64))
    return Table(np.concatenate(seen), np.concatenate(radii))


def fit_one(hp: Any, options: Options, trained: Table, held: Table, index: int) -> tuple[Any, float, float]:
    """Return the booster of one wavelength, its scale and offset; `hp` as in `ensembles.boosted_trees.settings`.

    A search passes keras-tuner's `HyperParameters` and calls `validation_score` for the score.
    """
    from ariel_tf.ensembles import boosted_trees
    from ariel_tf.models.tree_ensemble import columns_of

    columns = columns_of(index, len(options.targets), options.white, options.reads_star)
    parts = [(table.features[:, columns], table.radii[:, index]) for table in (trained, held)]
    return boosted_trees.fit(hp, parts[0], parts[1], options.seed)


def validation_score(hp: Any, options: Options, trained: Table, held: Table) -> float:
    """Return the mean score on the validation folds over the wavelengths of `options`, which a search maximises."""
    from ariel_tf.challenge import score
    from ariel_tf.ensembles import boosted_trees
    from ariel_tf.models.tree_ensemble import columns_of

    scores = []
    for index in range(len(options.targets)):
        booster, scale, offset = fit_one(hp, options, trained, held, index)
        columns = columns_of(index, len(options.targets), options.white, options.reads_star)
        answers = booster.predict(boosted_trees.xgboost().DMatrix(held.features[:, columns]))
        scores.append(score(held.radii[:, index], boosted_trees.radii(answers, scale, offset)))
    return float(np.mean(scores))


if __name__ == "__main__":
    run_command(main)

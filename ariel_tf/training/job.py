"""One training: what is trained, on what, and how it runs; from there to a scored run folder.

    TrainConfig, RunOptions --open_job--> TrainingJob --train_one---------------> RUN: best.keras, scores.json ...
                                                      \\--per_wavelength.train--> RUN/w00 ... w54, one such folder each

A `TrainingJob` of several wavelengths gives the job of one of them, or of a group, by `only`.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ariel_tf.config.run_options import RunOptions
from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import Configuration, Role
from ariel_tf.core.atomic_files import write_json, write_text
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.core.figures import draw_or_warn
from ariel_tf.data.folds import N_FOLDS, Folds
from ariel_tf.runs import model_card
from ariel_tf.runs.folder import RunFolder, read_scores
from ariel_tf.training import cluster, distribute

if TYPE_CHECKING:
    from ariel_tf.data.sources import Source
    from ariel_tf.models.builder import Built
    from ariel_tf.runs.predictions import Predictions
    from ariel_tf.training.data import TrainingData
    from ariel_tf.training.tensorboard import TensorBoardLog

DEFAULT_DATA = Path("data")
# Test scores per planet of the default command on the default simulated planets, as the README gives them.
EXPECTED = {"baseline": 8450, "squid": 8950, "transit": 9890}


@dataclass(frozen=True)
class TrainingJob:
    """A training of one model, or of one model for each wavelength of a list.

    Attributes:
        config: resolved.
        source: open for every wavelength that the models read; holds planets with known radii in every fold.
        options: how it runs.
        settings: of the model, complete, once it was built; until then those of the configuration.
    """

    config: Configuration
    source: "Source"
    options: RunOptions
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def strategy(self) -> Any:
        """The `tf.distribute` strategy of the options' devices."""
        return distribute.strategy_of(self.options.devices)

    @property
    def identity(self) -> dict[str, Any]:
        """The content of `config.json`: equal identities and data give equal models."""
        return self.config.as_json() | {
            "data": self.source.description,
            "settings": dict(self.settings or self.config.settings),
        }

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.options.run or default_path(self.identity, self.source.fingerprint)

    def facts(self) -> dict[str, Any]:
        """Which data, how much of it has which role, and the command: for meta.json."""
        return data_facts(self.source, self.config.folds) | {"command": self.options.command}

    def built_with(self, settings: Mapping[str, Any], run: Path | None = None) -> Self:
        """The same job with all settings of the model that was built for it, and its run folder.

        Args:
            settings: complete.
            run: the run folder; None for that of the options, or one named after the identity.
        """
        job = dataclasses.replace(self, settings=settings)
        return dataclasses.replace(job, options=self.options.replace(run=run or job.path))

    def only(self, wavelengths: Sequence[int], run: Path) -> Self:
        """The job of some wavelengths of a list, in a run folder of its own; of one wavelength, one ordinary model."""
        targets = Targets.one(wavelengths[0]) if len(wavelengths) == 1 else Targets.each(wavelengths)
        return dataclasses.replace(
            self,
            config=dataclasses.replace(self.config, wavelength=targets),
            options=self.options.replace(run=run, overwrite=False),
        )

    def load(self) -> "TrainingData":
        """The rows of one model's training."""
        from ariel_tf.training.data import TrainingData

        rows = TrainingData(self.source, self.config)
        distribute.check_batch(self.strategy, self.config.batch_size, rows.count)
        return rows

    def build(self, statistics: Mapping[str, Any], steps: int, settings: Any = None) -> "Built":
        """One model, compiled under the strategy.

        Args:
            statistics: of its training rows.
            steps: batches of an epoch.
            settings: what gives the model its settings; None for those of the configuration.
        """
        from ariel_tf.models.builder import build

        with self.strategy.scope():
            return build(self.config, statistics, steps * self.config.epochs, settings)


def locate_data(config: Configuration) -> Configuration:
    """The configuration with its data named: what was asked for, else ./data, else simulated planets.

    Raises:
        UsageError: a file of pretrained weights that does not exist.
    """
    if config.weights != "none":
        if not Path(config.weights).is_file():
            raise UsageError(f"--weights: expected a file. Received: {config.weights}")
        config = dataclasses.replace(config, weights=str(Path(config.weights).resolve()))
    if config.data:
        folder = Path(config.data)  # by its full path, so that a run finds it from anywhere
        return dataclasses.replace(config, data=str(folder.resolve())) if folder.is_dir() else config
    if (DEFAULT_DATA / "manifest.json").is_file():
        return dataclasses.replace(config, data=str(DEFAULT_DATA.resolve()))
    print(f"no data set in ./{DEFAULT_DATA}: using simulated planets (--data names a data set)", flush=True)
    return dataclasses.replace(config, data="simulated")


def open_job(config: Configuration, options: RunOptions) -> TrainingJob:
    """Open the data of a training, once the devices are chosen and every mistake in an option is found.

    Args:
        config: resolved, its data named.
        options: how it runs.

    Raises:
        ArielError: an option, a setting or data that do not fit, in one sentence.
    """
    strategy = distribute.strategy_of(options.devices)  # first: devices cannot be chosen once TensorFlow has started
    from ariel_tf.data.sources import open_source
    from ariel_tf.models.builder import rehearse

    rehearse(config.first)
    distribute.check_batch(strategy, config.batch_size)
    return job_on(open_source(config.data, config.signature.inputs), config, options)


def job_on(source: "Source", config: Configuration, options: RunOptions) -> TrainingJob:
    """A training on a source that is open for every wavelength that its models read.

    Raises:
        DataError: no radii, or a fold without a planet.
        UsageError: more training planets asked for than there are.
    """
    job = TrainingJob(config, source, options)
    check_folds(source, job.config.folds)
    return dataclasses.replace(job, source=source.subset(config.train_folds, config.planets, config.signature))


def train_one(job: TrainingJob) -> None:
    """Train one model, or resume it, to the end: a run folder with its scores.

    Args:
        job: of one wavelength, or of all jointly.

    Raises:
        ArielError: whatever the user can mend, in one sentence.
    """
    from ariel_tf.runs.metadata import collect
    from ariel_tf.training.fit import best_model

    rows = job.load()
    built = job.build(rows.statistics, rows.steps)
    job = job.built_with(built.settings)
    if job.options.dry_run:
        describe(job, built)
        return
    with run_folder(job) as run:
        if not run.state["finished"]:
            run.write_meta(job.facts(), collect(job.strategy))
            if run.is_chief:
                what = f"{job.config.model}, {job.config.wavelength.describe()}"
                print(f"training {what}, {distribute.describe_devices(job.strategy)}in {job.path}", flush=True)
            fit_and_score(run, rows, built, job)
        if run.is_chief:
            best_model(run, built)  # made anew if a finished run's was damaged
            report(run, job.config)


def run_folder(job: TrainingJob, shared: bool = False) -> Any:
    """The run folder of a job, as `cluster.run_folder` opens it."""
    return cluster.run_folder(
        job.strategy, job.path, job.identity, job.source.fingerprint, job.options.overwrite, shared=shared
    )


def check_folds(source: "Source", folds: Folds) -> None:
    """Refuse data that cannot be trained on: no radii, or a role whose folds hold no planet.

    Args:
        source: open.
        folds: by role.
    """
    if not source.labelled:
        raise DataError(
            f"--data {source.description}: expected planets with known radii, received a test set without; "
            "`python -m ariel_tf.predict` takes it."
        )
    held = set(source.folds.values())
    for role, its in folds._asdict().items():
        if not held & set(its):
            raise DataError(
                f"--data {source.description}: its {len(source.folds)} planets leave no planet in {role} folds "
                f"{list(its)}; with {N_FOLDS} planets or more every fold holds one. Give more planets, or other folds."
            )


def data_facts(source: "Source", folds: Folds) -> dict[str, Any]:
    """Which data, and how much of it has which role."""
    parts = {}
    for role, its in folds._asdict().items():
        planets = sum(fold in its for fold in source.folds.values())
        parts[role] = {"folds": list(its), "planets": planets, "observations": source.observations(its)}
    return {"data": source.description, "data_fingerprint": source.fingerprint, "folds": parts}


def default_path(identity: Mapping[str, Any], fingerprint: str) -> Path:
    """runs/MODEL-wNN-HASH: the same options and data lead to the same folder again, others to another."""
    content = json.dumps({**identity, "data": fingerprint}, sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Path("runs") / f"{identity['model']}-{Targets.of_run(identity['wavelength']).folder_name}-{digest[:8]}"


def print_cost(config: Configuration, price: float | None) -> None:
    """Print the configuration, and what its training would scan in BigQuery and cost, for --dry-run.

    Args:
        config: resolved; its data is a BigQuery address.
        price: of a TiB.
    """
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.data.bigquery.cost import print_training_cost
    from ariel_tf.data.sources import open_source

    roles: tuple[Role, ...] = ("train", "validation", "test")
    own, together = ({role: its.selection(role) for role in roles} for its in (config.first, config))
    source = open_source(config.data, config.signature.inputs)
    print(json.dumps(config.as_json() | {"data": source.description, "fingerprint": source.fingerprint}, indent=2))
    print_training_cost(source, own, together, config.epochs, price)


def describe(job: TrainingJob, built: "Built") -> None:
    """Print all that would be done, for --dry-run."""
    print(json.dumps(job.identity | data_facts(job.source, job.config.folds), indent=2))
    built.inference.summary()
    print(f"would train in {job.path}; nothing was written")


def fit_and_score(run: RunFolder, rows: "TrainingData", built: "Built", job: TrainingJob) -> None:
    """Train the epochs that are left, then score the best epoch's model on the test folds, once."""
    from ariel_tf.data import dataset
    from ariel_tf.runs.predictions import Predictions
    from ariel_tf.training import fit
    from ariel_tf.training.tensorboard import TensorBoardLog

    config, validation = job.config, rows.validation()
    log = TensorBoardLog(run, run.configuration) if run.is_chief else None

    def draw_validation(epoch: int, model: Any = built.inference, note: str = "") -> None:
        predictions = Predictions.collect(model, validation.as_numpy_iterator())
        title = f"{config.model}: validation planets after epoch {epoch}{note}"
        pictures = {"validation": "validation.png", "validation spectra": "validation_spectra.png"}
        draw_pictures(run, config, predictions, title, pictures, log, epoch)

    plan = fit.FitPlan.of(rows, config, rows.pairs(validation))
    try:
        fit.fit(run, built, plan, log, job.options.command, draw_validation)
        cluster.check_weights(built.training.distribute_strategy, (v.numpy() for v in built.training.variables))
    except dataset.UNREADABLE as error:
        raise dataset.damaged(rows.source, error) from error
    if log is None:  # the chief does the rest
        return
    best = fit.best_model(run, built)
    draw_validation(run.state["best_epoch"], best, ", the best one")
    predictions = Predictions.collect(best, rows.test())
    log.test_score(predictions.scores()["observation"])  # the measure of best_score
    finish(run, predictions, rows.statistics["radius"].mean, job, log)
    log.close()


def draw_pictures(
    run: RunFolder,
    config: Configuration,
    predictions: "Predictions",
    title: str,
    pictures: Mapping[str, str],
    log: "TensorBoardLog | None",
    epoch: int,
) -> list[str]:
    """Draw predicted against true radii and, for a joint model, spectra, as PNG files and in TensorBoard.

    Args:
        run: whose folder takes the files.
        config: of the model.
        predictions: drawn.
        title: of both pictures.
        pictures: file names by TensorBoard tag: of the predictions, then of the spectra.
        log: of the run; None for files only.
        epoch: TensorBoard's step.

    Returns:
        The names of the files that were written; a picture that fails costs a warning.
    """
    from ariel_tf.evaluation import prediction_figures

    drawings: list[Any] = [(prediction_figures.draw_predictions, (predictions, title))]
    if config.wavelength.is_joint:
        drawings.append((prediction_figures.draw_spectra, (predictions, config.signature.targets, title)))
    drawn = []
    for (tag, name), (draw, arguments) in zip(pictures.items(), drawings, strict=False):
        if draw_or_warn(draw, *arguments, run.path / name):
            drawn.append(name)
            if log:
                log.picture(tag, run.path / name, epoch)
    return drawn


def finish(
    run: RunFolder, predictions: "Predictions", constant: Any, job: TrainingJob, log: "TensorBoardLog | None" = None
) -> None:
    """Write the test scores, the pictures and the model card, and commit the run as finished.

    Args:
        run: trained to its end.
        predictions: of the test folds.
        constant: mean radius [targets] of the training planets.
        job: of the run.
        log: receives the pictures too.
    """
    facts = data_facts(job.source, job.config.folds)
    pictures = {"test": "prediction.png", "test spectra": "spectra.png"}
    title = f"{job.config.model}: test planets"
    drawn = draw_pictures(run, job.config, predictions, title, pictures, log, run.state["epoch"])
    scores = {
        "test": predictions.scores(),
        "constant": predictions.replaced(constant).scores(),
        "test_planets": facts["folds"]["test"]["planets"],
        "test_observations": facts["folds"]["test"]["observations"],
        "epochs": run.state["epoch"],
        "best_epoch": run.state["best_epoch"],
        "best_score": run.state["best_score"],
    }
    write_json(run.path / "scores.json", scores)
    spectra = "spectra.png" in drawn
    text = model_card.run_card(scores, facts, run.configuration, job.options.command, spectra=spectra)
    write_text(run.path / "README.md", text)
    run.commit(("scores.json", *drawn, "README.md"), finished=True)


def report(run: RunFolder, config: Configuration) -> None:
    """Print the scores, beside those that the README says to expect."""
    scores = read_scores(run.path)
    print("\n".join(model_card.report_lines(run, scores)))
    if config.model in EXPECTED and config == Configuration(model=config.model, data="simulated").resolved():
        print(f"the README says to expect about {EXPECTED[config.model]} per planet for this command")

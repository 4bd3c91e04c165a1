"""Train one model to its end: epochs, test score of the best epoch, plots and the model card."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core import messages
from ariel_tf.core.atomic_files import write_json, write_text
from ariel_tf.core.figures import SCREEN, draw_or_warn
from ariel_tf.runs import model_card
from ariel_tf.runs.committed import read_scores
from ariel_tf.runs.folder import RunFolder
from ariel_tf.training import cluster
from ariel_tf.training.dry_run import describe
from ariel_tf.training.job import WINDOWS, TrainingJob, data_facts, run_folder
from ariel_tf.training.strategy import describe_devices

if TYPE_CHECKING:
    from ariel_tf.models.builder import Built
    from ariel_tf.runs.predictions import Predictions
    from ariel_tf.training.data import TrainingData
    from ariel_tf.training.tensorboard import TensorBoardLog
    from ariel_tf.training.trackers import Tracked

# Test scores per planet of the default command on the default simulated planets, as in the README.
EXPECTED = {"baseline": "8450 to 8670", "squid": "about 8950", "transit": "about 9890"}


def train_one(job: TrainingJob) -> Path:
    """Train one model, or resume it, to the end: a run folder with its scores.

    Args:
        job: job of one wavelength, or of all jointly.

    Returns:
        The run folder.

    Raises:
        ArielError: an error that the user can mend, in one sentence.
    """
    from ariel_tf.runs.metadata import collect
    from ariel_tf.training.fit import best_model
    from ariel_tf.training.tensorboard import hyper_parameters
    from ariel_tf.training.trackers import summary, tracked

    rows = job.load()
    built = job.build(rows.statistics, rows.steps)
    job = job.built_with(built.settings)
    if job.begun == WINDOWS:
        rows = job.load()
        built = job.build(rows.statistics, rows.steps)
    if job.options.dry_run:
        describe(job, built)
        return job.path
    with run_folder(job) as run:
        if not run.state["finished"]:
            run.write_meta(job.facts(), collect(job.strategy))
            if run.is_chief:
                what = f"{job.config.model_name}, {job.config.wavelength.describe()}"
                messages.info(f"training {what}, {describe_devices(job.strategy)}in {job.path}")
                messages.info(loss_line(job.config))
                if job.begun == WINDOWS:
                    messages.info("rows are read from the data in windows, as when this run was begun")
            with tracked(job.options.track, run, hyper_parameters(run.configuration)) as tracking:
                fit_and_score(run, rows, built, job, tracking)
                if tracking:
                    tracking.summarise(summary(read_scores(run.path)))
        elif run.is_chief:
            best_model(run, built)  # writes it again if it was damaged
        if run.is_chief:
            report(run, job.config)
    return job.path


def loss_line(config: TrainConfig) -> str:
    """Describe the numbers in an epoch's line."""
    from ariel_tf.models.losses import describe_loss

    return f"loss: {describe_loss(config.loss, config.head)}; score: 10,000 - mean error in depth in ppm"


def fit_and_score(
    run: RunFolder, rows: "TrainingData", built: "Built", job: TrainingJob, tracking: "Tracked | None" = None
) -> None:
    """Train the remaining epochs, then score the best epoch's model on the test folds, once.

    Args:
        run: run to resume from and to commit to.
        rows: rows of the training.
        built: built model.
        job: job of the run.
        tracking: tracking service that also receives the rows of epochs.
    """
    from ariel_tf.data import dataset
    from ariel_tf.runs.predictions import Predictions
    from ariel_tf.training import fit
    from ariel_tf.training.callbacks import EveryFewEpochs
    from ariel_tf.training.tensorboard import Profile, TensorBoardLog

    config, validation = job.config, rows.validation()
    log = TensorBoardLog(run, run.configuration, job.options.histograms) if run.is_chief else None
    if log:
        log.graph(built.inference)

    def draw_validation(epoch: int, model: Any = built.inference, note: str = "") -> Predictions:
        predictions = Predictions.collect(model, validation.as_numpy_iterator())
        title = f"{config.model_name}: validation planets after epoch {epoch}{note}"
        files = {"validation": "validation.png", "validation spectra": "validation_spectra.png"}
        draw_pictures(run, job, predictions, Pictures(title, files, log, epoch, on_screen=not note))
        return predictions

    plan = fit.FitPlan.of(rows, config, rows.pairs(validation))
    try:
        more: list[Any] = [EveryFewEpochs(draw_validation)] if log else []
        if tracking:
            more.append(tracking)
        if log and job.options.profile:
            more.append(Profile(run.path / "tensorboard", *job.options.profile))
        fit.fit(run, built, plan, log, job.options.command, more)
        cluster.check_weights(built.training.distribute_strategy, (v.numpy() for v in built.training.variables))
    except dataset.UNREADABLE as error:
        raise dataset.damaged(rows.source, error) from error
    if log is None:  # the chief does the rest
        return
    best = fit.best_model(run, built)
    validated = draw_validation(run.state["best_epoch"], best, ", the best one")
    predictions = Predictions.collect(best, rows.test())
    log.test_score(predictions.scores()["observation"])  # the measure of best_score
    finish(run, Found(predictions, validated, rows.statistics["radius"].mean), job, log)
    log.close()


@dataclass(frozen=True)
class Pictures:
    """Plots of a run's predictions, and their destination.

    Attributes:
        title: title of each plot.
        files: file names by TensorBoard tag: of predicted against true radii, then of spectra.
        log: TensorBoard log, which receives the plots too; None for files only.
        epoch: step in TensorBoard.
        on_screen: whether they belong to one epoch of many and have screen resolution.
    """

    title: str
    files: Mapping[str, str]
    log: "TensorBoardLog | None"
    epoch: int
    on_screen: bool = False


def draw_pictures(run: RunFolder, job: TrainingJob, predictions: "Predictions", pictures: Pictures) -> list[str]:
    """Draw predicted against true radii and, for a joint model, spectra, as PNG files and in TensorBoard.

    Args:
        run: run whose folder receives the files.
        job: job of the run.
        predictions: predictions to draw.
        pictures: titles and names.

    Returns:
        The names of the files that were written; a plot that fails only prints a warning.
    """
    from ariel_tf.evaluation import prediction_figures

    drawings: list[Any] = [prediction_figures.draw_predictions]
    if job.config.wavelength.is_joint:
        drawings.append(prediction_figures.draw_spectra)
    arguments = (predictions, job.config.signature.targets, pictures.title, job.source.description)
    dpi = SCREEN if pictures.on_screen else None
    drawn = []
    for (tag, name), draw in zip(pictures.files.items(), drawings, strict=False):
        if draw_or_warn(draw, *arguments, run.path / name, dpi):
            drawn.append(name)
            if pictures.log:
                pictures.log.picture(tag, run.path / name, pictures.epoch)
    return drawn


@dataclass(frozen=True)
class Found:
    """What a finished run is scored by.

    Attributes:
        test, validation: predictions of the best epoch's model for the test and the validation folds.
        constant: mean radius [targets] of the training planets.
    """

    test: "Predictions"
    validation: "Predictions"
    constant: Any

    @property
    def scores(self) -> dict[str, Any]:
        """Return the part of `scores.json` that follows from the predictions."""
        from ariel_tf.runs.uncertainty import Uncertainty

        scores = {"test": self.test.scores(), "constant": self.test.replaced(self.constant).scores()}
        spread = Uncertainty.fit(self.validation)
        return scores | ({"uncertainty": spread.as_json()} if spread else {})


def finish(run: RunFolder, found: Found, job: TrainingJob, log: "TensorBoardLog | None" = None) -> None:
    """Write the test scores, the plots and the model card, and mark the run as finished.

    Args:
        run: run that is trained to its end.
        found: its predictions.
        job: job of the run.
        log: TensorBoard log, which receives the plots too.
    """
    facts = data_facts(job.source, job.config.folds)
    files = {"test": "prediction.png", "test spectra": "spectra.png"}
    pictures = Pictures(f"{job.config.model_name}: test planets", files, log, run.state["epoch"])
    drawn = draw_pictures(run, job, found.test, pictures)
    scores = {
        **found.scores,
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
    if log:
        log.text("model card", text, run.state["epoch"])
    run.commit(("scores.json", *drawn, "README.md"), finished=True)


def report(run: RunFolder, config: TrainConfig) -> None:
    """Print the scores, together with those that the README states."""
    scores = read_scores(run.path)
    print("\n".join(model_card.report_lines(run, scores)))
    if config.model in EXPECTED and config == TrainConfig(model=config.model, data="simulated").resolve():
        print(f"the README says to expect {EXPECTED[config.model]} per planet for this command")

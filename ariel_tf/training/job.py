"""One training, from a configuration to a scored run folder."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import Configuration, Role
from ariel_tf.core.atomic_files import write_json, write_text
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.core.figures import draw_or_warn
from ariel_tf.data.folds import N_FOLDS, Folds
from ariel_tf.data.selection import Selection
from ariel_tf.runs import model_card
from ariel_tf.runs.folder import RunFolder
from ariel_tf.training import cluster, distribute

DEFAULT_DATA = Path("data")


# Test scores per planet of the default command on the default simulated planets, as the README gives them.
EXPECTED = {"baseline": 8450, "squid": 8950, "transit": 9890}


def with_data(config: Configuration) -> Configuration:
    """The configuration with its data named: what was asked for, else ./data, else simulated planets.

    Raises:
        UsageError: a file of weights that is not there.
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
    print(f"no data set in ./{DEFAULT_DATA}: taking planets from the simulator (--data names a data set)", flush=True)
    return dataclasses.replace(config, data="simulated")


def train(
    config: Configuration,
    command: str,
    path: Path | None,
    overwrite: bool = False,
    dry: bool = False,
    devices: str = "auto",
) -> None:
    """Train, or resume, to the end.

    Args:
        config: resolved.
        command: what the user repeats to go on after a stop.
        path: the run folder; None for one named after the configuration.
        overwrite: move an earlier run aside.
        dry: only show what would be done.
        devices: as of `devices.parse`; the model is the same whatever they are.

    Raises:
        ArielError: whatever the user can mend, in one sentence.
    """
    strategy = distribute.strategy_of(devices)
    from ariel_tf.data.sources import open_source
    from ariel_tf.models.builder import rehearse

    rehearse(config)  # a mistyped setting should not wait for the data
    distribute.check_batch(strategy, config.batch_size)
    train_on(open_source(config.data, config.signature.inputs), config, command, path, overwrite, dry, devices)


def train_on(
    source, config: Configuration, command: str, path: Path | None, overwrite=False, dry=False, devices="auto"
) -> None:
    """Train on a source that is open for at least the wavelengths that the model sees; else as of `train`."""
    from ariel_tf.models.builder import build
    from ariel_tf.runs.metadata import collect
    from ariel_tf.training.data import TrainingData
    from ariel_tf.training.fit import best_model

    check_folds(source, config)
    source = source.subset(config.train_folds, config.planets, config.signature)
    rows = TrainingData(source, config)
    strategy = distribute.strategy_of(devices)
    distribute.check_batch(strategy, config.batch_size, rows.count)
    with strategy.scope():
        built = build(config, rows.statistics, rows.steps * config.epochs)
    resolved = config.as_json() | {"data": source.description, "settings": built.settings}
    path = path or default_path(resolved, source.fingerprint)
    if dry:
        describe(source, config, resolved, built, path)
        return
    with cluster.run_folder(strategy, path, resolved, source.fingerprint, overwrite) as run:
        if not run.state["finished"]:
            run.write_meta(data_facts(source, config.folds) | {"command": command}, collect(strategy))
            if run.is_chief:
                print(
                    f"training {config.model}, {config.what}, {distribute.describe_devices(strategy)}in {path}",
                    flush=True,
                )
            fit_and_score(run, rows, built, config, command)
        if run.is_chief:
            best_model(run, built)  # made anew if a finished run's was damaged
            report(run, config)


def check_folds(source, config: Any) -> None:
    """Refuse data that cannot be trained on: no radii, or a fold of a configuration that holds no planet."""
    if not source.labelled:
        raise DataError(
            f"--data {source.description}: expected planets with known radii, received a test set without; "
            "`python -m ariel_tf.predict` takes it."
        )
    held = set(source.folds.values())
    for what in ("train_folds", "validation_folds", "test_folds"):
        if not held & set(getattr(config, what)):
            raise DataError(
                f"--data {source.description}: its {len(source.folds)} planets leave no planet in "
                f"{what.replace('_', ' ')} {list(getattr(config, what))}; with {N_FOLDS} planets or more every fold "
                "holds one. Give more planets, or other folds."
            )


def data_facts(source, folds: Folds) -> dict[str, Any]:
    """Which data, and how much of it does what: for meta.json and --dry-run."""
    parts = {}
    for role, its in folds._asdict().items():
        planets = sum(fold in its for fold in source.folds.values())
        parts[role] = {"folds": list(its), "planets": planets, "observations": source.observations(its)}
    return {"data": source.description, "data_fingerprint": source.fingerprint, "folds": parts}


def print_cost(config: Configuration, price: float | None) -> None:
    """--dry-run of data in BigQuery: print the configuration, and what the training would scan and cost.

    Args:
        config: resolved; its data is a BigQuery address.
        price: of a TiB.
    """
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.data.bigquery.cost import print_training_cost
    from ariel_tf.data.sources import open_source

    roles: tuple[Role, ...] = ("train", "validation", "test")
    first = next(iter(config.for_each_wavelength().values())) if config.wavelength.is_list else config
    own: dict[str, Selection] = {role: first.selection(role) for role in roles}
    together: dict[str, Selection] = {role: config.selection(role) for role in roles}
    source = open_source(config.data, together["train"].signature.inputs)
    print(json.dumps(config.as_json() | {"data": source.description, "fingerprint": source.fingerprint}, indent=2))
    print_training_cost(source, own, together, config.epochs, price)


def default_path(resolved: dict[str, Any], fingerprint: str) -> Path:
    """runs/MODEL-wNN-HASH: the same options and data meet the same folder again, others another."""
    identity = resolved | {"data": fingerprint}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return Path("runs") / f"{resolved['model']}-{Targets.of_run(resolved['wavelength']).folder_name}-{digest[:8]}"


def describe(source, config: Configuration, resolved: dict[str, Any], built, path: Path) -> None:
    """--dry-run: all that would be done."""
    print(json.dumps(resolved | data_facts(source, config.folds), indent=2))
    built.inference.summary()
    print(f"would train in {path}; nothing was written")


def fit_and_score(run: RunFolder, rows, built, config: Configuration, command: str) -> None:
    """Train the epochs that are left, then score the best epoch's model on the test folds, once."""
    from ariel_tf.data import dataset
    from ariel_tf.runs.predictions import Predictions
    from ariel_tf.training import fit
    from ariel_tf.training.tensorboard import TensorBoardLog

    validation = rows.validation()
    log = TensorBoardLog(run, run.configuration) if run.is_chief else None

    def draw_validation(epoch, model=built.inference, note=""):
        predictions = Predictions.collect(model, validation.as_numpy_iterator())
        title = f"{config.model}: validation planets after epoch {epoch}{note}"
        pictures = {"validation": "validation.png", "validation spectra": "validation_spectra.png"}
        draw_pictures(run, config, predictions, title, pictures, log, epoch)

    work = fit.Work(
        batches=rows.training,
        steps=rows.steps,
        rows=rows.count,
        validation=rows.pairs(validation),
        epochs=config.epochs,
        patience=config.patience,
        seed=config.seed,
        shared=rows.part is not None,
    )
    try:
        fit.fit(run, built, work, log, command, draw_validation)
        cluster.check_weights(built.training.distribute_strategy, (v.numpy() for v in built.training.variables))
    except dataset.UNREADABLE as error:
        raise dataset.damaged(rows.source, error) from error
    if log is None:  # the first worker does the rest
        return
    best = fit.best_model(run, built)
    draw_validation(run.state["best_epoch"], best, ", the best one")
    predictions = Predictions.collect(best, rows.test())
    pictures = {"test": "prediction.png", "test spectra": "spectra.png"}
    draw_pictures(run, config, predictions, f"{config.model}: test planets", pictures, log, run.state["epoch"])
    log.close()
    constant = rows.statistics["radius"].mean
    finish(run, predictions, predictions.replaced(constant), data_facts(rows.source, config.folds), command)


def draw_pictures(
    run: RunFolder, config: Configuration, predictions, title: str, pictures: dict[str, str], log, epoch: int
) -> None:
    """Draw predicted against true radii and, for a joint model, spectra, as PNG files and in TensorBoard.

    Args:
        title: of both pictures.
        pictures: file names by TensorBoard tag: of the predictions, then of the spectra.
        log: the run's `TensorBoardLog`.
        epoch: TensorBoard's step.
    """
    from ariel_tf.evaluation import prediction_figures

    drawings: list[Any] = [(prediction_figures.draw_predictions, (predictions, title))]
    if config.wavelength.is_joint:
        drawings.append((prediction_figures.draw_spectra, (predictions, config.signature.targets, title)))
    for (tag, name), (draw, arguments) in zip(pictures.items(), drawings, strict=False):
        if draw_or_warn(draw, *arguments, run.path / name):
            log.picture(tag, run.path / name, epoch)


def finish(run: RunFolder, predictions, constant, facts: dict[str, Any], command: str) -> None:
    """Write the scores and the run's description, and commit the run as finished."""
    test = facts["folds"]["test"]
    scores = {
        "test": predictions.scores(),
        "constant": constant.scores(),
        "test_planets": test["planets"],
        "test_observations": test["observations"],
        "epochs": run.state["epoch"],
        "best_epoch": run.state["best_epoch"],
        "best_score": run.state["best_score"],
    }
    write_json(run.path / "scores.json", scores)
    pictures = [name for name in ("prediction.png", "spectra.png") if (run.path / name).is_file()]
    text = model_card.write_card(scores, facts, run.configuration, command, spectra="spectra.png" in pictures)
    write_text(run.path / "README.md", text)
    run.commit(("scores.json", *pictures, "README.md"), finished=True)


def report(run: RunFolder, config: Configuration) -> None:
    """What the command says at the end, beside what the README says to expect."""
    scores = model_card.read_scores(run)
    print("\n".join(model_card.report_lines(run, scores)))
    if config.model in EXPECTED and config == Configuration(model=config.model, data="simulated").resolved():
        print(f"the README says to expect about {EXPECTED[config.model]} per planet for this command")

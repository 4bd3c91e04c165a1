"""Open a training: find its data set, check the options against each other and the data, and return the job."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from ariel_tf.config.run_options import RunOptions
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core import messages, tf_startup, user_code
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.folds import N_FOLDS, Folds
from ariel_tf.training import starting_weights
from ariel_tf.training.job import TrainingJob
from ariel_tf.training.strategy import check_batch, strategy_of

if TYPE_CHECKING:
    from ariel_tf.data.sources import Source

DEFAULT_DATA = Path("data")


def locate_data(config: TrainConfig) -> TrainConfig:
    """Return the configuration with its data named: the requested data, else ./data, else simulated planets.

    Raises:
        UsageError: a file of pretrained weights that does not exist.
    """
    if config.weights != "none":
        if not Path(config.weights).is_file():
            raise UsageError(f"--pretrained-weights: expected a file. Received: {config.weights}")
        config = config.replace(weights=str(Path(config.weights).resolve()))
    if config.init_from:
        config = config.replace(init_from=str(Path(config.init_from).resolve()))
    if config.also and Path(config.also).is_dir():
        config = config.replace(also=str(Path(config.also).resolve()))
    if (own := user_code.reference(config.data)) is not None:
        return config.replace(data=str(own))
    if config.data:
        folder = Path(config.data)  # with its full path, so that a run finds it from any folder
        return config.replace(data=str(folder.resolve())) if folder.is_dir() else config
    if (DEFAULT_DATA / "manifest.json").is_file():
        messages.info(f"using the data set in ./{DEFAULT_DATA} (--data names another one)")
        return config.replace(data=str(DEFAULT_DATA.resolve()))
    messages.info(f"no data set in ./{DEFAULT_DATA}: using simulated planets (--data names a data set)")
    return config.replace(data="simulated")


def open_job(config: TrainConfig, options: RunOptions) -> TrainingJob:
    """Open the data of a training after the devices are chosen and all options are checked.

    Args:
        config: resolved configuration with named data.
        options: run options.

    Raises:
        ArielError: an option, a setting or data that do not fit, in one sentence.
    """
    tf_startup.choose_onednn(config.onednn)
    strategy = strategy_of(options.devices)  # first: devices cannot be chosen once TensorFlow has started
    from ariel_tf.data.sources import open_source
    from ariel_tf.models.builder import build_dry

    build_dry(config.first)
    check_batch(strategy, config.batch_size)
    return job_on(open_source(config.data, config.signature.inputs), config, options)


def job_on(source: "Source", config: TrainConfig, options: RunOptions) -> TrainingJob:
    """Return a training on a source that is open for every wavelength that its models read.

    Raises:
        DataError: no radii, or a fold without a planet.
        UsageError: more training planets requested than there are.
    """
    job = TrainingJob(config, source, options)
    check_folds(source, job.config.folds)
    if config.init_from:
        starting_weights.refuse_tested(config, source)
    job = dataclasses.replace(job, source=source.subset(config.train_folds, config.planets, config.signature))
    if config.also:
        also = _open_also(config)
        config = config.replace(also_source={"fingerprint": also.fingerprint})
        job = dataclasses.replace(job, config=config, also=also)
    return job


def _open_also(config: TrainConfig) -> "Source":
    """Open the second data set of a configuration.

    Raises:
        DataError: it has no radii, or no planet in the training folds.
    """
    from ariel_tf.data.sources import open_source

    also = open_source(config.also, config.signature.inputs)
    if not also.labelled or not set(also.folds.values()) & set(config.train_folds):
        raise DataError(
            f"--also {config.also}: expected planets with known radii in folds {list(config.train_folds)}, found none."
        )
    return also


def check_folds(source: "Source", folds: Folds) -> None:
    """Refuse data that cannot be trained on: no radii, or a role whose folds have no planet.

    Args:
        source: open source.
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

"""The trained model that a training starts from: `--init-from RUN`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.atomic_files import sha256
from ariel_tf.core.errors import UsageError
from ariel_tf.runs.committed import read_configuration, recorded_fingerprint, verified_file
from ariel_tf.runs.model_file import load_model
from ariel_tf.runs.work_queue import folder_of

if TYPE_CHECKING:
    from ariel_tf.data.sources import Source


def folder(config: TrainConfig) -> Path:
    """Return the run folder of the model for the configuration's first wavelength.

    Raises:
        UsageError: a list of wavelengths that this one is not among, or that was not trained to its end.
    """
    run = Path(config.init_from)
    there = Targets.of_run(read_configuration(run)["wavelength"])
    if there.is_list:
        run, its = folder_of(run, config.wavelength.chosen[0]), run
        if not run.is_dir():
            raise UsageError(f"--init-from {its}: it has no model of wavelength {config.wavelength.chosen[0]}.")
    if not (run / "best.keras").is_file():
        raise UsageError(f"--init-from {run}: expected a trained model, best.keras, found none.")
    return run


def load(config: TrainConfig) -> Any:
    """Return the best model of the run, from raw input to radii.

    Raises:
        UsageError: no such model.
        DataError: it is damaged.
    """
    return load_model(verified_file(folder(config), "best.keras"), config.model_source or None)


def facts(config: TrainConfig) -> dict[str, Any]:
    """Return the run and the SHA-256 of the model of each wavelength, for meta.json."""
    each = config.for_each_wavelength().values() if config.wavelength.is_list else [config]
    weights = {one.wavelength.describe(): sha256(folder(one) / "best.keras") for one in each}
    return {"init_from": {"run": config.init_from, "best.keras": weights}}


def refuse_tested(config: TrainConfig, source: "Source") -> None:
    """Refuse a model that was trained on planets which are the test planets of this training.

    Raises:
        UsageError: names the folds.
    """
    run = Path(config.init_from)
    if recorded_fingerprint(run) != source.fingerprint:
        return
    before = TrainConfig.from_json(read_configuration(run))
    if seen := sorted(set(before.train_folds) & set(config.test_folds)):
        raise UsageError(
            f"--test-folds: the model of --init-from {run} was trained on folds {seen} of the same data, so its score "
            f"on them means nothing. Take --test-folds {','.join(map(str, before.test_folds))}."
        )

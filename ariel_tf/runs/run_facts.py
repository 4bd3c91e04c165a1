"""The content of a run's files: configuration, signature, data and folds, each as it was committed."""

from pathlib import Path
from typing import Any

from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.atomic_files import read_json
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.folds import Folds
from ariel_tf.data.selection import Signature
from ariel_tf.runs.committed import is_sound_file
from ariel_tf.runs.search_folder import refuse_search
from ariel_tf.runs.state import has_state, read_state

_SHOWN_RUNS = 5


def read_configuration(path: Path) -> dict[str, Any]:
    """Return the run's `config.json`, as it was committed.

    Raises:
        UsageError: the folder is not a run, or is a search.
        DataError: the file was changed since.
    """
    if not (path / "config.json").is_file() or not has_state(path):
        what = "expected a run folder with a saved epoch, as `python -m ariel_tf.train` makes"
        raise UsageError(f"{path}: {what}{_runs_beside(path)}.")
    _refuse_changed(path, "config.json", read_state(path)["files"])
    configuration = read_json(path / "config.json", dict)
    refuse_search(path, configuration)
    return configuration


def _runs_beside(path: Path) -> str:
    """Return which run was probably meant: the one that contains the file, or those in the folder."""
    if path.is_file():
        return f"; name the folder, {path.parent}" if (path.parent / "config.json").is_file() else ""
    inner = sorted(found.parent.name for found in path.glob("*/config.json"))
    more = ", ..." if len(inner) > _SHOWN_RUNS else ""
    return f"; name one of the runs in it: {', '.join(inner[:_SHOWN_RUNS])}{more}" if inner else ""


def refuse_unsaved(path: Path) -> None:
    """Raise if the model of a run is missing (`UsageError`) or not the one that it committed (`DataError`)."""
    files = read_state(path)["files"]
    if "best.keras" not in files:
        raise UsageError(f"{path}: no epoch is saved yet; repeat the run's command to resume it.")
    _refuse_changed(path, "best.keras", files)


def _refuse_changed(path: Path, name: str, files: dict[str, str]) -> None:
    if not is_sound_file(path, name, {"files": files}):
        raise DataError(f"{path / name}: damaged or changed since it was saved; repeat the run's command.")


def facts_of(path: Path, configuration: dict[str, Any]) -> tuple[Signature, str, Folds]:
    """Return signature, data and folds of a run that is one model.

    Args:
        path: the run folder, named in errors.
        configuration: content of its `config.json`, of a training or of an ensemble.

    Raises:
        DataError: it is the configuration of neither.
    """
    if "ensemble" not in configuration:
        try:
            config = TrainConfig.from_json(configuration)
            config.require_resolved()
            signature = config.signature
        except (UsageError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{path / 'config.json'}: expected the configuration of a run ({error}).") from error
        return signature, config.data, config.folds
    try:
        targets = Targets.of_run(configuration["wavelength"]).every
        signature = Signature.from_json(targets, configuration)
        folds = Folds(*(tuple(configuration[f"{role}_folds"]) for role in Folds._fields))
        return signature, configuration["data"], folds
    except (UsageError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path / 'config.json'}: expected the configuration of an ensemble ({error}).") from error

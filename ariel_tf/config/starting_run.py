"""`--init-from`: the run whose weights a training starts from; the training uses the model of that run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ariel_tf.config.targets import Targets
from ariel_tf.core.atomic_files import read_json
from ariel_tf.core.errors import UsageError
from ariel_tf.core.schema import Schema

# Options that define the model; they must have the values of the run.
OF_THE_MODEL = ("model", "channels", "steps", "ramp", "function", "transform", "star", "clip_star", "logg", "head")
# Settings of the training, which may differ from those of the run.
OF_THE_TRAINING = ("learning_rate", "schedule", "clip_norm", "weight_decay", "frozen_epochs", "fine_rate")


def configuration(run: str) -> dict[str, Any]:
    """Return the content of the run's `config.json`.

    Args:
        run: path of the run folder.

    Raises:
        UsageError: it is not the folder of a training.
    """
    path = Path(run) / "config.json"
    values = read_json(path, dict) if path.is_file() else {}
    if not isinstance(values.get("settings"), dict) or not {*OF_THE_MODEL, "wavelength"} <= values.keys():
        raise UsageError(
            f"--init-from {run}: expected the run folder of a training, such as runs/transit-w12-0123abcd."
        )
    return values


def filled(started: Mapping[str, Any], config: Schema) -> dict[str, Any]:
    """Return the run's values of the options and settings that the configuration does not give.

    Args:
        started: result of `configuration`.
        config: configuration that is not resolved yet.
    """
    absent = [name for name in OF_THE_MODEL if _is_absent(config, name)]
    own = {name: value for name, value in started["settings"].items() if name not in OF_THE_TRAINING}
    values: dict[str, Any] = {name: started[name] for name in absent}
    values |= {"settings": own | dict(config.settings)}  # type: ignore[attr-defined]
    if "wavelength" not in config.model_fields_set:
        values |= {"wavelength": Targets.of_run(started["wavelength"])}
    return values


def _is_absent(config: Schema, name: str) -> bool:
    return name not in config.model_fields_set or getattr(config, name) is None


def refuse_others(run: str, started: Mapping[str, Any], config: Schema) -> None:
    """Refuse a model that is not that of the run.

    Args:
        run: path of the run folder.
        started: result of `configuration`.
        config: resolved configuration.

    Raises:
        UsageError: names the first option that differs.
    """
    resolved = config.as_json()  # type: ignore[attr-defined]
    there, here = dict(started["settings"]), dict(resolved["settings"])
    for name in OF_THE_MODEL:
        if resolved[name] != started[name]:
            flag = "--" + name.replace("_", "-")
            raise UsageError(
                f"{flag}: expected {started[name]}, the value of --init-from {run}. Received: {resolved[name]}"
            )
    for name, value in here.items():
        if name not in OF_THE_TRAINING and str(value) != str(there.get(name)):
            raise UsageError(
                f"--set {name}={value}: expected {there.get(name, 'no such setting')}, the value of --init-from {run}; "
                f"only {', '.join(OF_THE_TRAINING)} may differ."
            )
    if Targets.of_run(started["wavelength"]).is_joint != config.wavelength.is_joint:  # type: ignore[attr-defined]
        raise UsageError(
            f"--wavelength {config.wavelength}: "  # type: ignore[attr-defined]
            f"expected what --init-from {run} predicts, {Targets.of_run(started['wavelength']).describe()}."
        )

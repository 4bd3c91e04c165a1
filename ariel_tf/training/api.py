"""Training from Python: the same configuration, run folder and model as the command."""

from pathlib import Path
from typing import Any

from ariel_tf.config.run_options import RunOptions
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core import user_code
from ariel_tf.core.devices import Devices
from ariel_tf.core.errors import UsageError, nearest
from ariel_tf.evaluation.run import Run
from ariel_tf.training.opening import locate_data
from ariel_tf.training.start import check, train

# Fields of `RunOptions` that only the command supports.
OF_THE_COMMAND = ("jobs", "dry_run", "price", "command", "arguments")


def train_model(
    model: str | None = None,
    wavelength: Any = None,
    data: Path | str = "",
    run: Path | str | None = None,
    **options: Any,
) -> Run:
    """Train a model, or resume its training; a finished run folder is not trained again.

    Args:
        model: a registered name (`python -m ariel_tf.train --list-models`), or "my_model.py:attention" for a file of
            yours; None for that of `init_from`, else "transit".
        wavelength: as for `--wavelength`: an index 0-54, "joint", "all", or several like "3,7,12-20" or [3, 7]; None
            for that of `init_from`, else 12.
        data: as for `--data`; "" uses ./data if it contains a data set, else simulated planets.
        run: run folder; by default one in ./runs named after the options.
        options: options of `python -m ariel_tf.train`, with _ for -, such as epochs=5, batch_size=64, head="depth",
            settings={"first": 16}, overwrite=True.

    Raises:
        UsageError: an unknown option, or an invalid value.
        DataError: no such data, or damaged data.
        Stopped: Ctrl-C; saved epochs are kept, and the same call resumes.
    """
    for named in (model, str(data), options.get("also")):
        if named:
            user_code.name_by_user(named)
    config, how = _split(options)
    if isinstance(wavelength, list | tuple | range):
        wavelength = ",".join(map(str, wavelength))
    what: dict[str, Any] = {"model": model, "wavelength": wavelength}
    what = {name: value for name, value in what.items() if value is not None}
    resolved = TrainConfig(data=str(data), **what, **config).resolve()
    repeat = f"train_model({resolved.model!r}, {str(resolved.wavelength)!r}, ...)"
    chosen = RunOptions(run=None if run is None else Path(run), command=repeat, **how)
    check(resolved, chosen)
    path = train(locate_data(resolved), chosen)
    assert path is not None  # by one process
    return Run(path)


def _split(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of the configuration, and the run options."""
    known = [name for name in (*TrainConfig.model_fields, *RunOptions.model_fields) if name not in OF_THE_COMMAND]
    for name in options:
        if name in OF_THE_COMMAND:
            raise UsageError(f"train_model: {name}: expected an option other than this one of the command's.")
        if name not in known:
            raise UsageError(f"train_model: unknown option {name}{nearest(name, known)}")
    of_config = {name: value for name, value in options.items() if name in TrainConfig.model_fields}
    if isinstance(options.get("devices"), str):
        options["devices"] = Devices.parse(options["devices"])
    return of_config, {name: value for name, value in options.items() if name not in of_config}

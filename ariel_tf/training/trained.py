"""A trained model read back from its run folder, to evaluate and predict with; the folder is not changed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ariel_tf.errors import DataError, UsageError
from ariel_tf.files import read_json, sha256
from ariel_tf.training import wavelengths
from ariel_tf.training.configuration import Configuration
from ariel_tf.training.runs import read_state


@dataclass(frozen=True)
class Trained:
    """A run's best model and what it was trained as.

    Attributes:
        path: the run folder.
        configuration: its `config.json`.
        fingerprint: of the data that it was trained on.
        model: Keras model, raw flux [batch, 300, channels] (and star [batch, 6]) to radii [batch, wavelengths].
    """

    path: Path
    configuration: dict[str, Any]
    fingerprint: str
    model: Any

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a run.

        Raises:
            UsageError: the folder is no run, or holds no model yet.
            DataError: the model or its configuration is not what the run saved.
        """
        if not (path / "config.json").is_file() or not (path / "state.json").is_file():
            raise UsageError(f"{path}: expected a run folder with a saved epoch, as `python -m ariel_tf.train` makes.")
        wavelength = read_json(path / "config.json", dict).get("wavelength")
        if isinstance(wavelength, str) and wavelengths.is_list(wavelength):
            raise UsageError(f"{path}: holds a run for each of wavelengths {wavelength}; name one, like {path}/w12.")
        files = read_state(path)["files"]
        if "best.keras" not in files:
            raise UsageError(f"{path}: no epoch is saved yet; repeat the run's command to go on.")
        for name in ("config.json", "best.keras"):
            if not (path / name).is_file() or sha256(path / name) != files.get(name):
                raise DataError(f"{path / name}: damaged or changed since it was saved; repeat the run's command.")
        import keras

        fingerprint = read_json(path / "meta.json", dict).get("data_fingerprint", "")
        model = keras.models.load_model(path / "best.keras", compile=False)
        return cls(path, read_json(path / "config.json"), fingerprint, model)

    @property
    def options(self) -> Configuration:
        """The configuration as an object."""
        return Configuration.from_json(self.configuration)

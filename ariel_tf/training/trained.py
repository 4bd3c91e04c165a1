"""A trained model read back from its run folder, to evaluate and predict with; the folder is not changed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ariel_tf.errors import DataError, UsageError
from ariel_tf.files import read_json, sha256
from ariel_tf.training.configuration import Configuration


@dataclass(frozen=True)
class Trained:
    """A run's best model and what it was trained as.

    Attributes:
        path: the run folder.
        configuration: its `config.json`.
        model: Keras model, raw flux [batch, 300, channels] (and star [batch, 6]) to radii [batch, wavelengths].
    """

    path: Path
    configuration: dict[str, Any]
    model: Any

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a run.

        Raises:
            UsageError: the folder is no run, or holds no model yet.
            DataError: the model's bytes are not those that the run saved.
        """
        if not (path / "config.json").is_file() or not (path / "state.json").is_file():
            raise UsageError(f"{path}: expected a run folder with a saved epoch, as `python -m ariel_tf.train` makes.")
        if sha256(path / "best.keras") != read_json(path / "state.json")["files"]["best.keras"]:
            raise DataError(f"{path / 'best.keras'}: damaged; repeat the run's command to make it anew.")
        import keras

        model = keras.models.load_model(path / "best.keras", compile=False)
        return cls(path, read_json(path / "config.json"), model)

    @property
    def options(self) -> Configuration:
        """The configuration as an object."""
        return Configuration.from_json(self.configuration)

"""A run folder in a notebook: its configuration, history and scores as tables, and its model."""

import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ariel_tf.core.errors import UsageError
from ariel_tf.evaluation import leaderboard
from ariel_tf.runs.committed import has_scores, read_configuration, read_scores
from ariel_tf.runs.history import read_history
from ariel_tf.runs.state import has_state, read_state

if TYPE_CHECKING:
    import pandas as pd

    from ariel_tf.data.planets import Data
    from ariel_tf.evaluation.plots import RunPlots
    from ariel_tf.runs.predictions import Predictions
    from ariel_tf.runs.predictor import Predictor

# Keys of `scores.json`, and names of rows in tables.
KINDS = {
    "observation": "one observation",
    "planet": "median over a planet's observations",
    "observation_weighted": "one observation, weighted",
    "planet_weighted": "median over a planet's observations, weighted",
}


@dataclass(frozen=True)
class Run:
    """A run folder, as `ariel_tf.train_model` returns it; the folder is not changed.

    Attributes:
        path: the run folder.

    Raises:
        UsageError: the folder is not a run.

    >>> Run("nowhere")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ariel_tf.core.errors.UsageError: nowhere: expected a run folder ...
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        if not (self.path / "config.json").is_file():
            raise UsageError(f"{self.path}: expected a run folder, with a config.json. Received: none.")

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """Return the content of `config.json`."""
        return read_configuration(self.path)

    @property
    def history(self) -> "pd.DataFrame":
        """Return `metrics.csv`: one row per saved epoch, counted from 1, with losses and scores of both sets of folds.

        Raises:
            DataError: the file differs from the one that the run saved.
        """
        import pandas as pd

        state = read_state(self.path) if has_state(self.path) else None
        rows = read_history(self.path, state)
        return pd.DataFrame(rows, columns=None if rows else ["epoch"]).astype({"epoch": int}).set_index("epoch")

    @property
    def scores(self) -> "pd.DataFrame":
        """Return scores on the test folds, 10,000 is perfect: of the model, and of the constant prediction.

        Raises:
            DataError: the run is not finished, or its file differs from the one that it saved.
        """
        import pandas as pd

        scores = read_scores(self.path)
        columns = {"score": scores["test"], "constant": scores.get("constant", {})}
        return pd.DataFrame(
            {name: [values.get(kind, np.nan) for kind in KINDS] for name, values in columns.items()},
            index=pd.Index(KINDS.values(), name="test planets"),
        )

    @property
    def leaderboard(self) -> "pd.DataFrame":
        """Return the finished runs of the parent folder, ranked by the score of planets, the best first.

        Only runs of the same data, test folds and wavelengths, whose scores are comparable. A run that cannot be read
        is left out with a warning.

        Raises:
            DataError: this run is not finished, or differs from the one that was saved.
        """
        import pandas as pd

        board = leaderboard.read(self.path.resolve().parent)
        for sentence in board.damaged:
            warnings.warn(f"left out of the leaderboard: {sentence}", stacklevel=2)
        own = leaderboard.scored_run(self.path)
        runs = sorted((run for run in board.runs if run.group == own.group), key=lambda run: run.planet, reverse=True)
        columns = ("model", "planet", "observation", "planets", "wavelength", "data")
        table = pd.DataFrame([[getattr(run, name) for name in columns] for run in runs], columns=list(columns))
        table.index = pd.Index([run.path.name for run in runs], name="run")
        return table

    @cached_property
    def data(self) -> "Data":
        """Return the data on which the run was trained, as `ariel_tf.open_data` does.

        Raises:
            UsageError: the data are on another machine, or changed.
        """
        from ariel_tf.data.planets import Data
        from ariel_tf.evaluation.held_out import is_own, own_data

        data = Data(own_data(self.predictor))
        if not is_own(self.predictor, data.source):
            raise UsageError(f"{data.source.description}: changed since {self.path} was trained on it.")
        return data

    @cached_property
    def predictions(self) -> "Predictions":
        """Return the predictions for the test planets, in memory; read and predicted once."""
        return self.predictor.predictions(self.data.source, self.predictor.folds.test).in_order()

    @property
    def plot(self) -> "RunPlots":
        """Return figures for your own axes: `run.plot.spectra(ax=ax)`, `predictions`, `errors`, `learning_curve` ..."""
        from ariel_tf.evaluation.plots import RunPlots

        return RunPlots(self)

    @cached_property
    def predictor(self) -> "Predictor":
        """Return the trained model, as `ariel_tf.load` does."""
        from ariel_tf.core.tf_startup import import_tensorflow

        import_tensorflow()
        from ariel_tf.runs.predictor import Predictor

        return Predictor.load(self.path)

    def predict(self, flux: Any, star: Any = None, as_frame: bool | None = None) -> Any:
        """Predict radii of light curves or planets; like `Predictor.predict`."""
        return self.predictor.predict(flux, star, as_frame)


def final_report(path: Path | None, dry_run: bool = False) -> dict[str, Any]:
    """Return the content of `train --json`: run folder, configuration and scores, null if it is not finished.

    Args:
        path: the run folder.
        dry_run: whether nothing was trained or written.
    """
    if path is None or dry_run or not (path / "config.json").is_file():
        return {"run": path, "dry_run": dry_run, "finished": False, "scores": None}
    finished = has_scores(path)
    return {
        "run": path,
        "dry_run": False,
        "finished": finished,
        "configuration": Run(path).configuration,
        "scores": read_scores(path) if finished else None,
    }

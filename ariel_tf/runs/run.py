"""A run folder in a notebook: its configuration, history and scores as tables, and its model."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ariel_tf.core.atomic_files import read_json
from ariel_tf.core.errors import UsageError
from ariel_tf.runs.committed import read_scores
from ariel_tf.runs.history import read_history
from ariel_tf.runs.state import has_state, read_state

if TYPE_CHECKING:
    import pandas as pd

    from ariel_tf.runs.predictor import Predictor

# Of `scores.json`: its keys, and the names of rows in tables.
KINDS = {
    "observation": "one observation",
    "planet": "median over a planet's observations",
    "observation_weighted": "one observation, weighted",
    "planet_weighted": "median over a planet's observations, weighted",
}


@dataclass(frozen=True)
class Run:
    """What `ariel_tf.train_model` returns; the folder is not changed.

    Attributes:
        path: the run folder.
    """

    path: Path

    def __post_init__(self) -> None:
        if not (self.path / "config.json").is_file():
            raise UsageError(f"{self.path}: expected a run folder, with a config.json. Received: none.")

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """The content of `config.json`."""
        return read_json(self.path / "config.json", dict)

    @property
    def history(self) -> "pd.DataFrame":
        """`metrics.csv`: a row for each saved epoch, counted from 1, with losses and scores of both sets of folds.

        Raises:
            DataError: the file is not the one that the run saved.
        """
        import pandas as pd

        state = read_state(self.path) if has_state(self.path) else None
        rows = read_history(self.path, state)
        return pd.DataFrame(rows, columns=None if rows else ["epoch"]).astype({"epoch": int}).set_index("epoch")

    @property
    def scores(self) -> "pd.DataFrame":
        """Scores on the test folds, 10,000 is perfect: of the model, and of the constant prediction.

        Raises:
            DataError: the run is not finished, or its file is not the one that it saved.
        """
        import pandas as pd

        scores = read_scores(self.path)
        columns = {"score": scores["test"], "constant": scores.get("constant", {})}
        return pd.DataFrame(
            {name: [values.get(kind, np.nan) for kind in KINDS] for name, values in columns.items()},
            index=pd.Index(KINDS.values(), name="test planets"),
        )

    @cached_property
    def predictor(self) -> "Predictor":
        """The trained model, as `ariel_tf.load` returns it."""
        from ariel_tf.runs.predictor import Predictor

        return Predictor.load(self.path)

    def predict(self, flux: Any, star: Any = None, as_frame: bool | None = None) -> Any:
        """Radii of light curves or planets; as `Predictor.predict`."""
        return self.predictor.predict(flux, star, as_frame)

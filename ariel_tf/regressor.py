"""A registered model as a scikit-learn estimator, for `Pipeline`, `cross_val_score` and `GroupKFold`.

X [n, 55, 300] or flat, y [n, 55] --fit--> a data set in a temporary folder --train_model--> a run folder
"""

import contextlib
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_array, check_is_fitted

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, STAR_NAMES, score
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.errors import UsageError
from ariel_tf.data.writer import DatasetWriter
from ariel_tf.evaluation.run import Run
from ariel_tf.planet import Planet
from ariel_tf.runs.predictor import Predictor
from ariel_tf.training.api import train_model

N_FLUX = N_WAVELENGTHS * N_STEPS
# Files that a model needs to predict; a run folder's checkpoints and logs are left out.
KEPT = ("config.json", "meta.json", "state.json", "scores.json", "metrics.csv", "best.keras")
# Placeholder for stars that are not given; models that read the star are refused then.
SUN = (5772.0, 4.44, 1.0, 1.0, 10.0, 10.0)
BATCH = 1024


class ArielRegressor(RegressorMixin, BaseEstimator):
    """A registered model, trained on arrays.

    Planets are groups of equal rows of y, unless `fit` receives `planets`; a tenth of them selects the best epoch and
    another tenth gives `scores_`, so at least ten planets are needed.

    Args:
        model: a registered name; `python -m ariel_tf.train --list-models` describes them.
        wavelength: index 0-54 of the target, or "joint" for all 55.
        settings: settings of the model, as in `--set`; None for its defaults.
        options: other options of `ariel_tf.train_model`, such as {"epochs": 5, "star": "all"}.
        seed: random seed for weights, batches and the choice of planets.
        run: run folder to keep; None for a temporary one.
        verbose: whether to print the progress of the training.

    Attributes:
        n_features_in_: 16500, or 16506 with stellar parameters.
        history_: DataFrame, one row per epoch.
        scores_: DataFrame, scores on the tenth of the planets that is not used in training.

    >>> ArielRegressor(model="squid").get_params()["model"]
    'squid'
    """

    def __init__(
        self,
        model: str = "baseline",
        wavelength: int | str = 12,
        *,
        settings: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        seed: int = 0,
        run: Path | str | None = None,
        verbose: bool = False,
    ):
        self.model = model
        self.wavelength = wavelength
        self.settings = settings
        self.options = options
        self.seed = seed
        self.run = run
        self.verbose = verbose

    def fit(self, X: Any, y: Any, planets: Any = None) -> Self:
        """Train the model.

        Args:
            X: flux relative to the star, float [n, 55, 300], or flattened [n, 16500]; with the six stellar parameters,
                `challenge.STAR_PARAMETERS`, as further columns [n, 16506].
            y: Rp/Rs, float [n, 55] for a joint model, [n] or [n, 1] for one wavelength.
            planets: int [n], the planet of each row; by default rows with equal y belong to one planet.

        Raises:
            ValueError: other shapes.
            UsageError: an option that the model does not accept, or stellar parameters that it needs are missing.
            DataError: flux or radii out of their bounds, or fewer than ten planets.
        """
        if y is None:
            raise ValueError("ArielRegressor requires y to be passed, but the target y is None")
        flux, star = _split(X)
        y = np.asarray(y, np.float64)
        targets = self._config.signature.targets
        if y.reshape(len(y), -1).shape != (len(flux), len(targets)):
            raise ValueError(f"y: expected [{len(flux)}, {len(targets)}] radii. Received: {list(y.shape)}")
        if star is None and self._config.star_names:
            raise UsageError(
                f"the model {self.model} reads the star: expected {N_FLUX + len(STAR_NAMES)} columns, the last of them "
                f"{', '.join(STAR_NAMES)}. Received: {N_FLUX}"
            )
        radii = y.reshape(len(y), -1)
        groups = np.unique(radii if planets is None else np.asarray(planets), axis=0, return_inverse=True)[1].ravel()
        rows = [np.flatnonzero(groups == group) for group in range(groups.max() + 1)]

        def planet(number: int) -> Planet:
            its = rows[number]
            # Other wavelengths get a radius that no model reads.
            everywhere = np.full(N_WAVELENGTHS, radii[its[0]].mean())
            everywhere[list(targets)] = _same("y", radii[its], number)
            return Planet.from_observations(
                number,
                np.stack([1 + np.arange(len(its)) // 99, 1 + np.arange(len(its)) % 99], axis=1),
                np.array(SUN) if star is None else _same("X, stellar parameters", star[its], number),
                flux[its].transpose(1, 0, 2),
                np.array([1e10, 90.0]),
                everywhere,
            )

        with tempfile.TemporaryDirectory(prefix="ariel_tf-") as scratch:
            _write(Path(scratch) / "data", rows, planet, self.seed)
            with contextlib.nullcontext() if self.verbose else contextlib.redirect_stdout(io.StringIO()):
                trained = self._train(Path(scratch))
            self._files = {name: (trained.path / name).read_bytes() for name in KEPT}
            self.history_, self.scores_ = trained.history, trained.scores
        self.n_features_in_ = N_FLUX if star is None else N_FLUX + len(STAR_NAMES)
        self._flat = y.ndim == 1
        self.__dict__.pop("_predictor", None)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return Rp/Rs, float64 [n, targets], or [n] if y was; X as for `fit`."""
        check_is_fitted(self, "n_features_in_")
        flux, star = _split(X)
        if (star is None) != (self.n_features_in_ == N_FLUX):
            raise ValueError(f"X has {flux[:0].size} columns, but {type(self).__name__} expects {self.n_features_in_}")
        predictor = self._loaded()
        parts = [
            predictor.predict(flux[first : first + BATCH], None if star is None else star[first : first + BATCH])
            for first in range(0, max(1, len(flux)), BATCH)
        ]
        radii = np.concatenate(parts)
        return radii[:, 0] if self._flat else radii

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the challenge's score: 10,000 is perfect; `sample_weight` float [n]."""
        y = np.asarray(y)
        weights = None if sample_weight is None else np.asarray(sample_weight).reshape(-1, *[1] * (y.ndim - 1))
        return score(y, self.predict(X).reshape(y.shape), weights)

    @property
    def _config(self) -> TrainConfig:
        options = {name: value for name, value in (self.options or {}).items() if name in TrainConfig.model_fields}
        values = options | {"settings": dict(self.settings or {}), "seed": self.seed}
        return TrainConfig(**{"model": self.model, "wavelength": self.wavelength, **values}).resolve()

    def _train(self, scratch: Path) -> Run:
        options = dict(self.options or {})
        return train_model(
            *(self.model, self.wavelength, scratch / "data", self.run or scratch / "run"),
            **options | {"settings": dict(self.settings or {}), "seed": self.seed},
        )

    def _loaded(self) -> Predictor:
        """Return the predictor; a process that unpickled this estimator loads it again from the stored files."""
        if "_predictor" not in self.__dict__:
            with tempfile.TemporaryDirectory(prefix="ariel_tf-") as folder:
                for name, content in self._files.items():
                    (Path(folder) / name).write_bytes(content)
                self._predictor = Predictor.load(folder)
        return self._predictor

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_predictor"}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.multi_output = True
        tags.target_tags.positive_only = True
        return tags


def _split(values: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Return flux [n, 55, 300] and the stellar parameters [n, 6] or None, from an X of any accepted shape."""
    array = check_array(values, dtype="numeric", allow_nd=True, ensure_min_samples=0, ensure_min_features=0)
    if array.ndim == 2 and array.shape[1] == N_FLUX + len(STAR_NAMES):
        return array[:, :N_FLUX].reshape(-1, N_WAVELENGTHS, N_STEPS), array[:, N_FLUX:].astype(np.float64)
    if array.shape[1:] in ((N_FLUX,), (N_WAVELENGTHS, N_STEPS)):
        return array.reshape(-1, N_WAVELENGTHS, N_STEPS), None
    raise ValueError(
        f"X: expected [n, {N_WAVELENGTHS}, {N_STEPS}], [n, {N_FLUX}] or, with the star, "
        f"[n, {N_FLUX + len(STAR_NAMES)}]. Received: {list(array.shape)}"
    )


def _write(folder: Path, rows: Sequence[np.ndarray], planet_of: Callable[[int], Planet], seed: int) -> None:
    """A data set of planets 0, 1, ...; each reads its rows when it is requested."""
    counts = {number: len(its) for number, its in enumerate(rows)}
    with DatasetWriter(folder, counts, labelled=True, fold_seed=seed) as writer:
        for number in writer.pending:
            writer.add(number, planet_of(number))
        writer.finish({"kind": "arrays"})


def _same(name: str, values: np.ndarray, number: int) -> np.ndarray:
    """Return the values of all rows of a planet, which must be equal."""
    if (values != values[0]).any():
        raise ValueError(f"{name}: expected the same in all rows of a planet. Received: others in group {number}")
    return values[0]

"""Predictions with their keys, and their scores per observation and per planet."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ariel_tf.challenge import Key, score
from ariel_tf.core.errors import DataError, NonFiniteError
from ariel_tf.planet import noisy_mean, planet_weights


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predicted radii of rows in any order, each with its key.

    Attributes:
        keys: int [rows, 3], (planet, spot, photon); spot and photon are 0 for a planet's combination.
        true: float64 [rows, wavelengths], Rp/Rs; NaN where unknown.
        predicted: float64 [rows, wavelengths].
        weights: float64 [rows, wavelengths], 1 / scatter^2: equal for all rows of a planet, as in the organisers'
            score, from the noise outside transit averaged over the planet's observations; 0 for a band without noise.
    """

    keys: np.ndarray
    true: np.ndarray
    predicted: np.ndarray
    weights: np.ndarray

    @property
    def noise(self) -> np.ndarray:
        """Return the noise outside transit that gave the weights: float64 [rows, wavelengths], 0 for a band without."""
        return np.where(self.weights > 0, 1 / np.sqrt(np.where(self.weights > 0, self.weights, 1)), 0)

    @classmethod
    def collect(cls, model: Any, batches: Iterable[dict[str, Any]]) -> Self:
        """Predict every row; arguments and errors are those of `predicted_rows`."""
        keys, true, predicted, scatter = [], [], [], []
        for rows, radii in predicted_rows(model, batches):
            keys.append(np.asarray(rows["key"]))
            true.append(np.asarray(rows["radius"], np.float64))
            scatter.append(np.asarray(rows["scatter"], np.float64))
            predicted.append(radii)
        return cls.of(*map(np.concatenate, (keys, true, predicted, scatter)))

    @classmethod
    def of(cls, keys: np.ndarray, true: np.ndarray, predicted: np.ndarray, scatter: np.ndarray) -> Self:
        """Build from rows, with weights from their noise.

        Args:
            keys: int [rows, 3].
            true, predicted: Rp/Rs, float [rows, wavelengths].
            scatter: noise outside transit, float [rows, wavelengths].
        """
        planets, inverse = np.unique(keys[:, 0], return_inverse=True)
        weights = planet_weights(noisy_mean(scatter, inverse, len(planets)))[inverse]
        return cls(keys, np.asarray(true, np.float64), np.asarray(predicted, np.float64), weights)

    def by_planet(self) -> Self:
        """Return one row for each planet: the median of its predictions, which share their target."""
        planets, first, inverse = np.unique(self.keys[:, 0], return_index=True, return_inverse=True)
        medians = [np.median(self.predicted[inverse == index], axis=0) for index in range(len(planets))]
        keys = np.column_stack([planets, np.zeros_like(planets), np.zeros_like(planets)])
        return type(self)(keys, self.true[first], np.stack(medians), self.weights[first])

    def in_order(self) -> Self:
        """Return the same rows in ascending order of their keys."""
        order = np.lexsort(self.keys.T[::-1])
        return type(self)(*(values[order] for values in (self.keys, self.true, self.predicted, self.weights)))

    def replaced(self, predicted: np.ndarray | float) -> Self:
        """Return the same rows with other predictions, to score a reference on them."""
        return type(self)(self.keys, self.true, np.broadcast_to(predicted, self.true.shape), self.weights)

    def scores(self) -> dict[str, float]:
        """Return the scores per observation and per planet, unweighted and weighted."""
        planets = self.by_planet()
        return {
            "observation": score(self.true, self.predicted),
            "planet": score(planets.true, planets.predicted),
            "observation_weighted": score(self.true, self.predicted, self.weights),
            "planet_weighted": score(planets.true, planets.predicted, planets.weights),
        }


def predicted_rows(model: Any, batches: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Yield each batch of rows with its predictions, float64 [batch, wavelengths]; memory does not grow.

    Args:
        model: a `Predictor` run, or a Keras model from raw flux (and star) to radii.
        batches: batches from `dataset.evaluation_batches` or `dataset.table_batches`.

    Raises:
        NonFiniteError: a prediction is NaN or infinite.
        DataError: rows whose shape differs from the model's input, such as planets with fewer observations.
    """
    names = [tensor.name.split(":")[0] for tensor in model.inputs]
    taken = {name: tuple(tensor.shape[1:]) for name, tensor in zip(names, model.inputs, strict=True)}
    for rows in batches:
        if (shape := tuple(rows["flux"].shape[1:])) != taken["flux"]:
            expected, received = ("x".join(map(str, size)) for size in (taken["flux"], shape))
            raise DataError(f"this model takes flux of {expected} a row (observations first). Received: {received}")
        radii = np.asarray(model({name: rows[name] for name in names}, training=False), np.float64)
        if not np.isfinite(radii).all():
            row = int(np.argwhere(~np.isfinite(radii))[0, 0])
            raise NonFiniteError(f"the prediction for {Key(*map(int, rows['key'][row])).name} is not finite.")
        yield rows, radii

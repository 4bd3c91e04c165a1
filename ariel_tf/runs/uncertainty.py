"""Standard deviations of a trained model's radii, learned from its errors for the validation planets; NumPy.

    ln sigma = a_w + b ln(noise) + c ln(radius)                    one observation, wavelength w
    sigma of n observations' median = sigma sqrt(s_w + (1 - s_w) v(n))
    v(n) = (pi / 2) / (n + pi / 2 - 1)                             variance of a median of n, 1 for one: 1 / n would be
                                                                   that of a mean

b and c are common to all wavelengths and fitted to ln |error| by least squares; a_w is then chosen so that 68.3 % of
the validation radii are within one standard deviation, and the shared part of the variance, s_w, so that 68.3 % of the
planets' medians are. `noise` is the scatter of the light curve outside transit. Every kind of model has these standard
deviations, since only predictions are needed; information that is only in the light curve, such as a grazing orbit, is
not used.

`scores.json` of a run contains them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from ariel_tf.core.errors import DataError
from ariel_tf.runs.predictions import Predictions

WITHIN = math.erf(1 / math.sqrt(2))  # share of a normal distribution within one standard deviation
SMALLEST = 1e-9  # smallest error, noise and radius whose logarithm is taken
FEWEST_FOR_SLOPES = 30  # validation planets; with fewer, sigma is proportional to the radius
FEWEST = 5
STEEPEST = 3.0  # bound of the slopes


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Parameters of the standard deviations.

    Attributes:
        offset: a_w, float64 [targets].
        noise_slope, radius_slope: b and c.
        shared: s_w, part of the variance that all observations of a planet share, float64 [targets].
    """

    offset: np.ndarray
    noise_slope: np.ndarray
    radius_slope: np.ndarray
    shared: np.ndarray

    @classmethod
    def fit(cls, validation: Predictions | None) -> Self | None:
        """Return the uncertainty learned from predictions for validation planets; None for fewer than 5 planets."""
        if validation is None or len(np.unique(validation.keys[:, 0])) < FEWEST:
            return None
        error = np.log(np.maximum(np.abs(validation.predicted - validation.true), SMALLEST))
        noise, radius = _logarithms(validation.predicted, validation.noise)
        several = len(np.unique(validation.keys[:, 0])) >= FEWEST_FOR_SLOPES
        slopes = _slopes(error, noise, radius) if several else np.array([0.0, 1.0])
        expected = slopes[0] * noise + slopes[1] * radius
        offset = np.quantile(error - expected, WITHIN, axis=0)
        count = validation.true.shape[1]
        single = cls(offset, np.full(count, slopes[0]), np.full(count, slopes[1]), np.ones(count))
        return cls(offset, single.noise_slope, single.radius_slope, single._shared(validation))

    def _shared(self, validation: Predictions) -> np.ndarray:
        """Return the part of the variance that a planet's observations share, [targets]."""
        planets = validation.by_planet()
        _, counts = np.unique(validation.keys[:, 0], return_counts=True)
        usual = float(np.median(counts))
        if usual < 2:
            return np.ones(len(self.offset))
        sigma = self.of_observations(planets.predicted, planets.noise)
        deviations = np.abs(planets.predicted - planets.true) / sigma
        ratio, own = np.square(np.quantile(deviations, WITHIN, axis=0)), _of_median(usual)
        return np.clip((ratio - own) / (1 - own), 0, 1)

    def of_observations(self, predicted: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Return the standard deviation of each predicted radius as that of one observation: float64 [rows, targets].

        Args:
            predicted: Rp/Rs, [rows, targets].
            noise: scatter of the light curves outside transit, [rows, targets]; 0 for a band without noise.
        """
        log_noise, log_radius = _logarithms(predicted, noise)
        return np.exp(self.offset + self.noise_slope * log_noise + self.radius_slope * log_radius)

    def of_several(self, observations: np.ndarray | int) -> np.ndarray:
        """Return the factor of sigma for the median of several observations.

        Args:
            observations: their number, int or int [n].

        Returns:
            float64 [targets] or [n, targets].
        """
        return np.sqrt(self.shared + (1 - self.shared) * _of_median(observations)[..., None])

    def of_planets(self, predictions: Predictions) -> tuple[Predictions, np.ndarray]:
        """Return the median of each planet's predictions, and its standard deviation, float64 [planets, targets]."""
        planets = predictions.by_planet()
        _, counts = np.unique(predictions.keys[:, 0], return_counts=True)
        return planets, self.of_observations(planets.predicted, planets.noise) * self.of_several(counts)

    def columns(self, chosen: Sequence[int]) -> Self:
        """Return the uncertainty of some of the targets."""
        return type(self)(*(getattr(self, name)[list(chosen)] for name in self.__dataclass_fields__))

    @classmethod
    def together(cls, each: Sequence[Self | None], order: Sequence[int]) -> Self | None:
        """Join those of several models; None if one has none.

        Args:
            each: uncertainty of each model.
            order: places of the joined targets in the result's order.
        """
        found = [one for one in each if one is not None]
        if len(found) < len(each):
            return None
        parts = (np.concatenate([getattr(one, name) for one in found]) for name in cls.__dataclass_fields__)
        return cls(*parts).columns(order)

    def as_json(self) -> dict[str, list[float]]:
        """Return the content of "uncertainty" in `scores.json`."""
        return {name: getattr(self, name).tolist() for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, values: Any, targets: int, path: Path) -> Self | None:
        """Return what `as_json` returned; None for None.

        Args:
            values: content of "uncertainty".
            targets: number of the run's wavelengths.
            path: its file, for the message.

        Raises:
            DataError: other content, or another number of wavelengths.
        """
        if values is None:
            return None
        names = list(cls.__dataclass_fields__)
        try:
            if not isinstance(values, Mapping) or sorted(values) != sorted(names):
                raise ValueError
            parts = [np.array(values[name], np.float64) for name in names]
        except (TypeError, ValueError):
            parts = []
        if not parts or any(part.shape != (targets,) or not np.isfinite(part).all() for part in parts):
            raise DataError(
                f"{path}: expected an uncertainty of {targets} wavelengths, of {', '.join(names)}. Received: another."
            )
        return cls(*parts)


def _of_median(observations: Any) -> np.ndarray:
    """Return the variance of the median of independent Gaussian values, relative to one of them."""
    return math.pi / 2 / (np.asarray(observations, np.float64) + math.pi / 2 - 1)


def _logarithms(predicted: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ln noise and ln radius, [rows, targets]; a band without noise has the mean of the row's others."""
    noise = np.asarray(noise, np.float64)
    noise = np.where(noise > 0, noise, noise.mean(axis=1, keepdims=True))
    return np.log(np.maximum(noise, SMALLEST)), np.log(np.maximum(predicted, SMALLEST))


def _slopes(error: np.ndarray, noise: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Return the slopes of ln |error| over ln noise and ln radius, within each wavelength: [2]."""
    centred = [values - values.mean(axis=0) for values in (noise, radius, error)]
    inputs = np.stack([values.ravel() for values in centred[:2]], axis=1)
    matrix = inputs.T @ inputs
    matrix += np.eye(2) * 1e-3 * len(inputs)  # nothing to learn from planets that are all alike
    return np.clip(np.linalg.solve(matrix, inputs.T @ centred[2].ravel()), -STEEPEST, STEEPEST)

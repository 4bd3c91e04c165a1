"""Losses of an estimator by planet and wavelength, from which every score is computed; NumPy only.

The challenge's score is 10^4 - a weighted mean of depth errors 2 y |yhat - y| in parts per million. All observations of
a planet share its radii, so planets are the independent units, which are resampled and common to all estimators.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ariel_tf.challenge import PERFECT_SCORE, PPM, depth_error

KINDS = ("observation", "planet")


@dataclass(frozen=True, eq=False)
class Losses:
    """Depth errors of one estimator in ppm, by planet and wavelength.

    Attributes:
        name: name of the estimator.
        planets: int [p], ascending.
        wavelengths: wavelengths of the columns.
        rows: int [p], number of rows of each planet.
        observation: float64 [p, w], mean over a planet's rows.
        planet: float64 [p, w], loss of the planet's rows combined.
        weights: float64 [p, w], 1 / (noise outside transit)^2, as the organisers weighted; 0 for a band without
            noise.
    """

    name: str
    planets: np.ndarray
    wavelengths: tuple[int, ...]
    rows: np.ndarray
    observation: np.ndarray
    planet: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, name: str, predictions: Any, wavelengths: Sequence[int]) -> Self:
        """Return losses of `runs.predictions.Predictions` with these wavelengths; the combination is the median."""
        combined = predictions.by_planet()
        planets, inverse, rows = np.unique(predictions.keys[:, 0], return_inverse=True, return_counts=True)
        total = np.zeros(combined.true.shape)
        np.add.at(total, inverse, depth_error(predictions.true, predictions.predicted, PPM))
        each = depth_error(combined.true, combined.predicted, PPM)
        return cls(name, planets, tuple(wavelengths), rows, total / rows[:, None], each, combined.weights)

    def at(self, planets: Iterable[int], wavelengths: Sequence[int]) -> Self:
        """Return only these planets, which must be present, in ascending order, and these of its wavelengths."""
        wanted = np.array(sorted(planets), self.planets.dtype)
        chosen = np.searchsorted(self.planets, wanted)
        if (chosen >= len(self.planets)).any() or (self.planets[chosen] != wanted).any():
            raise ValueError(f"{self.name} has no losses of some of these planets")
        columns = np.array([self.wavelengths.index(wavelength) for wavelength in wavelengths])
        cells = np.ix_(chosen, columns)
        return type(self)(
            self.name,
            wanted,
            tuple(wavelengths),
            self.rows[chosen],
            self.observation[cells],
            self.planet[cells],
            self.weights[cells],
        )

    def sums(self, kind: str, weighted: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Return each planet's part of the numerator and the denominator of the mean loss, float64 [p, w] each."""
        # Weights are all 0 if none of these planets has noise in these bands: then all have the same weight.
        weight = self.weights if weighted and self.weights.any() else np.ones_like(self.weights)
        if kind == "observation":
            weight = weight * self.rows[:, None]
        return weight * getattr(self, kind), weight

    def score(self, kind: str, weighted: bool = False) -> float:
        """Return the challenge's score, of single observations or of planets."""
        loss, weight = self.sums(kind, weighted)
        return float(PERFECT_SCORE - loss.sum() / weight.sum())

    def by_wavelength(self, kind: str) -> np.ndarray:
        """Return the unweighted score at each wavelength, float64 [w]."""
        loss, weight = self.sums(kind)
        return PERFECT_SCORE - loss.sum(axis=0) / weight.sum(axis=0)


@dataclass(frozen=True, eq=False)
class Population:
    """Properties of the scored planets.

    Attributes:
        planets: int [p], ascending.
        wavelengths: wavelengths of the columns.
        star: float64 [p, 6], `challenge.STAR_PARAMETERS`.
        radii: float64 [p, w], true Rp/Rs.
    """

    planets: np.ndarray
    wavelengths: tuple[int, ...]
    star: np.ndarray
    radii: np.ndarray

    @classmethod
    def of(cls, planets: np.ndarray, wavelengths: Sequence[int], star: np.ndarray, radii: np.ndarray) -> Self:
        """Return a population from rows in any order, several of which may belong to one planet."""
        numbers, first = np.unique(planets, return_index=True)
        return cls(numbers, tuple(wavelengths), np.asarray(star)[first], np.asarray(radii)[first])

    def at(self, planets: Iterable[int], wavelengths: Sequence[int]) -> Self:
        """Return only these planets and wavelengths."""
        chosen = np.isin(self.planets, list(planets))
        columns = [self.wavelengths.index(wavelength) for wavelength in wavelengths]
        return type(self)(self.planets[chosen], tuple(wavelengths), self.star[chosen], self.radii[chosen][:, columns])

    @property
    def k_magnitude(self) -> np.ndarray:
        return self.star[:, 4]

    @property
    def depth(self) -> np.ndarray:
        """Return the mean transit depth (Rp/Rs)^2 over the wavelengths, in ppm: float64 [p]."""
        return PPM * np.square(self.radii).mean(axis=1)

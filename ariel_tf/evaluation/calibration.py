"""Calibration of a model's uncertainties: coverage, reliability, and the Gaussian log-likelihood score; NumPy.

    share of true radii within k sigma      68.3 % within 1, 95 % within 1.96, for Gaussian errors and correct sigma
    reliability                             the same for every share: a diagonal
    Gaussian log-likelihood score           1: true value known to 10 ppm; 0: the mean and spread of all planets

The log-likelihood score is that of the NeurIPS 2024 Ariel Data Challenge (Yip et al.,
https://www.kaggle.com/competitions/ariel-data-challenge-2024, "Evaluation" and its metric notebook):

    score = (L - L_ref) / (L_ideal - L_ref), clipped to [0, 1]
    L     = sum over planets and wavelengths of -(ln 2 pi + ln sigma^2 + (y - mu)^2 / sigma^2) / 2

of depths y = (Rp/Rs)^2 predicted as mu with sigma. L_ideal has mu = y and sigma = 10 ppm; L_ref has one mean and one
standard deviation for all planets and wavelengths, here of the true depths of the scored planets, in the challenge of
the training set. The 2025 challenge kept the formula and gives its visible band more weight, which is not done here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

# Standard deviation of the ideal prediction of a depth: 10 ppm, "sigma_true" of the challenge's metric.
IDEAL_SIGMA = 1e-5
SMALLEST_SIGMA = 1e-15
# Shares of a reliability diagram.
SHARES = np.linspace(0.05, 0.95, 19)
# Shares that are printed, and their bounds in sigma.
COVERAGE = {"1 sigma": (0.683, 1.0), "1.96 sigma": (0.95, 1.96)}


class Share(NamedTuple):
    """A share of true radii within a bound, its standard error over planets, and its expected value."""

    value: float
    error: float
    expected: float


@dataclass(frozen=True, eq=False)
class Measured:
    """Radii with uncertainties and the true ones, one row per planet.

    Attributes:
        planets: int [p].
        true, radius, sigma: Rp/Rs, float64 [p, w].
    """

    planets: np.ndarray
    true: np.ndarray
    radius: np.ndarray
    sigma: np.ndarray

    @property
    def off(self) -> np.ndarray:
        """Return absolute errors in units of sigma: float64 [p, w]."""
        return np.abs(self.radius - self.true) / np.maximum(self.sigma, SMALLEST_SIGMA)

    def row(self, planet: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return true radii, predicted radii and sigma of one planet: float64 [w] each."""
        index = int(np.flatnonzero(self.planets == planet)[0])
        return self.true[index], self.radius[index], self.sigma[index]


def within(measured: Measured, bound: float, expected: float) -> Share:
    """Return the share of true radii within `bound` sigma; a planet's bands share errors, so planets are resampled."""
    each = (measured.off < bound).mean(axis=1)
    error = each.std(ddof=1) / np.sqrt(len(each)) if len(each) > 1 else np.nan
    return Share(float(each.mean()), float(error), expected)


def coverage(measured: Measured) -> dict[str, Share]:
    """Return the shares of `COVERAGE`."""
    return {name: within(measured, bound, expected) for name, (expected, bound) in COVERAGE.items()}


def reliability(measured: Measured) -> np.ndarray:
    """Return the share of true radii within the central interval of each of `SHARES`, float64 [19]."""
    bounds = [NormalDist().inv_cdf((1 + share) / 2) for share in SHARES]
    return np.array([(measured.off < bound).mean() for bound in bounds])


def log_likelihood(true: np.ndarray, predicted: np.ndarray | float, sigma: np.ndarray | float) -> float:
    """Return the sum of the Gaussian log densities."""
    return float(np.sum(-0.5 * (np.log(2 * np.pi * np.square(sigma)) + np.square((true - predicted) / sigma))))


def likelihood_score(measured: Measured) -> float:
    """Return the Gaussian log-likelihood score of depths, 1 is perfect; sigma of a depth is 2 radius sigma(radius)."""
    true, depth = np.square(measured.true), np.square(measured.radius)
    sigma = np.maximum(2 * measured.radius * measured.sigma, SMALLEST_SIGMA)
    ideal = log_likelihood(true, true, np.full_like(true, IDEAL_SIGMA))
    reference = log_likelihood(true, true.mean(), np.full_like(true, true.std()))
    score = (log_likelihood(true, depth, sigma) - reference) / (ideal - reference)
    return float(np.clip(score, 0, 1))


def lines(measured: Measured) -> list[str]:
    """Return lines with coverage and log-likelihood score."""
    shares = [
        f"  true radii within {name:22s}{share.value:14.1%}   +- {share.error:.1%}, expected {share.expected:.1%}"
        for name, share in coverage(measured).items()
    ]
    return [*shares, f"  {'Gaussian log-likelihood score (1 is perfect)':46s}{likelihood_score(measured):9.3f}"]


def as_dictionary(measured: Measured) -> dict[str, Any]:
    """Return the same values for `--json`."""
    return {
        "coverage": {name: share._asdict() for name, share in coverage(measured).items()},
        "log_likelihood_score": likelihood_score(measured),
        "reliability": {"expected": SHARES, "found": reliability(measured)},
    }


def gathered(rows: Iterable[tuple[int, np.ndarray, np.ndarray, np.ndarray]]) -> Measured:
    """Return measured radii from (planet, true, radius, sigma) of each planet, in ascending order of planets."""
    planets, *values = zip(*sorted(rows, key=lambda row: row[0]), strict=True)
    return Measured(np.array(planets), *(np.array(part, np.float64) for part in values))

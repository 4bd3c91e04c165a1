"""Uncertainty of a score: intervals over planets, and paired differences; NumPy only.

Planets are drawn with replacement (Efron & Tibshirani 1993, "An Introduction to the Bootstrap"): a few huge or grazing
planets cause much of the loss, so a score of forty planets is far less certain than its digits suggest. Two estimators
on the same planets share that variation; their difference is known much better than either score.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ariel_tf.challenge import PERFECT_SCORE
from ariel_tf.evaluation.losses import Losses

DRAWS = 2000
LEVEL = 0.95
SEED = 0
CHUNK = 200  # draws at once: their counts stay small compared with the data


class Interval(NamedTuple):
    """A value and the bounds that contain it in 95 % of resampled sets of planets."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1f} [{self.low:.1f}, {self.high:.1f}]"


class Difference(NamedTuple):
    """One estimator's score minus another's on the same planets."""

    difference: Interval
    better: float  # share of planets on which the first one has the smaller loss; ties count half


def score_interval(losses: Losses, kind: str, weighted: bool = False) -> Interval:
    """Return a score with its interval."""
    return _interval(losses.score(kind, weighted), _scores(losses, kind, weighted))


def difference(one: Losses, other: Losses, kind: str, weighted: bool = False) -> Difference:
    """Return the paired difference: both on the same planets in each draw.

    Raises:
        ValueError: the planets or wavelengths differ.
    """
    if not np.array_equal(one.planets, other.planets) or one.wavelengths != other.wavelengths:
        raise ValueError(f"{one.name} and {other.name} are not of the same planets and wavelengths")
    value = one.score(kind, weighted) - other.score(kind, weighted)
    drawn = _scores(one, kind, weighted) - _scores(other, kind, weighted)
    a, b = (getattr(losses, kind).mean(axis=1) for losses in (one, other))
    return Difference(_interval(value, drawn), float(np.mean((a < b) + 0.5 * (a == b))))


def _interval(value: float, drawn: np.ndarray) -> Interval:
    low, high = np.quantile(drawn[~np.isnan(drawn)], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high))


def _scores(losses: Losses, kind: str, weighted: bool) -> np.ndarray:
    """Return the score of each draw, float64 [draws]; the draws depend only on the number of planets.

    It is NaN for a draw of planets that all have weight 0.
    """
    loss, weight = (part.sum(axis=1) for part in losses.sums(kind, weighted))
    with np.errstate(invalid="ignore"):
        return np.concatenate([PERFECT_SCORE - counts @ loss / (counts @ weight) for counts in _counts(len(loss))])


def _counts(planets: int) -> Iterator[np.ndarray]:
    """Yield how often each planet is drawn: int [chunk, planets] at a time."""
    rng = np.random.default_rng(SEED)
    for start in range(0, DRAWS, CHUNK):
        yield rng.multinomial(planets, np.full(planets, 1 / planets), size=min(CHUNK, DRAWS - start))

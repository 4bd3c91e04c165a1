"""Scores by K magnitude of the star and by depth of the transit; NumPy only."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ariel_tf.challenge import PERFECT_SCORE
from ariel_tf.evaluation.losses import Losses, Population

MAGNITUDES = (8.0, 9.0, 10.0, 11.0, 12.0)  # K, bounds between groups
DEPTHS = (500.0, 1000.0, 2000.0, 5000.0, 20000.0)  # ppm


class Group(NamedTuple):
    """Planets between two bounds: the rows of their losses, and a description of the bounds."""

    label: str
    rows: np.ndarray


def groups(values: np.ndarray, bounds: Sequence[float]) -> list[Group]:
    """Return the groups that contain any planet, ascending.

    >>> [group.label for group in groups(np.array([7.0, 9.5, 13.0]), MAGNITUDES)]
    ['below 8', '9 to 10', '12 and more']
    """
    texts = [f"{bound:,g}" for bound in bounds]
    labels = [f"below {texts[0]}", *(f"{a} to {b}" for a, b in itertools.pairwise(texts)), ""]
    labels[-1] = f"{texts[-1]} and more"
    place = np.searchsorted(bounds, values, side="right")
    return [Group(labels[index], np.flatnonzero(place == index)) for index in np.unique(place)]


def by_magnitude(population: Population) -> list[Group]:
    return groups(population.k_magnitude, MAGNITUDES)


def by_depth(population: Population) -> list[Group]:
    return groups(population.depth, DEPTHS)


def score_of(losses: Losses, group: Group, kind: str) -> float:
    """Return the unweighted score of a group's planets."""
    loss, weight = losses.sums(kind)
    return float(PERFECT_SCORE - loss[group.rows].sum() / weight[group.rows].sum())

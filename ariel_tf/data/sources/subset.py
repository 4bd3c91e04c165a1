"""A source cut to some of its training planets, `--planets N`: what a model learns from less, for learning curves.

The other folds stay whole, so scores by different N compare. How many observations the planets have, and their mean
and spread, no manifest tells: one pass over the training folds finds out, when it is first asked for.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.core.errors import UsageError
from ariel_tf.data.folds import first_planets
from ariel_tf.data.integrity import UNREADABLE, damaged
from ariel_tf.data.sources import Source
from ariel_tf.data.statistics import Moments, Statistics, Sums


def keep(source: Source, folds: Sequence[int], count: int, wavelengths: Sequence[int], white: bool) -> Source:
    """The source with `count` planets of these folds; itself where it has no others, or for 0.

    Args:
        source: open.
        folds: of the training.
        count: how many of their planets; those of a smaller count are among those of a larger one.
        wavelengths, white: light curves that will be read of the training folds.

    Raises:
        UsageError: more planets than there are.
    """
    there = there_are(source, folds, count)
    if count in (0, len(there)):
        return source
    return KeptSource(source, folds, there - first_planets(there, count), wavelengths, white)


def there_are(source: Source, folds: Sequence[int], count: int) -> frozenset[int]:
    """The planets of these folds, at least `count`, or a `UsageError` with how many there are."""
    there = frozenset(planet for planet, fold in source.folds.items() if fold in folds)
    if count > len(there):
        raise UsageError(
            f"--planets: expected no more than the {len(there)} planets in the training folds {list(folds)} of "
            f"{source.description}. Received: {count}"
        )
    return there


class KeptSource:
    """A source without some planets, of which it tells and yields nothing.

    Args:
        source: open.
        folds: that the planets were chosen from.
        dropped: planets that are left out.
        wavelengths, white: light curves whose statistics are known of those folds.
    """

    def __init__(
        self, source: Source, folds: Sequence[int], dropped: frozenset[int], wavelengths: Sequence[int], white: bool
    ):
        self._source, self._folds = source, tuple(folds)
        self._wavelengths, self._white = list(wavelengths), white
        self.folds = {planet: fold for planet, fold in source.folds.items() if planet not in dropped}
        self.description, self.labelled = source.description, source.labelled
        self.fingerprint = source.fingerprint  # each planet and its fold are the same as there

    @property
    def failure(self) -> Exception | None:
        return self._source.failure

    @failure.setter
    def failure(self, failure: Exception | None) -> None:
        self._source.failure = failure

    @functools.cached_property
    def _counted(self) -> tuple[Sums, dict[int, int]]:
        """Sums over the planets of each of the folds, and their observations."""
        sums, rows = Sums(), dict.fromkeys(self._folds, 0)
        try:
            for planet in self.records(self._folds, self._wavelengths, white=self._white).as_numpy_iterator():
                fold = self.folds[int(planet["planet"])]
                rows[fold] += len(planet["instances"])
                own = {"flux": Moments.of(planet["flux"], axis=1), "star": Moments.of(planet["star"][None])}
                own |= {"white": Moments.of(planet["white"])} if self._white else {}
                radii = planet["radii"][None].astype(np.float64)
                own |= {"radius": Moments.of(radii), "depth": Moments.of(radii**2)}
                for quantity, moments in own.items():
                    sums.add_moments(fold, quantity, moments)
        except UNREADABLE as error:
            raise damaged(self, error) from error
        return sums, rows

    def observations(self, folds: Sequence[int]) -> int:
        cut = [fold for fold in self._folds if fold in folds]
        whole = [fold for fold in folds if fold not in cut]
        return (sum(self._counted[1][fold] for fold in cut) if cut else 0) + self._source.observations(whole)

    def statistics(self, folds: Sequence[int]) -> Mapping[str, Any]:
        """As of `Source.statistics`; NaN at wavelengths that are not known.

        Raises:
            ValueError: some of these folds are those that planets were chosen from, and some are others.
        """
        inside = set(folds) & set(self._folds)
        if not inside:
            return self._source.statistics(folds)
        if inside != set(folds):
            raise ValueError(f"folds {list(folds)}: only {list(self._folds)} are cut, which are summed by themselves")
        found = self._counted[0].choose(folds)

        def spread(values: np.ndarray) -> np.ndarray:
            whole = np.full((N_WAVELENGTHS, *values.shape[1:]), np.nan)
            whole[self._wavelengths] = values
            return whole

        by_wavelength: dict[str, Statistics] = {name: found[name].map(spread) for name in ("flux", "radius", "depth")}
        return found | by_wavelength

    def faults(self, folds: Sequence[int] | None = None) -> list[str]:
        return self._source.faults(folds)

    def records(
        self, folds: Sequence[int], wavelengths: Sequence[int], order: tf.Tensor | None = None, white: bool = False
    ) -> tf.data.Dataset:
        """As of `Source.records`; the source reads all planets, and those that are dropped go no further."""
        planets = self._source.records(folds, wavelengths, order=order, white=white)
        there = {planet for planet, fold in self._source.folds.items() if fold in folds}
        if not there - self.folds.keys():
            return planets
        dropped = tf.constant(sorted(there - self.folds.keys()), tf.int32)
        return planets.filter(lambda planet: tf.reduce_all(planet["planet"] != dropped))

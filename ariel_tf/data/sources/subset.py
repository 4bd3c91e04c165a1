"""Methods that most sources share, and a source with fewer training planets (`--planets N`), for learning curves.

The other folds stay complete, so that scores by different N can be compared. The number of observations of the planets,
and their mean and spread, are not in the manifest: one pass over the training folds computes them on first use.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.core.errors import UsageError
from ariel_tf.data.folds import first_planets
from ariel_tf.data.held_rows import HeldRows
from ariel_tf.data.integrity import UNREADABLE, damaged
from ariel_tf.data.mapped_rows import MappedRows
from ariel_tf.data.selection import Selection, Signature
from ariel_tf.data.sources.base import Source
from ariel_tf.data.statistics import Moments, Statistics, Sums
from ariel_tf.planet import Planet


class SourceBase(Source):
    """Default implementations of methods that most sources share."""

    failure: Exception | None = None
    endless = False

    def keys(self, folds: Sequence[int]) -> np.ndarray:
        found = [np.zeros((0, 3), np.int32)]
        records = self.records(Selection.of(folds, ())).map(lambda planet: (planet["planet"], planet["instances"]))
        try:
            for planet, instances in records.as_numpy_iterator():
                found.append(np.column_stack([np.full(len(instances), planet, np.int32), instances]))
        except tf.errors.OpError as error:
            raise damaged(self, error) from error
        keys = np.concatenate(found)
        return keys[np.lexsort(keys.T[::-1])]

    def planet(self, number: int) -> Planet | None:
        """Like `Source.planet`; reads the planets of its fold, up to it."""
        return next((planet for planet in self.planets((self.folds[number],)) if planet.number == number), None)

    def subset(self, folds: Sequence[int], planets: int, signature: Signature) -> Source:
        there = frozenset(planet for planet, fold in self.folds.items() if fold in folds)
        if planets > len(there):
            raise UsageError(
                f"--planets: expected no more than the {len(there)} planets in the training folds {list(folds)} of "
                f"{self.description}. Received: {planets}"
            )
        if planets in (0, len(there)):
            return self
        return SubsetSource(self, folds, there - first_planets(there, planets), signature)

    def mapped(self, selection: Selection) -> MappedRows | None:
        return None

    def held(self, selection: Selection) -> HeldRows | None:
        return None

    def shard(self, folds: Sequence[int], index: int, count: int) -> Source | None:
        return None

    def faults(self, folds: Sequence[int] | None = None) -> list[str]:
        return []


class SubsetSource(SourceBase):
    """A source without some of its planets.

    Args:
        source: open source.
        folds: folds of the training, from which planets are left out.
        dropped: planets that are left out.
        signature: light curves whose statistics are available for those folds.
    """

    def __init__(self, source: Source, folds: Sequence[int], dropped: frozenset[int], signature: Signature):
        self._source, self._training = source, Selection(tuple(folds), signature)
        self.description, self.labelled = source.description, source.labelled
        self.fingerprint = source.fingerprint  # each planet and its fold are the same as there
        self._folds = {planet: fold for planet, fold in source.folds.items() if planet not in dropped}

    @property
    def folds(self) -> Mapping[int, int]:
        return self._folds

    @property
    def failure(self) -> Exception | None:
        return self._source.failure

    @failure.setter
    def failure(self, failure: Exception | None) -> None:
        self._source.failure = failure

    @functools.cached_property
    def _counted(self) -> tuple[Sums, dict[int, int]]:
        """Return sums over the planets of each training fold, and their numbers of observations."""
        sums, rows = Sums(), dict.fromkeys(self._training.folds, 0)
        white_light = self._training.signature.white_light
        try:
            for planet in self.records(self._training).as_numpy_iterator():
                fold = self.folds[int(planet["planet"])]
                rows[fold] += len(planet["instances"])
                own = {"flux": Moments.of(planet["flux"], axis=1), "star": Moments.of(planet["star"][None])}
                own |= {"white": Moments.of(planet["white"])} if white_light else {}
                radii = planet["radii"][None].astype(np.float64)
                own |= {"radius": Moments.of(radii), "depth": Moments.of(radii**2)}
                for quantity, moments in own.items():
                    sums.add_moments(fold, quantity, moments)
        except UNREADABLE as error:
            raise damaged(self, error) from error
        return sums, rows

    def observations(self, folds: Sequence[int]) -> int:
        cut = [fold for fold in self._training.folds if fold in folds]
        whole = [fold for fold in folds if fold not in cut]
        return (sum(self._counted[1][fold] for fold in cut) if cut else 0) + self._source.observations(whole)

    def statistics(self, folds: Sequence[int]) -> Mapping[str, Statistics]:
        """Like `Source.statistics`; NaN at wavelengths that the signature does not read.

        Raises:
            ValueError: some of these folds are training folds and others are not.
        """
        training = self._training.folds
        inside = set(folds) & set(training)
        if not inside:
            return self._source.statistics(folds)
        if inside != set(folds):
            raise ValueError(f"folds {list(folds)}: only {list(training)} are cut, which are summed by themselves")
        found = self._counted[0].choose(folds)

        def spread(values: np.ndarray) -> np.ndarray:
            whole = np.full((N_WAVELENGTHS, *values.shape[1:]), np.nan)
            whole[list(self._training.signature.inputs)] = values
            return whole

        by_wavelength: dict[str, Statistics] = {name: found[name].map(spread) for name in ("flux", "radius", "depth")}
        return found | by_wavelength

    def faults(self, folds: Sequence[int] | None = None) -> list[str]:
        return self._source.faults(folds)

    def records(self, selection: Selection, order: tf.Tensor | None = None) -> tf.data.Dataset:
        """Like `Source.records`; the source reads all planets, and dropped ones are filtered out."""
        planets = self._source.records(selection, order)
        there = {planet for planet, fold in self._source.folds.items() if fold in selection.folds}
        if not there - self.folds.keys():
            return planets
        dropped = tf.constant(sorted(there - self.folds.keys()), tf.int32)
        return planets.filter(lambda planet: tf.reduce_all(planet["planet"] != dropped))

    def mapped(self, selection: Selection) -> MappedRows | None:
        """Like `Source.mapped`, without the rows of dropped planets."""
        rows = self._source.mapped(selection)
        return None if rows is None else rows.only(self.folds)

    def held(self, selection: Selection) -> HeldRows | None:
        """Like `Source.held`, without the rows of dropped planets."""
        rows = self._source.held(selection)
        return None if rows is None else rows.only(self.folds)

    def planet(self, number: int) -> Planet | None:
        return self._source.planet(number)

    def planets(self, folds: Sequence[int]) -> Iterator[Planet]:
        return (planet for planet in self._source.planets(folds) if planet.number in self.folds)

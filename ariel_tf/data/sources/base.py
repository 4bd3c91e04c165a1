"""The protocol of a source of planets; downstream code does not depend on which source it reads."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ariel_tf.data.selection import Selection, Signature
from ariel_tf.data.statistics import Statistics
from ariel_tf.planet import Planet

if TYPE_CHECKING:
    import tensorflow as tf

    from ariel_tf.data.held_rows import HeldRows
    from ariel_tf.data.mapped_rows import MappedRows

SIMULATED = "simulated"
ENDLESS = "simulator"


class Source(Protocol):
    """A data set of planets, each in one of the folds.

    Attributes:
        description: one line for people; the value of `--data` if there is one.
        fingerprint: changes when any value, key or fold changes.
        labelled: whether radii are known.
        folds: fold by planet number.
        endless: whether the training folds contain other planets in each epoch.
        failure: the error that stopped the reading of records, if known; None before.
    """

    description: str
    fingerprint: str
    labelled: bool
    endless: bool
    failure: Exception | None

    @property
    def folds(self) -> Mapping[int, int]: ...

    def observations(self, folds: Sequence[int]) -> int:
        """Return the number of observations in these folds."""
        ...

    def keys(self, folds: Sequence[int]) -> np.ndarray:
        """Return the key of every observation in these folds, ascending: (planet, spot, photon), int32 [n, 3].

        Raises:
            DataError: a record is damaged.
        """
        ...

    def statistics(self, folds: Sequence[int]) -> Mapping[str, Statistics]:
        """Return statistics over these folds: "flux" [55, 300], "white" [300], "star" [6], "radius", "depth" [55]."""
        ...

    def records(self, selection: Selection, order: "tf.Tensor | None" = None) -> "tf.data.Dataset":
        """Return planets of the selected folds, each once, in the form of `records.parse`.

        Args:
            selection: its folds, inputs and white light determine what is read; other fields affect rows, not records.
            order: None for ascending shards; an int32 tensor [2] as the seed of a shuffled order.
        """
        ...

    def mapped(self, selection: Selection) -> "MappedRows | None":
        """Return the observations of the selected folds in files mapped into memory; None if there are none.

        Args:
            selection: its folds and signature determine what is read; other fields affect rows that combine
                observations.

        Raises:
            DataError: the files are damaged.
        """
        ...

    def held(self, selection: Selection) -> "HeldRows | None":
        """Return the observations of the selected folds if the source holds its planets in memory; None if it does not.

        Args:
            selection: its folds and signature determine what is read, as in `mapped`.
        """
        ...

    def planets(self, folds: Sequence[int]) -> Iterator[Planet]:
        """Yield whole planets of these folds in NumPy, one in memory at a time, with the orbit if known.

        `integrity.read_planets` reads them with the checks of `dataset.load`.
        """
        ...

    def planet(self, number: int) -> Planet | None:
        """Return one whole planet in the form of `planets`; None if it is missing although `folds` lists it.

        `integrity.read_planet` reads it with checks.
        """
        ...

    def subset(self, folds: Sequence[int], planets: int, signature: Signature) -> "Source":
        """Return the source with fewer planets in these folds; the same source if none is left out.

        Args:
            folds: folds of the training.
            planets: number of their planets to keep, 0 for all; a smaller selection is part of a larger one.
            signature: light curves whose statistics will be requested.

        Raises:
            UsageError: more planets than there are.
        """
        ...

    def shard(self, folds: Sequence[int], index: int, count: int) -> "Source | None":
        """Return the index-th of `count` parts of these folds, of about equal size; None if they cannot be divided.

        A part is the same in every epoch, and every planet is in one part.
        """
        ...

    def faults(self, folds: Sequence[int] | None = None) -> list[str]:
        """Return what in these folds, or in all, differs from what was written; called when a record cannot be read."""
        ...

"""The protocol of a source of planets; nothing downstream knows which source it reads."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ariel_tf.data.selection import Selection, Signature
from ariel_tf.data.statistics import Statistics
from ariel_tf.planet import Planet

if TYPE_CHECKING:
    import tensorflow as tf

    from ariel_tf.data.mapped_rows import MappedRows

SIMULATED = "simulated"
ENDLESS = "simulator"


class Source(Protocol):
    """A data set of planets, each in one of the folds.

    Attributes:
        description: one line for people; the value of `--data` where there is one.
        fingerprint: changes when any value, key or fold changes.
        labelled: whether radii are known.
        folds: planet number to fold.
        endless: whether the training folds hold other planets in each epoch.
        failure: the error that stopped the reading of records, where the source knows it; None before.
    """

    description: str
    fingerprint: str
    labelled: bool
    endless: bool
    failure: Exception | None

    @property
    def folds(self) -> Mapping[int, int]: ...

    def observations(self, folds: Sequence[int]) -> int:
        """Number of observations in these folds."""
        ...

    def keys(self, folds: Sequence[int]) -> np.ndarray:
        """Every observation in these folds, ascending: (planet, spot, photon), int32 [n, 3].

        Raises:
            DataError: a record is damaged.
        """
        ...

    def statistics(self, folds: Sequence[int]) -> Mapping[str, Statistics]:
        """Statistics over these folds: "flux" [55, 300], "white" [300], "star" [6], "radius" and "depth" [55]."""
        ...

    def records(self, selection: Selection, order: "tf.Tensor | None" = None) -> "tf.data.Dataset":
        """Planets of the selected folds, each once, as `records.parse` gives them.

        Args:
            selection: its folds, inputs and white light decide what is read; other fields concern rows, not records.
            order: None for ascending shards; an int32 tensor [2] seeds a shuffled order.
        """
        ...

    def mapped(self, selection: Selection) -> "MappedRows | None":
        """The observations of the selected folds in files that are mapped into memory; None where there are none.

        Args:
            selection: its folds and signature decide what is read; other fields concern rows that combine these.

        Raises:
            DataError: the files are damaged.
        """
        ...

    def planets(self, folds: Sequence[int]) -> Iterator[Planet]:
        """Whole planets of these folds in NumPy, one in memory at a time, with the orbit where it is known.

        `integrity.read_planets` reads them with the checks that `dataset.load` makes.
        """
        ...

    def planet(self, number: int) -> Planet | None:
        """One whole planet, as `planets` yields it; None where it is absent, against what `folds` says.

        `integrity.read_planet` reads it with checks.
        """
        ...

    def subset(self, folds: Sequence[int], planets: int, signature: Signature) -> "Source":
        """The source with fewer planets in these folds; itself where no planet is left out.

        Args:
            folds: of the training.
            planets: how many of their planets are kept, 0 for all; those of a smaller number are among those of a
                larger one.
            signature: light curves whose statistics will be asked for.

        Raises:
            UsageError: more planets than there are.
        """
        ...

    def shard(self, folds: Sequence[int], index: int, count: int) -> "Source | None":
        """The index-th of `count` parts of these folds, of about equal size; None where it cannot be divided.

        A part is the same in every epoch, and every planet is in one part.
        """
        ...

    def faults(self, folds: Sequence[int] | None = None) -> list[str]:
        """What in these folds, or in all, is not as it was written; called after a record could not be read."""
        ...

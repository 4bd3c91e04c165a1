"""Sums over observations and planets by fold, which give the exact statistics of any folds without a pass."""

import io
import math
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, STAR_PARAMETERS
from ariel_tf.core.archives import UNREADABLE, refuse_expansion, require_archive
from ariel_tf.core.atomic_files import read_bounded
from ariel_tf.core.errors import DataError
from ariel_tf.data.folds import N_FOLDS
from ariel_tf.planet import Planet

# Quantities that are summed by fold: over observations (flux, white) or over planets (the others).
QUANTITIES: dict[str, tuple[int, ...]] = {
    "flux": (N_WAVELENGTHS, N_STEPS),
    "white": (N_STEPS,),
    "star": (len(STAR_PARAMETERS),),
    "radius": (N_WAVELENGTHS,),
    "depth": (N_WAVELENGTHS,),
}
PARTS = ("sum", "squares", "min", "max")
# All sums together have 6 MB at most, the list of members of their file 20 kB.
LARGEST, LARGEST_DIRECTORY = 16 << 20, 1 << 16


@dataclass(frozen=True, eq=False)
class Statistics:
    """Statistics of one quantity over some folds: float64 arrays of its shape, NaN if `count` is 0."""

    count: int
    mean: np.ndarray
    std: np.ndarray  # of the population: divided by count
    min: np.ndarray
    max: np.ndarray

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> Self:
        """Apply a function to each array, such as a choice of rows or another layout."""
        arrays = (function(part) for part in (self.mean, self.std, self.min, self.max))
        return type(self)(self.count, *arrays)


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums that give `Statistics`: float64 arrays of the quantity's shape."""

    count: int
    sum: np.ndarray
    squares: np.ndarray
    min: np.ndarray
    max: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, axis: int = 0) -> Self:
        """Return the sums of float values over one axis, in float64."""
        values = np.asarray(values, np.float64)
        count = values.shape[axis]
        return cls(count, values.sum(axis), np.square(values).sum(axis), values.min(axis), values.max(axis))

    def merged(self, other: Self) -> Self:
        low, high = np.minimum(self.min, other.min), np.maximum(self.max, other.max)
        return type(self)(self.count + other.count, self.sum + other.sum, self.squares + other.squares, low, high)

    def statistics(self) -> Statistics:
        mean = self.sum / self.count
        # Rounding can make a constant's variance slightly negative.
        variance = np.maximum(self.squares / self.count - mean**2, 0)
        return Statistics(self.count, mean, np.sqrt(variance), self.min, self.max)


class Sums:
    """Moments of each quantity in each fold, built planet by planet.

    Floating-point addition depends on its order, so a data set's sums are built shard by shard: each shard's own sums
    in the order of its planets, then merged in the order of the shards.
    """

    def __init__(self) -> None:
        self.moments: dict[tuple[int, str], Moments] = {}

    def add(self, planet: Planet, fold: int) -> None:
        self.add_moments(fold, "flux", Moments.of(planet.flux, axis=1))
        self.add_moments(fold, "white", Moments.of(planet.white))
        self.add_moments(fold, "star", Moments.of(planet.star[None]))
        if planet.labelled:
            self.add_moments(fold, "radius", Moments.of(planet.radii[None]))
            self.add_moments(fold, "depth", Moments.of(planet.radii[None] ** 2))

    def merge(self, other: Self) -> None:
        """Add the sums of another part to these."""
        for (fold, quantity), moments in other.moments.items():
            self.add_moments(fold, quantity, moments)

    def add_moments(self, fold: int, quantity: str, moments: Moments) -> None:
        """Add the moments of one quantity of some observations or planets."""
        before = self.moments.get((fold, quantity))
        self.moments[fold, quantity] = moments if before is None else before.merged(moments)

    def choose(self, folds: Iterable[int]) -> dict[str, Statistics]:
        """Return statistics over the planets and observations of these folds.

        Returns:
            {"flux": [55, 300], "white": [300], "star": [6], "radius": [55], "depth": [55]}; count 0 and NaN if nothing
            was summed (no planet in these folds; radii of a test set).
        """
        folds = sorted(set(folds))  # so that rounding does not depend on the order of the request
        chosen = {}
        for quantity, shape in QUANTITIES.items():
            parts = [self.moments[fold, quantity] for fold in folds if (fold, quantity) in self.moments]
            total = None
            for part in parts:
                total = part if total is None else total.merged(part)
            nothing = np.full(shape, np.nan)
            chosen[quantity] = total.statistics() if total else Statistics(0, nothing, nothing, nothing, nothing)
        return chosen

    def equals(self, other: Self, tolerance: float = 1e-9) -> bool:
        """Whether both contain the same sums, up to rounding."""
        return self.moments.keys() == other.moments.keys() and all(
            self.moments[key].count == other.moments[key].count
            and np.allclose(getattr(self.moments[key], part), getattr(other.moments[key], part), tolerance, tolerance)
            for key in self.moments
            for part in PARTS
        )

    def to_bytes(self) -> bytes:
        """Return an npz file; equal sums give equal bytes (NumPy dates its members 1980)."""
        arrays = {
            f"{fold}.{quantity}.{name}": np.asarray(value)
            for (fold, quantity), moments in sorted(self.moments.items())
            for name, value in vars(moments).items()
        }
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file of `to_bytes`; raises like `from_bytes`, also if the file is larger than any valid one."""
        return cls.from_bytes(read_bounded(path, LARGEST), str(path))

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> Self:
        """Read the result of `to_bytes`; raise DataError with `name` if the bytes are anything else."""
        try:
            require_archive(io.BytesIO(data), name, LARGEST_DIRECTORY)
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                _refuse_sizes(archive.zip, name)
                arrays = {key: archive[key] for key in archive.files}
            sums = cls()
            for key in (key.removesuffix(".count") for key in arrays if key.endswith(".count")):
                fold, quantity = key.split(".")
                if not (0 <= int(fold) < N_FOLDS and quantity in QUANTITIES):
                    raise ValueError(f"unknown sums {key!r}")
                count = int(arrays[f"{key}.count"])
                values = [arrays[f"{key}.{part}"] for part in PARTS]
                if count < 1 or any(v.shape != QUANTITIES[quantity] or v.dtype != np.float64 for v in values):
                    raise ValueError(f"sums {key!r} have another count, shape or type")
                sums.moments[int(fold), quantity] = Moments(count, *values)
        except UNREADABLE as error:
            raise DataError(
                f"{name}: expected sums in this schema, received other bytes ({' '.join(str(error).split())})"
            ) from error
        return sums


def _refuse_sizes(archive: zipfile.ZipFile, name: str) -> None:
    """Refuse arrays that would take more memory than the sums of a data set, before any is read.

    Raises:
        DataError: names the file.
        ValueError: the size of an array differs from that of its file.
    """
    members = archive.infolist()
    stored = sum(member.compress_size for member in members)
    refuse_expansion(name, sum(member.file_size for member in members), stored, LARGEST)
    for member in members:
        with archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):  # of larger headers
                raise ValueError(f"{member.filename} has a header of version {version}")
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            if dtype.hasobject or math.prod(shape) * dtype.itemsize != member.file_size - file.tell():
                raise ValueError(f"{member.filename} has another size than its array")

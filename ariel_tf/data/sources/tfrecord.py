"""Planets from a folder of TFRecord shards and their manifest, and from the arrays beside them if there are any."""

import copy
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import tensorflow as tf

from ariel_tf.core.atomic_files import sha256
from ariel_tf.core.errors import DataError
from ariel_tf.data import records
from ariel_tf.data.array_files import ArrayFiles, open_arrays
from ariel_tf.data.graph import as_written, traced_once
from ariel_tf.data.manifest import Manifest, Shard
from ariel_tf.data.mapped_rows import MappedRows
from ariel_tf.data.selection import Selection
from ariel_tf.data.sources.subset import SourceBase
from ariel_tf.data.statistics import Statistics
from ariel_tf.planet import Planet

SHARDS_AT_ONCE = 4
# Planets parsed in parallel: tf.data's own choice grows with the cores, at up to 7 MB each.
PARALLEL = 4


class TFRecordSource(SourceBase):
    """A converted or simulated data set on disk.

    Args:
        folder: contains `manifest.json` and the shards it names.

    Raises:
        DataError: no manifest, a damaged one, or a shard that is missing or has another size.
    """

    def __init__(self, folder: Path):
        self._open(folder, Manifest.read(folder))

    def _open(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self.description = str(folder)
        self.fingerprint = self.manifest.fingerprint
        self._folds = self.manifest.planets
        self.labelled = self.manifest.labelled
        faults = [fault for shard in self.manifest.shards if (fault := self._fault(shard))]
        if faults:
            raise DataError(f"{folder}: its shards do not fit the manifest; convert again.", faults)

    @property
    def folds(self) -> Mapping[int, int]:
        return self._folds

    def _fault(self, shard: Shard) -> str | None:
        """Return the fault of a shard by its size only; `pipelines.check` compares all checksums."""
        path, size = self.folder / shard.name, self._size(shard)
        if size is None:
            return f"{path}: expected a shard of {shard.bytes} bytes, found no file"
        return None if size == shard.bytes else f"{path}: expected {shard.bytes} bytes, found {size}"

    def _size(self, shard: Shard) -> int | None:
        """Return the bytes of a shard's file, None if it does not exist."""
        path = self.folder / shard.name
        return path.stat().st_size if path.is_file() else None

    def _sha256(self, shard: Shard) -> str:
        return sha256(self.folder / shard.name)

    def _shards(self, folds: Sequence[int]) -> list[Shard]:
        return [shard for shard in self.manifest.shards if shard.fold in set(folds)]

    def observations(self, folds: Sequence[int]) -> int:
        return sum(shard.rows for shard in self._shards(folds))

    def statistics(self, folds: Sequence[int]) -> Mapping[str, Statistics]:
        return self.manifest.sums.choose(folds)

    def faults(self, folds: Sequence[int] | None = None) -> list[str]:
        """Return shards that differ from the manifest; reads all of them."""
        shards = self.manifest.shards if folds is None else self._shards(folds)
        found = [
            self._fault(shard) or f"{self.folder / shard.name}: its bytes are not those that were written"
            for shard in shards
            if self._fault(shard) or self._sha256(shard) != shard.sha256
        ]
        return [*found, *(self._arrays.faults() if self._arrays else ())]

    def records(self, selection: Selection, order: tf.Tensor | None = None) -> tf.data.Dataset:
        shards = self._shards(selection.folds)
        planets = sum(len(shard.planets) for shard in shards)
        files = tf.constant([str(self.folder / shard.name) for shard in shards], tf.string)
        if order is None:
            serialized = tf.data.TFRecordDataset(files)
        else:
            shuffled = tf.data.Dataset.from_tensor_slices(tf.random.experimental.stateless_shuffle(files, seed=order))
            # Planets of several shards alternate; the windows shuffle further.
            serialized = shuffled.interleave(
                tf.data.TFRecordDataset, cycle_length=SHARDS_AT_ONCE, num_parallel_calls=2, deterministic=True
            )
        # A shard truncated between two records reads without an error, with fewer planets; this raises one.
        serialized = serialized.apply(tf.data.experimental.assert_cardinality(planets))
        signature = selection.signature
        inputs, white = signature.inputs, signature.white_light
        return serialized.map(as_written(traced_once(records.parse, inputs, white, self.labelled)), PARALLEL)

    @functools.cached_property
    def _arrays(self) -> ArrayFiles | None:
        return open_arrays(self.folder, self.fingerprint)

    def mapped(self, selection: Selection) -> MappedRows | None:
        """Like `Source.mapped`, from the folder that `pipelines.arrays` makes."""
        if self._arrays is None:
            return None
        planets = [planet for planet, fold in self._folds.items() if fold in selection.folds]
        return MappedRows.of(self._arrays, selection, planets)

    def planets(self, folds: Sequence[int]) -> Iterator[Planet]:
        return self._decoded(self._shards(folds))

    def planet(self, number: int) -> Planet | None:
        """Like `Source.planet`; reads its shard."""
        shards = [shard for shard in self.manifest.shards if number in shard.planets]
        return next((planet for planet in self._decoded(shards) if planet.number == number), None)

    def _decoded(self, shards: Sequence[Shard]) -> Iterator[Planet]:
        """Yield all planets of these shards."""
        files = tf.constant([str(self.folder / shard.name) for shard in shards], tf.string)
        expected = sum(len(shard.planets) for shard in shards)
        serialized = tf.data.TFRecordDataset(files).apply(tf.data.experimental.assert_cardinality(expected))
        for record in serialized.as_numpy_iterator():
            yield records.decode(record)

    def shard(self, folds: Sequence[int], index: int, count: int) -> Self | None:
        """Like `Source.shard`, by whole shards; None if there are fewer than `count`."""
        shards = self._shards(folds)
        if len(shards) < count:
            return None
        dealt: list[list[Shard]] = [[] for _ in range(count)]
        for shard in sorted(shards, key=lambda shard: (-shard.rows, shard.name)):
            min(dealt, key=lambda part: sum(one.rows for one in part)).append(shard)
        part = copy.copy(self)
        part.manifest = dataclasses.replace(self.manifest, shards=sorted(dealt[index], key=lambda shard: shard.name))
        part._folds = part.manifest.planets
        return part

"""Planets from BigQuery: the same rows, folds, statistics and fingerprint as the uploaded shards.

    parts     like the shards: planets of one fold, so that a shuffled epoch has the same order as from shards
    chunks    of a part's planets, or of several small parts: one read session each, small in memory
    planets   assembled from rows in any order, checked, and serialised like the records of a shard

Every chunk has its own session, so that no session expires, however long a training takes.
"""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.core.errors import ArielError, DataError
from ariel_tf.data import records
from ariel_tf.data.bigquery.address import Address
from ariel_tf.data.bigquery.chunks import CHUNK_BYTES, ROW_BYTES, Tables, chunks_of, planets_in_chunks
from ariel_tf.data.bigquery.connection import Connection
from ariel_tf.data.bigquery.layout_planets import UploadedTables
from ariel_tf.data.bigquery.snapshot import Snapshot
from ariel_tf.data.bigquery.streams import ArrowReader, Reader
from ariel_tf.data.graph import as_written, traced_once
from ariel_tf.data.selection import Selection
from ariel_tf.data.sources.subset import SourceBase
from ariel_tf.data.sources.tfrecord import PARALLEL, SHARDS_AT_ONCE
from ariel_tf.planet import Planet


class Part(Protocol):
    """Planets of one fold that are read together, like a shard of the uploaded data set."""

    @property
    def name(self) -> str: ...
    @property
    def fold(self) -> int: ...
    @property
    def planets(self) -> list[int]: ...
    @property
    def rows(self) -> int: ...


class Layout(Tables, Protocol):
    """Tables of a data set: their content, and how planets are read from them."""

    parts: Sequence[Any]
    labelled: bool
    fingerprint: str

    def statistics(self, folds: Sequence[int]) -> Mapping[str, Any]: ...

    def wanted(self, planets: Sequence[int], wavelengths: Sequence[int], white: bool) -> list[tuple[str, Any, str]]: ...


class BigQuerySource(SourceBase):
    """A data set in BigQuery.

    Args:
        address: address of the data set, and how to read it.
        wavelengths: wavelengths that will be read.

    Attributes:
        failure: the error that stopped the reading, if any.

    Raises:
        ArielError: no network, credentials or permission.
        DataError: there is no data set at the address.
    """

    def __init__(self, address: Address, wavelengths: Sequence[int]):
        self.address = address
        self.description = address.description
        self.connection = Connection(address)
        self._layout = open_layout(self.connection, wavelengths)
        self.labelled = self._layout.labelled
        self.fingerprint = self._layout.fingerprint
        folds = {planet: part.fold for part in self._layout.parts for planet in part.planets}
        self._folds = dict(sorted(folds.items()))
        self._snapshots: dict[tuple[tuple[int, ...], bool], Snapshot] = {}

    @property
    def folds(self) -> Mapping[int, int]:
        return self._folds

    @property
    def layout(self) -> Layout:
        return self._layout

    @property
    def uploaded(self) -> UploadedTables:
        """Return its tables with their manifest; raise TypeError if it was not uploaded by this package."""
        if not isinstance(self._layout, UploadedTables):
            raise TypeError(f"{self.description} has no manifest")
        return self._layout

    def _parts(self, folds: Sequence[int]) -> list[Part]:
        return [part for part in self._layout.parts if part.fold in set(folds)]

    def observations(self, folds: Sequence[int]) -> int:
        return sum(part.rows for part in self._parts(folds))

    def statistics(self, folds: Sequence[int]) -> Mapping[str, Any]:
        return self._layout.statistics(folds)

    def faults(self, folds: Sequence[int] | None = None) -> list[str]:
        """Return the faults of snapshots; faults in BigQuery stop the reading and are then in `failure`."""
        parts = self._layout.parts if folds is None else self._parts(folds)
        return [
            fault
            for snapshot in self._snapshots.values()
            for part in parts
            for fault in snapshot.faults(part.name, len(part.planets))
        ]

    def snapshot(self, wavelengths: Sequence[int], white: bool) -> Snapshot | None:
        """Return the snapshot of these wavelengths; None without a cache."""
        if not self.address.cache:
            return None
        key = (tuple(wavelengths), white)
        if key not in self._snapshots:
            self._snapshots[key] = Snapshot(Path(self.address.cache), self.fingerprint, wavelengths, white)
        return self._snapshots[key]

    def records(self, selection: Selection, order: tf.Tensor | None = None) -> tf.data.Dataset:
        signature = selection.signature
        serialized = self._serialized(selection.folds, signature.inputs, signature.white_light, order)
        inputs, white = signature.inputs, signature.white_light
        return serialized.map(as_written(traced_once(records.parse, inputs, white, self.labelled)), PARALLEL)

    def _serialized(
        self, folds: Sequence[int], wavelengths: Sequence[int], white: bool, order: tf.Tensor | None
    ) -> tf.data.Dataset:
        """Return records of these wavelengths, each planet once: string []."""
        parts = self._parts(folds)
        planets = sum(len(part.planets) for part in parts)
        # The first wavelength's rows show which observations exist, if no light curve is requested.
        reading = _Reading(self, parts, sorted(set(wavelengths)) or [0], white)
        spec = tf.TensorSpec([], tf.string)

        def part(index: tf.Tensor) -> tf.data.Dataset:
            # Checked in each epoch, since the previous one may have completed the snapshot.
            files = tf.numpy_function(reading.files, [index], tf.string)
            read = tf.data.Dataset.from_generator(reading.part, output_signature=spec, args=(index, tf.size(files)))
            return tf.data.TFRecordDataset(tf.reshape(files, [-1])).concatenate(read)

        if order is None and not self.address.cache:
            serialized = tf.data.Dataset.from_generator(reading.in_order, output_signature=spec)
        elif order is None:
            serialized = tf.data.Dataset.range(len(parts)).flat_map(part)
        else:
            index = tf.random.experimental.stateless_shuffle(tf.range(len(parts), dtype=tf.int64), seed=order)
            serialized = tf.data.Dataset.from_tensor_slices(index).interleave(
                part, cycle_length=SHARDS_AT_ONCE, num_parallel_calls=2, deterministic=True
            )
        return serialized.apply(tf.data.experimental.assert_cardinality(planets))

    def scanned(self, table: str, columns: Sequence[str], restriction: str) -> int:
        """Return the bytes that reading this part of a table would scan; nothing is read."""
        session = ArrowReader(self.connection, self.address.streams).session(table, columns, restriction)
        return int(session.estimated_total_bytes_scanned)

    def sessions(self, selection: Selection) -> int:
        """Return the number of read sessions in one pass over a selection whose rows stream."""
        inputs, white = sorted(set(selection.signature.inputs)), selection.signature.white_light
        count = 0
        for part in self._parts(selection.folds):
            rows = dict.fromkeys(part.planets, part.rows / len(part.planets))
            for chunk in chunks_of(rows, len(inputs), self.layout.session_bytes):
                count += len(self.layout.wanted(chunk, inputs, white))
        return count

    def planets(self, folds: Sequence[int]) -> Iterator[Planet]:
        """Like `Source.planets`; from the snapshot if there is a cache."""
        if self.address.cache:
            whole = self._serialized(folds, range(N_WAVELENGTHS), white=True, order=None)
            yield from map(records.decode, whole.as_numpy_iterator())
        else:
            yield from self.planets_of(self._parts(folds), range(N_WAVELENGTHS), white=True)

    def planet(self, number: int) -> Planet | None:
        """Like `Source.planet`; reads the part that contains it."""
        parts = [part for part in self._parts((self.folds[number],)) if number in part.planets]
        found = self.planets_of(parts, range(N_WAVELENGTHS), white=True)
        return next((planet for planet in found if planet.number == number), None)

    def planets_of(self, parts: Sequence[Part], wavelengths: Sequence[int], white: bool) -> Iterator[Planet]:
        """Yield planets of some parts, in their order; the next chunk is read while this one is used.

        Raises:
            DataError: a part does not have the expected rows.
        """
        each = {planet: part.rows / len(part.planets) for part in parts for planet in part.planets}
        total = sum(part.rows for part in parts)
        stream = planets_in_chunks(self._layout, self.description, each, total, wavelengths, white)
        for part in parts:
            received = 0
            for planet in itertools.islice(stream, len(part.planets)):
                received += len(planet.instances)
                if planet.number == part.planets[-1] and received != part.rows:
                    raise DataError(
                        f"{self.description}: expected {part.rows} observations of planets {part.planets[0]:04d} to "
                        f"{part.planets[-1]:04d} ({part.name}), received {received}; upload the data set anew"
                    )
                yield planet


class _Reading:
    """The Python side of `records`: parts to serialised planets."""

    def __init__(self, source: BigQuerySource, parts: Sequence[Part], wavelengths: Sequence[int], white: bool):
        self._source, self._parts, self._wavelengths, self._white = source, parts, wavelengths, white
        self._snapshot = source.snapshot(wavelengths, white)

    def files(self, index: int) -> np.ndarray:
        """Return the file that already contains a part, bytes [1], or [0] if there is none."""
        path = self._snapshot.path(self._parts[index].name) if self._snapshot else None
        return np.array([os.fsencode(path)] if path and path.is_file() else [], object)

    def in_order(self) -> Iterator[bytes]:
        """Yield every part's planets, part by part; adjacent small parts are read in one session."""
        yield from self._telling(record for group in self._groups() for record in self._serialized(group))

    def part(self, index: Any, files: Any) -> Iterator[bytes]:
        """Yield one part's planets and then store them in the snapshot; yields none if they are already stored."""
        if files:
            return
        part = self._parts[int(index)]
        serialized = self._serialized([part])
        yield from self._telling(self._snapshot.write(part.name, serialized) if self._snapshot else serialized)

    def _groups(self) -> Iterator[list[Part]]:
        """Return consecutive parts that together do not exceed a chunk."""
        group: list[Part] = []
        for part in self._parts:
            rows = sum(other.rows for other in [*group, part])
            if group and rows * len(self._wavelengths) * ROW_BYTES > (self._source.layout.session_bytes or CHUNK_BYTES):
                yield group
                group = []
            group.append(part)
        if group:
            yield group

    def _serialized(self, parts: Sequence[Part]) -> Iterator[bytes]:
        for planet in self._source.planets_of(parts, self._wavelengths, self._white):
            yield records.encode_part(planet, self._wavelengths, self._white)

    def _telling(self, serialized: Iterator[bytes]) -> Iterator[bytes]:
        """Remember the error, since TensorFlow passes on only its text."""
        try:
            yield from serialized
        except (ArielError, OSError) as error:
            self._source.failure = error
            raise ValueError(str(error)) from error


def open_layout(connection: Connection, wavelengths: Sequence[int]) -> Layout:
    """Return the tables at an address, according to their layout."""
    reader: Reader
    if connection.address.reader == "tfio":
        from ariel_tf.data.bigquery.tfio_reader import NativeReader

        reader = NativeReader(connection, connection.address.streams)
    else:
        reader = ArrowReader(connection, connection.address.streams)
    if connection.address.layout == "classic":
        from ariel_tf.data.bigquery.layout_classic import ClassicTables

        return ClassicTables(connection, reader, wavelengths)
    return UploadedTables(connection, reader)

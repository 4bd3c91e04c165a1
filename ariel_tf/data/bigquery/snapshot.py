"""Planets stored in TFRecord files while they stream from BigQuery, one file per part, for later reads.

CACHE/FINGERPRINT-WAVELENGTHS/fold-3-00002.tfrecord     records (`data.records`) of the wavelengths read
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import tensorflow as tf

from ariel_tf.core.atomic_files import replacing
from ariel_tf.core.errors import DataError
from ariel_tf.data.shards import read_records


class Snapshot:
    """The stored planets of a data set with one choice of wavelengths.

    Args:
        cache: folder for any number of snapshots, created if necessary.
        fingerprint: fingerprint of the data set.
        wavelengths, white: content of its records.
    """

    def __init__(self, cache: Path, fingerprint: str, wavelengths: Sequence[int], white: bool):
        which = hashlib.sha256(f"{fingerprint} {list(wavelengths)} {white}".encode()).hexdigest()
        self._folder = cache / f"{fingerprint[:16]}-{which[:8]}"

    def path(self, name: str) -> Path:
        """Return the path of a part's file, which exists only when it is complete."""
        return self._folder / name

    def faults(self, name: str, planets: int) -> list[str]:
        """Return the faults of a part's file; none if the file does not exist."""
        path = self.path(name)
        if not path.is_file():
            return []
        try:
            count = sum(1 for _ in read_records(path))
        except DataError as error:
            return [f"{error}; remove the file, it is made anew"]
        return [] if count == planets else [f"{path}: expected {planets} planets, found {count}; remove the file"]

    def write(self, name: str, records: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the same records; they are stored once the last one has been taken."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with replacing(self._folder / name) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
            for record in records:
                writer.write(record)
                yield record

"""Planets kept in TFRecord files while they stream out of BigQuery, one file a part, for the next time.

CACHE/FINGERPRINT-WAVELENGTHS/fold-3-00002.tfrecord     records as of `data.records`, of the wavelengths read
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import tensorflow as tf

from ariel_tf.data.shards import read_records
from ariel_tf.errors import DataError
from ariel_tf.files import replacing


class Snapshot:
    """Where one choice of wavelengths of one data set is kept.

    Args:
        cache: folder for any number of snapshots, made if absent.
        fingerprint: of the data set.
        wavelengths, white: what its records hold.
    """

    def __init__(self, cache: Path, fingerprint: str, wavelengths: Sequence[int], white: bool):
        which = hashlib.sha256(f"{fingerprint} {list(wavelengths)} {white}".encode()).hexdigest()
        self._folder = cache / f"{fingerprint[:16]}-{which[:8]}"

    def holds(self, name: str) -> bool:
        return (self._folder / name).is_file()

    def read(self, name: str, planets: int) -> Iterator[bytes]:
        """A part's records.

        Raises:
            DataError: they are damaged, or not so many.
        """
        path = self._folder / name
        count = 0
        for record in read_records(path):
            count += 1
            yield record
        if count != planets:
            raise DataError(f"{path}: expected {planets} planets, found {count}; remove the file, it is made anew")

    def write(self, name: str, records: Iterator[bytes]) -> Iterator[bytes]:
        """The same records; they are kept once the last one has been taken."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with replacing(self._folder / name) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
            for record in records:
                writer.write(record)
                yield record

"""One shard: planned, written completely or not at all, and read.

A shard is an uncompressed TFRecord file, one record per planet (`records`), all of one fold.
"""

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS
from ariel_tf.core.atomic_files import replacing, sha256
from ariel_tf.core.errors import DataError
from ariel_tf.data import records
from ariel_tf.data.folds import assign_folds
from ariel_tf.data.manifest import SHARD_BYTES, Shard, Sums
from ariel_tf.planet import Planet

BYTES_A_ROW = 4 * (N_WAVELENGTHS * N_STEPS + N_STEPS + N_WAVELENGTHS + 2)
_BYTES_A_PLANET = 3000  # names of the features, parameters, radii
_FRAME_BYTES = 16  # a TFRecord's length and two checksums


@dataclass(frozen=True)
class PlannedShard:
    """A shard's name, fold and planets, before it is written."""

    name: str
    fold: int
    planets: list[int]


def plan_shards(rows: Mapping[int, int], fold_seed: int, shard_bytes: int = SHARD_BYTES) -> list[PlannedShard]:
    """Assign planets to shards; the result depends only on the arguments.

    Args:
        rows: observations of each planet.
        fold_seed: see `folds.assign_folds`.
        shard_bytes: approximate maximum size of a shard; a planet is never split.

    Returns:
        in the order of writing: by fold, each fold's planets ascending, in shards of about equal size.
    """
    folds = assign_folds(rows, fold_seed)
    plan = []
    for fold in sorted(set(folds.values())):
        planets = [planet for planet in folds if folds[planet] == fold]
        sizes = {planet: _BYTES_A_PLANET + rows[planet] * BYTES_A_ROW for planet in planets}
        total, before = sum(sizes.values()), 0
        count = -(-total // shard_bytes)
        groups: dict[int, list[int]] = {}
        for planet in planets:
            groups.setdefault(before * count // total, []).append(planet)
            before += sizes[planet]
        plan += [
            PlannedShard(f"fold-{fold}-{index:05d}.tfrecord", fold, group)
            for index, group in enumerate(groups.values())
        ]
    return plan


class OpenShard:
    """A shard that is being written under a temporary name; it gets its own name when it is complete."""

    def __init__(self, folder: Path, planned: PlannedShard):
        self.planned = planned
        self.path = folder / planned.name
        self.sums = Sums()
        self._temporary = folder / f".writing-{planned.name}"
        self._planets: list[int] = []
        self._rows = self._bytes = 0
        self._writer = _open(self._temporary)

    def add(self, planet: Planet) -> None:
        """Append a planet; raises OSError if the disk is full."""
        record = records.encode(planet)
        with disk_errors(self.path):
            self._writer.write(record)
        self.sums.add(planet, self.planned.fold)
        self._planets.append(planet.number)
        self._rows += len(planet.instances)
        self._bytes += len(record) + _FRAME_BYTES

    def close(self) -> Shard | None:
        """Flush the complete shard and give it its name; return None, and write no file, if no planet was added."""
        if not self._planets:
            self.abandon()
            return None
        with disk_errors(self.path):
            self._writer.close()
        size = self._temporary.stat().st_size
        if size != self._bytes:
            raise OSError(errno.EIO, f"{self._bytes} bytes were written, {size} are there", str(self.path))
        with replacing(self.path) as temporary:
            os.replace(self._temporary, temporary)
        return Shard(self.path.name, self.planned.fold, self._planets, self._rows, size, sha256(self.path))

    def abandon(self) -> None:
        """Close and remove the temporary file."""
        with contextlib.suppress(tf.errors.OpError):
            self._writer.close()
        self._temporary.unlink(missing_ok=True)


def _open(path: Path) -> tf.io.TFRecordWriter:
    with disk_errors(path):
        return tf.io.TFRecordWriter(str(path))


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Convert errors of the disk in TensorFlow to the OSError that Python's own files raise.

    Args:
        path: path to name in the error.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
    except tf.errors.PermissionDeniedError as error:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(path)) from error
    except tf.errors.OpError as error:
        known = [code for code in (errno.ENOSPC, errno.EACCES, errno.EIO) if os.strerror(code) in error.message]
        reason = os.strerror(known[0]) if known else error.message
        raise OSError(known[0] if known else errno.EIO, reason, str(path)) from error


def read_records(path: Path) -> Iterator[bytes]:
    """Yield a shard's serialised records.

    Raises:
        DataError: at the first record that is truncated or whose checksums do not match, after those before it.
    """
    count = 0
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield record
            count += 1
    except tf.errors.DataLossError as error:
        raise DataError(f"{path}: record {count} is damaged or cut, and so are all after it") from error
    except tf.errors.OpError as error:
        raise OSError(errno.EIO, error.message, str(path)) from error

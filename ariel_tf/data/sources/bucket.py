"""Planets from shards in a bucket, `gs://BUCKET/FOLDER`, or on any other of TensorFlow's file systems.

The folder was made by `pipelines.convert` or `pipelines.simulate` and copied unchanged. TensorFlow reads the shards
itself; Google's tools handle the login (`gcloud auth application-default login`, or a service account).
"""

import hashlib
import re
from pathlib import PurePosixPath

import tensorflow as tf

from ariel_tf.core.atomic_files import LARGEST_JSON
from ariel_tf.core.errors import ArielError, DataError
from ariel_tf.core.printable import mask_secrets
from ariel_tf.data.manifest import MANIFEST_NAME, STATISTICS_NAME, Manifest, Shard
from ariel_tf.data.sources.tfrecord import TFRecordSource
from ariel_tf.data.statistics import LARGEST as LARGEST_SUMS

CHUNK_BYTES = 8 << 20


class _Url(PurePosixPath):
    """A path that keeps the two slashes of gs:// when it is printed."""

    def __str__(self) -> str:
        return re.sub(r"^([a-z][a-z0-9]*):/+", r"\1://", super().__str__())


class BucketSource(TFRecordSource):
    """A converted or simulated data set in a bucket.

    Args:
        url: URL of the folder, like gs://bucket/data.

    Raises:
        DataError: no manifest, a damaged one, or a shard that is missing or has another size.
        ArielError: a bucket that does not respond, or refuses access.
    """

    def __init__(self, url: str):
        pages = []
        for name, largest in ((MANIFEST_NAME, LARGEST_JSON), (STATISTICS_NAME, LARGEST_SUMS)):
            try:
                with tf.io.gfile.GFile(f"{url.rstrip('/')}/{name}", "rb") as file:
                    pages.append(file.read(largest + 1))
            except tf.errors.NotFoundError:
                raise DataError(f"expected a data set with {name} in {url}, found none.") from None
            except tf.errors.OpError as error:
                # Without the cause, whose text holds the address with its secrets.
                raise ArielError(f"{url}: cannot be read ({_first_line(error)}).") from None
            if len(pages[-1]) > largest:
                raise DataError(f"{url}/{name}: expected {largest:,} bytes at most.")
        manifest = Manifest.from_bytes(pages[0], pages[1], url)
        self._open(_Url(url), manifest)  # type: ignore[arg-type]
        self.description = mask_secrets(self.description)  # it is written to run folders

    @property
    def _arrays(self) -> None:
        """Return None: files in a bucket cannot be mapped."""
        return None

    def _size(self, shard: Shard) -> int | None:
        path = str(self.folder / shard.name)
        try:
            return int(tf.io.gfile.stat(path).length)
        except tf.errors.NotFoundError:
            return None
        except tf.errors.OpError as error:
            raise ArielError(f"{path}: cannot be read ({_first_line(error)}).") from None

    def _sha256(self, shard: Shard) -> str:
        digest = hashlib.sha256()
        with tf.io.gfile.GFile(str(self.folder / shard.name), "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest()


def _first_line(error: tf.errors.OpError) -> str:
    return (error.message or type(error).__name__).strip().splitlines()[0]

"""Files of a pipeline's workers: in a folder that all of them access, or at a URL of TensorFlow's file systems.

A file gets its name only when it is complete.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def put(path: Path, where: str) -> None:
    """Copy a file of this machine."""
    import tensorflow as tf

    folder, _, name = where.rpartition("/")
    tf.io.gfile.copy(str(path), f"{folder}/.writing-{name}", overwrite=True)
    tf.io.gfile.rename(f"{folder}/.writing-{name}", where, overwrite=True)


def put_bytes(content: bytes, where: str) -> None:
    """Write a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "content"
        path.write_bytes(content)
        put(path, where)


def chunks(where: str) -> Iterator[bytes]:
    """Yield the content of a file, a part at a time; nothing if it does not exist."""
    import tensorflow as tf

    try:
        with tf.io.gfile.GFile(where, "rb") as file:
            while chunk := file.read(8 << 20):
                yield chunk
    except tf.errors.NotFoundError:
        return


def content(where: str) -> bytes | None:
    """Return the content of a file; None if it is empty or does not exist."""
    return b"".join(chunks(where)) or None


def read_value(where: str) -> Any:
    """Return a JSON file's value; None if it cannot be read."""
    try:
        return json.loads(content(where) or b"null")
    except ValueError:
        return None


def exists(where: str) -> bool:
    import tensorflow as tf

    return bool(tf.io.gfile.exists(where))


def make_folder(where: str) -> None:
    import tensorflow as tf

    tf.io.gfile.makedirs(where)


def remove(where: str) -> None:
    """Remove a file, if it exists."""
    import tensorflow as tf

    if tf.io.gfile.exists(where):
        tf.io.gfile.remove(where)


def remove_folder(where: str) -> None:
    """Remove a folder with its files."""
    import tensorflow as tf

    tf.io.gfile.rmtree(where)

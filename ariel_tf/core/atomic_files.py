"""Writing files so that nothing half-written ever keeps a final name; no TensorFlow."""

import contextlib
import fcntl
import gc
import glob
import hashlib
import json
import os
import re
import stat
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ariel_tf.core.errors import DataError, UsageError

# The largest JSON files are manifests: 10 bytes and a number in memory for each planet.
LARGEST_JSON, MOST_JSON_MEMORY = 32 << 20, 150 << 20
# Bytes of memory, roughly, for each of these characters: a number or a short text; a key; an object; a list.
_JSON_MEMORY = {b",": 40, b":": 110, b"{": 100, b"[": 90}
_PREFIX = ".writing-"


@contextmanager
def replacing(path: Path | str, lock: bool = True) -> Iterator[Path]:
    """A temporary path in the same folder that takes the name `path` only when the block ends well.

    The order is what makes it safe against a power cut: write, flush to disk, rename, flush the folder.
    The temporary name keeps the suffixes, since some writers choose their format by it. It is locked as long as this
    process writes, so that the next writer in the folder can remove the temporary files of killed processes.

    Args:
        path: the final name.
        lock: False for a file that HDF5 writes, which locks it itself; no other process may write in its folder then.
    """
    path = Path(path)
    suffix = "".join(path.suffixes)
    try:
        remove_leftovers(path.parent, f"{_PREFIX}????????{glob.escape(suffix)}")
        handle, temporary = _new_file(path.parent, suffix, lock)
    except OSError as error:
        error.filename = str(path)  # not the temporary one, which the user has never heard of
        raise
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        flush(temporary)
        os.replace(temporary, path)
        flush(path.parent)
    except OSError as error:
        if error.errno is not None:  # a full disk names no file by itself
            error.filename = error.filename or str(path)
        raise
    finally:
        with contextlib.suppress(OSError):  # no reason to fail: the next writer removes it
            temporary.unlink(missing_ok=True)
        os.close(handle)


def _new_file(folder: Path, suffix: str, lock: bool) -> tuple[int, Path]:
    """Make a temporary file, locked until its handle is closed: its handle and its path."""
    while True:
        handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=suffix, dir=folder)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX if lock else fcntl.LOCK_UN)
        if os.path.exists(name):
            return handle, Path(name)
        os.close(handle)  # another writer took it for a leftover before it was locked


@contextmanager
def replacing_by_library(path: Path | str) -> Iterator[Path]:
    """As `replacing`, for a block in which HDF5 or Keras writes the file, in a folder that this process holds.

    Raises:
        OSError: what the disk refused, as Python's own files raise it, with the file's name. HDF5 puts the reason into
            a paragraph, raises some of it as RuntimeError, and prints more when the half-written file is collected.
    """
    # h5py prints by the one, Python by the other.
    hooks, sys.excepthook, sys.unraisablehook = (sys.excepthook, sys.unraisablehook), lambda *_: None, lambda _: None
    try:
        with replacing(path, lock=False) as temporary:
            yield temporary
    except (OSError, RuntimeError) as error:
        found = re.search(r"errno = (\d+)", str(error))
        number = int(found[1]) if found else getattr(error, "errno", None)
        traceback.clear_frames(error.__traceback__)  # closes the files that were being written
        gc.collect()
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from None
    finally:
        sys.excepthook, sys.unraisablehook = hooks


def refuse_parent(out: Path) -> None:
    """Raise if the folder of a new file neither exists nor can be made.

    Raises:
        UsageError: a part of its path is no folder.
    """
    found = next(folder for folder in out.absolute().parents if os.path.lexists(folder))
    if not found.is_dir():
        raise UsageError(f"{out}: {found} is not a folder; give another name.")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def require_utf8(path: Path | str) -> None:
    """Raise if a path holds a name that is not UTF-8: TensorFlow and HDF5 open no such file.

    Raises:
        UsageError: names the path, its odd bytes escaped.
    """
    name = os.fsencode(os.path.abspath(path))
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        shown = name.decode("utf-8", "backslashreplace")
        raise UsageError(f"{shown}: expected a path in UTF-8; rename the folder or file, or give another.") from None


def flush(path: Path) -> None:
    """Put a file's bytes, or a folder's names, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path | str, text: str) -> None:
    """Write a text in UTF-8.

    A byte of a file name that is not UTF-8, which Python holds as a lone surrogate, is written as `\\udcXX`; in JSON
    that is its escape, so the name is read back as it was.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def write_json(path: Path | str, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_bounded(path: Path | str, largest: int) -> bytes:
    """The bytes of a file that may be somebody else's.

    Args:
        path: the file.
        largest: bytes at most.

    Raises:
        DataError: it is larger, of which nothing was read, or neither a file nor a link to one.
        OSError: it cannot be read.
    """
    path = Path(path)
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise DataError(f"{path}: expected a file, received a folder or a device.")
    if found.st_size > largest:
        raise DataError(f"{path}: expected {largest:,} bytes at most, received {found.st_size:,}.")
    with path.open("rb") as file:
        return file.read(largest)


def read_json(path: Path | str, kind: type = object) -> Any:
    """The value in a JSON file, or a `DataError` that names the file where it holds none, or none of this kind."""
    return parse_json(read_bounded(path, LARGEST_JSON), path, kind)


def parse_json(content: bytes, path: Path | str, kind: type = object) -> Any:
    """The value in a JSON file's bytes; else as of `read_json`."""
    needed = sum(bytes_each * content.count(sign) for sign, bytes_each in _JSON_MEMORY.items())
    if len(content) > LARGEST_JSON or needed > MOST_JSON_MEMORY:
        raise DataError(
            f"{path}: expected JSON of {LARGEST_JSON >> 20} MiB, and {MOST_JSON_MEMORY >> 20} MiB in memory, at most; "
            f"received {len(content):,} bytes."
        )
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected JSON, received something else ({error}).") from error
    if not isinstance(value, kind):
        raise DataError(f"{path}: expected a JSON {kind.__name__}, received a {type(value).__name__}.")
    return value


def sha256(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_leftovers(folder: Path | str, pattern: str = f"{_PREFIX}*") -> None:
    """Remove temporary files of processes that were killed while they wrote in this folder."""
    for path in Path(folder).glob(pattern):
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if _is_free(handle):
                    path.unlink()
            finally:
                os.close(handle)


def _is_free(handle: int) -> bool:
    """Whether no process holds the lock of an open file; this one then does, until the handle is closed."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks
    return True

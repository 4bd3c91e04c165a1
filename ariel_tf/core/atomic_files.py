"""Write files atomically: a partly written file never has its final name; no TensorFlow."""

import contextlib
import fcntl
import gc
import glob
import hashlib
import io
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

# Manifests are the largest JSON files: 10 bytes of text and one number in memory per planet.
LARGEST_JSON, MOST_JSON_MEMORY = 32 << 20, 150 << 20
# Approximate bytes of memory per occurrence of a character: a number or a short text; a key; an object; a list.
_JSON_MEMORY = {b",": 40, b":": 110, b"{": 100, b"[": 90}
_PREFIX = ".writing-"


@contextmanager
def replacing(path: Path | str, lock: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the same folder, renamed to `path` if the block succeeds.

    The order protects against a power cut: write, flush to disk, rename, flush the folder. The temporary name keeps the
    suffixes, because some writers choose the format by suffix. The file is locked while this process writes it, so that
    the next writer in the folder can remove the temporary files of killed processes.

    Args:
        path: the final name.
        lock: False for a file that HDF5 writes, since HDF5 locks it itself; no other process may write in its folder
            then.
    """
    path = Path(path)
    suffix = "".join(path.suffixes)
    try:
        remove_leftovers(path.parent, f"{_PREFIX}????????{glob.escape(suffix)}")
        handle, temporary = _new_file(path.parent, suffix, lock)
    except OSError as error:
        error.filename = str(path)  # rather than the temporary name, which means nothing to the user
        raise
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        flush(temporary)
        os.replace(temporary, path)
        flush(path.parent)
    except OSError as error:
        # The error of a full disk has no file name; the temporary one is unknown to the user.
        if error.errno is not None and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise
    finally:
        with contextlib.suppress(OSError):  # not fatal: the next writer removes it
            temporary.unlink(missing_ok=True)
        os.close(handle)


def _new_file(folder: Path, suffix: str, lock: bool) -> tuple[int, Path]:
    """Create a temporary file that is locked until its handle is closed; return its handle and its path."""
    while True:
        handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=suffix, dir=folder)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX if lock else fcntl.LOCK_UN)
        if os.path.exists(name):
            return handle, Path(name)
        os.close(handle)  # another writer removed it as a leftover before it was locked


@contextmanager
def replacing_by_library(path: Path | str) -> Iterator[Path]:
    """Like `replacing`, for a block in which Keras writes a `.keras` file, in a folder that this process holds.

    Raises:
        OSError: the error of the disk, with the name of the file, as Python's own files raise it. HDF5, which writes
            the weights of a model that memory does not hold twice, hides the reason in a paragraph, raises some errors
            as RuntimeError, and prints more when the partly written file is collected.
    """
    # h5py prints through the first of these, Python through the second.
    hooks, sys.excepthook, sys.unraisablehook = (sys.excepthook, sys.unraisablehook), lambda *_: None, lambda _: None
    try:
        with replacing(path, lock=False) as temporary:
            yield temporary
    except (OSError, RuntimeError) as error:
        found = re.search(r"errno = (\d+)", str(error))
        number = int(found[1]) if found else getattr(error, "errno", None)
        traceback.clear_frames(error.__traceback__)  # closes the partly written files
        gc.collect()
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from None
    finally:
        sys.excepthook, sys.unraisablehook = hooks


class _NamedBuffer(io.BytesIO):
    """Bytes in memory; Keras reads the format from the name."""

    def __init__(self, name: str):
        super().__init__()
        self._name = name

    def __str__(self) -> str:
        return self._name


@contextmanager
def replacing_by_hdf5(path: Path | str) -> Iterator[io.BytesIO]:
    """Like `replacing`, for a block in which HDF5 writes the file: into memory.

    A write that the disk refuses to HDF5 may end the process by a segmentation fault, or be lost without an error.
    """
    buffer = _NamedBuffer(str(path))
    yield buffer
    with replacing(path) as temporary, buffer.getbuffer() as content:  # released, also if the disk refuses
        temporary.write_bytes(content)


def refuse_parent(out: Path) -> None:
    """Raise if the folder of a new file does not exist and cannot be created.

    Raises:
        UsageError: a part of its path is not a folder.
    """
    found = next(folder for folder in out.absolute().parents if os.path.lexists(folder))
    if not found.is_dir():
        raise UsageError(f"{out}: {found} is not a folder; give another name.")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def require_utf8(path: Path | str) -> None:
    """Raise if a path contains a name that is not UTF-8, which TensorFlow and HDF5 cannot open.

    Raises:
        UsageError: names the path, with the invalid bytes escaped.
    """
    name = os.fsencode(os.path.abspath(path))
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        shown = name.decode("utf-8", "backslashreplace")
        raise UsageError(f"{shown}: expected a path in UTF-8; rename the folder or file, or give another.") from None


def flush(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path | str, text: str) -> None:
    """Write a text in UTF-8.

    A byte of a file name that is not UTF-8, which Python represents as a lone surrogate, is written as `\\udcXX`. In
    JSON that is its escape sequence, so the same name is read back.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def write_json(path: Path | str, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_bounded(path: Path | str, largest: int) -> bytes:
    """Return the bytes of a file from an untrusted source.

    Args:
        path: the file.
        largest: limit on its size in bytes.

    Raises:
        DataError: it is larger than the limit (nothing is read), or is neither a file nor a link to one.
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
    """Return the value in a JSON file; raise `DataError` with the file's name if it has no value of this kind."""
    return parse_json(read_bounded(path, LARGEST_JSON), path, kind)


def parse_json(content: bytes, path: Path | str, kind: type = object) -> Any:
    """Return the value in the bytes of a JSON file; arguments and errors as for `read_json`."""
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
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_leftovers(folder: Path | str, pattern: str = f"{_PREFIX}*") -> None:
    """Remove the temporary files of processes that were killed while writing in this folder."""
    for path in Path(folder).glob(pattern):
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if _is_free(handle):
                    path.unlink()
            finally:
                os.close(handle)


def _is_free(handle: int) -> bool:
    """Lock an open file until its handle is closed; return False if another process has locked it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks
    return True

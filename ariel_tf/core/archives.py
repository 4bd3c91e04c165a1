"""Limits on ZIP archives from untrusted sources, checked before `zipfile` reads them; no TensorFlow."""

import io
import struct
import tokenize
import zipfile
import zlib
from typing import IO

from ariel_tf.core.errors import DataError

_END, _END64 = b"PK\x05\x06", b"PK\x06\x07"
_END_SIZE, _LONGEST_COMMENT = 22, 1 << 16
# Archives whose list of members is not in the ZIP64 form (for more than 4 GB).
_LARGE = 1 << 31
# Members smaller than this are not checked for compression.
SMALL = 16 << 20
MOST_EXPANSION = 4
# Exceptions that NumPy and the standard library raise for damaged arrays, and archives of them.
UNREADABLE: tuple[type[Exception], ...] = (
    *(ValueError, KeyError, TypeError, AttributeError, EOFError, OSError, OverflowError, MemoryError, RuntimeError),
    *(SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error, struct.error),
)


def require_archive(file: IO[bytes], what: str, largest_directory: int) -> None:
    """Refuse a file that is not a ZIP archive, or whose list of members is too large.

    Args:
        file: open for reading; its position changes.
        what: its name, for messages.
        largest_directory: largest size of the list of members in bytes, about 50 bytes and a name per member.

    Raises:
        DataError: names the file.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _LONGEST_COMMENT - _END_SIZE))
    tail = file.read()
    start = tail.rfind(_END)
    if start < 0 or len(tail) - start < _END_SIZE:
        raise DataError(f"{what}: expected a ZIP archive, received other bytes; get another copy of it.")
    directory = struct.unpack("<I", tail[start + 12 : start + 16])[0]
    has_long_form = size < _LARGE and _END64 in tail[max(0, start - 20) : start]
    if has_long_form or directory > largest_directory:
        raise DataError(f"{what}: expected an archive of few members, received another; get another copy of it.")


def refuse_expansion(what: str, size: int, stored: int, largest: int | None = None) -> None:
    """Refuse an object that is much larger in memory than in the file, or larger than a limit.

    Args:
        what: name of the object, for messages.
        size: bytes in memory.
        stored: bytes in the file.
        largest: limit on the bytes in memory; None for no limit.

    Raises:
        DataError: names the object and both sizes.
    """
    if size > SMALL and size > MOST_EXPANSION * stored:
        raise DataError(f"{what} would take {size:,} bytes, of which {stored:,} are stored; get another copy of it.")
    if largest is not None and size > largest:
        raise DataError(f"{what}: expected {largest:,} bytes at most, received {size:,}.")

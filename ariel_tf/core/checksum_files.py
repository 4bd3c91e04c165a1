"""SHA-256 checksums of text files and tables, in separate files that `sha256sum` can write and check.

    FOLDER/SHA256SUMS     files of a folder and of its subfolders
    radii.csv.sha256      the file of that name without the ending

A file without a checksum, from another program or an earlier version, is read unchecked.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ariel_tf.core.atomic_files import read_bounded, replacing, sha256, write_text
from ariel_tf.core.errors import DataError

FOLDER_SUMS = "SHA256SUMS"
# The challenge's 250,000 files need 21 MB.
LARGEST = 64 << 20
_LINE = re.compile(r"([0-9a-f]{64}) [ *]((?!/)[^\x00]+)")


def write_sums(folder: Path | str, sums: Mapping[str, str]) -> None:
    """Write the checksums of a folder's files.

    Args:
        folder: folder of the files.
        sums: hexadecimal SHA-256 by file name, relative to the folder.
    """
    write_text(Path(folder) / FOLDER_SUMS, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))


def read_sums(path: Path | str) -> dict[str, set[str]]:
    """Return the checksums in a file of `sha256sum` by file name; several for a file that was being replaced.

    Raises:
        DataError: the file is missing or damaged; names the line.
    """
    path = Path(path)
    content = read_bounded(path, LARGEST).decode("utf-8", "surrogateescape")
    found: dict[str, set[str]] = {}
    lines = content.split("\n")
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line.removesuffix("\r"))
        if match is None and (number < len(lines) or line):
            raise DataError(
                f"{path}, line {number}: expected a SHA-256 and a file name; restore the file, or remove it."
            )
        if match is not None:
            found.setdefault(match[2], set()).add(match[1])
    if not found or lines[-1]:
        raise DataError(f"{path}: expected whole lines of a SHA-256 and a file name; restore the file, or remove it.")
    return found


def sidecar(path: Path) -> Path:
    """Return the path of the file that holds the checksum of another file."""
    return path.with_name(f"{path.name}.sha256")


@contextmanager
def replacing_with_sum(path: Path) -> Iterator[Path]:
    """Like `atomic_files.replacing`, and write a checksum file beside it.

    During the replacement the checksum file holds the checksums of the old and of the new file, so that an intact file
    is never refused, even if the process is killed.
    """
    with replacing(path) as temporary:
        yield temporary
        new, old = sha256(temporary), _old_sums(path)
        _write_sidecar(path, {new} | old)
    if old - {new}:
        _write_sidecar(path, {new})


def _old_sums(path: Path) -> set[str]:
    """Return the checksums that a file may have while it is being replaced."""
    if not path.is_file():
        return set()
    try:
        return read_sums(sidecar(path)).get(path.name, set())
    except FileNotFoundError:
        return {sha256(path)}
    except DataError:
        return set()


def _write_sidecar(path: Path, sums: set[str]) -> None:
    write_text(sidecar(path), "".join(f"{one}  {path.name}\n" for one in sorted(sums)))


def verify(path: Path) -> None:
    """Compare a file with the checksum beside it, if there is one.

    Raises:
        DataError: the checksums differ.
        OSError: one of the files cannot be read.
    """
    beside = sidecar(path)
    if not os.path.lexists(beside):
        return
    expected = read_sums(beside).get(path.name, set())
    if sha256(path) not in expected:
        raise DataError(
            f"{path}: not the file that was written, by {beside.name}; restore it or, if the change is yours, remove "
            f"{beside.name}."
        )

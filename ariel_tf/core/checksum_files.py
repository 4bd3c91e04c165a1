"""SHA-256 of texts and tables that cannot hold their own, in files as `sha256sum` writes and checks them.

    FOLDER/SHA256SUMS     of files in a folder and the folders within it
    radii.csv.sha256      of the file of that name without the ending

A file without such a sum, of another program or an earlier version, is read as it is.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ariel_tf.core.atomic_files import read_bounded, replacing, sha256, write_text
from ariel_tf.core.errors import DataError

FOLDER_SUMS = "SHA256SUMS"
# The challenge's 250,000 files would take 21 MB.
LARGEST = 64 << 20
_LINE = re.compile(r"([0-9a-f]{64}) [ *]((?!/)[^\x00]+)")


def write_sums(folder: Path | str, sums: Mapping[str, str]) -> None:
    """Write the sums of a folder's files.

    Args:
        folder: of the files.
        sums: hexadecimal SHA-256 by file name, relative to the folder.
    """
    write_text(Path(folder) / FOLDER_SUMS, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))


def read_sums(path: Path | str) -> dict[str, set[str]]:
    """The sums in a file of `sha256sum`, by file name; several where a file was being replaced.

    Raises:
        DataError: no such file, or a damaged one; names the line.
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
    """The file that holds the sum of another one."""
    return path.with_name(f"{path.name}.sha256")


@contextmanager
def replacing_with_sum(path: Path) -> Iterator[Path]:
    """As `atomic_files.replacing`, with a file that holds the sum beside it.

    While the file is being replaced that one holds the sums of the old file and of the new one, so a process that is
    killed leaves no sound file that is refused.
    """
    with replacing(path) as temporary:
        yield temporary
        new, old = sha256(temporary), _old_sums(path)
        _write_sidecar(path, {new} | old)
    if old - {new}:
        _write_sidecar(path, {new})


def _old_sums(path: Path) -> set[str]:
    """The sums that a file may have which is about to be replaced."""
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
    """Compare a file with the sum beside it, where there is one.

    Raises:
        DataError: they differ.
        OSError: one cannot be read.
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

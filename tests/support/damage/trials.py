"""Random damage to a file, and whether its reader notices.

A trial holds if the reader returns what it returns of the sound file, or raises one clear error of ours.
"""

import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ariel_tf.core.errors import ArielError

FAULTS = ("cut", "flip", "zero", "swap", "delete")
# Bytes of a range that is zeroed, swapped or deleted, at most.
LONGEST = 64


def damaged(content: bytes, fault: str, rng: random.Random) -> bytes:
    """Bytes with one fault; other bytes than before, unless none of ten tries changes any."""
    for _ in range(10):
        found = _damaged(content, fault, rng)
        if found != content:
            break
    return found


def _damaged(content: bytes, fault: str, rng: random.Random) -> bytes:
    size = len(content)
    start = rng.randrange(size)
    length = rng.randint(1, min(LONGEST, size - start))
    if fault == "cut":
        return content[:start]
    if fault == "flip":
        return content[:start] + bytes([content[start] ^ 1 << rng.randrange(8)]) + content[start + 1 :]
    if fault == "zero":
        return content[:start] + bytes(length) + content[start + length :]
    if fault == "delete":
        return content[:start] + content[start + length :]
    other = rng.randrange(size - length + 1)
    first, second = sorted((start, other))
    length = min(length, second - first, size - second)  # they do not overlap
    one, two = content[first : first + length], content[second : second + length]
    between = content[first + length : second]
    return content[:first] + two + between + one + content[second + length :]


@dataclass(frozen=True)
class Subject:
    """A kind of file.

    Attributes:
        name: of the kind.
        folder: holds a sound file, and whatever its reader reads beside it.
        file: name of the file, relative to the folder.
        read: the product's reader; takes a copy of the folder, returns a value that `==` compares.
    """

    name: str
    folder: Path
    file: str
    read: Callable[[Path], Any]


@dataclass
class Report:
    """What the trials of a subject found."""

    tried: int = 0
    refused: int = 0
    failed: list[str] = field(default_factory=list)
    messages: Counter[str] = field(default_factory=Counter)


def run(subject: Subject, scratch: Path, each: int, seed: int = 0) -> Report:
    """Damage a file.

    Args:
        subject: the kind of file.
        scratch: a folder for copies.
        each: trials of each fault; a file that is empty, and one that is gone, are tried once.
        seed: of the damage.
    """
    report, rng = Report(), random.Random(f"{seed} {subject.name}")
    work = scratch / "work"
    content = (subject.folder / subject.file).read_bytes()
    expected = _read(subject, work, content)
    again = _read(subject, work, content)
    if isinstance(expected, Exception) or again != expected:
        raise AssertionError(f"{subject.name}: the sound file is read as {expected!r}, then as {again!r}")
    trials = [(fault, damaged(content, fault, rng)) for fault in FAULTS for _ in range(each)]
    for fault, bytes_ in [*trials, ("empty", b""), ("gone", None)]:
        report.tried += 1
        found = _read(subject, work, bytes_)
        if isinstance(found, Exception):
            report.refused += 1
            if wrong := _unclear(found):
                report.failed.append(f"{subject.name}: {fault}: {wrong}")
            report.messages[str(found)] += 1
        elif found != expected:
            what = _first_difference(content, bytes_)
            report.failed.append(f"{subject.name}: {fault}: read silently as another value ({what})")
    shutil.rmtree(work, ignore_errors=True)
    return report


def _read(subject: Subject, work: Path, content: bytes | None) -> Any:
    """The value that the reader returns of these bytes, or what it raises."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(subject.folder, work)
    if content is None:
        (work / subject.file).unlink()
    else:
        (work / subject.file).write_bytes(content)
    try:
        return subject.read(work)
    except Exception as error:  # noqa: BLE001  (a reader may raise anything: that is what is found out)
        return error


def _unclear(error: Exception) -> str:
    """Why an error is none that a user can act on; nothing where it is one."""
    if isinstance(error, ArielError):
        return "" if len(str(error)) > 20 else f"an error without a sentence: {error!r}"
    if isinstance(error, OSError) and error.filename:
        return ""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _first_difference(content: bytes, other: bytes | None) -> str:
    if other is None:
        return "no file"
    shorter = min(len(content), len(other))
    place = next((at for at in range(shorter) if content[at] != other[at]), shorter)
    return f"byte {place} of {len(content)}: {content[place : place + 20]!r} became {other[place : place + 20]!r}"

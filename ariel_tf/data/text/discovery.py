"""Find challenge text files by key and planet; only names and times are read."""

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from ariel_tf.challenge import Key, parse_name
from ariel_tf.core.checksum_files import FOLDER_SUMS, read_sums
from ariel_tf.core.errors import DataError


@dataclass(frozen=True)
class Fault:
    """Why a file cannot be used."""

    file: str
    fault: str

    @classmethod
    def of(cls, path: str, error: DataError | OSError) -> Self:
        """Return a fault from the exception of reading the file."""
        if isinstance(error, OSError):
            return cls(path, f"cannot be read: {error.strerror or error}")
        return cls(path, str(error).removeprefix(f"{path}: "))

    def __str__(self) -> str:
        return f"{self.file}: {self.fault}"

    def entry(self) -> dict[str, str]:
        """Return the fault as stored in the manifest."""
        return {"file": self.file, "fault": self.fault}


@dataclass
class FoundFiles:
    """Files of one folder by key, with data to detect changed files, and the faults."""

    paths: dict[Key, str] = field(default_factory=dict)
    stamps: dict[Key, tuple[int, int]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    sums: dict[str, set[str]] = field(default_factory=dict)  # of a path, where its folder has a file of sums
    changed: int = 0  # time of the last write, move or change of permissions: nanoseconds since 1970


@dataclass(frozen=True)
class PlanetFiles:
    """Files of one planet; `params` is None in a test set. `sums` holds the checksums that each path may have."""

    number: int
    light_curves: dict[Key, str]
    params: list[str] | None
    sums: dict[str, set[str]] = field(default_factory=dict)


# First bytes of the two kinds of files.
_LIGHT_CURVES, _PARAMS = b"# star", b"# sma:"
# Files that macOS, Windows and editors leave behind, besides hidden files.
_LEFTOVERS = ("__macosx", "thumbs.db", "desktop.ini")


def find_files(folder: Path) -> FoundFiles:
    """Find every AAAA_BB_CC.txt or .txt.gz in a folder and its subfolders, following links.

    Hidden files and files that macOS, Windows and editors leave behind are skipped.

    A file with another name or that cannot be read is a fault; so is a key that occurs twice, and neither file is used.
    """
    found = FoundFiles()
    twice: set[Key] = set()
    for entry in _files(str(folder), set(), found.faults):
        if entry.name == FOLDER_SUMS:
            continue
        try:
            key, status = _key_of(entry), entry.stat()
        except (DataError, OSError) as error:
            found.faults.append(Fault.of(entry.path, error))
            continue
        if key in found.paths:
            if not twice:
                _refuse_two_kinds(folder, found.paths[key], entry.path)
            twice.add(key)
            found.faults.append(Fault(entry.path, f"the same observation is also in {found.paths[key]}"))
            continue
        found.paths[key] = entry.path
        found.stamps[key] = (status.st_size, status.st_mtime_ns)
        found.changed = max(found.changed, status.st_mtime_ns, status.st_ctime_ns)
    _add_sums(found, str(folder), os.path.join(folder, FOLDER_SUMS), "")
    above, name = os.path.split(os.path.abspath(folder))
    _add_sums(found, str(folder), os.path.join(above, FOLDER_SUMS), f"{name}/")
    found.faults += [
        Fault(path, f"is in {FOLDER_SUMS}, but does not exist; restore it, or remove its line")
        for path in sorted(found.sums)
        if not os.path.lexists(path)
    ]
    for key in twice:
        del found.paths[key]
    found.paths = dict(sorted(found.paths.items()))
    return found


def _add_sums(found: FoundFiles, folder: str, path: str, prefix: str) -> None:
    """Add the checksums of a folder's light curves or params files, if it has a checksum file.

    Args:
        found: receives sums and faults.
        folder: folder of the light curves or params files.
        path: checksum file, in that folder or the one above.
        prefix: prefix of names in it that belong to this folder.
    """
    if not os.path.lexists(path):
        return
    try:
        sums = read_sums(path)
    except (DataError, OSError) as error:
        found.faults.append(Fault.of(path, error))
        return
    for name, its in sums.items():
        if name.startswith(prefix) and name.endswith((".txt", ".txt.gz")) and ".." not in name:
            found.sums[os.path.join(folder, name.removeprefix(prefix))] = its


def no_folder(path: Path) -> str:
    """Return what is wrong with a path that is not a folder, and what to do, without the path."""
    expected = "expected a folder of challenge text files AAAA_BB_CC.txt"
    if path.exists():
        return f"{expected}, received a file; name the folder that it is in"
    return f"{expected}, found no folder of this name; `python -m pipelines.simulate` makes such files"


def files_in(folder: Path) -> Iterator[os.DirEntry]:
    """Yield every file in a folder and its subfolders, except leftovers and checksums; skips what it cannot read."""
    return (entry for entry in _files(str(folder), set(), []) if entry.name != FOLDER_SUMS)


def _key_of(entry: os.DirEntry) -> Key:
    if not entry.name.endswith((".txt", ".txt.gz")):
        raise DataError(f"expected a file name like 0052_01_10.txt (planet_spot_photon), received {entry.name!r}")
    return parse_name(entry.name.removesuffix(".gz"))


def _refuse_two_kinds(folder: Path, path: str, other: str) -> None:
    """Refuse a folder above both light curves and params files, which have the same names.

    Raises:
        DataError: one of the two files is of each kind.
    """
    kinds = {_first_bytes(one): os.path.dirname(one) for one in (path, other)}
    if kinds.keys() == {_LIGHT_CURVES, _PARAMS}:
        light_curves, params = kinds[_LIGHT_CURVES], kinds[_PARAMS]
        raise DataError(
            f"{folder}: holds light curves (in {light_curves}) and params files (in {params}): name the folder of each."
        )


def refuse_other_kind(folder: Path | str, found: FoundFiles, params: bool) -> None:
    """Refuse a folder of params files where light curves are expected, or the reverse; the names are the same.

    Args:
        folder: folder of the files.
        found: files in it, of which the first, the middle and the last are looked at.
        params: whether params files are expected.

    Raises:
        DataError: all of them are of the other kind.
    """
    paths = list(found.paths.values())
    kinds = {_first_bytes(path) for path in (*paths[:1], *paths[len(paths) // 2 :][:1], *paths[-1:])}
    if kinds == {_LIGHT_CURVES if params else _PARAMS}:
        names = ("light curves", "params files")
        raise DataError(f"{folder}: expected {names[params]}, found {names[not params]}; name the other folder.")


def _first_bytes(path: str) -> bytes:
    try:
        with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as file:
            return file.read(16).removeprefix(b"\xef\xbb\xbf")[:6]
    except (OSError, EOFError, zlib.error):
        return b""


def _files(folder: str, seen: set[tuple[int, int]], faults: list[Fault]) -> Iterator[os.DirEntry]:
    """Yield all entries that are not folders. Each folder is entered once, so cyclic links end."""
    try:
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as opened:
            entries = sorted(opened, key=lambda entry: entry.name)
    except OSError as error:
        faults.append(Fault.of(folder, error))
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name.endswith("~") or entry.name.lower() in _LEFTOVERS:
            continue
        if _is_folder(entry):
            yield from _files(entry.path, seen, faults)
        else:
            yield entry


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself; the fault is reported where the file is read
        return False


def group(light_curves: FoundFiles, params: FoundFiles | None) -> tuple[list[PlanetFiles], list[Fault]]:
    """Return one task per planet, ascending, and faults of planets without any params file."""
    curves: dict[int, dict[Key, str]] = {}
    for key, path in light_curves.paths.items():
        curves.setdefault(key.planet, {})[key] = path
    if params is None:
        sums = light_curves.sums
        return [PlanetFiles(number, paths, None, _own(sums, paths.values())) for number, paths in curves.items()], []
    targets: dict[int, list[str]] = {}
    for key, path in params.paths.items():
        targets.setdefault(key.planet, []).append(path)
    faults = [
        Fault(next(iter(paths.values())), f"planet {number:04d} has light curves, but no file in the params folder")
        for number, paths in curves.items()
        if number not in targets
    ]
    tasks = []
    for number, paths in curves.items():
        if number in targets:
            sums = _own(light_curves.sums, paths.values()) | _own(params.sums, targets[number])
            tasks.append(PlanetFiles(number, paths, targets[number], sums))
    return tasks, faults


def _own(sums: Mapping[str, set[str]], paths: Iterable[str]) -> dict[str, set[str]]:
    return {path: sums[path] for path in paths if path in sums}

"""A data set's folder: locking, recognising its files, and replacing an old data set by a new one.

    OUT/unfinished.json, fold-*.tfrecord ...             a first data set is written in its folder
    OUT/manifest.json ...    OUT/.replacing/...          with `overwrite` the new one is written beside the old one,
                                                         which is removed only when the new one is complete

Only files of a data set are ever removed. Another program's manifest.json, for example, is refused.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ariel_tf.core.atomic_files import flush, read_json, remove_leftovers, write_json
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.manifest import MANIFEST_NAME, SHARD_NAME, STATE_NAME, STATISTICS_NAME, Manifest, Sums

REPLACING = ".replacing"

_OURS = re.compile(rf"{MANIFEST_NAME}|{STATISTICS_NAME}|{STATE_NAME}|{SHARD_NAME.pattern}(\.json|\.npz)?", re.ASCII)


def lock(folder: Path, shared: bool = False) -> int:
    """Hold the folder until the returned handle is closed, or the process ends.

    Args:
        folder: folder to hold; exists.
        shared: whether other processes that share it may hold it too.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise UsageError(f"{folder}: another process is writing there; wait for it, or use another folder") from None
    except OSError:
        pass  # a file system without locks
    return handle


def claim(folder: Path, state: Mapping[str, Any], overwrite: bool) -> Path:
    """Return the folder to write in, which contains nothing of ours or an unfinished data set of the same `state`.

    Args:
        folder: folder of the data set; exists.
        state: JSON-compatible; an unfinished run is continued only if it was started with the same state.
        overwrite: whether another data set there, finished or not, may be replaced.

    Raises:
        UsageError: the folder contains something that may not be replaced.
    """
    work = folder / REPLACING
    if _is_page(work / MANIFEST_NAME):  # stopped while the old data set was being replaced
        install(folder)
    _refuse_foreign(folder)
    if (folder / MANIFEST_NAME).exists():
        if not overwrite:
            raise UsageError(f"{folder} already holds a data set: use another folder, or --overwrite")
        work.mkdir(exist_ok=True)
        _refuse_foreign(work)
    else:
        work = folder
    remove_leftovers(work)
    if overwrite and _holds_another(work, state):
        remove(work, keep=set())
    _begin(work, state, folder)
    return work


def claim_together(folder: Path, state: Mapping[str, Any]) -> None:
    """Like `claim`, for several processes that write one data set; temporary files of other processes are kept.

    Raises:
        UsageError: as for `claim`.
    """
    _refuse_foreign(folder)
    if (folder / MANIFEST_NAME).exists():
        raise UsageError(f"{folder} already holds a data set: use another folder")
    _begin(folder, state, folder)


def _ours(work: Path) -> set[str]:
    return {path.name for path in work.iterdir() if _OURS.fullmatch(path.name)}


def _holds_another(work: Path, state: Mapping[str, Any]) -> bool:
    """Whether the folder has files of a data set, but not of an unfinished one with this state."""
    return bool(_ours(work)) and json_or_none(work / STATE_NAME) != state


def _begin(work: Path, state: Mapping[str, Any], folder: Path) -> None:
    """Record the state of an unfinished data set, unless there is one with another state."""
    if _holds_another(work, state):
        what = "an unfinished data set of other files or settings (a file added or removed is another set of files):"
        what = what if (work / STATE_NAME).exists() else "shards without a manifest:"
        raise UsageError(f"{folder} holds {what} use another folder, or --overwrite")
    write_json(work / STATE_NAME, state)


def complete_already(folder: Path, is_same: Callable[[Manifest], bool]) -> bool:
    """Whether a folder contains this complete data set; if so, remove what a killed writer left beside it.

    Args:
        folder: folder of a data set; need not exist.
        is_same: whether the data set with this manifest is the requested one.

    Raises:
        UsageError: another process is writing there.
    """
    if not (folder / MANIFEST_NAME).is_file():
        return False
    handle = lock(folder)
    try:
        manifest = Manifest.read(folder)
        if not is_same(manifest) or any(_size(folder / shard.name) != shard.bytes for shard in manifest.shards):
            return False
        clean(folder, manifest)
    except DataError:
        return False  # the process that writes there reports what is wrong
    finally:
        os.close(handle)
    return True


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def clean(folder: Path, manifest: Manifest) -> None:
    """Remove the working files of a data set once it is complete."""
    remove_leftovers(folder)
    remove(folder, keep={MANIFEST_NAME, STATISTICS_NAME, *(shard.name for shard in manifest.shards)})


def _refuse_foreign(folder: Path) -> None:
    """Refuse files of another program that have the same names as ours."""
    for name in (MANIFEST_NAME, STATE_NAME, STATISTICS_NAME):
        path = folder / name
        if not path.exists() or (name == STATISTICS_NAME and (folder / MANIFEST_NAME).exists()):
            continue
        if not (_is_statistics(path) if name == STATISTICS_NAME else _is_page(path)):
            raise UsageError(f"{path} is not a file of one of our data sets: move it away, or use another folder")


def _is_page(path: Path) -> bool:
    page = json_or_none(path)
    return isinstance(page, dict) and {"schema", "labelled", "fold_seed"} <= page.keys()


def _is_statistics(path: Path) -> bool:
    with contextlib.suppress(DataError):
        Sums.read(path)
        return True
    return False


def install(folder: Path) -> None:
    """Replace the old data set by the complete one in `.replacing`; can be repeated after an interruption."""
    work = folder / REPLACING
    new = {STATISTICS_NAME, *(shard["name"] for shard in read_json(work / MANIFEST_NAME)["shards"])}
    # The old manifest first, the new one last: without it the rest is not a data set, whatever happens between.
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    remove(folder, keep=new)
    for name in sorted(new):
        with contextlib.suppress(FileNotFoundError):  # moved before the run was stopped
            os.replace(work / name, folder / name)
    flush(folder)
    os.replace(work / MANIFEST_NAME, folder / MANIFEST_NAME)
    flush(folder)
    remove(work, keep=set())
    with contextlib.suppress(OSError):  # files of other programs stay, and so does the folder
        work.rmdir()


def remove(folder: Path, keep: set[str]) -> None:
    """Remove the files of a data set, except these names."""
    for path in sorted(folder.iterdir()):
        if _OURS.fullmatch(path.name) and path.name not in keep:
            path.unlink()


def json_or_none(path: Path) -> Any:
    """Return the content of a JSON file; None if it cannot be read."""
    try:
        return read_json(path)
    except (FileNotFoundError, DataError):
        return None

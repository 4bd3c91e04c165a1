"""`state.json`, the commit of a run folder: what is saved, and the SHA-256 of each file; no TensorFlow.

    epoch, best_epoch, best_score    the last saved epoch, the best one and its validation score
    finished                         whether the test scores are written
    files                            SHA-256 by file name, relative to the run folder
    data_fingerprint                 fingerprint of the training data
    groups, trials                   for a run of several wavelengths, and for a search
    sha256                           checksum of the rest, so that a changed state is detected

Folders written by earlier versions have neither `data_fingerprint` nor `sha256`.
"""

from pathlib import Path, PurePosixPath
from typing import Any

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.core.atomic_files import read_json
from ariel_tf.core.errors import DataError
from ariel_tf.core.sealed_json import CHECKSUM, is_as_written, write_sealed

NAME = "state.json"
NEW: dict[str, Any] = {"epoch": 0, "best_epoch": 0, "best_score": None, "finished": False, "files": {}}
MOST_EPOCHS = 2**31 - 1
# No score comes near this limit; a number beyond it is damage, and may be too large for a float.
HUGE = 1e300


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Write `state.json` with its own checksum."""
    write_sealed(folder / NAME, {name: value for name, value in state.items() if name != CHECKSUM})


def read_state(folder: Path) -> dict[str, Any]:
    """Read and check a run folder's `state.json`; the result does not contain its checksum.

    Raises:
        DataError: it is damaged, or was changed after it was saved.
    """
    file = folder / NAME
    state = read_json(file, dict)
    if not _is_state(state):
        raise DataError(f"{file}: expected the state of a run, received other JSON; start again with --overwrite.")
    as_written = is_as_written(state)
    state.pop(CHECKSUM, None)
    if not as_written:
        raise DataError(f"{file}: not the state that this run saved; restore it, or start again with --overwrite.")
    state.setdefault("best_score", None)
    return state


def has_state(folder: Path) -> bool:
    """Whether a folder contains a `state.json`."""
    return (folder / NAME).is_file()


def is_finished(folder: Path) -> bool:
    """Whether a folder contains a finished run.

    Raises:
        DataError: its state is damaged.
    """
    return has_state(folder) and read_state(folder)["finished"]


def _is_state(state: dict[str, Any]) -> bool:
    """Whether all fields have the right type and are within their bounds."""
    kinds = {"epoch": int, "best_epoch": int, "finished": bool, "files": dict}
    if any(type(state.get(name)) is not kind for name, kind in kinds.items()):
        return False
    score, fingerprint, groups = state.get("best_score"), state.get("data_fingerprint", ""), state.get("groups", [])
    return (
        0 <= state["best_epoch"] <= state["epoch"] <= MOST_EPOCHS
        and (score is None or (type(score) in (int, float) and -HUGE < score < HUGE))
        and isinstance(fingerprint, str)
        and all(isinstance(value, str) and _is_inside(name) for name, value in state["files"].items())
        and isinstance(groups, list)
        and all(isinstance(group, list) and group and all(map(_is_wavelength, group)) for group in groups)
        and type(state.get("trials", 0)) is int
    )


def _is_inside(name: str) -> bool:
    """Whether a file's name is relative and does not refer to a parent folder."""
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts


def _is_wavelength(value: Any) -> bool:
    return type(value) is int and 0 <= value < N_WAVELENGTHS

"""Read files of a run folder only if they are unchanged since the run committed them; no TensorFlow."""

from pathlib import Path
from typing import Any

from ariel_tf.core.atomic_files import LARGEST_JSON, read_json, sha256
from ariel_tf.core.errors import DataError
from ariel_tf.core.sealed_json import read_sealed
from ariel_tf.runs import state as run_state


def is_sound_file(folder: Path, name: str, state: dict[str, Any]) -> bool:
    """Whether a file's bytes are those of the committed file."""
    path = folder / name
    if path.is_file() and path.suffix in (".json", ".csv") and path.stat().st_size > LARGEST_JSON:
        return False  # not a file that a run writes; reading it to its end could take minutes
    return path.is_file() and sha256(path) == state["files"].get(name)


def verified_file(folder: Path, name: str, state: dict[str, Any] | None = None) -> Path:
    """Return the path of a file of a run folder if its bytes are those that the run committed.

    Args:
        folder: the run folder.
        name: name of the file, relative to the folder.
        state: state of the run; read from the folder by default.

    Raises:
        DataError: the file, or the state, is missing or changed.
    """
    if not is_sound_file(folder, name, run_state.read_state(folder) if state is None else state):
        raise DataError(
            f"{folder / name}: not the file that this run saved; restore it, or start again with --overwrite."
        )
    return folder / name


def read_configuration(folder: Path) -> dict[str, Any]:
    """Read the `config.json` of a run folder.

    Raises:
        DataError: the file differs from the one that the run saved.
    """
    if run_state.has_state(folder):
        verified_file(folder, "config.json")
    return read_json(folder / "config.json", dict)


def has_scores(folder: Path) -> bool:
    """Whether a run is finished and has test scores; a search has none."""
    state = run_state.read_state(folder) if run_state.has_state(folder) else run_state.NEW
    return state["finished"] and "scores.json" in state["files"]


def read_scores(folder: Path) -> dict[str, Any]:
    """Read the `scores.json` of a finished run.

    Raises:
        DataError: the file differs from the one that the run saved.
    """
    return read_json(verified_file(folder, "scores.json"), dict)


def recorded_fingerprint(folder: Path) -> str:
    """Return the fingerprint of the data that a run was started with; empty if none is recorded.

    Raises:
        DataError: meta.json is damaged, or names other data than state.json.
    """
    meta = str(read_meta(folder).get("data_fingerprint", ""))
    state = run_state.read_state(folder).get("data_fingerprint", "") if run_state.has_state(folder) else ""
    if meta and state and meta != state:
        raise DataError(
            f"{folder / 'meta.json'}: names data {meta[:12]}, state.json {state[:12]}; restore it, or start again with "
            "--overwrite."
        )
    return meta or state


def read_meta(folder: Path) -> dict[str, Any]:
    """Return the content of `meta.json`; empty if it does not exist."""
    path = folder / "meta.json"
    if not path.is_file():
        return {}
    meta = read_sealed(path)
    if not isinstance(meta.get("sessions", []), list):
        raise DataError(f"{path}: expected a list of sessions, received other JSON; restore it, or remove it.")
    return meta

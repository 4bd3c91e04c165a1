"""Read and check configuration files, the values of `--config`."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ariel_tf.core.atomic_files import read_json, sha256
from ariel_tf.core.errors import DataError, UsageError, nearest

# A configuration file has about a page; a larger file was given by mistake.
LARGEST_FILE = 1 << 20


def read_values(path: Path, known: Collection[str]) -> dict[str, Any]:
    """Read a configuration file.

    Args:
        path: a file, such as the config.json of a run folder.
        known: names of the options that it may hold.

    Raises:
        UsageError: no file, or an unknown option.
        DataError: not JSON, too large, or the changed config.json of a run folder.
    """
    if not path.is_file():
        raise UsageError(f"--config {path}: expected a file, such as a run's config.json.")
    if path.stat().st_size > LARGEST_FILE:
        raise DataError(f"--config {path}: expected a configuration of {LARGEST_FILE >> 20} MiB at most.")
    _refuse_changed(path)
    values = read_json(path, dict)
    values.pop("rows", None)  # the order of a run's rows, which its memory and arrays decided
    if not isinstance(values.get("settings", {}), dict):
        raise UsageError(f"--config {path}: expected settings as names and values. Received: {values['settings']!r}")
    if unknown := sorted(set(values) - set(known)):
        raise UsageError(f"--config {path}: unknown option {unknown[0]}{nearest(unknown[0], known)}")
    return values


def _refuse_changed(path: Path) -> None:
    """Refuse the `config.json` of a run folder that differs from the one the run saved."""
    state = path.with_name("state.json")
    if path.name != "config.json" or not state.is_file():
        return
    files = read_json(state, dict).get("files")
    saved = files.get(path.name) if isinstance(files, dict) else None
    if saved is not None and saved != sha256(path):
        raise DataError(
            f"--config {path}: not the file that this run saved; restore it, or give a copy outside the run folder."
        )

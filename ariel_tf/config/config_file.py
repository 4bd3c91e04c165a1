"""Read and check configuration files, the values of `--config`."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ariel_tf.core.atomic_files import read_json, sha256
from ariel_tf.core.errors import DataError, UsageError, nearest

# A configuration file has about a page; a larger file was given by mistake.
LARGEST_FILE = 1 << 20
# Entry of a run's `config.json` that is no option: how its rows are shuffled, if not as their number determines.
ORDER_OF_ROWS = "rows"


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
    values = options_of(values)
    if not isinstance(values.get("settings", {}), dict):
        raise UsageError(f"--config {path}: expected settings as names and values. Received: {values['settings']!r}")
    if unknown := sorted(set(values) - set(known)):
        raise UsageError(f"--config {path}: unknown option {unknown[0]}{nearest(unknown[0], known)}")
    return values


def options_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options in the content of a run's `config.json`, without what memory and arrays decided."""
    return {name: value for name, value in values.items() if name != ORDER_OF_ROWS}


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

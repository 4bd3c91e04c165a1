"""Recognise the folder of a search, `python -m tuning.search`, among run folders, and find the models in it.

    SEARCH/config.json      with the keys `algorithm` and `space`
           trials/0007/     one run folder each; scored on the test folds only if the user requests it
           best/            the best trial, trained again, if the user requests it
    SEARCHES/w12/           for a search per wavelength: one search each

No TensorFlow.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ariel_tf.core.atomic_files import read_json
from ariel_tf.core.errors import UsageError


def is_search(configuration: Mapping[str, Any]) -> bool:
    """Whether a configuration is that of a search."""
    return "algorithm" in configuration and "space" in configuration


def is_search_folder(path: Path) -> bool:
    """Whether a folder is that of a search."""
    return (path / "config.json").is_file() and is_search(read_json(path / "config.json", dict))


def scored_runs(path: Path) -> list[Path]:
    """Return the run folders in a search that have test scores, ascending."""
    found = (run for pattern in ("best", "trials/*", "w*/best", "w*/trials/*") for run in path.glob(pattern))
    return sorted(run for run in found if (run / "scores.json").is_file())


def refuse_search(path: Path, configuration: Mapping[str, Any]) -> None:
    """Raise a `UsageError` that names the models of a search, if it is given in place of a run folder."""
    if is_search(configuration):
        raise UsageError(
            f"{path}: the folder of a search, which is no model itself; name a trial, like {path}/trials/0000, "
            f"or the best, {path}/best, after `python -m ariel_tf.train --config {path}/best.json --run {path}/best`."
        )

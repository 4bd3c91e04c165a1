"""The finished runs below a folder, ranked by their recorded test scores; reads JSON only, no TensorFlow.

Scores of different planets or wavelengths are not comparable, so runs are grouped by data, test folds and wavelengths.
A run whose files differ from those that it saved is named and left out.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ariel_tf.challenge import N_WAVELENGTHS, PERFECT_SCORE
from ariel_tf.config.targets import Targets
from ariel_tf.core.errors import ArielError, DataError, UsageError
from ariel_tf.core.printable import printable_line
from ariel_tf.runs.committed import has_scores, read_configuration, read_scores, recorded_fingerprint
from ariel_tf.runs.search_folder import is_search_folder, scored_runs
from ariel_tf.runs.shipped import is_pretrained
from ariel_tf.runs.state import is_finished

MOST_LEVELS = 3  # runs/sweep/trial-3 is found, a checkpoint's own folders are not searched


@dataclass(frozen=True)
class ScoredRun:
    """A finished run and its recorded scores on its test folds."""

    path: Path
    model: str
    wavelength: str
    data: str
    fingerprint: str
    folds: tuple[int, ...]
    planets: int
    observation: float
    planet: float

    @property
    def group(self) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
        """Scores of runs with equal keys (data, folds and wavelengths) are comparable, by one model or one each."""
        return self.fingerprint, self.folds, tuple(sorted(Targets.of_run(self.wavelength).every))


@dataclass(frozen=True)
class Leaderboard:
    """The runs below a folder.

    Attributes:
        runs: finished runs with test scores.
        unfinished: paths of the others.
        damaged: a sentence for each run whose files differ from those that it saved.
    """

    runs: list[ScoredRun]
    unfinished: list[Path]
    damaged: list[str]


def is_run(path: Path) -> bool:
    """Whether a path is a run folder, or names a pretrained model."""
    return (path / "config.json").is_file() or is_pretrained(path)


def runs_below(folder: Path, levels: int = MOST_LEVELS) -> Iterator[Path]:
    """Yield run folders, ascending; runs inside a run (a list's wavelengths, its stack) are part of it."""
    if (folder / "config.json").is_file():
        yield folder
    elif levels:
        for inner in sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
            yield from runs_below(inner, levels - 1)


def read(folder: Path) -> Leaderboard:
    """Read the configuration and the scores of every run below a folder.

    Raises:
        UsageError: there is no run.
    """
    found = [] if not folder.is_dir() else list(runs_below(folder))
    if not found:
        raise UsageError(f"{folder}: expected a run folder, or a folder of runs, as `python -m ariel_tf.train` makes.")
    board = Leaderboard([], [], [])
    for path in found:
        _add(board, path)
    return board


def _add(board: Leaderboard, path: Path) -> None:
    """Add a run, or the scored models of a search, to the appropriate list."""
    try:
        if is_search_folder(path):
            if not is_finished(path):
                board.unfinished.append(path)
            for run in scored_runs(path):  # a search has no test scores itself, but its models may
                _add(board, run)
        elif has_scores(path):
            board.runs.append(scored_run(path))
        else:
            board.unfinished.append(path)
    except (ArielError, OSError) as error:
        board.damaged.append(str(error))


def scored_run(path: Path) -> ScoredRun:
    """Return a finished run and its scores.

    Raises:
        DataError: the run is unfinished, or a file differs from the one that was saved.
    """
    configuration, scores = read_configuration(path), read_scores(path)
    try:
        wavelength = str(configuration["wavelength"])
        Targets.of_run(wavelength)
        return ScoredRun(
            path=path,
            model=str(configuration.get("model") or configuration.get("ensemble")),
            wavelength=wavelength,
            data=str(configuration["data"]),
            fingerprint=recorded_fingerprint(path),
            folds=tuple(map(int, configuration["test_folds"])),
            planets=int(scores["test_planets"]),
            observation=_score(scores["test"]["observation"]),
            planet=_score(scores["test"]["planet"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, UsageError) as error:
        raise DataError(f"{path}: expected the scores of a finished run, received other JSON ({error}).") from error


def _score(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"a score of {value!r}")
    if value > PERFECT_SCORE:
        raise ValueError(f"a score of {value} above {PERFECT_SCORE:,.0f}")
    return float(value)


def lines(board: Leaderboard) -> list[str]:
    """Return the leaderboard as text: largest groups first, and in each the best score of planets first."""
    groups: dict[Any, list[ScoredRun]] = {}
    for run in board.runs:
        groups.setdefault(run.group, []).append(run)
    text = []
    for group in sorted(groups.values(), key=len, reverse=True):
        group = sorted(group, key=lambda run: run.planet, reverse=True)
        first = group[0]
        text.append(
            f"{_which(first.wavelength)}, {first.planets} test planets (folds {', '.join(map(str, first.folds))}) of "
            f"{first.data} ({first.fingerprint[:8]}):"
        )
        width = max(len(run.model) for run in group)
        text.append(f"  {'':3s} {'model':{width}s}   a planet's   one observation   run")
        text += [
            f"  {rank:3d} {one.model:{width}s} {one.planet:12.1f} {one.observation:17.1f}   {one.path}"
            for rank, one in enumerate(group, 1)
        ]
    if board.unfinished:
        text.append(f"not finished: {', '.join(map(str, board.unfinished))}")
    return [printable_line(line) for line in text] or ["no run here is scored on its test folds yet"]


def _which(wavelength: str) -> str:
    targets = Targets.of_run(wavelength)
    count = len(targets.every)
    if count == 1:
        return f"wavelength {targets.every[0]}"
    return f"all {count} wavelengths" if count == N_WAVELENGTHS else f"{count} wavelengths"

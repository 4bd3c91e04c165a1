"""A run of several wavelengths: scores of each, their mean, model card, and progress; no TensorFlow."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ariel_tf.challenge import N_WAVELENGTHS, WAVELENGTHS_UM
from ariel_tf.runs import model_card, work_queue
from ariel_tf.runs.committed import read_scores
from ariel_tf.runs.work_queue import folder_of

# Weighted scores have no mean over wavelengths, since the weights differ between them.
NAMES = ("observation", "planet")


def gather_scores(path: Path, wavelengths: Sequence[int]) -> dict[str, Any]:
    """Return the scores of finished wavelengths side by side, and their means: the run's `scores.json`.

    All wavelengths have the same test rows, so the mean of their scores is the score of all of them together.
    """
    each = {wavelength: read_scores(folder_of(path, wavelength)) for wavelength in wavelengths}
    first = each[wavelengths[0]]

    def mean(part: str) -> dict[str, float]:
        return {name: sum(scores[part][name] for scores in each.values()) / len(each) for name in NAMES}

    return {
        "test": mean("test"),
        "constant": mean("constant"),
        "test_planets": first["test_planets"],
        "test_observations": first["test_observations"],
        "wavelengths": {
            f"{wavelength:02d}": {name: scores[name] for name in ("epochs", "best_epoch", "best_score")}
            | {name: scores["test"][name] for name in NAMES}
            for wavelength, scores in each.items()
        },
    }


def describe_count(wavelengths: Mapping[Any, Any]) -> str:
    """Return `all 55 wavelengths` or `3 of 55 wavelengths`."""
    count = len(wavelengths)
    return f"all {count} wavelengths" if count == N_WAVELENGTHS else f"{count} of {N_WAVELENGTHS} wavelengths"


def describe_done(states: Mapping[int, str]) -> str:
    """Return how many of a run's wavelengths are done: `2 of 3 are done`."""
    return f"{sum(state == 'done' for state in states.values())} of {len(states)} are done"


def report_lines(path: Path, scores: Mapping[str, Any]) -> list[str]:
    """Return what the command prints when all wavelengths are finished."""
    lines = ["wavelength      um   best epoch   validation   one observation   planet's median"]
    for name, row in scores["wavelengths"].items():
        lines.append(
            f"        {name}  {WAVELENGTHS_UM[int(name)]:6.3f}   {row['best_epoch']:4d} of {row['epochs']:3d}   "
            f"{row['best_score']:10.1f}   {row['observation']:15.1f}   {row['planet']:15.1f}"
        )
    return [
        *lines,
        f"mean score, {describe_count(scores['wavelengths'])}, on {scores['test_planets']} test planets "
        "(10,000 is perfect):",
        *model_card.score_lines(scores),
        f"models       {path / 'wNN' / 'best.keras'}, each in its own run folder",
        f"model card   {path / 'README.md'}",
        f"evaluation   python -m ariel_tf.evaluate {shlex.quote(str(path))}   (weighted scores, spectra)",
        f"TensorBoard  tensorboard --logdir {shlex.quote(str(path))}",
    ]


def progress_card(
    path: Path, groups: Sequence[Sequence[int]], every: Sequence[int], configuration: Mapping[str, Any], command: str
) -> str:
    """Return the README.md of a run with unfinished wavelengths.

    Args:
        path: run folder.
        groups: wavelengths that train together.
        every: all wavelengths of the run.
        configuration: content of `config.json`.
        command: command that resumes the run.
    """
    states = dict(work_queue.states(path, groups, every))
    rows = []
    for wavelength, state in states.items():
        score = f"{read_scores(folder_of(path, wavelength))['test']['planet']:.1f}" if state == "done" else ""
        rows.append([f"{wavelength:02d}", f"{WAVELENGTHS_UM[wavelength]:.3f}", state, score])
    return model_card.page(
        f"{configuration['model']}, one model for each of {describe_count(states)}: {describe_done(states)}",
        "This page was written when the last wavelength was finished or the last job ended. To resume the run, or to "
        "take over what a job left unfinished, repeat",
        model_card.code_block([command]),
        model_card.table(["wavelength", "um", "state", "planet's median"], rows),
    )


def list_card(
    scores: Mapping[str, Any], facts: Mapping[str, Any], configuration: Mapping[str, Any], command: str
) -> str:
    """Return the README.md of a finished run of several wavelengths.

    Args:
        scores: result of `gather_scores`.
        facts: facts about the data, as in `meta.json`.
        configuration: content of `config.json`.
        command: command that repeats the run.
    """
    rows = [
        [
            f"[{name}](w{name}/README.md)",
            f"{WAVELENGTHS_UM[int(name)]:.3f}",
            f"{row['best_epoch']} of {row['epochs']}",
            *(f"{row[column]:.1f}" for column in ("best_score", "observation", "planet")),
        ]
        for name, row in scores["wavelengths"].items()
    ]
    return model_card.page(
        f"{configuration['model']}, one model for each of {describe_count(scores['wavelengths'])}",
        "Each `wNN/` is a run folder with the model of one wavelength, after the epoch with the best score on the "
        f"validation folds {configuration['validation_folds']}.",
        model_card.score_section(
            configuration["test_folds"],
            scores,
            "which nothing else in the training used",
            "these models",
            "The mean over wavelengths is the challenge's score, unweighted, of all these wavelengths together.",
        ),
        model_card.data_line(facts),
        model_card.repeat(command),
        model_card.table(["wavelength", "um", "best epoch", "validation", "one observation", "planet's median"], rows),
    )

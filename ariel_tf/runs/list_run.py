"""A run of several wavelengths in words and numbers: each one's scores, their mean, where things lie; no TensorFlow."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ariel_tf.challenge import N_WAVELENGTHS, WAVELENGTHS_UM
from ariel_tf.core.atomic_files import read_json
from ariel_tf.runs import work_queue
from ariel_tf.runs.model_card import LABELS
from ariel_tf.runs.work_queue import folder_of

# Weighted scores of one wavelength are no part of a weighted score of all: the weights differ between them.
NAMES = ("observation", "planet")


def gather(path: Path, wavelengths: tuple[int, ...]) -> dict[str, Any]:
    """The scores of finished wavelengths side by side, and their means.

    All wavelengths hold the same test rows, so the mean of their scores is the score of all of them together.
    """
    each = {wavelength: read_json(folder_of(path, wavelength) / "scores.json") for wavelength in wavelengths}
    first = each[wavelengths[0]]

    def mean(what: str) -> dict[str, float]:
        return {name: sum(scores[what][name] for scores in each.values()) / len(each) for name in NAMES}

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


def which(wavelengths: Mapping[Any, Any]) -> str:
    """How many wavelengths a summary speaks of."""
    count = len(wavelengths)
    return f"all {count} wavelengths" if count == N_WAVELENGTHS else f"{count} of {N_WAVELENGTHS} wavelengths"


def report_lines(path: Path, scores: dict[str, Any]) -> list[str]:
    """What the command says at the end."""
    lines = ["wavelength      um   best epoch   validation   one observation   planet's median"]
    for name, row in scores["wavelengths"].items():
        lines.append(
            f"        {name}  {WAVELENGTHS_UM[int(name)]:6.3f}   {row['best_epoch']:4d} of {row['epochs']:3d}   "
            f"{row['best_score']:10.1f}   {row['observation']:15.1f}   {row['planet']:15.1f}"
        )
    lines.append(
        f"mean score, {which(scores['wavelengths'])}, on {scores['test_planets']} test planets (10,000 is perfect):"
    )
    for name in NAMES:
        lines.append(
            f"  {LABELS[name]:46s}{scores['test'][name]:9.1f}   constant prediction {scores['constant'][name]:9.1f}"
        )
    return [
        *lines,
        f"models       {path / 'wNN' / 'best.keras'}, each in a run folder of its own",
        f"in words     {path / 'README.md'}",
        f"TensorBoard  tensorboard --logdir {path}",
    ]


def write_progress(path: Path, groups: Sequence[Sequence[int]], every: Sequence[int], configuration, command) -> str:
    """The README.md of a run of several wavelengths that are not all finished yet."""
    states = dict(work_queue.states(path, groups, every))
    rows = []
    for wavelength, state in states.items():
        score = ""
        if state == "done":
            score = f"{read_json(folder_of(path, wavelength) / 'scores.json')['test']['planet']:.1f}"
        rows.append(f"| {wavelength:02d} | {WAVELENGTHS_UM[wavelength]:.3f} | {state} | {score} |")
    table = "\n".join(rows)
    return f"""# {configuration["model"]}, one model for each of {which(states)}: {done_line(states)}

As of the last wavelength that was finished or job that ended. To go on, or to take over what a job left, repeat

    {command}

| wavelength | um | state | planet's median |
|---|---|---|---|
{table}
"""


def done_line(states: Mapping[int, str]) -> str:
    """How many of a run's wavelengths are done, in words."""
    return f"{sum(state == 'done' for state in states.values())} of {len(states)} are done"


def write_card(scores: dict[str, Any], facts: dict[str, Any], configuration: dict[str, Any], command: str) -> str:
    """The README.md of a run of several wavelengths."""
    rows = "\n".join(
        f"| [{name}](w{name}/README.md) | {WAVELENGTHS_UM[int(name)]:.3f} | {row['best_epoch']} of {row['epochs']} | "
        f"{row['best_score']:.1f} | {row['observation']:.1f} | {row['planet']:.1f} |"
        for name, row in scores["wavelengths"].items()
    )
    test, constant = scores["test"], scores["constant"]
    return f"""# {configuration["model"]}, one model for each of {which(scores["wavelengths"])}

Each `wNN/` is a run folder of its own, with the model that is best at that wavelength by the score on the validation
folds {configuration["validation_folds"]}.

Scores on the test folds {configuration["test_folds"]}: {scores["test_planets"]} planets, {scores["test_observations"]}
observations, which nothing else in the training saw. 10,000 is perfect. The mean over wavelengths is the challenge's
score, unweighted, of all these wavelengths together.

| | these models | constant |
|---|---|---|
| {LABELS["observation"]} | {test["observation"]:.1f} | {constant["observation"]:.1f} |
| {LABELS["planet"]} | {test["planet"]:.1f} | {constant["planet"]:.1f} |

Data: {facts["data"]} (fingerprint {facts["data_fingerprint"][:12]}).

Repeat it with

    {command}

| wavelength | um | best epoch | validation | one observation | planet's median |
|---|---|---|---|---|---|
{rows}
"""

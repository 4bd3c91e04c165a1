"""A finished run in words: what was trained, on what, how well, and how to repeat it."""

import shlex
from collections.abc import Sequence
from typing import Any

from ariel_tf.config.targets import Targets
from ariel_tf.core.atomic_files import read_json
from ariel_tf.runs.folder import RunFolder

LABELS = {
    "observation": "one observation",
    "planet": "median over a planet's observations",
    "observation_weighted": "one observation, weighted",
    "planet_weighted": "median over a planet's observations, weighted",
}


def what(configuration: dict[str, Any]) -> str:
    """What a run predicts, in words."""
    return Targets.of_run(configuration["wavelength"]).describe()


def score_lines(scores: dict[str, Any]) -> list[str]:
    """The scores as lines of text for a terminal."""
    lines = []
    for name, label in LABELS.items():
        test, constant = scores["test"][name], scores["constant"][name]
        lines.append(f"  {label:46s}{test:9.1f}   constant prediction {constant:9.1f}")
    return lines


def write_card(
    scores: dict[str, Any], facts: dict[str, Any], configuration: dict[str, Any], command: str, spectra: bool = False
) -> str:
    """The README.md of one model's run; `spectra`: whether spectra.png lies beside it."""
    about = f"""Predicts the relative radius Rp/Rs of a planet from raw light curves [300 steps].
`best.keras` is the model after epoch {scores["best_epoch"]} of {scores["epochs"]}, the best by the score on the
validation folds {configuration["validation_folds"]}: {scores["best_score"]:.1f}."""
    pictures = {"predicted against true radii": "prediction.png"}
    if spectra:
        pictures["true and predicted spectra"] = "spectra.png"
    options = {name: value for name, value in configuration.items() if name != "settings"}
    tables = {"option": options, "setting of the model": configuration["settings"]}
    return page(
        title=f"{configuration['model']}, {what(configuration)}",
        about=about,
        pictures=pictures,
        held_out=(configuration["test_folds"], "nothing else in the training saw"),
        scores=scores,
        facts=facts,
        command=command,
        tables=tables,
    )


def page(
    title: str,
    about: str,
    pictures: dict[str, str],
    held_out: tuple[Sequence[int], str],
    scores: dict[str, Any],
    facts: dict[str, Any],
    command: str,
    tables: dict[str, dict[str, Any]],
    members: Sequence[str] = (),
) -> str:
    """A run's README.md, whatever kind of run it is.

    Args:
        pictures: file names by what they show.
        held_out: the test folds, and who never saw them.
        command: what makes the run again.
        tables: names and values, by the head of their column.
        members: lines about the parts of an ensemble.
    """
    folds, unseen = held_out
    rows = "\n".join(
        f"| {label} | {scores['test'][name]:.1f} | {scores['constant'][name]:.1f} |" for name, label in LABELS.items()
    )
    parts = [
        f"# {title}",
        about,
        *(f"![{shown}]({name})" for shown, name in pictures.items()),
        f"""Scores on the test folds {list(folds)}: {scores["test_planets"]} planets,
{scores["test_observations"]} observations, which {unseen}. 10,000 is perfect.
The constant is the mean radius of the training planets. Weights are 1 / (noise outside transit)^2.""",
        f"| | this model | constant |\n|---|---|---|\n{rows}",
    ]
    if members:
        parts += ["Its members, with the scores of the median over a planet's observations:", _indented(members)]
    parts += [f"Data: {facts['data']} (fingerprint {facts['data_fingerprint'][:12]}).", "Repeat it with"]
    parts.append(_indented([command]))
    for head, values in tables.items():
        lines = [f"| {name} | `{value}` |" for name, value in values.items()]
        parts.append("\n".join([f"| {head} | value |", "|---|---|", *lines]))
    return "\n\n".join(parts) + "\n"


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)


def read_scores(run: RunFolder) -> dict[str, Any]:
    return read_json(run.verified("scores.json"))


def report_lines(run: RunFolder, scores: dict[str, Any]) -> list[str]:
    """What the command says at the end."""
    return [
        f"best epoch {scores['best_epoch']} of {scores['epochs']}, validation score {scores['best_score']:.1f}",
        f"score, {what(run.configuration)}, on {scores['test_planets']} test planets (10,000 is perfect):",
        *score_lines(scores),
        f"picture      {run.path / 'prediction.png'}",
        f"model        {run.path / 'best.keras'}",
        f"in words     {run.path / 'README.md'}",
        f"TensorBoard  tensorboard --logdir {shlex.quote(str(run.path.parent))}",
    ]

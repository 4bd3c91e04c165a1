"""A finished run in words: what was trained, on what, how well, and how to repeat it."""

import shlex
from typing import Any

from ariel_tf.files import read_json
from ariel_tf.training.runs import RunFolder

LABELS = {
    "observation": "one observation",
    "planet": "median over a planet's observations",
    "observation_weighted": "one observation, weighted",
    "planet_weighted": "median over a planet's observations, weighted",
}


def what(configuration: dict[str, Any]) -> str:
    """What a run predicts, in words."""
    wavelength = configuration["wavelength"]
    return f"wavelength {wavelength}" if isinstance(wavelength, int) else "all wavelengths"


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
    """The run's README.md; `spectra`: whether spectra.png lies beside it."""
    rows = "\n".join(
        f"| {label} | {scores['test'][name]:.1f} | {scores['constant'][name]:.1f} |" for name, label in LABELS.items()
    )
    options = "\n".join(f"| {name} | `{value}` |" for name, value in configuration.items() if name != "settings")
    settings = "\n".join(f"| {name} | `{value}` |" for name, value in configuration["settings"].items())
    more = "\n![true and predicted spectra](spectra.png)\n" if spectra else ""
    return f"""# {configuration["model"]}, {what(configuration)}

Predicts the relative radius Rp/Rs of a planet from raw light curves [300 steps]. `best.keras` is the model
after epoch {scores["best_epoch"]} of {scores["epochs"]}, the best by the score on the validation folds
{configuration["validation_folds"]}: {scores["best_score"]:.1f}.

![predicted against true radii](prediction.png)
{more}
Scores on the test folds {configuration["test_folds"]}: {scores["test_planets"]} planets,
{scores["test_observations"]} observations, which nothing else in the training saw.
10,000 is perfect. The constant is the mean radius of the training planets. Weights are 1 / (noise outside transit)^2.

| | this model | constant |
|---|---|---|
{rows}

Data: {facts["data"]} (fingerprint {facts["data_fingerprint"][:12]}).

Repeat it with

    {command}

| option | value |
|---|---|
{options}

| setting of the model | value |
|---|---|
{settings}
"""


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

"""The README.md of a run folder, its model card: model, data, scores, and how to repeat the training.

Every kind of run builds its page from the same parts: `page`, `table`, `score_section`, `data_line`, `code_block`.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ariel_tf.config.targets import Targets
from ariel_tf.core.printable import printable
from ariel_tf.runs.folder import RunFolder

LABELS = {
    "observation": "one observation",
    "planet": "median over a planet's observations",
    "observation_weighted": "one observation, weighted",
    "planet_weighted": "median over a planet's observations, weighted",
}


def page(title: str, *parts: str) -> str:
    """Return a Markdown page: the title, then the parts separated by empty lines; empty parts are left out."""
    return printable("\n\n".join([f"# {title}", *(part for part in parts if part)]) + "\n")


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)


def code_block(lines: Iterable[str]) -> str:
    """Return commands or other fixed-width text as an indented Markdown block."""
    return "\n".join(f"    {line}" for line in lines)


def pictures(files: Mapping[str, str]) -> str:
    """Return Markdown images.

    Args:
        files: file name of each plot by its caption.
    """
    return "\n\n".join(f"![{caption}]({name})" for caption, name in files.items())


def score_section(
    folds: Sequence[int], scores: Mapping[str, Any], unseen: str, model: str = "this model", note: str = ""
) -> str:
    """Return the scores on the test folds together with those of a constant prediction.

    Args:
        folds: the test folds.
        scores: content of `scores.json`.
        unseen: relative clause that states what was not trained on them.
        model: header of the column of scores.
        note: a sentence about the scores.
    """
    names = [name for name in LABELS if name in scores["test"]]
    about = [
        f"Scores on the test folds {list(folds)}: {scores['test_planets']} planets, {scores['test_observations']} "
        f"observations, {unseen}. A perfect score is 10,000. The constant prediction is the mean radius of the "
        "training planets."
    ]
    if "planet_weighted" in names:
        about.append("The weights are 1 / (noise outside transit)^2.")
    if note:
        about.append(note)
    rows = [[LABELS[name], f"{scores['test'][name]:.1f}", f"{scores['constant'][name]:.1f}"] for name in names]
    return " ".join(about) + "\n\n" + table(["", model, "constant"], rows)


def data_line(facts: Mapping[str, Any]) -> str:
    """Return which data a run was trained on.

    Args:
        facts: `data` and `data_fingerprint`, as in meta.json.
    """
    return f"Data: {facts['data']} (fingerprint {facts['data_fingerprint'][:12]})."


def repeat(command: str) -> str:
    """Return how to make a run again."""
    return "Repeat the run with\n\n" + code_block([command])


def values_table(head: str, values: Mapping[str, Any]) -> str:
    """Return names and values as a table; empty if there are none."""
    return table([head, "value"], ([name, f"`{value}`"] for name, value in values.items())) if values else ""


def describe_targets(configuration: Mapping[str, Any]) -> str:
    """Describe what a run predicts: `all wavelengths`, `wavelength 12` or `wavelengths 3,7`."""
    return Targets.of_run(configuration["wavelength"]).describe()


def run_card(
    scores: Mapping[str, Any],
    facts: Mapping[str, Any],
    configuration: Mapping[str, Any],
    command: str,
    spectra: bool = False,
) -> str:
    """Return the README.md of one model's run.

    Args:
        scores: content of `scores.json`.
        facts: facts about the data, as in `meta.json`.
        configuration: content of `config.json`.
        command: command that repeats the run.
        spectra: whether the folder has a spectra.png.
    """
    images = {"predicted against true radii": "prediction.png"}
    if spectra:
        images["true and predicted spectra"] = "spectra.png"
    options = {name: value for name, value in configuration.items() if name != "settings"}
    return page(
        f"{configuration['model']}, {describe_targets(configuration)}",
        "Predicts the relative radius Rp/Rs of a planet from raw light curves [300 steps]. `best.keras` is the model "
        f"after epoch {scores['best_epoch']} of {scores['epochs']}, which has the best score on the validation folds "
        f"{configuration['validation_folds']}: {scores['best_score']:.1f}.",
        pictures(images),
        score_section(configuration["test_folds"], scores, "which nothing else in the training used"),
        data_line(facts),
        repeat(command),
        values_table("option", options),
        values_table("setting of the model", configuration["settings"]),
    )


def score_lines(scores: Mapping[str, Any]) -> list[str]:
    """Return the scores as lines of text for a terminal."""
    return [
        f"  {LABELS[name]:46s}{test:9.1f}   constant prediction {scores['constant'][name]:9.1f}"
        for name, test in ((name, scores["test"][name]) for name in LABELS if name in scores["test"])
    ]


def report_lines(run: RunFolder, scores: Mapping[str, Any]) -> list[str]:
    """Return what the command prints when a run is finished: scores, and the paths of its files."""
    return [
        f"best epoch {scores['best_epoch']} of {scores['epochs']}, validation score {scores['best_score']:.1f}",
        f"score, {describe_targets(run.configuration)}, on {scores['test_planets']} test planets (10,000 is perfect):",
        *score_lines(scores),
        f"picture      {run.path / 'prediction.png'}",
        f"model        {run.path / 'best.keras'}",
        f"model card   {run.path / 'README.md'}",
        f"TensorBoard  tensorboard --logdir {shlex.quote(str(run.path / 'tensorboard'))}   "
        f"(all runs: --logdir {shlex.quote(str(run.path.parent))})",
    ]

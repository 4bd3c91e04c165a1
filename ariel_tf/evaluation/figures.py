"""Pictures of a comparison, as PNG files.

| file | content |
|---|---|
| ladder.png | every entry's score with its interval |
| by_wavelength.png | score at each wavelength, one line per entry |
| by_magnitude.png | each planet's loss against the star's K magnitude |
| spectra.png | spectra of a few planets: truth, prediction with the band of its observations, residual |
| light_curves.png | a light curve at three wavelengths with the transits of true and predicted radius |
| learning_curves.png | training and validation score by epoch |
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ariel_tf.challenge import N_WAVELENGTHS, PERFECT_SCORE, WAVELENGTHS_UM
from ariel_tf.core.figures import draw_or_warn, saved_figure
from ariel_tf.evaluation.bootstrap import score_interval
from ariel_tf.evaluation.light_curve_figures import draw_transits
from ariel_tf.evaluation.prediction_figures import draw_spectra
from ariel_tf.evaluation.style import BASELINE_COLOURS, COLOURS, micrometres, plain_numbers
from ariel_tf.runs.history import read_history
from ariel_tf.runs.state import has_state, read_state

if TYPE_CHECKING:
    from ariel_tf.evaluation.comparison import Comparison, RunEntry

SHOWN_WAVELENGTHS = (2, 12, 40)


def draw_all(comparison: "Comparison", folder: Path) -> list[Path]:
    """Draw every picture that a comparison allows; a picture that fails is left out with a warning.

    Returns:
        The files that were written.
    """
    pictures: dict[str, tuple[Callable[..., None], tuple[Any, ...]]] = {
        "ladder": (draw_ladder, (comparison,)),
        "by_magnitude": (draw_by_magnitude, (comparison,)),
    }
    several = len(comparison.wavelengths) > 1
    if several:
        pictures["by_wavelength"] = (draw_by_wavelength, (comparison,))
    if comparison.runs:
        first = comparison.runs[0]
        if several:
            pictures["spectra"] = (draw_spectra, (first.predictions, comparison.wavelengths, first.name))
        pictures["light_curves"] = (draw_median_planet, (comparison, first))
        pictures["learning_curves"] = (draw_learning_curves, (comparison,))
    for name, (draw, arguments) in pictures.items():
        draw_or_warn(draw, *arguments, folder / f"{name}.png")
    return [path for name in pictures if (path := folder / f"{name}.png").is_file()]


def colours_of(comparison: "Comparison") -> dict[str, str]:
    """A colour for each entry."""
    return BASELINE_COLOURS | {entry.name: COLOURS[index % len(COLOURS)] for index, entry in enumerate(comparison.runs)}


def draw_ladder(comparison: "Comparison", path: Path) -> None:
    """Scores of planets from the worst to the best, on a scale of the loss."""
    entries, colours = comparison.ladder, colours_of(comparison)
    with saved_figure(path, 7.2, 1.1 + 0.36 * len(entries)) as figure:
        axes = figure.subplots()
        for row, entry in enumerate(entries):
            interval = score_interval(entry.losses, "planet")
            loss, worst, best = (max(PERFECT_SCORE - value, 0.1) for value in interval)
            single = PERFECT_SCORE - entry.losses.score("observation")
            axes.plot([best, worst], [row, row], color=colours[entry.name], linewidth=2)
            axes.plot(loss, row, "o", color=colours[entry.name], markersize=6)
            axes.plot(single, row, "|", color=colours[entry.name], markersize=11, markeredgewidth=1.5)
        axes.set_yticks(range(len(entries)), [entry.name for entry in entries])
        axes.set_xscale("log")
        plain_numbers(axes.xaxis)
        axes.invert_xaxis()
        axes.set_xlabel(
            "loss = 10,000 - score (ppm in depth); better to the right\n"
            "dot: a planet's observations combined, line: 95 % of resampled sets of planets; bar: one observation",
            fontsize=8,
        )
        axes.grid(axis="x", alpha=0.3)


def draw_by_wavelength(comparison: "Comparison", path: Path) -> None:
    """Loss at each wavelength, of combined predictions."""
    colours = colours_of(comparison)
    um = np.array(WAVELENGTHS_UM)[list(comparison.wavelengths)]
    with saved_figure(path, 8, 4.2) as figure:
        axes = figure.subplots()
        for entry in comparison.entries:
            style: dict[str, Any] = {"linewidth": 1.2, "zorder": 1}
            if entry in comparison.runs:
                style = {"marker": "."}
            elif entry.name.startswith("photon-limit"):
                style["linestyle"] = ":"
            loss = PERFECT_SCORE - entry.losses.by_wavelength("planet")
            axes.plot(um, loss, color=colours[entry.name], label=entry.name, **style)
        axes.set(xlabel="wavelength (µm)", ylabel="loss = 10,000 - score (ppm)", xscale="log", yscale="log")
        micrometres(axes)
        plain_numbers(axes.yaxis)
        axes.grid(alpha=0.3)
        figure.legend(frameon=False, fontsize=8, loc="outside right upper")


def draw_by_magnitude(comparison: "Comparison", path: Path) -> None:
    """Each planet's loss against its star's K magnitude: runs as dots, photon limits as dashes and crosses."""
    colours = colours_of(comparison)
    magnitude = comparison.population.k_magnitude
    with saved_figure(path, 8, 4.2) as figure:
        axes = figure.subplots()
        for entry in comparison.runs or comparison.references:
            loss = np.maximum(entry.losses.planet.mean(axis=1), 0.1)
            axes.plot(magnitude, loss, ".", color=colours[entry.name], label=entry.name, markersize=6, alpha=0.8)
        for entry in comparison.references if comparison.runs else ():
            if entry.name.startswith("photon-limit"):
                marker = "_" if entry.name == "photon-limit" else "+"
                loss = entry.losses.planet.mean(axis=1)
                axes.plot(magnitude, loss, marker, color=colours[entry.name], label=entry.name, markersize=6)
        axes.set(xlabel="K magnitude of the star (bright to faint)", ylabel="loss of a planet (ppm in depth)")
        axes.set_yscale("log")
        plain_numbers(axes.yaxis)
        axes.grid(alpha=0.3)
        figure.legend(frameon=False, fontsize=8, loc="outside right upper")


def draw_median_planet(comparison: "Comparison", entry: "RunEntry", path: Path) -> None:
    """The first observation of the planet of median loss, with the transits; nothing if its orbit is unknown."""
    losses = entry.losses.planet.mean(axis=1)
    number = int(entry.losses.planets[np.argsort(losses)[len(losses) // 2]])
    planet = next(planet for planet in comparison.source.planets(comparison.folds) if planet.number == number)
    if not np.isfinite(planet.orbit).all():
        return
    predictions = entry.predictions
    row = int(np.flatnonzero(predictions.keys[:, 0] == number)[0])
    radii = np.full(N_WAVELENGTHS, np.nan)
    radii[list(comparison.wavelengths)] = predictions.predicted[row]
    shown = [wavelength for wavelength in SHOWN_WAVELENGTHS if wavelength in comparison.wavelengths]
    draw_transits(planet, 0, radii, shown or list(comparison.wavelengths[:3]), entry.name, path)


def draw_learning_curves(comparison: "Comparison", path: Path) -> None:
    """Loss = 10,000 - score by epoch, validation solid and training dashed; nothing if no run has a history."""
    curves = [(entry.name, learning_curve(entry.trained.path)) for entry in comparison.runs]
    histories = {name: history for name, history in curves if history}
    colours = colours_of(comparison)
    if not histories:
        return
    with saved_figure(path, 8, 4.2) as figure:
        axes = figure.subplots()
        for name, history in histories.items():
            epochs = np.arange(1, len(history["val_score"]) + 1)
            training, validation = (PERFECT_SCORE - history[score] for score in ("score", "val_score"))
            axes.plot(epochs, validation, color=colours[name], label=name)
            axes.plot(epochs, training, color=colours[name], linewidth=0.8, alpha=0.6, linestyle="--")
        axes.set(xlabel="epoch", ylabel="loss = 10,000 - score (ppm), one observation", yscale="log")
        plain_numbers(axes.yaxis)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8, title="validation; dashed: training", title_fontsize=8)


def learning_curve(run: Path) -> dict[str, np.ndarray]:
    """Score and validation score by epoch: a run's own, or the means over a list's wavelengths; empty if there is none.

    A wavelength that stopped early keeps the score of its best epoch.
    """
    folders = [run] if (run / "metrics.csv").is_file() else sorted(run.glob("w[0-9][0-9]/"))
    each = []
    for folder in folders:
        rows = read_history(folder, read_state(folder)) if has_state(folder) else []
        if rows and {"score", "val_score"} <= rows[0].keys():  # not every kind of run trains by epochs
            each.append({name: np.array([float(row[name]) for row in rows]) for name in ("score", "val_score")})
    if not each:
        return {}
    longest = max(len(one["score"]) for one in each)

    def continued(one: dict[str, np.ndarray], name: str) -> np.ndarray:
        best = int(one["val_score"].argmax())
        return np.concatenate([one[name], np.full(longest - len(one[name]), one[name][best])])

    return {name: np.mean([continued(one, name) for one in each], axis=0) for name in ("score", "val_score")}

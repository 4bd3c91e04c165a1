"""Figures of a comparison, as PNG, SVG or PDF files.

| file | content |
|---|---|
| ladder | every entry's score with its interval |
| by_wavelength | loss at each wavelength, one line per entry, and its ratio to the limit of photon noise |
| by_magnitude | each planet's loss against the star's K magnitude |
| spectra | spectra of a few planets: truth, prediction with the range of its observations, residual |
| reliability | share of true radii within each interval of a model with uncertainty, against the expected share |
| light_curves | a light curve at three wavelengths with the transits of true and predicted radius, and residuals |
| learning_curves | training and validation score by epoch |
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ariel_tf.challenge import N_WAVELENGTHS, PERFECT_SCORE
from ariel_tf.core.figures import draw_or_warn, saved_figure
from ariel_tf.evaluation import breakdown, panels
from ariel_tf.evaluation.baselines import LIMITS
from ariel_tf.evaluation.bootstrap import score_interval
from ariel_tf.evaluation.light_curve_figures import draw_transits
from ariel_tf.evaluation.prediction_figures import draw_spectra
from ariel_tf.evaluation.style import (
    BASELINE_COLOURS,
    COLOURS,
    MANY,
    REFERENCE,
    describe_data,
    describe_wavelengths,
    legend_beside,
    plain_numbers,
    set_title,
)  # fmt: skip
from ariel_tf.evaluation.uncertainty_figures import draw_measured_spectra, draw_reliability
from ariel_tf.runs.history import read_history
from ariel_tf.runs.state import has_state, read_state

if TYPE_CHECKING:
    from ariel_tf.evaluation.comparison import Comparison, Entry, RunEntry

SHOWN_WAVELENGTHS = (2, 12, 40)
LIMIT = "photon-limit"


def draw_all(comparison: "Comparison", folder: Path, kind: str = "png") -> list[Path]:
    """Draw every figure that a comparison allows; a figure that fails is left out with a warning.

    Args:
        comparison: comparison of one entry or more.
        folder: folder of the files.
        kind: one of `core.figures.FORMATS`.

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
            pictures["spectra"] = _spectra(comparison, first)
        pictures["light_curves"] = (draw_median_planet, (comparison, first))
        pictures["learning_curves"] = (draw_learning_curves, (comparison,))
    if comparison.uncertain:
        colours = colours_of(comparison)
        entries = {name: (measured, colours[name]) for name, measured in comparison.uncertain.items()}
        pictures["reliability"] = (draw_reliability, (entries, title_of(comparison, "Reliability of uncertainties")))
    for name, (draw, arguments) in pictures.items():
        draw_or_warn(draw, *arguments, folder / f"{name}.{kind}")
    return [path for name in pictures if (path := folder / f"{name}.{kind}").is_file()]


def _spectra(comparison: "Comparison", entry: "RunEntry") -> tuple[Callable[..., None], tuple[Any, ...]]:
    """Return how to draw spectra of a run: with bands of its uncertainty, or with the range of its observations."""
    if entry.measured is None:
        data = comparison.source.description
        return draw_spectra, (entry.predictions, comparison.wavelengths, entry.name, data)
    return draw_measured_spectra, (entry.measured, comparison.wavelengths, title_of(comparison, entry.name))


def colours_of(comparison: "Comparison") -> dict[str, str]:
    """Return a colour for each entry."""
    return BASELINE_COLOURS | {entry.name: COLOURS[index % len(COLOURS)] for index, entry in enumerate(comparison.runs)}


def title_of(comparison: "Comparison", title: str) -> str:
    """Return a title with the wavelengths, and a second line with planets, observations and data."""
    rows = int(comparison.entries[0].losses.rows.sum())
    known = describe_data(len(comparison.population.planets), rows, comparison.source.description)
    return f"{title}, {describe_wavelengths(comparison.wavelengths)}\n{known}"


def draw_ladder(comparison: "Comparison", path: Path) -> None:
    """Draw scores of planets from the worst to the best, on a scale of the loss."""
    entries = comparison.ladder
    with saved_figure(path, 7.2, 2.3 + 0.36 * len(entries)) as figure:
        axes = figure.subplots()
        for row, entry in enumerate(entries):
            interval = score_interval(entry.losses, "planet")
            loss, worst, best = (max(PERFECT_SCORE - value, 0.1) for value in interval)
            single = PERFECT_SCORE - entry.losses.score("observation")
            colour = MANY if entry in comparison.runs else REFERENCE
            axes.plot([best, worst], [row, row], color=colour, linewidth=2)
            axes.plot(loss, row, "o", color=colour, markersize=6)
            axes.plot(single, row, "|", color=colour, markersize=11, markeredgewidth=1.5)
        for label, style in (
            ("a run", {"marker": "s", "ls": "none", "color": MANY}),
            ("a reference", {"marker": "s", "ls": "none", "color": REFERENCE}),
            ("a planet's observations combined", {"marker": "o", "ls": "none", "color": "black"}),
            ("95 % of resampled sets of planets", {"color": "black", "linewidth": 2}),
            ("one observation", {"marker": "|", "ls": "none", "color": "black", "markersize": 11}),
        ):
            axes.plot([], [], label=label, **style)
        axes.set_yticks(range(len(entries)), [entry.name for entry in entries])
        axes.set_ylim(-0.6, len(entries) - 0.4)
        axes.set_xscale("log")
        plain_numbers(axes.xaxis)
        axes.invert_xaxis()
        axes.set_xlabel(f"← worse        {panels.LOSS}        better →")
        axes.grid(axis="x", alpha=0.3)
        figure.legend(frameon=False, ncols=3, loc="outside lower left")
        set_title(figure, title_of(comparison, "Scores"))


def draw_by_wavelength(comparison: "Comparison", path: Path) -> None:
    """Draw the loss at each wavelength, of combined predictions, and its ratio to the photon limit."""
    colours = colours_of(comparison)
    losses = {}
    for entry in comparison.entries:
        style: dict[str, Any] = {"linewidth": 1.0, "color": colours[entry.name], "zorder": 1}
        if entry in comparison.runs:
            style |= {"linewidth": 1.6, "marker": ".", "markersize": 5, "zorder": 2}
        elif entry.name in LIMITS:
            style |= {"linewidth": 2.0, "linestyle": "--" if entry.name == LIMIT else ":", "zorder": 3}
        losses[entry.name] = (PERFECT_SCORE - entry.losses.by_wavelength("planet"), style)
    with saved_figure(path, 9, 6.6 if LIMIT in losses else 4.4) as figure:
        axes = figure.subplots(1 + (LIMIT in losses), 1, sharex=True, squeeze=False)[:, 0]
        panels.loss_by_wavelength(axes[0], comparison.wavelengths, losses)
        if LIMIT in losses:
            limit = np.maximum(losses[LIMIT][0], 1e-3)
            ratios = {name: (np.maximum(loss / limit, 1e-3), style) for name, (loss, style) in losses.items()}
            panels.loss_by_wavelength(axes[1], comparison.wavelengths, ratios)
            axes[1].set_ylabel("Ratio to the photon limit")
            axes[0].set_xlabel("")
        legend_beside(figure, axes[0])
        set_title(figure, title_of(comparison, "Loss of a planet's combined prediction by wavelength"))


def draw_by_magnitude(comparison: "Comparison", path: Path) -> None:
    """Draw each planet's loss against its star's K magnitude, and the median and middle 68 % in steps of magnitude."""
    colours = colours_of(comparison)
    limits = [entry for entry in comparison.references if entry.name in LIMITS]
    shown = [*comparison.runs, *limits] if comparison.runs else comparison.references
    with saved_figure(path, 8.6, 5) as figure:
        axes = figure.subplots()
        for place, entry in enumerate(shown):
            _magnitudes(axes, comparison, entry, colours[entry.name], 0.03 * (place - (len(shown) - 1) / 2))
        axes.plot([], [], ".", color="#555555", alpha=0.4, label="one planet")
        axes.set(xlabel="K magnitude of the star (bright to faint)", ylabel=f"{panels.LOSS} of a planet")
        axes.set_yscale("log")
        plain_numbers(axes.yaxis)
        axes.grid(alpha=0.3)
        legend_beside(figure, axes)
        set_title(figure, title_of(comparison, "Loss by brightness of the star"))


def _magnitudes(axes: Any, comparison: "Comparison", entry: "Entry", colour: str, aside: float) -> None:
    """Draw one entry's planets as dots, and medians with bars, slightly offset from those of other entries."""
    magnitude = comparison.population.k_magnitude
    loss = np.maximum(entry.losses.planet.mean(axis=1), 0.1)
    is_limit = entry.name in LIMITS
    if not is_limit:
        axes.plot(magnitude, loss, ".", color=colour, markersize=5, alpha=0.4)
    groups = breakdown.by_magnitude(comparison.population)
    centres = np.array([np.median(magnitude[group.rows]) for group in groups]) + aside
    low, middle, high = np.transpose([np.quantile(loss[group.rows], (0.16, 0.5, 0.84)) for group in groups])
    line = "--" if entry.name == LIMIT else ":" if is_limit else "-"
    axes.errorbar(centres, middle, panels.bars(low, middle, high), color=colour, linestyle=line, marker="o",
                  markersize=5, capsize=3, label=f"{entry.name}: median and 68 %")  # fmt: skip


def median_planet(comparison: "Comparison", entry: "RunEntry") -> int:
    """Return the number of the planet of median loss."""
    losses = entry.losses.planet.mean(axis=1)
    return int(entry.losses.planets[np.argsort(losses)[len(losses) // 2]])


def draw_median_planet(comparison: "Comparison", entry: "RunEntry", path: Path) -> None:
    """Draw the first observation of the planet of median loss, with the transits; nothing if its orbit is unknown."""
    number = median_planet(comparison, entry)
    planet = next(planet for planet in comparison.source.planets(comparison.folds) if planet.number == number)
    if not np.isfinite(planet.orbit).all():
        return
    predictions = entry.predictions
    row = int(np.flatnonzero(predictions.keys[:, 0] == number)[0])
    radii = np.full(N_WAVELENGTHS, np.nan)
    radii[list(comparison.wavelengths)] = predictions.predicted[row]
    shown = [wavelength for wavelength in SHOWN_WAVELENGTHS if wavelength in comparison.wavelengths]
    title = f"{entry.name}: the planet of median loss of {comparison.source.description}\n"
    draw_transits(planet, 0, radii, shown or list(comparison.wavelengths[:3]), title.rstrip(), path)


def draw_learning_curves(comparison: "Comparison", path: Path) -> None:
    """Draw loss = 10,000 - score by epoch, validation solid and training dashed; nothing if no run has a history."""
    curves = [(entry.name, learning_curve(entry.trained.path)) for entry in comparison.runs]
    histories = {name: history for name, history in curves if history}
    if not histories:
        return
    with saved_figure(path, 8, 4.8) as figure:
        axes = figure.subplots()
        panels.learning_curves(axes, histories, colours_of(comparison))
        legend_beside(figure, axes)
        data = ", ".join(dict.fromkeys(entry.trained.data for entry in comparison.runs))
        set_title(figure, f"Learning curves, N = {len(histories)} of {len(curves)} runs\n{data[-100:]}")


def learning_curve(run: Path) -> dict[str, np.ndarray]:
    """Return score and validation score by epoch: a run's own, or the means over a list's wavelengths; may be empty.

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

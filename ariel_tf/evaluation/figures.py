"""Pictures of a comparison and of runs, as PNG files.

| file | what |
|---|---|
| ladder.png | every entry's score with its interval |
| by_wavelength.png | score at each wavelength, an entry a line |
| by_magnitude.png | each planet's loss against the star's K magnitude |
| spectra.png | spectra of a few planets: truth, prediction with the band of its observations, residual |
| light_curves.png | a light curve at three wavelengths with the transits of true and predicted radius |
| learning_curves.png | training and validation score by epoch |
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ariel_tf.challenge import MINUTES_PER_STEP, N_STEPS, N_WAVELENGTHS, WAVELENGTHS_UM
from ariel_tf.core.atomic_files import replacing
from ariel_tf.evaluation.bootstrap import score_interval
from ariel_tf.evaluation.losses import PPM
from ariel_tf.physics import transit_fit
from ariel_tf.physics.detector import RAMP
from ariel_tf.planet import Planet
from ariel_tf.runs.predictions import Predictions

matplotlib.use("Agg")
import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from ariel_tf.evaluation.comparison import Comparison, RunEntry

# Distinct for the colour-blind too (Okabe & Ito 2008).
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f7f7f", "#f0e442")
# Muted, so that runs stand out; the darker the more a reference knows.
REFERENCES = {
    "constant": "#b5b5b5",
    "median-depth": "#b39c7d",
    "ridge": "#9db08f",
    "ridge+white": "#64895a",
    "transit-fit": "#d0909f",
    "transit-fit+shape": "#a34560",
    "photon-limit": "#a9a6cf",
    "photon-limit+shape": "#5d569e",
}
SHOWN_WAVELENGTHS = (2, 12, 40)
STEPS_PER_POINT = 6  # light curves are drawn in means of so many steps


def draw_all(comparison: "Comparison", folder: Path) -> list[Path]:
    """Draw every picture that a comparison allows."""
    drawn = [
        draw_ladder(comparison, folder / "ladder.png"),
        draw_by_magnitude(comparison, folder / "by_magnitude.png"),
    ]
    if len(comparison.wavelengths) > 1:
        drawn.append(draw_by_wavelength(comparison, folder / "by_wavelength.png"))
    if comparison.runs:
        best = comparison.runs[0]
        if len(comparison.wavelengths) > 1:
            drawn.append(draw_spectra(best.predictions, comparison.wavelengths, best.name, folder / "spectra.png"))
        drawn += draw_light_curves(comparison, best, folder / "light_curves.png")
        drawn += draw_learning_curves(comparison, folder / "learning_curves.png")
    return drawn


def colours_of(comparison: "Comparison") -> dict[str, str]:
    """A colour for each entry."""
    runs = {entry.name: COLOURS[index % len(COLOURS)] for index, entry in enumerate(comparison.runs)}
    return REFERENCES | runs


def draw_ladder(comparison: "Comparison", path: Path) -> Path:
    """Scores of planets from the worst to the best, on a scale of the loss."""
    entries, colours = comparison.ladder, colours_of(comparison)
    figure, axes = plt.subplots(figsize=(7.2, 1.1 + 0.36 * len(entries)), layout="constrained")
    for row, entry in enumerate(entries):
        interval = score_interval(entry.losses, "planet")
        loss, worst, best = (max(1e4 - value, 0.1) for value in interval)
        single = 1e4 - entry.losses.score("observation")
        axes.plot([best, worst], [row, row], color=colours[entry.name], linewidth=2)
        axes.plot(loss, row, "o", color=colours[entry.name], markersize=6)
        axes.plot(single, row, "|", color=colours[entry.name], markersize=11, markeredgewidth=1.5)
    axes.set_yticks(range(len(entries)), [entry.name for entry in entries])
    axes.set_xscale("log")
    _plain_numbers(axes.xaxis)
    axes.invert_xaxis()
    axes.set(xlabel="loss = 10,000 - score (ppm in depth); dot: a planet's observations combined, bar: one observation")
    axes.xaxis.label.set_size(8)
    axes.grid(axis="x", alpha=0.3)
    save_figure(figure, path)
    return path


def draw_by_wavelength(comparison: "Comparison", path: Path) -> Path:
    """Loss at each wavelength, of combined predictions."""
    colours = colours_of(comparison)
    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    um = WAVELENGTHS_UM[list(comparison.wavelengths)]
    for entry in comparison.runs:
        loss = 1e4 - entry.losses.by_wavelength("planet")
        axes.plot(um, loss, color=colours[entry.name], marker=".", label=entry.name)
    for reference in comparison.references:
        loss = 1e4 - reference.losses.by_wavelength("planet")
        style = ":" if reference.name.startswith("photon-limit") else "-"
        axes.plot(
            um, loss, color=colours[reference.name], linestyle=style, linewidth=1.2, label=reference.name, zorder=1
        )
    axes.set(xlabel="wavelength (µm)", ylabel="loss = 10,000 - score (ppm)", xscale="log", yscale="log")
    _micrometres(axes)
    _plain_numbers(axes.yaxis)
    axes.grid(alpha=0.3)
    figure.legend(frameon=False, fontsize=8, loc="outside right upper")
    save_figure(figure, path)
    return path


def _legend_below(figure, panel) -> None:
    """What the lines of a panel are, once for all panels, where no line runs; at the left, first seen on a phone."""
    figure.legend(*panel.get_legend_handles_labels(), frameon=False, fontsize=8, ncols=3, loc="outside lower left")


def _plain_numbers(axis) -> None:
    """1,000 instead of 10^3, and some numbers between where the axis spans little."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())


def _micrometres(axes) -> None:
    ticks = [0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 6, 8]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)


def draw_by_magnitude(comparison: "Comparison", path: Path) -> Path:
    """Each planet's loss against its star's K magnitude: runs as dots, photon limits as dashes and crosses."""
    colours = colours_of(comparison)
    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    magnitude = comparison.population.k_magnitude
    for entry in comparison.runs or comparison.references:
        loss = np.maximum(entry.losses.planet.mean(axis=1), 0.1)
        axes.plot(magnitude, loss, ".", color=colours[entry.name], label=entry.name, markersize=6, alpha=0.8)
    for entry in comparison.references if comparison.runs else ():
        if entry.name.startswith("photon-limit"):
            loss = entry.losses.planet.mean(axis=1)
            marker = "_" if entry.name == "photon-limit" else "+"
            axes.plot(magnitude, loss, marker, color=colours[entry.name], label=entry.name, markersize=6)
    axes.set(xlabel="K magnitude of the star (bright to faint)", ylabel="loss of a planet (ppm in depth)", yscale="log")
    _plain_numbers(axes.yaxis)
    axes.grid(alpha=0.3)
    figure.legend(frameon=False, fontsize=8, loc="outside right upper")
    save_figure(figure, path)
    return path


def draw_spectra(predictions: Predictions, wavelengths: Sequence[int], title: str, path: Path, shown: int = 4) -> Path:
    """Spectra of planets from the worst to the best predicted, evenly chosen: truth, prediction, residual.

    The band holds the middle 68 % of the predictions from a planet's single observations.
    """
    planets = predictions.by_planet()
    um = WAVELENGTHS_UM[list(wavelengths)]
    loss = (2 * planets.true * np.abs(planets.predicted - planets.true)).mean(axis=1)
    order = np.argsort(loss)[::-1]
    chosen = order[np.unique(np.linspace(0, len(order) - 1, shown).round().astype(int))]
    figure = plt.figure(figsize=(2.1 + 2.5 * len(chosen), 4.8), layout="constrained")
    axes = figure.subplots(2, len(chosen), height_ratios=(2.4, 1), sharex=True, squeeze=False)
    for (above, below), row in zip(axes.T, chosen, strict=True):
        rows = predictions.predicted[predictions.keys[:, 0] == planets.keys[row, 0]]
        low, high = np.quantile(rows, [0.16, 0.84], axis=0)
        true, answer = planets.true[row], planets.predicted[row]
        above.fill_between(um, low, high, color=ONE, alpha=0.6, linewidth=0, label="68 % of observations")
        above.plot(um, true, color=TRUTH, linewidth=1.2, label="truth")
        above.plot(um, answer, color=MANY, linewidth=1.2, label="prediction")
        above.set_title(f"planet {planets.keys[row, 0]:04d}, loss {PPM * loss[row]:.0f} ppm", fontsize=9)
        below.axhline(0, color=TRUTH, linewidth=1)
        below.fill_between(um, *(PPM * 2 * true * (bound - true) for bound in (low, high)), color=ONE, alpha=0.6, lw=0)
        below.plot(um, PPM * 2 * true * (answer - true), color=MANY, linewidth=1)
        below.set(xlabel="µm", xscale="log")
        below.set_xticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"])
        below.set_xticks([], minor=True)
        for one in (above, below):
            one.tick_params(labelsize=7)
    axes[0, 0].set_ylabel("Rp/Rs")
    axes[1, 0].set_ylabel("error in depth (ppm)")
    _legend_below(figure, axes[0, 0])
    figure.suptitle(f"{title}: from the worst to the best predicted planet", fontsize=10)
    save_figure(figure, path)
    return path


def draw_light_curves(comparison: "Comparison", entry: "RunEntry", path: Path) -> list[Path]:
    """The median planet's first observation and its predicted radii's transit; nothing if no orbit is known."""
    from ariel_tf.data.whole import HoldsWhole

    if not isinstance(comparison.source, HoldsWhole):
        return []
    losses = entry.losses.planet.mean(axis=1)
    number = int(entry.losses.planets[np.argsort(losses)[len(losses) // 2]])
    planet = next(planet for planet in comparison.source.whole(comparison.folds) if planet.number == number)
    if not np.isfinite(planet.orbit).all():
        return []
    predictions = entry.predictions
    row = int(np.flatnonzero(predictions.keys[:, 0] == number)[0])
    radii = np.full(N_WAVELENGTHS, np.nan)
    radii[list(comparison.wavelengths)] = predictions.predicted[row]
    shown = [wavelength for wavelength in SHOWN_WAVELENGTHS if wavelength in comparison.wavelengths]
    picture_reconstruction(planet, 0, radii, shown or list(comparison.wavelengths[:3]), entry.name, path)
    return [path]


def picture_reconstruction(
    planet: Planet, row: int, radii: np.ndarray, wavelengths: Sequence[int], title: str, path: Path
) -> None:
    """Light curves of one observation without the ramp, with the spotless transits of true and of predicted radii.

    Args:
        planet: labelled, its orbit known.
        row: of its observations.
        radii: predicted, float [55]; NaN where unknown.
        wavelengths: a panel each.
    """
    curves = {name: transit_fit.reconstructed(planet, np.nan_to_num(values, nan=0.05)) / RAMP
              for name, values in (("truth", planet.radii), ("prediction", radii))}  # fmt: skip
    width = 8.0 if len(wavelengths) == 1 else 1.5 + 2.9 * len(wavelengths)
    figure, axes = plt.subplots(1, len(wavelengths), figsize=(width, 3.6), layout="constrained", squeeze=False)
    minutes = np.arange(N_STEPS) * MINUTES_PER_STEP
    for panel, wavelength in zip(axes[0], wavelengths, strict=True):
        flux = planet.flux[wavelength, row] / RAMP
        binned = flux.reshape(-1, STEPS_PER_POINT).mean(axis=1)
        error = planet.scatter[row, wavelength] / np.sqrt(STEPS_PER_POINT)
        times = minutes.reshape(-1, STEPS_PER_POINT).mean(axis=1)
        panel.errorbar(times, binned, yerr=error, fmt=".", color=ONE, markersize=4, elinewidth=0.7, zorder=1)
        panel.plot(minutes, curves["truth"][wavelength], color=TRUTH, linewidth=1.3, label="true radius")
        panel.plot(minutes, curves["prediction"][wavelength], color=MANY, lw=1.3, ls="--", label="predicted radius")
        panel.set_title(f"{WAVELENGTHS_UM[wavelength]:.2f} µm (index {wavelength})", fontsize=9)
        panel.set(xlabel="time (minutes)")
        panel.tick_params(labelsize=7)
        panel.ticklabel_format(useOffset=False)
    axes[0, 0].set_ylabel("flux without ramp")
    _legend_below(figure, axes[0, 0])
    spot, photon = planet.instances[row]
    figure.suptitle(
        f"{title}: observation {planet.number:04d}_{spot:02d}_{photon:02d}, a planet of median loss", fontsize=10
    )
    save_figure(figure, path)


def draw_learning_curves(comparison: "Comparison", path: Path) -> list[Path]:
    """Loss = 10,000 - score by epoch, validation solid and training thin; nothing if no run kept a history."""
    curves = [(entry.name, learning_curve(entry.trained.path)) for entry in comparison.runs]
    histories = {name: history for name, history in curves if history}
    colours = colours_of(comparison)
    if not histories:
        return []
    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for name, history in histories.items():
        colour = colours[name]
        epochs = np.arange(1, len(history["val_score"]) + 1)
        axes.plot(epochs, 1e4 - history["val_score"], color=colour, label=name)
        axes.plot(epochs, 1e4 - history["score"], color=colour, linewidth=0.8, alpha=0.6, linestyle="--")
    axes.set(xlabel="epoch", ylabel="loss = 10,000 - score (ppm), one observation", yscale="log")
    _plain_numbers(axes.yaxis)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8, title="validation; dashed: training", title_fontsize=8)
    save_figure(figure, path)
    return [path]


def learning_curve(run: Path) -> dict[str, np.ndarray]:
    """Score and validation score by epoch: a run's own, or the means over a list's wavelengths; empty if there is none.

    A wavelength that stopped early keeps the score of its best epoch.
    """
    own = run / "metrics.csv"
    files = [own] if own.is_file() else sorted(run.glob("w[0-9][0-9]/metrics.csv"))
    each = []
    for file in files:
        rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
        if rows and {"score", "val_score"} <= rows[0].keys():  # not every kind of run trains by epochs
            each.append({name: np.array([float(row[name]) for row in rows]) for name in ("score", "val_score")})
    if not each:
        return {}
    longest = max(len(one["score"]) for one in each)

    def continued(one: dict[str, np.ndarray], name: str) -> np.ndarray:
        best = int(one["val_score"].argmax())
        return np.concatenate([one[name], np.full(longest - len(one[name]), one[name][best])])

    return {name: np.mean([continued(one, name) for one in each], axis=0) for name in ("score", "val_score")}


ONE, MANY, TRUTH = "#9db8d9", "#16518f", "#c23b22"


def save_figure(figure, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


def picture_predictions(predictions: Predictions, title: str, path: Path) -> None:
    """Predicted against true radii, above their depth errors: dots are observations, rings planets."""
    planets = predictions.by_planet()
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(6.4, 7.2), height_ratios=(3, 1.3), sharex=True, layout="constrained"
    )
    low, high = planets.true.min(), planets.true.max()
    above.plot([low, high], [low, high], color=TRUTH, linewidth=1, label="perfect")
    below.axhline(0, color=TRUTH, linewidth=1)
    for rows, style, label in (
        (predictions, {"marker": ".", "color": ONE, "markersize": 4}, "one observation"),
        (planets, {"marker": "o", "color": MANY, "markersize": 4, "fillstyle": "none"}, "median of a planet's"),
    ):
        true, predicted = rows.true.ravel(), rows.predicted.ravel()
        above.plot(true, predicted, linestyle="none", label=label, **style)
        below.plot(true, 1e6 * 2 * true * (predicted - true), linestyle="none", **style)
    above.set(ylabel="predicted Rp/Rs", title=title)
    above.legend(frameon=False)
    below.set(xlabel="true Rp/Rs", ylabel="error in depth (ppm)")
    below.set_yscale("symlog", linthresh=100)
    save_figure(figure, path)


def picture_light_curves(flux: np.ndarray, wavelengths: Sequence[int], title: str, path: Path) -> None:
    """Light curves of one observation.

    Args:
        flux: float [55, 300].
        wavelengths: which to draw.
    """
    minutes = np.arange(N_STEPS) * MINUTES_PER_STEP
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    colours = plt.get_cmap("plasma")(np.linspace(0, 0.8, len(wavelengths)))
    for wavelength, colour in zip(wavelengths, colours, strict=True):
        label = f"{WAVELENGTHS_UM[wavelength]:.2f} µm (index {wavelength})"
        axes.plot(minutes, flux[wavelength], ".", markersize=3, color=colour, label=label)
    settled = flux[list(wavelengths), 20:]
    margin = 0.1 * (settled.max() - settled.min())
    axes.set(ylim=(settled.min() - margin, settled.max() + margin), title=title)
    axes.set(xlabel="time (minutes)", ylabel="flux relative to the quiet star")
    axes.legend(frameon=False, markerscale=3)
    save_figure(figure, path)

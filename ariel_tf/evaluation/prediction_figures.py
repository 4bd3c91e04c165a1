"""Pictures of one model's predictions, as PNG files: predicted against true radii, and spectra."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ariel_tf.challenge import PPM, WAVELENGTHS_UM, depth_error, signed_depth_error
from ariel_tf.core.figures import saved_figure
from ariel_tf.evaluation.style import MANY, ONE, TRUTH, legend_below, micrometres
from ariel_tf.runs.predictions import Predictions


def draw_predictions(predictions: Predictions, title: str, path: Path) -> None:
    """Predicted against true radii, above their depth errors: dots are observations, rings planets."""
    planets = predictions.by_planet()
    low, high = planets.true.min(), planets.true.max()
    with saved_figure(path, 6.4, 7.2) as figure:
        above, below = figure.subplots(2, 1, height_ratios=(3, 1.3), sharex=True)
        above.plot([low, high], [low, high], color=TRUTH, linewidth=1, label="perfect")
        below.axhline(0, color=TRUTH, linewidth=1)
        for rows, style, label in (
            (predictions, {"marker": ".", "color": ONE, "markersize": 4}, "one observation"),
            (planets, {"marker": "o", "color": MANY, "markersize": 4, "fillstyle": "none"}, "median of a planet's"),
        ):
            true, predicted = rows.true.ravel(), rows.predicted.ravel()
            above.plot(true, predicted, linestyle="none", label=label, **style)
            below.plot(true, signed_depth_error(true, predicted, PPM), linestyle="none", **style)
        above.set(ylabel="predicted Rp/Rs", title=title)
        above.legend(frameon=False)
        below.set(xlabel="true Rp/Rs", ylabel="error in depth (ppm)")
        below.set_yscale("symlog", linthresh=100)


def draw_spectra(predictions: Predictions, wavelengths: Sequence[int], title: str, path: Path, shown: int = 4) -> None:
    """Spectra of planets from the worst to the best predicted, evenly chosen: truth, prediction, residual.

    The band contains the middle 68 % of the predictions from a planet's single observations.

    Args:
        predictions: rows with a column for each of the wavelengths.
        wavelengths: indices of the columns.
        title: name of the run, above all panels.
        path: PNG file to write.
        shown: number of planets.
    """
    planets = predictions.by_planet()
    um = np.array(WAVELENGTHS_UM)[list(wavelengths)]
    loss = depth_error(planets.true, planets.predicted).mean(axis=1)
    order = np.argsort(loss)[::-1]
    chosen = order[np.unique(np.linspace(0, len(order) - 1, shown).round().astype(int))]
    with saved_figure(path, 2.1 + 2.5 * len(chosen), 4.8) as figure:
        axes = figure.subplots(2, len(chosen), height_ratios=(2.4, 1), sharex=True, squeeze=False)
        for (above, below), row in zip(axes.T, chosen, strict=True):
            rows = predictions.predicted[predictions.keys[:, 0] == planets.keys[row, 0]]
            low, high = np.quantile(rows, [0.16, 0.84], axis=0)
            true, predicted = planets.true[row], planets.predicted[row]
            above.fill_between(um, low, high, color=ONE, alpha=0.6, linewidth=0, label="68 % of observations")
            above.plot(um, true, color=TRUTH, linewidth=1.2, label="truth")
            above.plot(um, predicted, color=MANY, linewidth=1.2, label="prediction")
            above.set_title(f"planet {planets.keys[row, 0]:04d}, loss {PPM * loss[row]:.0f} ppm", fontsize=9)
            below.axhline(0, color=TRUTH, linewidth=1)
            band = [signed_depth_error(true, bound, PPM) for bound in (low, high)]
            below.fill_between(um, *band, color=ONE, alpha=0.6, lw=0)
            below.plot(um, signed_depth_error(true, predicted, PPM), color=MANY, linewidth=1)
            below.set(xlabel="wavelength (µm)", xscale="log")
            micrometres(below, (0.5, 1, 2, 4, 8))
            for panel in (above, below):
                panel.tick_params(labelsize=7)
        axes[0, 0].set_ylabel("Rp/Rs")
        axes[1, 0].set_ylabel("error in depth (ppm)")
        legend_below(figure, axes[0, 0])
        figure.suptitle(f"{title}: from the worst to the best predicted planet", fontsize=10)

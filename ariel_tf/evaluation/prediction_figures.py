"""Figures of one model's predictions, as files: predicted against true radii, and spectra."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ariel_tf.challenge import depth_error
from ariel_tf.core.figures import saved_figure
from ariel_tf.evaluation import panels
from ariel_tf.evaluation.style import describe_data, describe_wavelengths, legend_below, set_title
from ariel_tf.runs.predictions import Predictions

SHOWN_PLANETS = 4


def title_of(predictions: Predictions, wavelengths: Sequence[int], title: str, data: str) -> str:
    """Return two lines: model and wavelengths; planets, observations, data and scores.

    Args:
        predictions: predictions to draw.
        wavelengths: indices of their columns.
        title: name of the run, and which planets these are.
        data: description of the data set.
    """
    scores = predictions.scores()
    planets = len(np.unique(predictions.keys[:, 0]))
    return (
        f"{title}, {describe_wavelengths(wavelengths)}\n{describe_data(planets, len(predictions.keys), data)}\n"
        f"score {scores['planet']:,.0f} a planet, {scores['observation']:,.0f} an observation"
    )


def draw_predictions(
    predictions: Predictions,
    wavelengths: Sequence[int],
    title: str,
    data: str,
    path: Path,
    dpi: float | None = None,
) -> None:
    """Draw predicted against true radii, above their depth errors: dots are observations, rings planets.

    Args:
        predictions: rows with one column per wavelength.
        wavelengths: indices of the columns.
        title: name of the run, and which planets these are.
        data: description of the data set.
        path: file to write.
        dpi: dots per inch; see `saved_figure`.
    """
    with saved_figure(path, 6.4, 7.6, dpi) as figure:
        above, below = figure.subplots(2, 1, height_ratios=(3, 1.3), sharex=True)
        panels.predicted_radii(above, predictions)
        panels.depth_errors(below, predictions)
        above.set_xlabel("")
        set_title(figure, title_of(predictions, wavelengths, title, data))


def worst_to_best(predictions: Predictions, shown: int = SHOWN_PLANETS) -> list[int]:
    """Return numbers of planets from the worst to the best predicted, evenly chosen."""
    planets = predictions.by_planet()
    loss = depth_error(planets.true, planets.predicted).mean(axis=1)
    order = np.argsort(loss)[::-1]
    chosen = order[np.unique(np.linspace(0, len(order) - 1, shown).round().astype(int))]
    return planets.keys[chosen, 0].tolist()


def draw_spectra(
    predictions: Predictions,
    wavelengths: Sequence[int],
    title: str,
    data: str,
    path: Path,
    dpi: float | None = None,
) -> None:
    """Draw spectra of four planets from the worst to the best predicted: truth, prediction, residual.

    The bars contain the middle 68 % of the predictions from a planet's single observations.

    Args:
        predictions, wavelengths, title, data, path, dpi: see `draw_predictions`.
    """
    chosen = worst_to_best(predictions)
    with saved_figure(path, 2.1 + 2.7 * len(chosen), 5.4, dpi) as figure:
        axes = figure.subplots(2, len(chosen), height_ratios=(2.2, 1), sharex=True, squeeze=False)
        for (above, below), planet in zip(axes.T, chosen, strict=True):
            panels.spectrum(above, predictions, wavelengths, planet)
            panels.spectrum_error(below, predictions, wavelengths, planet)
            above.set_xlabel("")
            above.set_title(above.get_title().replace(": ", "\n"))
        for panel in axes[:, 1:].flat:
            panel.set_ylabel("")
        legend_below(figure, axes[0, 0])
        set_title(figure, f"{title_of(predictions, wavelengths, title, data)}; from the worst to the best planet")

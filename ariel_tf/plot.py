"""Pictures as PNG files: predicted against true radii, a light curve."""

from pathlib import Path

import matplotlib
import numpy as np

from ariel_tf.challenge import MINUTES_PER_STEP, N_STEPS, WAVELENGTHS_UM
from ariel_tf.files import replacing
from ariel_tf.training.scoring import Predictions

matplotlib.use("Agg")
import matplotlib.pyplot as plt

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


def picture_light_curve(flux: np.ndarray, wavelengths: tuple[int, ...], title: str, path: Path) -> None:
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

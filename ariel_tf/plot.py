"""Pictures as PNG files; `python -m ariel_tf.plot --data DATA --planet 52 --out curve.png` draws light curves."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np

from ariel_tf.challenge import MINUTES_PER_STEP, N_STEPS, N_WAVELENGTHS, WAVELENGTHS_UM, Key
from ariel_tf.errors import UsageError, run_command
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


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m ariel_tf.plot", description="Draw light curves of one observation."
    )
    parser.add_argument("--data", required=True, help="folder of shards and manifest, or simulated[:...]")
    parser.add_argument("--planet", required=True, type=int)
    parser.add_argument("--spot", type=int, default=1, help="spot instance (default: 1)")
    parser.add_argument("--photon", type=int, default=1, help="photon-noise instance (default: 1)")
    parser.add_argument("--wavelengths", default="2,12,40", help="indices with commas (default: 2,12,40)")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="PNG file to write")
    options = parser.parse_args(arguments)
    if options.out.suffix != ".png" or options.out.exists() or not options.out.parent.is_dir():
        raise UsageError(f"--out {options.out}: expected the name of a new .png file in a folder that exists.")
    wavelengths = options.wavelengths.split(",")
    if not all(text.isdecimal() and int(text) < N_WAVELENGTHS for text in wavelengths):
        raise UsageError(f"--wavelengths: expected numbers in 0-{N_WAVELENGTHS - 1}. Received: {options.wavelengths}")
    key = Key(options.planet, options.spot, options.photon)
    draw_observation(options.data, key, [int(text) for text in wavelengths], options.out)


def draw_observation(data: str, key: Key, wavelengths: Sequence[int], path: Path) -> None:
    """Draw one observation of a data set.

    Raises:
        UsageError: the data set holds no such observation.
    """
    from ariel_tf.quiet import import_tensorflow

    import_tensorflow()
    from ariel_tf.data import dataset
    from ariel_tf.data.sources import open_source

    source = open_source(data, wavelengths)
    fold = source.planets.get(key.planet)
    choice = dataset.Choice((fold or 0,), tuple(wavelengths), tuple(wavelengths))
    batches = [] if fold is None else dataset.evaluation_batches(source, choice)
    for rows in batches:
        for row in np.flatnonzero((rows["key"] == list(key)).all(axis=1)):
            flux = np.full((N_WAVELENGTHS, N_STEPS), np.nan)
            flux[list(wavelengths)] = rows["flux"][row].T
            picture_light_curves(flux, wavelengths, f"observation {key.name}", path)
            print(path)
            return
    raise UsageError(f"--data {data}: holds no observation {key.name}.")


if __name__ == "__main__":
    run_command(main)

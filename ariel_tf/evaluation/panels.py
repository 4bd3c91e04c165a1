"""Panels: the content of a figure on one pair of axes, ours or the user's.

Each function takes matplotlib axes, draws on them and labels them; none creates a figure, saves a file or changes a
setting. `figures`, `prediction_figures` and `light_curve_figures` combine panels in files, `plots` in notebooks.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ariel_tf.challenge import (
    MINUTES_PER_STEP,
    N_STEPS,
    PERFECT_SCORE,
    PPM,
    WAVELENGTHS_UM,
    band_edges,
    depth_error,
    instrument_of,
    signed_depth_error,
)  # fmt: skip
from ariel_tf.evaluation.style import COLOURS, MANY, ONE, TRUTH, micrometres, plain_numbers
from ariel_tf.runs.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WAVELENGTH, RADIUS, DEPTH_ERROR = "Wavelength (µm)", "Relative radius Rp/Rs", "Error in depth (ppm)"
LOSS = "Loss = 10,000 - score (ppm in depth)"
LINEAR_BELOW = 100.0  # ppm, where a symmetric logarithmic axis is linear
MIDDLE = (0.16, 0.84)  # 68 %
STEPS_PER_POINT = 6  # a point of a binned light curve is the mean of this many time steps
MINUTES = np.arange(N_STEPS) * MINUTES_PER_STEP
MANY_POINTS = 3000  # above this number a vector graphic contains the points as an image


def by_instrument(axes: "Axes", wavelengths: Sequence[int], values: np.ndarray, **style: Any) -> None:
    """Draw a line over wavelengths, interrupted at the gaps between instruments; a single band is a dot.

    Args:
        axes: axes to draw on.
        wavelengths: indices, ascending.
        values: float [w].
        style: style for `Axes.plot`; `label` names the whole line.
    """
    um, instruments = np.array(WAVELENGTHS_UM)[list(wavelengths)], np.array([instrument_of(w) for w in wavelengths])
    cut = np.flatnonzero(instruments[1:] != instruments[:-1]) + 1
    alone = [part[0] for part in np.split(np.arange(len(um)), cut) if len(part) == 1]
    line = axes.plot(np.insert(um, cut, np.nan), np.insert(np.asarray(values, float), cut, np.nan), **style)[0]
    axes.plot(um[alone], np.asarray(values)[alone], ".", color=line.get_color(), zorder=line.get_zorder())


def wavelength_axis(axes: "Axes", ticks: tuple[float, ...] = (0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 6, 8)) -> None:
    """Label the horizontal axis in micrometres on a logarithmic scale."""
    axes.set(xlabel=WAVELENGTH, xscale="log")
    micrometres(axes, ticks)


def predicted_radii(axes: "Axes", predictions: Predictions) -> None:
    """Draw predicted against true radii: dots are observations, rings planets."""
    planets = predictions.by_planet()
    low, high = planets.true.min(), planets.true.max()
    axes.plot([low, high], [low, high], color=TRUTH, linewidth=1, label="perfect", zorder=3)
    for rows, style in _both(predictions, planets):
        axes.plot(rows.true.ravel(), rows.predicted.ravel(), **style)
    axes.set(xlabel=f"True {RADIUS[0].lower()}{RADIUS[1:]}", ylabel="Predicted Rp/Rs")
    axes.legend(frameon=False)


def depth_errors(axes: "Axes", predictions: Predictions) -> None:
    """Draw errors in depth against true radii, on an axis that is linear near 0 and logarithmic beyond."""
    axes.axhline(0, color=TRUTH, linewidth=1, zorder=3)
    for rows, style in _both(predictions, predictions.by_planet()):
        error = signed_depth_error(rows.true, rows.predicted, PPM)
        axes.plot(rows.true.ravel(), error.ravel(), **style)
    axes.set(xlabel=f"True {RADIUS[0].lower()}{RADIUS[1:]}", ylabel=f"{DEPTH_ERROR},\nlog beyond ±{LINEAR_BELOW:.0f}")
    axes.set_yscale("symlog", linthresh=LINEAR_BELOW)


def _both(predictions: Predictions, planets: Predictions) -> list[tuple[Predictions, dict[str, Any]]]:
    """Return rows of observations and of planets, and their styles."""
    one = {"marker": ".", "color": ONE, "markersize": 4, "label": f"one observation (N = {len(predictions.keys):,})"}
    many = {"marker": "o", "color": MANY, "markersize": 4, "fillstyle": "none", "markeredgewidth": 0.7}
    many["label"] = f"median of a planet's (N = {len(planets.keys):,})"
    common = {"linestyle": "none", "rasterized": predictions.true.size > MANY_POINTS}
    return [(predictions, one | common), (planets, many | common)]


def spectrum(
    axes: "Axes", predictions: Predictions, wavelengths: Sequence[int], planet: int, colours: tuple[str, str] = ("", "")
) -> None:
    """Draw the true and the predicted spectrum of one planet.

    Args:
        axes: axes to draw on.
        predictions: rows with one column per wavelength.
        wavelengths: indices of the columns.
        planet: number of the planet.
        colours: colours of true and predicted values; by default ours.
    """
    um, edges = np.array(WAVELENGTHS_UM)[list(wavelengths)], band_edges()[list(wavelengths)]
    true, median, low, high = _of_planet(predictions, planet)
    truth, predicted = colours[0] or TRUTH, colours[1] or MANY
    axes.hlines(true, *edges.T, color=truth, linewidth=1.8, label="true, width of the band", zorder=3)
    axes.errorbar(um, median, bars(low, median, high), fmt=".", markersize=4, color=predicted,
                  ecolor=ONE if predicted == MANY else predicted, elinewidth=1, zorder=2,
                  label="predicted: median, 68 % of observations")  # fmt: skip
    loss = depth_error(true, median, PPM).mean()
    count = int((predictions.keys[:, 0] == planet).sum())
    axes.set_title(f"Planet {planet:04d}: loss {loss:,.0f} ppm, N = {count}")
    axes.set_ylabel(RADIUS)
    wavelength_axis(axes, (0.5, 1, 2, 4, 8))


def spectrum_error(axes: "Axes", predictions: Predictions, wavelengths: Sequence[int], planet: int) -> None:
    """Draw the residual of a spectrum, as an error in depth; arguments as for `spectrum`."""
    um = np.array(WAVELENGTHS_UM)[list(wavelengths)]
    true, *predicted = _of_planet(predictions, planet)
    median, low, high = (signed_depth_error(true, values, PPM) for values in predicted)
    axes.axhline(0, color=TRUTH, linewidth=1, zorder=3)
    axes.errorbar(um, median, bars(low, median, high), fmt=".", markersize=4, color=MANY, ecolor=ONE,
                  elinewidth=1)  # fmt: skip
    axes.set_ylabel(DEPTH_ERROR)
    wavelength_axis(axes, (0.5, 1, 2, 4, 8))


def bars(low: np.ndarray, middle: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return lengths of error bars below and above, which rounding must not make negative: float64 [2, n]."""
    return np.maximum([middle - low, high - middle], 0)


def _of_planet(predictions: Predictions, planet: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return true radii, the median of the predictions and the bounds of their middle 68 %: float64 [w] each."""
    its = predictions.keys[:, 0] == planet
    low, high = np.quantile(predictions.predicted[its], MIDDLE, axis=0)
    return predictions.true[its][0], np.median(predictions.predicted[its], axis=0), low, high


def learning_curves(
    axes: "Axes", histories: Mapping[str, Mapping[str, np.ndarray]], colours: Mapping[str, str]
) -> None:
    """Draw the loss by epoch, counted from 1: validation solid, training dashed, a star at the best epoch.

    Args:
        axes: axes to draw on.
        histories: "score" and "val_score", float [epochs], by name of the run.
        colours: by name of the run.
    """
    from matplotlib.ticker import MaxNLocator

    for name, history in histories.items():
        epochs = np.arange(1, len(history["val_score"]) + 1)
        training, validation = (PERFECT_SCORE - history[score] for score in ("score", "val_score"))
        best = int(np.argmin(validation))
        marker = "." if len(epochs) < 3 else ""
        axes.plot(epochs, validation, color=colours[name], marker=marker, label=f"{name}: best epoch {best + 1}")
        axes.plot(epochs, training, color=colours[name], marker=marker, linewidth=0.9, alpha=0.7, linestyle="--")
        axes.plot(epochs[best], validation[best], "*", color=colours[name], markersize=11)
    for label, line, marker in (("validation", "-", ""), ("training", "--", ""), ("best epoch", "none", "*")):
        axes.plot([], [], label=label, color="#555555", linestyle=line, marker=marker)
    axes.set(xlabel="Epoch", ylabel=f"{LOSS},\none observation", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    plain_numbers(axes.yaxis)
    axes.grid(alpha=0.3)


def loss_by_wavelength(axes: "Axes", wavelengths: Sequence[int], losses: Mapping[str, tuple[np.ndarray, dict]]) -> None:
    """Draw the loss at each wavelength, one line per name.

    Args:
        axes: axes to draw on.
        wavelengths: indices.
        losses: float [w] and a style for `Axes.plot`, by name.
    """
    for name, (loss, style) in losses.items():
        by_instrument(axes, wavelengths, np.maximum(loss, 0.1), label=name, **style)
    axes.set(ylabel=LOSS, yscale="log")
    wavelength_axis(axes)
    plain_numbers(axes.yaxis)
    axes.grid(alpha=0.3)


def binned_light_curve(axes: "Axes", flux: np.ndarray, scatter: float, colour: str = ONE) -> None:
    """Draw a light curve in means of a few time steps, with the error of a mean.

    Args:
        axes: axes to draw on.
        flux: float [300].
        scatter: noise of one time step.
        colour: colour of the points.
    """
    times, means = (part.reshape(-1, STEPS_PER_POINT).mean(axis=1) for part in (MINUTES, flux))
    axes.errorbar(times, means, scatter / np.sqrt(STEPS_PER_POINT), fmt=".", color=colour, markersize=4,
                  elinewidth=0.7, zorder=1, label=f"observed, means of {STEPS_PER_POINT} minutes, 1 sigma")  # fmt: skip
    axes.set(xlabel="Time (minutes)")
    axes.ticklabel_format(axis="y", useOffset=False)


def band_name(wavelength: int) -> str:
    """Describe a band."""
    return f"{WAVELENGTHS_UM[wavelength]:.3g} µm (index {wavelength})"


def planet_colours(count: int) -> list[str]:
    """Return a colour for each of several planets on one pair of axes."""
    return [MANY] if count == 1 else [COLOURS[index % len(COLOURS)] for index in range(count)]

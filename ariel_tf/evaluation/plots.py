"""Figures of one run on the user's own axes: `run.plot` in a notebook.

    figure, (left, right) = plt.subplots(1, 2)
    run.plot.spectra(ax=left)
    run.plot.learning_curve(ax=right)

The colours of true and predicted values are ours; everything else follows the user's rcParams, which are not changed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ariel_tf.challenge import N_WAVELENGTHS, PERFECT_SCORE
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.evaluation import panels
from ariel_tf.evaluation.losses import Losses
from ariel_tf.evaluation.style import MANY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ariel_tf.data.planets import Data
    from ariel_tf.runs.predictions import Predictions
    from ariel_tf.runs.predictor import Predictor


class FinishedRun(Protocol):
    """The attributes of a run that figures read, as in `evaluation.run.Run`."""

    @property
    def path(self) -> Path: ...
    @property
    def configuration(self) -> dict[str, Any]: ...
    @property
    def data(self) -> "Data": ...
    @property
    def predictions(self) -> "Predictions": ...
    @property
    def predictor(self) -> "Predictor": ...


class RunPlots:
    """The value of `Run.plot`; each method draws on `ax`, or on a new figure of pyplot, and returns the axes.

    Predictions are those of the test folds, which are read and predicted when a method first needs them.

    Args:
        run: finished run.
    """

    def __init__(self, run: FinishedRun):
        self._run = run

    def learning_curve(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the loss by epoch of validation and training, with the best epoch."""
        from ariel_tf.evaluation.figures import learning_curve

        history = learning_curve(self._run.path)
        if not history:
            raise UsageError(f"{self._run.path}: expected a run that trains by epochs, with a saved epoch.")
        name = self._name
        ax = _axes(ax)
        panels.learning_curves(ax, {name: history}, {name: MANY})
        ax.legend(frameon=False)
        return ax

    def predictions(self, ax: "Axes | None" = None) -> "Axes":
        """Draw predicted against true radii of the test planets."""
        ax = _axes(ax)
        panels.predicted_radii(ax, self._run.predictions)
        ax.set_title(self._title("test planets"))
        return ax

    def errors(self, ax: "Axes | None" = None) -> "Axes":
        """Draw errors in depth against true radii of the test planets."""
        ax = _axes(ax)
        panels.depth_errors(ax, self._run.predictions)
        ax.set_title(self._title("test planets"))
        return ax

    def spectra(self, planets: int | Sequence[int] | None = None, ax: "Axes | None" = None) -> "Axes":
        """Draw true and predicted spectra of test planets.

        Args:
            planets: one number or several; by default the planet of median loss.
            ax: axes to draw on.
        """
        numbers = self._planets(planets)
        ax = _axes(ax)
        for planet, colour in zip(numbers, panels.planet_colours(len(numbers)), strict=True):
            panels.spectrum(ax, self._run.predictions, self._run.predictor.targets, planet, ("", colour))
        if len(numbers) > 1:
            ax.set_title(f"{self._name}: planets {', '.join(f'{number:04d}' for number in numbers)}")
        handles, labels = ax.get_legend_handles_labels()
        shown = dict(zip(labels, handles, strict=True))
        ax.legend(shown.values(), shown.keys(), frameon=False)
        return ax

    def by_wavelength(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the loss of combined predictions at each wavelength."""
        targets = self._run.predictor.targets
        loss = PERFECT_SCORE - Losses.of(self._name, self._run.predictions, targets).by_wavelength("planet")
        ax = _axes(ax)
        panels.loss_by_wavelength(ax, targets, {self._name: (loss, {"color": MANY, "marker": "."})})
        ax.set_title(self._title("test planets"))
        return ax

    def transit(self, planet: int | None = None, wavelength: int | None = None, ax: "Axes | None" = None) -> "Axes":
        """Draw a light curve of a test planet with the transits of its true and its predicted radius.

        Args:
            planet: its number; by default the planet of median loss.
            wavelength: index; by default the middle one of the predicted wavelengths.
            ax: axes to draw on.

        Raises:
            DataError: the planet's orbit is unknown.
        """
        from ariel_tf.evaluation.light_curve_figures import name_of, transit_panel

        run, targets = self._run, self._run.predictor.targets
        number = self._planets(planet)[0]
        wavelength = targets[len(targets) // 2] if wavelength is None else wavelength
        if wavelength not in targets:
            raise UsageError(f"{run.path} predicts wavelengths {list(targets)}. Received: {wavelength}")
        its = run.data[number]
        if not np.isfinite(its.orbit).all():
            raise DataError(f"planet {number:04d} of {run.data.source.description} has no known orbit.")
        radii = np.full(N_WAVELENGTHS, np.nan)
        row = int(np.flatnonzero(run.predictions.keys[:, 0] == number)[0])
        radii[list(targets)] = run.predictions.predicted[row]
        ax = _axes(ax)
        transit_panel(ax, its, 0, radii, wavelength)
        ax.set_title(f"{name_of(its, 0)}, {panels.band_name(wavelength)}")
        ax.legend(frameon=False)
        return ax

    @property
    def _name(self) -> str:
        return str(self._run.configuration.get("model") or Path(self._run.path).name)

    def _title(self, what: str) -> str:
        return f"{self._name}: {len(np.unique(self._run.predictions.keys[:, 0]))} {what}"

    def _planets(self, given: Any) -> list[int]:
        """Return numbers of test planets; by default the one of median loss."""
        losses = Losses.of(self._name, self._run.predictions, self._run.predictor.targets)
        if given is None:
            return [int(losses.planets[np.argsort(losses.planet.mean(axis=1))[len(losses.planets) // 2]])]
        numbers = [int(number) for number in np.atleast_1d(given)]
        for number in numbers:
            if number not in losses.planets:
                known = ", ".join(map(str, losses.planets[:10])) + " ..." * (len(losses.planets) > 10)
                raise UsageError(f"expected a test planet of {self._run.path}: {known}. Received: {number}")
        return numbers


def _axes(ax: "Axes | None") -> "Axes":
    """Return the user's axes, or those of a new figure."""
    if ax is None:
        from matplotlib import pyplot

        return pyplot.subplots()[1]
    return ax

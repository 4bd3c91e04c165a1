"""Figures of light curves, as files: one observation, as lines or as an image, or with transits of its radii."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, PPM, Key, band_edges
from ariel_tf.core.figures import saved_figure
from ariel_tf.evaluation import panels
from ariel_tf.evaluation.panels import MINUTES, STEPS_PER_POINT
from ariel_tf.evaluation.style import MANY, TRUTH, legend_below, set_title
from ariel_tf.physics import transit_fit
from ariel_tf.physics.detector import RAMP
from ariel_tf.planet import Planet

SETTLED = 20  # steps, after which the ramp no longer determines the scale of an axis


def draw_light_curves(flux: np.ndarray, wavelengths: Sequence[int], title: str, path: Path) -> None:
    """Draw light curves of one observation.

    Args:
        flux: float [55, 300], relative to the quiet star.
        wavelengths: indices of the bands to draw.
        title: title above the curves.
        path: file to write.
    """
    import matplotlib

    with saved_figure(path, 8, 4) as figure:
        axes = figure.subplots()
        colours = matplotlib.colormaps["plasma"](np.linspace(0, 0.8, len(wavelengths)))
        for wavelength, colour in zip(wavelengths, colours, strict=True):
            name = panels.band_name(wavelength)
            axes.plot(MINUTES, flux[wavelength], ".", markersize=3, color=colour, label=name)
        settled = flux[list(wavelengths), SETTLED:]
        margin = 0.1 * (settled.max() - settled.min())
        axes.set(ylim=(settled.min() - margin, settled.max() + margin), title=f"{title}, one point a minute")
        axes.set(xlabel="Time (minutes)", ylabel="Flux relative to the quiet star")
        axes.legend(frameon=False, markerscale=3)


def draw_image(flux: np.ndarray, title: str, path: Path) -> None:
    """Draw all light curves of one observation as an image, wavelength by time.

    Args:
        flux: float [55, 300], relative to the quiet star.
        title: title above the image.
        path: file to write.
    """
    low, high = np.quantile(flux[:, SETTLED:], [0.01, 0.99])
    edges = np.append(band_edges()[:, 0], band_edges()[-1, 1])
    with saved_figure(path, 8, 4.6) as figure:
        axes = figure.subplots()
        image = axes.pcolormesh(
            np.arange(N_STEPS + 1) - 0.5, edges, flux, vmin=low, vmax=high, cmap="viridis", rasterized=True
        )
        axes.set(xlabel="Time (minutes)", ylabel=panels.WAVELENGTH, yscale="log", title=title)
        axes.set_yticks([0.5, 0.7, 1, 1.5, 2, 3, 4, 6, 8], ["0.5", "0.7", "1", "1.5", "2", "3", "4", "6", "8"])
        axes.set_yticks([], minor=True)
        axes.set_ylim(edges[0], edges[-1])
        figure.colorbar(image, ax=axes, label="Flux relative to the quiet star", extend="both")


def draw_transits(
    planet: Planet, row: int, radii: np.ndarray, wavelengths: Sequence[int], title: str, path: Path
) -> None:
    """Draw light curves of one observation without the ramp, with spotless transits of true and of predicted radii.

    Below each, the residual of the observation from the predicted transit.

    Args:
        planet: a planet whose orbit is known.
        row: index of the observation.
        radii: predicted Rp/Rs, float [55]; NaN where unknown.
        wavelengths: indices of the bands, one panel each.
        title: name of the run, above all panels.
        path: file to write.
    """
    width = 8.0 if len(wavelengths) == 1 else 1.5 + 2.9 * len(wavelengths)
    with saved_figure(path, width, 5) as figure:
        axes = figure.subplots(2, len(wavelengths), height_ratios=(2.4, 1), sharex=True, squeeze=False)
        for (above, below), wavelength in zip(axes.T, wavelengths, strict=True):
            transit_panel(above, planet, row, radii, wavelength)
            above.set_xlabel("")
            residual_panel(below, planet, row, radii, wavelength)
        for panel in axes[:, 1:].flat:
            panel.set_ylabel("")
        legend_below(figure, axes[0, 0])
        set_title(figure, f"{title}, observation {name_of(planet, row)}, N = 1")


def name_of(planet: Planet, row: int) -> str:
    """Return the name of an observation's file."""
    return Key(planet.number, *map(int, planet.instances[row])).name


def transit_panel(axes: Any, planet: Planet, row: int, radii: np.ndarray, wavelength: int) -> None:
    """Draw one light curve with the transits of true and predicted radius; arguments as for `draw_transits`."""
    panels.binned_light_curve(axes, planet.flux[wavelength, row] / RAMP, float(planet.scatter[row, wavelength]))
    if planet.labelled:
        axes.plot(MINUTES, _transit(planet, planet.radii, wavelength), color=TRUTH, lw=1.3, label="true radius")
    predicted = _transit(planet, radii, wavelength)
    axes.plot(MINUTES, predicted, color=MANY, lw=1.3, ls="--", label="predicted radius")
    axes.set(title=panels.band_name(wavelength), ylabel="Flux without ramp")


def residual_panel(axes: Any, planet: Planet, row: int, radii: np.ndarray, wavelength: int) -> None:
    """Draw the observation minus the transit of the predicted radius, in ppm; arguments as for `draw_transits`."""
    residual = planet.flux[wavelength, row] / RAMP - _transit(planet, radii, wavelength)
    panels.binned_light_curve(axes, PPM * residual, PPM * float(planet.scatter[row, wavelength]))
    axes.axhline(0, color=MANY, lw=1, ls="--")
    settled = PPM * residual[6:].reshape(-1, STEPS_PER_POINT).mean(axis=1)  # the first point contains the ramp's noise
    reach = 1.3 * np.abs(settled).max()
    axes.set(ylabel="Residual (ppm)", ylim=(-reach, reach))


def _transit(planet: Planet, radii: np.ndarray, wavelength: int) -> np.ndarray:
    """Return the spotless transit of one band, float [300]."""
    everywhere = np.full(N_WAVELENGTHS, 0.05)
    everywhere[wavelength] = radii[wavelength]
    return transit_fit.reconstructed(planet, everywhere)[wavelength] / RAMP

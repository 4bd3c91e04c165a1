"""Pictures of light curves, as PNG files: one observation, alone or with the transits of true and predicted radii."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ariel_tf.challenge import MINUTES_PER_STEP, N_STEPS, WAVELENGTHS_UM, Key
from ariel_tf.core.figures import saved_figure
from ariel_tf.evaluation.style import MANY, ONE, TRUTH, legend_below
from ariel_tf.physics import transit_fit
from ariel_tf.physics.detector import RAMP
from ariel_tf.planet import Planet

STEPS_PER_POINT = 6  # a point is the mean of this many time steps
MINUTES = np.arange(N_STEPS) * MINUTES_PER_STEP


def draw_light_curves(flux: np.ndarray, wavelengths: Sequence[int], title: str, path: Path) -> None:
    """Light curves of one observation.

    Args:
        flux: float [55, 300], relative to the quiet star.
        wavelengths: indices of the bands to draw.
        title: above the curves.
        path: PNG file to write.
    """
    import matplotlib

    with saved_figure(path, 8, 3.6) as figure:
        axes = figure.subplots()
        colours = matplotlib.colormaps["plasma"](np.linspace(0, 0.8, len(wavelengths)))
        for wavelength, colour in zip(wavelengths, colours, strict=True):
            axes.plot(MINUTES, flux[wavelength], ".", markersize=3, color=colour, label=_band(wavelength))
        settled = flux[list(wavelengths), 20:]
        margin = 0.1 * (settled.max() - settled.min())
        axes.set(ylim=(settled.min() - margin, settled.max() + margin), title=title)
        axes.set(xlabel="time (minutes)", ylabel="flux relative to the quiet star")
        axes.legend(frameon=False, markerscale=3)


def draw_transits(
    planet: Planet, row: int, radii: np.ndarray, wavelengths: Sequence[int], title: str, path: Path
) -> None:
    """Light curves of one observation without the ramp, with the spotless transits of true and of predicted radii.

    Args:
        planet: a labelled planet whose orbit is known.
        row: index of the observation.
        radii: predicted Rp/Rs, float [55]; NaN where unknown.
        wavelengths: indices of the bands, a panel each.
        title: name of the run, above all panels.
        path: PNG file to write.
    """
    curves = {name: transit_fit.reconstructed(planet, np.nan_to_num(values, nan=0.05)) / RAMP
              for name, values in (("truth", planet.radii), ("prediction", radii))}  # fmt: skip
    width = 8.0 if len(wavelengths) == 1 else 1.5 + 2.9 * len(wavelengths)
    times = MINUTES.reshape(-1, STEPS_PER_POINT).mean(axis=1)
    with saved_figure(path, width, 3.6) as figure:
        axes = figure.subplots(1, len(wavelengths), squeeze=False)
        for panel, wavelength in zip(axes[0], wavelengths, strict=True):
            flux = planet.flux[wavelength, row] / RAMP
            binned = flux.reshape(-1, STEPS_PER_POINT).mean(axis=1)
            error = planet.scatter[row, wavelength] / np.sqrt(STEPS_PER_POINT)
            panel.errorbar(times, binned, yerr=error, fmt=".", color=ONE, markersize=4, elinewidth=0.7, zorder=1,
                           label=f"observation, means of {STEPS_PER_POINT} minutes")  # fmt: skip
            panel.plot(MINUTES, curves["truth"][wavelength], color=TRUTH, linewidth=1.3, label="true radius")
            panel.plot(MINUTES, curves["prediction"][wavelength], color=MANY, lw=1.3, ls="--", label="predicted radius")
            panel.set_title(_band(wavelength), fontsize=9)
            panel.set(xlabel="time (minutes)")
            panel.tick_params(labelsize=7)
            panel.ticklabel_format(useOffset=False)
        axes[0, 0].set_ylabel("flux without ramp")
        legend_below(figure, axes[0, 0])
        key = Key(planet.number, *map(int, planet.instances[row]))
        figure.suptitle(f"{title}: observation {key.name}, a planet of median loss", fontsize=10)


def _band(wavelength: int) -> str:
    return f"{WAVELENGTHS_UM[wavelength]:.2f} µm (index {wavelength})"

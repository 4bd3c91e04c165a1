"""Figures of models with uncertainty, as files: spectra with bands, and the reliability diagram."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ariel_tf.challenge import PPM, WAVELENGTHS_UM, band_edges, depth_error
from ariel_tf.core.figures import saved_figure
from ariel_tf.evaluation import panels
from ariel_tf.evaluation.calibration import SHARES, Measured, coverage, likelihood_score, reliability
from ariel_tf.evaluation.style import MANY, ONE, TRUTH, legend_below, set_title

SHOWN_PLANETS = 4


def draw_measured_spectra(measured: Measured, wavelengths: Sequence[int], title: str, path: Path) -> None:
    """Draw spectra of four planets from the worst to the best measured: truth, radii, 1 and 1.96 sigma, residuals.

    Args:
        measured: measured planets, with one column per wavelength.
        wavelengths: indices of the columns.
        title: two lines above the panels.
        path: file to write.
    """
    loss = depth_error(measured.true, measured.radius, PPM).mean(axis=1)
    order = np.argsort(loss)[::-1]
    chosen = order[np.unique(np.linspace(0, len(order) - 1, SHOWN_PLANETS).round().astype(int))]
    um, edges = np.array(WAVELENGTHS_UM)[list(wavelengths)], band_edges()[list(wavelengths)]
    with saved_figure(path, 2.1 + 2.7 * len(chosen), 5.4) as figure:
        axes = figure.subplots(2, len(chosen), height_ratios=(2.2, 1), sharex=True, squeeze=False)
        for (above, below), row in zip(axes.T, chosen, strict=True):
            true, radius, sigma = (part[row] for part in (measured.true, measured.radius, measured.sigma))
            for bound, alpha in ((1.96, 0.3), (1.0, 0.6)):
                label = f"{bound:g} sigma, {coverage_of(bound)} of true radii expected"
                band = (radius - bound * sigma, radius + bound * sigma)
                above.fill_between(um, *band, color=ONE, alpha=alpha, linewidth=0, label=label)
                off = 2 * radius * sigma * bound * PPM
                below.fill_between(um, -off, off, color=ONE, alpha=alpha, linewidth=0)
            above.plot(um, radius, ".", markersize=4, color=MANY, label="measured")
            above.hlines(true, *edges.T, color=TRUTH, linewidth=1.8, label="true, width of the band", zorder=3)
            below.plot(um, PPM * (np.square(radius) - np.square(true)), ".", markersize=4, color=MANY)
            below.axhline(0, color=TRUTH, linewidth=1)
            above.set_title(f"Planet {measured.planets[row]:04d}\nloss {loss[row]:,.0f} ppm")
            above.set_ylabel(panels.RADIUS)
            below.set_ylabel(panels.DEPTH_ERROR)
            panels.wavelength_axis(below, (0.5, 1, 2, 4, 8))
        for panel in axes[:, 1:].flat:
            panel.set_ylabel("")
        legend_below(figure, axes[0, 0])
        set_title(figure, f"{title}; from the worst to the best planet")


def coverage_of(bound: float) -> str:
    """Return the share of a Gaussian within a bound, as text."""
    return {1.0: "68 %", 1.96: "95 %"}[bound]


def draw_reliability(entries: Mapping[str, tuple[Measured, str]], title: str, path: Path) -> None:
    """Draw the share of true radii within each central interval against the expected share.

    Args:
        entries: measured planets and a colour, by name.
        title: two lines above the diagram.
        path: file to write.
    """
    with saved_figure(path, 6.2, 6) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=TRUTH, linewidth=1, label="perfect")
        for name, (measured, colour) in entries.items():
            one, two = coverage(measured).values()
            label = f"{name}: {one.value:.0%} within 1 sigma, {two.value:.0%} within 1.96,\n"
            label += f"log-likelihood score {likelihood_score(measured):.3f}"
            axes.plot(SHARES, reliability(measured), "o-", markersize=4, color=colour, label=label)
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.set(xlabel="Expected share of true radii in the interval", ylabel="Share found")
        axes.text(0.96, 0.05, "below the diagonal: overconfident", ha="right", color="#555555")
        axes.text(0.04, 0.92, "above the diagonal: underconfident", color="#555555")
        axes.grid(alpha=0.3)
        figure.legend(*axes.get_legend_handles_labels(), frameon=False, loc="outside lower left")
        set_title(figure, title)

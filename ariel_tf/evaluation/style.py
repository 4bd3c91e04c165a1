"""Colours, axes and legends that the figures share."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Distinct for colour-blind readers too (Okabe & Ito 2008).
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f7f7f", "#f0e442")
# Muted, so that runs stand out; darker for baselines that use more information.
BASELINE_COLOURS = {
    "constant": "#b5b5b5",
    "median-depth": "#b39c7d",
    "ridge": "#9db08f",
    "ridge+white": "#64895a",
    "transit-fit": "#d0909f",
    "transit-fit+shape": "#a34560",
    "photon-limit": "#a9a6cf",
    "photon-limit+shape": "#5d569e",
}
ONE, MANY, TRUTH = "#9db8d9", "#16518f", "#c23b22"  # one observation, several combined, the truth


def legend_below(figure: "Figure", panel: "Axes") -> None:
    """One legend for all panels, below them at the left, the part that a phone shows first."""
    figure.legend(*panel.get_legend_handles_labels(), frameon=False, fontsize=8, ncols=3, loc="outside lower left")


def plain_numbers(axis: "Axis") -> None:
    """Label a logarithmic axis 1,000 instead of 10^3, with some numbers between the powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())


def micrometres(axes: "Axes", ticks: tuple[float, ...] = (0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 6, 8)) -> None:
    """Label the wavelengths of a logarithmic horizontal axis."""
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)

"""Colours, axes, titles and legends shared by the figures."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ariel_tf.challenge import WAVELENGTHS_UM
from ariel_tf.config.targets import Targets
from ariel_tf.core.resources import format_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Distinct for colour-blind readers too (Okabe & Ito 2008).
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f7f7f", "#f0e442")
# Muted, so that runs are prominent; darker for baselines that use more information, black for the limits.
BASELINE_COLOURS = {
    "constant": "#b5b5b5",
    "median-depth": "#b39c7d",
    "ridge": "#9db08f",
    "ridge+white": "#64895a",
    "ridge-501": "#3d6b35",
    "transit-fit": "#d0909f",
    "transit-fit+shape": "#a34560",
    "photon-limit": "#000000",
    "photon-limit+shape": "#555555",
    "bayes-limit": "#8c2d04",
}
ONE, MANY, TRUTH = "#9db8d9", "#16518f", "#c23b22"  # one observation, several combined, true values
REFERENCE = "#8a8f94"
_LONGEST_NAME = 60


def describe_data(planets: int, observations: int, data: str) -> str:
    """Return the numbers of planets and observations and the data, for the second line of a title."""
    data = data if len(data) <= _LONGEST_NAME else f"...{data[-_LONGEST_NAME:]}"
    return f"N = {format_count(planets, 'planet')}, {format_count(observations, 'observation')} of {data}"


def describe_wavelengths(wavelengths: Sequence[int]) -> str:
    """Describe wavelengths; a single one in micrometres.

    >>> describe_wavelengths([12]), describe_wavelengths(range(55))
    ('2.09 µm (index 12)', 'all wavelengths')
    """
    if len(wavelengths) == 1:
        return f"{WAVELENGTHS_UM[wavelengths[0]]:.3g} µm (index {wavelengths[0]})"
    return Targets.each(wavelengths).describe()


def set_title(figure: "Figure", text: str) -> None:
    """Set a title above all panels, its lines wrapped to the figure's width."""
    width = int(11 * figure.get_figwidth())  # letters of `core.figures.STYLE` in an inch
    figure.suptitle("\n".join(textwrap.fill(line, width, break_on_hyphens=False) for line in text.split("\n")))


def legend_below(figure: "Figure", panel: "Axes") -> None:
    """Add one legend for all panels, below them at the left, the part visible on a narrow screen."""
    figure.legend(*panel.get_legend_handles_labels(), frameon=False, ncols=3, loc="outside lower left")


def legend_beside(figure: "Figure", panel: "Axes") -> None:
    """Add one legend for all panels, at their right, where it covers nothing whatever the number of lines."""
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside right center", ncols=1 + len(labels) // 24)


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

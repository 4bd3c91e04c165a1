"""Plots of a search: scores by trial, parallel coordinates, score against each value."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ariel_tf.core.figures import draw_or_warn, saved_figure
from ariel_tf.evaluation.style import MANY, ONE, TRUTH
from tuning.outcomes import Outcome

# A scale that spans more than this is logarithmic.
WIDE = 30.0
TICKS = 4
# With more trials than this, marks are smaller.
MANY_TRIALS = 60
# Letters of tick labels side by side below a panel; longer ones are slanted.
LONGEST_ROW = 22
SCORE = "Validation score (10,000 is perfect)"
# Height of a tick label, in 0-1: the widest, 0.00012, is a fifth of a small plot.
ROOM = 0.22


def draw(run: Path, scored: Sequence[Outcome], logarithmic: Collection[str] = ()) -> None:
    """Draw history.png, parallel.png and values.png of the completed trials; a plot that fails only warns.

    Args:
        scored: completed trials, at least one.
        logarithmic: names of values that are sampled logarithmically.
    """
    draw_or_warn(history, run / "history.png", scored)
    names = list(dict.fromkeys(name for outcome in scored for name in outcome.values))
    axes = [Axis(name, [one.values.get(name) for one in scored], name in logarithmic) for name in names]
    draw_or_warn(parallel, run / "parallel.png", scored, axes)
    draw_or_warn(against_values, run / "values.png", scored, axes)


class Axis:
    """The values of one name over all trials, as heights in 0-1.

    Args:
        name: name of the value.
        values: one for each trial; None if a trial has no such value.
        logarithmic: whether the scale is logarithmic; it also is if the values span more than `WIDE`.

    Attributes:
        name: the name, with a note if the scale is logarithmic.
        heights: float [trials]; NaN if a trial has no such value.
        ticks: heights and their labels.
    """

    def __init__(self, name: str, values: Sequence[Any], logarithmic: bool = False):
        self.name = name
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if numbers and len(numbers) == sum(v is not None for v in values):
            self._scale(np.array([np.nan if v is None else float(v) for v in values]), logarithmic)
        else:
            labels = sorted({str(v) for v in values if v is not None})
            place = {label: (i + 0.5) / len(labels) for i, label in enumerate(labels)}
            self.heights = np.array([place.get(str(v), np.nan) for v in values])
            self.ticks = [(place[label], label) for label in labels]

    def _scale(self, values: np.ndarray, logarithmic: bool) -> None:
        low, high = np.nanmin(values), np.nanmax(values)
        logarithmic = low > 0 and (logarithmic or high / low > WIDE)
        if logarithmic and high > low:
            self.name = f"{self.name} (log scale)"
        scaled = np.log(values) if logarithmic else values
        bottom, top = np.nanmin(scaled), np.nanmax(scaled)
        span = top - bottom or 1.0
        self.heights = (scaled - bottom) / span if top > bottom else np.where(np.isnan(scaled), np.nan, 0.5)
        own = np.unique(scaled[~np.isnan(scaled)])
        raw = own if len(own) <= TICKS else bottom + np.linspace(0, 1, TICKS) * span
        marks = (raw - bottom) / span if top > bottom else np.array([0.5])
        self.ticks = [
            (float(marks[index]), label(float(np.exp(raw[index]) if logarithmic else raw[index])))
            for index in apart(marks)
        ]


def apart(marks: np.ndarray) -> list[int]:
    """Return indices of marks whose labels do not overlap: the first and the last, and those with space between them.

    Args:
        marks: float [n], heights in 0-1, ascending.
    """
    kept = [0]
    for index in range(1, len(marks) - 1):
        if marks[index] - marks[kept[-1]] >= ROOM and marks[-1] - marks[index] >= ROOM:
            kept.append(index)
    return kept if len(marks) == 1 else [*kept, len(marks) - 1]


def label(value: float) -> str:
    """Format a number beside an axis."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2g}"


def colours(scores: np.ndarray) -> np.ndarray:
    """Return 0-1 by rank, so that a few hopeless trials do not hide the differences of the others."""
    return np.argsort(np.argsort(scores)) / max(1, len(scores) - 1)


def visible(scores: np.ndarray) -> tuple[float, float]:
    """Return limits that show the good trials; hopeless ones are below."""
    middle = np.median(scores)
    low = max(scores.min(), middle - 3 * max(scores.max() - middle, 1.0))
    margin = 0.05 * max(scores.max() - low, 1.0)
    return low - margin, scores.max() + margin


def history(path: Path, scored: Sequence[Outcome]) -> None:
    """Draw each trial's score, and the best so far."""
    from matplotlib.ticker import MaxNLocator

    scores = np.array([outcome.score for outcome in scored])
    trials = np.array([outcome.trial for outcome in scored])
    low, high = visible(scores)
    below = scores < low
    with saved_figure(path, 7, 3.6) as figure:
        axes = figure.subplots()
        size = 6 if len(trials) < MANY_TRIALS else 3
        axes.plot(trials, np.where(below, np.nan, scores), "o", color=ONE, label="a trial", markersize=size)
        if below.any():
            bottom = np.full(below.sum(), low)
            axes.plot(trials[below], bottom, "v", color=TRUTH, label="below the picture", clip_on=False)
        axes.step(trials, np.maximum.accumulate(scores), where="post", color=MANY, label="best so far")
        title = f"Scores in the order of the trials, N = {len(trials)}"
        axes.set(xlabel="Trial", ylabel=SCORE, ylim=(low, high), title=title)
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 2.5, 5, 10]))
        figure.legend(frameon=False, loc="outside lower left", ncols=3)


def parallel(path: Path, scored: Sequence[Outcome], columns: Sequence[Axis]) -> None:
    """Draw a line for each trial through an axis for each value, the score last; brighter is better."""
    import matplotlib

    scores = np.array([outcome.score for outcome in scored])
    low, high = visible(scores)
    columns = [*columns, Axis("validation score", [float(np.clip(one, low, high)) for one in scores])]
    shades = matplotlib.colormaps["viridis"](0.95 * colours(scores))
    box = {"color": "white", "alpha": 0.7, "pad": 0.5}
    with saved_figure(path, max(6.4, 1.7 * len(columns)), 4.4) as figure:
        axes = figure.subplots()
        for index in np.argsort(scores):  # the best on top
            heights = [column.heights[index] for column in columns]
            best = index == np.argmax(scores)
            thin = 1.0 if len(scores) < MANY_TRIALS else 0.5
            colour, width, alpha = (TRUTH, 2.2, 1.0) if best else (shades[index], thin, 0.7)
            axes.plot(heights, color=colour, linewidth=width, alpha=alpha)
        for place, column in enumerate(columns):
            axes.axvline(place, color="black", linewidth=0.8)
            for height, text in column.ticks:
                axes.text(place + 0.03, height, text, fontsize=8, va="center", bbox=box)
        axes.set_xticks(range(len(columns)), [column.name for column in columns])
        axes.set(yticks=[], xlim=(-0.2, len(columns) - 0.6), ylim=(-0.05, 1.05))
        axes.set_title(f"Values chosen by each trial, N = {len(scores)}; brighter is better, the best is red")
        axes.spines[:].set_visible(False)


def against_values(path: Path, scored: Sequence[Outcome], columns: Sequence[Axis]) -> None:
    """Draw a small panel for each value: score against it."""
    scores = np.array([outcome.score for outcome in scored])
    low, high = visible(scores)
    across = min(3, len(columns)) or 1
    down = -(-len(columns) // across) or 1
    best = int(np.argmax(scores))
    size = 6 if len(scores) < MANY_TRIALS else 3
    with saved_figure(path, max(4.6, 3.6 * across), 1.1 + 2.7 * down) as figure:
        grid = figure.subplots(down, across, squeeze=False, sharey=True)
        for panel, column in zip(grid.flat, columns, strict=False):
            panel.plot(column.heights, np.clip(scores, low, None), "o", color=ONE, markersize=size, label="a trial")
            panel.plot(column.heights[best], scores[best], "o", color=TRUTH, label="the best")
            panel.set_xticks([height for height, _ in column.ticks], [text for _, text in column.ticks])
            if sum(len(text) for _, text in column.ticks) > LONGEST_ROW:
                panel.tick_params(axis="x", rotation=30)
            panel.set(xlabel=column.name, ylim=(low, high), xlim=(-0.1, 1.1))
        for panel in list(grid.flat)[len(columns) :]:
            panel.set_visible(False)
        for row in grid:
            row[0].set_ylabel(SCORE)
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, frameon=False, loc="outside lower left", ncols=2)
        figure.suptitle(f"Score against each value, N = {len(scores)} trials")

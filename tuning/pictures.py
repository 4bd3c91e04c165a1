"""Pictures of a search: scores by trial, parallel coordinates, score against each value."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ariel_tf.evaluation.figures import MANY, ONE, TRUTH, plt, save_figure
from tuning.outcomes import Outcome

# A scale that spans more than this is drawn by powers of ten.
WIDE = 30.0
TICKS = 4


def draw(run: Path, scored: Sequence[Outcome]) -> None:
    """history.png, parallel.png and values.png of the completed trials.

    Args:
        scored: completed trials, at least one.
    """
    history(run / "history.png", scored)
    names = list(dict.fromkeys(name for outcome in scored for name in outcome.values))
    axes = [Axis(name, [outcome.values.get(name) for outcome in scored]) for name in names]
    parallel(run / "parallel.png", scored, axes)
    against_values(run / "values.png", scored, axes)


class Axis:
    """The values of one name over all trials, as heights in 0-1.

    Attributes:
        heights: float [trials]; NaN where a trial has no such value.
        ticks: heights and their labels.
    """

    def __init__(self, name: str, values: Sequence[Any]):
        self.name = name
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if numbers and len(numbers) == sum(v is not None for v in values):
            self._scale(np.array([np.nan if v is None else float(v) for v in values]))
        else:
            labels = sorted({str(v) for v in values if v is not None})
            place = {label: (i + 0.5) / len(labels) for i, label in enumerate(labels)}
            self.heights = np.array([place.get(str(v), np.nan) for v in values])
            self.ticks = [(place[label], label) for label in labels]

    def _scale(self, values: np.ndarray) -> None:
        low, high = np.nanmin(values), np.nanmax(values)
        logarithmic = low > 0 and high / low > WIDE
        scaled = np.log(values) if logarithmic else values
        bottom, top = np.nanmin(scaled), np.nanmax(scaled)
        span = top - bottom or 1.0
        self.heights = (scaled - bottom) / span if top > bottom else np.where(np.isnan(scaled), np.nan, 0.5)
        own = np.unique(scaled[~np.isnan(scaled)])
        raw = own if len(own) <= TICKS else bottom + np.linspace(0, 1, TICKS) * span
        marks = (raw - bottom) / span if top > bottom else np.array([0.5])
        self.ticks = [
            (float(mark), label(float(np.exp(value)) if logarithmic else float(value)))
            for mark, value in zip(marks, raw, strict=True)
        ]


def label(value: float) -> str:
    """A number beside an axis."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2g}"


def colours(scores: np.ndarray) -> np.ndarray:
    """0-1 by rank: a few hopeless trials do not make all the others look alike."""
    return np.argsort(np.argsort(scores)) / max(1, len(scores) - 1)


def visible(scores: np.ndarray) -> tuple[float, float]:
    """Limits that show the good trials; hopeless ones lie below."""
    middle = np.median(scores)
    low = max(scores.min(), middle - 3 * max(scores.max() - middle, 1.0))
    margin = 0.05 * max(scores.max() - low, 1.0)
    return low - margin, scores.max() + margin


def history(path: Path, scored: Sequence[Outcome]) -> None:
    """Each trial's score, and the best so far."""
    scores = np.array([outcome.score for outcome in scored])
    trials = [outcome.trial for outcome in scored]
    low, high = visible(scores)
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    below = scores < low
    axes.plot(trials, np.where(below, np.nan, scores), "o", color=ONE, label="a trial")
    if below.any():
        axes.plot(
            np.array(trials)[below],
            np.full(below.sum(), low),
            "v",
            color=TRUTH,
            label="below the picture",
            clip_on=False,
        )
    axes.step(trials, np.maximum.accumulate(scores), where="post", color=MANY, label="best so far")
    axes.set(xlabel="trial", ylabel="validation score", ylim=(low, high), title="scores in the order of the trials")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, loc="lower right")
    save_figure(figure, path)


def parallel(path: Path, scored: Sequence[Outcome], axes_: Sequence[Axis]) -> None:
    """A line a trial through an axis a value, the score last; brighter is better."""
    scores = np.array([outcome.score for outcome in scored])
    low, high = visible(scores)
    score = Axis("val_score", [float(np.clip(one, low, high)) for one in scores])
    columns = [*axes_, score]
    figure, axes = plt.subplots(figsize=(max(6.4, 1.7 * len(columns)), 4.4), layout="constrained")
    shades = plt.get_cmap("viridis")(0.95 * colours(scores))
    for index in np.argsort(scores):  # the best on top
        heights = [column.heights[index] for column in columns]
        best = index == np.argmax(scores)
        axes.plot(
            heights, color=TRUTH if best else shades[index], linewidth=2.2 if best else 1, alpha=1 if best else 0.7
        )
    for place, column in enumerate(columns):
        axes.axvline(place, color="black", linewidth=0.8)
        for height, label in column.ticks:
            axes.text(
                place + 0.03, height, label, fontsize=8, va="center", bbox={"color": "white", "alpha": 0.7, "pad": 0.5}
            )
    axes.set_xticks(range(len(columns)), [column.name for column in columns])
    axes.set(
        yticks=[], xlim=(-0.2, len(columns) - 0.6), ylim=(-0.05, 1.05), title="what each trial chose; the best in red"
    )
    for side in ("left", "right", "top", "bottom"):
        axes.spines[side].set_visible(False)
    save_figure(figure, path)


def against_values(path: Path, scored: Sequence[Outcome], axes_: Sequence[Axis]) -> None:
    """A small picture a value: score against it."""
    scores = np.array([outcome.score for outcome in scored])
    low, high = visible(scores)
    across = min(3, len(axes_)) or 1
    down = -(-len(axes_) // across) or 1
    figure, grid = plt.subplots(
        down, across, figsize=(3.6 * across, 2.8 * down), squeeze=False, sharey=True, layout="constrained"
    )
    best = int(np.argmax(scores))
    for place, column in zip(grid.flat, axes_, strict=False):
        place.plot(column.heights, np.clip(scores, low, None), "o", color=ONE)
        place.plot(column.heights[best], scores[best], "o", color=TRUTH)
        place.set_xticks([height for height, _ in column.ticks], [label for _, label in column.ticks])
        place.set(xlabel=column.name, ylim=(low, high), xlim=(-0.1, 1.1))
    for place in list(grid.flat)[len(axes_) :]:
        place.set_visible(False)
    for row in grid:
        row[0].set_ylabel("validation score")
    save_figure(figure, path)

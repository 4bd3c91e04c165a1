"""Correlation of each time step with the transit depth, by wavelength: which steps carry information on the radius.

    python -m pipelines.check DATA --correlations OUT

writes OUT/correlations.csv and OUT/correlations.png. It reads only the planets of the training folds, so that a choice
of steps based on it is independent of the held-out planets.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, WAVELENGTHS_UM, band_edges
from ariel_tf.config.time_steps import format_steps
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.atomic_files import write_text
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.core.figures import draw_or_warn, saved_figure
from ariel_tf.data.selection import Selection
from ariel_tf.data.sources import Source
from pipelines import common

TOP = 100
TICKS_UM = (0.5, 0.7, 1, 1.5, 2, 3, 4, 6, 8)
FOLDS = TrainConfig().train_folds
TABLE, PICTURE = "correlations.csv", "correlations.png"


def correlations(planets: Iterable[dict[str, Any]]) -> np.ndarray:
    """Return Pearson's correlation of each flux with the transit depth at its wavelength, over observations.

    Args:
        planets: records with all wavelengths, as NumPy: flux [55, n, 300], radii [55].

    Returns:
        float64 [55, 300]; NaN where a flux or all depths never vary.
    """
    count = 0
    flux_sum, flux_squares, products = (np.zeros((N_WAVELENGTHS, N_STEPS)) for _ in range(3))
    depth_sum, depth_squares = (np.zeros((N_WAVELENGTHS, 1)) for _ in range(2))
    for planet in planets:
        flux = planet["flux"].astype(np.float64) - 1  # near 0, so that sums of squares keep their precision
        depth = np.square(planet["radii"].astype(np.float64))[:, None]
        n, total = flux.shape[1], flux.sum(axis=1)
        count += n
        flux_sum += total
        flux_squares += np.square(flux).sum(axis=1)
        products += depth * total
        depth_sum += n * depth
        depth_squares += n * np.square(depth)
    covariance = products - flux_sum * depth_sum / count
    variances = (flux_squares - np.square(flux_sum) / count) * (depth_squares - np.square(depth_sum) / count)
    return np.divide(covariance, np.sqrt(variances), out=np.full_like(covariance, np.nan), where=variances > 0)


def strongest(values: np.ndarray, top: int = TOP) -> tuple[int, ...]:
    """Return the steps of the largest absolute correlation, ascending; [55, 300] is averaged over wavelengths first."""
    strength = np.nan_to_num(np.abs(np.atleast_2d(values))).mean(axis=0)
    return tuple(sorted(np.argsort(-strength, kind="stable")[:top].tolist()))


def refuse_written(out: Path, overwrite: bool) -> None:
    """Raise if the table exists already; before the data are read, which can take long.

    The table is written last: a plot alone is that of a command that was killed between the two.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"--correlations {out}: expected a folder.")
    if (out / TABLE).exists() and not overwrite:
        raise UsageError(f"--correlations: {out / TABLE} exists already; give another folder, or --overwrite.")


def report(source: Source, out: Path, folds: Sequence[int] = FOLDS) -> None:
    """Measure, write and print.

    Raises:
        DataError: radii are unknown, or there is no planet in these folds.
    """
    rows = source.observations(folds)
    if not source.labelled or not rows:
        raise DataError(
            f"{source.description}: expected planets with known radii in folds {list(folds)}; there are none."
        )
    records = source.records(Selection.of(folds, range(N_WAVELENGTHS)))
    with common.Progress(rows, "observation") as progress:

        def counted() -> Iterator[Any]:
            for planet in records.as_numpy_iterator():
                yield planet
                progress(planet["flux"].shape[1])

        values = correlations(counted())
    out.mkdir(parents=True, exist_ok=True)
    drawn = draw_or_warn(picture, values, out / PICTURE)
    write_text(out / TABLE, as_csv(values))
    print(table(values))
    print(f"the {TOP} strongest steps over all wavelengths:\n  --steps {as_flag(strongest(values))}")
    print(f"{rows} observations of folds {list(folds)}; in {out}: {TABLE}{f', {PICTURE}' if drawn else ''}")


def as_flag(steps: Sequence[int]) -> str:
    """Return ascending steps in the form of `--steps`: `98:198` if none between is left out."""
    whole = range(steps[0], steps[-1] + 1)
    return format_steps(whole if len(whole) == len(steps) else steps)


def table(values: np.ndarray) -> str:
    """Return one line per wavelength: the strongest step, its correlation, and the range of its strongest hundred."""
    lines = [f"{'wavelength':>10} {'um':>7} {'step':>5} {'r':>7}   strongest {TOP} within"]
    for wavelength, row in enumerate(values):
        step = int(np.nanargmax(np.abs(row))) if np.isfinite(row).any() else 0
        top = strongest(row)
        lines.append(
            f"{wavelength:>10} {WAVELENGTHS_UM[wavelength]:>7.3f} {step:>5} {row[step]:>7.3f}   {top[0]}-{top[-1]}"
        )
    return "\n".join(lines)


def as_csv(values: np.ndarray) -> str:
    """Write one row per wavelength and one column per step."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["wavelength", *(f"step_{step}" for step in range(N_STEPS))])
    writer.writerows([wavelength, *(f"{value:.6f}" for value in row)] for wavelength, row in enumerate(values))
    return text.getvalue()


def picture(values: np.ndarray, path: Path) -> None:
    """Draw the correlation by step and wavelength, as colours; the scale covers the middle 99 % of the values."""
    edges = np.append(band_edges()[:, 0], band_edges()[-1, 1])
    with saved_figure(path, 9, 5) as figure:
        axes = figure.subplots()
        largest = float(np.nanquantile(np.abs(values), 0.99)) if np.isfinite(values).any() else 1.0
        image = axes.pcolormesh(
            np.arange(N_STEPS + 1) - 0.5, edges, values, cmap="RdBu", vmin=-largest, vmax=largest, rasterized=True
        )
        axes.set(xlabel="Time (minutes)", ylabel="Wavelength (µm)", yscale="log", ylim=(edges[0], edges[-1]))
        axes.set_yticks(TICKS_UM, [f"{tick:g}" for tick in TICKS_UM])
        axes.set_yticks([], minor=True)
        axes.set_title(f"Correlation of flux with transit depth, {N_WAVELENGTHS} bands x {N_STEPS} time steps")
        figure.colorbar(image, ax=axes, label="Pearson's r over observations", extend="both")

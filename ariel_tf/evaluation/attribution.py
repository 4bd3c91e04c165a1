"""Which part of the light curves a prediction depends on: occlusion of one band group and block of minutes at a time.

    flux [55, 300] ── the dip of one part is filled ──▶ model ──▶ change of the predicted depth, ppm
                      each part in turn, 12 minutes x a few bands of one instrument

The noise of a part is kept: only its mean level is raised to that of the quiet star (Zeiler & Fergus 2014,
arXiv:1311.2901, cover parts of an image; a part without noise would be unlike any light curve). A model that measures
the depth in a part predicts less without it. Changes are not additive, and a model may also use the level outside the
transit: anything that lowers the quiet level also lowers the depth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ariel_tf.challenge import (
    INSTRUMENTS,
    N_STEPS,
    N_WAVELENGTHS,
    PPM,
    WAVELENGTHS_UM,
    Key,
    band_edges,
    instrument_of,
)
from ariel_tf.core.errors import UsageError
from ariel_tf.core.figures import saved_figure
from ariel_tf.evaluation import panels
from ariel_tf.evaluation.style import MANY, set_title
from ariel_tf.models.composite import row_shape
from ariel_tf.physics.detector import RAMP
from ariel_tf.physics.disturbances import steadied
from ariel_tf.planet import Planet
from ariel_tf.runs.pooling import pools_of
from ariel_tf.runs.predictor import Predictor

BLOCK = 12  # minutes
MOST_BANDS = 7  # of a group
THIRDS = (0, 96, 204, N_STEPS)


@dataclass(frozen=True, eq=False)
class Attribution:
    """The contribution of each part of a planet's light curves to its predicted depths.

    Attributes:
        name: name of the input, such as an observation.
        groups: wavelengths of each part.
        targets: predicted wavelengths.
        depth: predicted depths, ppm, float64 [targets].
        change: change of the predicted depths without the dip of a part, ppm, float64 [groups, blocks, targets].
        flux: float [55, 300], the input; its mean if a row of the model is several observations.
    """

    name: str
    groups: list[list[int]]
    targets: tuple[int, ...]
    depth: np.ndarray
    change: np.ndarray
    flux: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Return the mean change over the predicted wavelengths, ppm, float64 [groups, blocks]."""
        return self.change.mean(axis=-1)


def groups_of(bands: Sequence[int]) -> list[list[int]]:
    """Divide bands into groups of neighbours of one instrument, of about equal size.

    >>> [len(group) for group in groups_of(range(55))]
    [1, 1, 1, 6, 7, 7, 7, 7, 7, 6, 5]
    """
    groups = []
    for one in INSTRUMENTS:
        its = [band for band in bands if one.first <= band < one.stop]
        parts = np.array_split(its, -(-len(its) // MOST_BANDS)) if its else []
        groups += [part.tolist() for part in parts]
    return groups


def without_dip(flux: np.ndarray, bands: Sequence[int], steps: slice) -> np.ndarray:
    """Return light curves whose mean level in some bands and steps is that of the quiet star.

    Args:
        flux: float [..., 55, 300].
        bands: bands of the part.
        steps: steps of the part.
    """
    filled = flux.copy()
    part = filled[..., list(bands), steps]
    dip = (1 - part / RAMP[steps]).mean(axis=-1, keepdims=True)
    filled[..., list(bands), steps] = part + dip * RAMP[steps]
    return filled


def attribution(trained: Predictor, planet: Planet, spot: int = 1, photon: int = 1) -> Attribution:
    """Fill each part's dip in turn, and predict.

    Args:
        trained: any model.
        planet: planet to predict.
        spot, photon: the observation, for a model that predicts single observations; others read all observations of
            the planet, or of the spot.

    Raises:
        UsageError: no such observation.
        DataError: flux or star is out of its bounds.
    """
    name, flux = _row(trained, planet, spot, photon)
    signature = trained.signature
    groups = groups_of(range(N_WAVELENGTHS) if signature.white_light else sorted(signature.inputs))
    blocks = [slice(start, start + BLOCK) for start in range(0, N_STEPS, BLOCK)]
    rows = [flux, *(without_dip(flux, group, steps) for group in groups for steps in blocks)]
    star = np.tile(planet.star, (len(rows), 1))
    size = max(1, 256 // max(1, flux[..., 0, 0].size))
    parts = [
        trained.predict(np.stack(rows[start : start + size]), star[start : start + size], as_frame=False)
        for start in range(0, len(rows), size)
    ]
    depth = PPM * np.square(np.concatenate(parts))
    change = (depth[1:] - depth[0]).reshape(len(groups), len(blocks), -1)
    seen = flux.reshape(-1, N_WAVELENGTHS, N_STEPS).mean(axis=0)
    return Attribution(name, groups, trained.targets, depth[0], change, seen)


def _row(trained: Predictor, planet: Planet, spot: int, photon: int) -> tuple[str, np.ndarray]:
    """Return the model's input for a planet: its name, and float32 [55, 300] or [observations, 55, 300]."""
    count = len(planet.instances)
    if trained.uncertain is not None:
        steady, _ = steadied(planet)  # as for a prediction
        corrected = ", corrected" * (not np.array_equal(steady.flux, planet.flux))
        return f"planet {planet.number:04d}, mean of {count} observations{corrected}", pools_of(steady).flux[0]
    spots, photons = planet.instances.T
    kind = trained.signature.row
    its = np.flatnonzero((kind == "planet") | ((spots == spot) & ((kind == "spot") | (photons == photon))))
    key = Key(planet.number, spot, photon)
    if not len(its):
        raise UsageError(f"planet {planet.number:04d} has no observation {key.name}, but {planet.keys[0].name} ...")
    flux = planet.flux[:, its].transpose(1, 0, 2)
    if kind == "observation":
        return f"observation {key.name}", flux[0]
    expected = row_shape(trained.model)[0]
    if len(its) != expected:
        raise UsageError(f"a row of this model is {expected} observations of a {kind}. Received: {len(its)}")
    return f"planet {planet.number:04d}, {len(its)} observations", flux


def lines(found: Attribution, strongest: int = 5) -> list[str]:
    """Describe the attribution: by instrument and time, and the strongest parts."""
    wavelengths = f"mean of {len(found.targets)} wavelengths" if len(found.targets) > 1 else "one wavelength"
    times = [f"min {first}-{last - 1}" for first, last in pairwise(THIRDS)]
    table = [
        f"{found.name}: predicted depth {found.depth.mean():,.0f} ppm, {wavelengths}",
        "change of the predicted depth where the dip of a part is filled, ppm, added over parts:",
        f"  {'instrument':12s}{'all':>10s}" + "".join(f"{time:>14s}" for time in times),
    ]
    starts = np.arange(found.mean.shape[1]) * BLOCK
    for one in INSTRUMENTS:
        rows = [index for index, group in enumerate(found.groups) if instrument_of(group[0]) == one.name]
        if rows:
            by_block = found.mean[rows].sum(axis=0)
            cells = [by_block[(starts >= low) & (starts < high)].sum() for low, high in pairwise(THIRDS)]
            table.append(f"  {one.name:12s}{by_block.sum():+10,.0f}" + "".join(f"{cell:+14,.0f}" for cell in cells))
    table.append("strongest parts:")
    order = np.argsort(-np.abs(found.mean), axis=None)[:strongest]
    for group, block in zip(*np.unravel_index(order, found.mean.shape), strict=True):
        bands = found.groups[group]
        um = f"{WAVELENGTHS_UM[bands[0]]:.2f}" + f"-{WAVELENGTHS_UM[bands[-1]]:.2f}" * (len(bands) > 1)
        start = block * BLOCK
        table.append(f"  {found.mean[group, block]:+9,.0f}   {um} um, minutes {start}-{start + BLOCK - 1}")
    return table


def as_dictionary(found: Attribution) -> dict[str, Any]:
    """Return the content of `explain --json`."""
    return {
        "what": found.name,
        "wavelengths": found.targets,
        "depth_ppm": found.depth,
        "bands": found.groups,
        "minutes": [[start, start + BLOCK - 1] for start in range(0, N_STEPS, BLOCK)],
        "change_ppm": found.mean,
    }


def draw(found: Attribution, title: str, path: Path) -> None:
    """Draw the mean light curve above the change caused by each part, wavelength by time.

    Args:
        found: attribution to draw.
        title: title above the figure.
        path: PNG, SVG or PDF file to write.
    """
    edges = band_edges()
    read = [band for group in found.groups for band in group]
    reach = np.abs(found.mean).max() or 1.0
    with saved_figure(path, 8, 6) as figure:
        above, below = figure.subplots(2, 1, height_ratios=(1, 2), sharex=True)
        above.plot(panels.MINUTES, (found.flux[read] / RAMP).mean(axis=0), ".", markersize=3, color=MANY)
        above.set(ylabel="Flux without ramp,\nmean of the bands read")
        minutes = np.arange(0, N_STEPS + BLOCK, BLOCK) - 0.5
        for group, row in zip(found.groups, found.mean, strict=True):
            sides = [edges[group[0], 0], edges[group[-1], 1]]
            image = below.pcolormesh(minutes, sides, row[None], cmap="RdBu", vmin=-reach, vmax=reach)
        below.set(xlabel="Time (minutes)", ylabel=panels.WAVELENGTH, yscale="log")
        ticks = [tick for tick in (0.5, 0.7, 1, 1.5, 2, 3, 4, 6, 8) if edges[read[0], 0] <= tick <= edges[read[-1], 1]]
        below.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        below.set_yticks([], minor=True)
        figure.colorbar(image, ax=below, label="Change of the predicted depth\nwithout this dip (ppm)")
        set_title(figure, title)

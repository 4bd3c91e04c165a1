"""Statistics that a data set's sums can't give: one pass over the training rows, and what it found is kept.

Over rows in memory a pass takes seconds. Over rows that stream it reads the whole data set once more, so the result
stays in the user's cache folder (`$XDG_CACHE_HOME/ariel_tf`, by default `~/.cache/ariel_tf`) under a digest of the
data's fingerprint, of the planets, and of all that decides which rows there are and what is done to them.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ariel_tf.challenge import N_STEPS
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.archives import UNREADABLE
from ariel_tf.core.atomic_files import replacing
from ariel_tf.data.selection import Selection
from ariel_tf.data.sources import Source
from ariel_tf.data.statistics import Moments, Statistics
from ariel_tf.models import transforms, yeo_johnson
from ariel_tf.models.yeo_johnson import Power

# Flux that a power transform is fitted to: 27,000 rows of one light curve.
FITTED_BYTES = 32 << 20
# Raised whenever the same rows give other statistics, so that none of an earlier version is taken.
VERSION = 1
# How statistics are stored: the fields of each by name.
KINDS = {"flux": Statistics, "power": Power}


def flux_pass(batches: Iterable[np.ndarray], count: int, config: TrainConfig) -> dict[str, Any]:
    """Statistics of flux that is shaped before it is scaled, in one pass.

    Args:
        batches: raw flux [b, ..., 300, channels].
        count: rows in all of them.
        config: resolved; says what is done to the flux before it is scaled.

    Returns:
        "flux", `Statistics` of the shaped flux over all rows, and for Yeo-Johnson "power", fitted to evenly
        chosen rows, to all where they are few.
    """
    moments: Moments | None = None
    kept: list[np.ndarray] = []
    every, row = 1, 0
    for batch in batches:
        shaped = np.asarray(transforms.shape_flux(batch, range(N_STEPS), config.ramp, config.function))
        own = Moments.of(shaped)
        moments = own if moments is None else moments.merged(own)
        every = max(1, -(-count * shaped[0].nbytes // FITTED_BYTES))
        kept.append(shaped[-row % every :: every])
        row += len(shaped)
    assert moments is not None
    statistics = moments.statistics()
    if config.transform != "yeo-johnson":
        return {"flux": statistics}
    spread = np.where(statistics.std > 0, statistics.std, 1.0)
    return {"flux": statistics, "power": yeo_johnson.fit((np.concatenate(kept) - statistics.mean) / spread)}


def cached_flux_pass(
    batches: Iterable[np.ndarray], count: int, config: TrainConfig, source: Source, selection: Selection
) -> dict[str, Any]:
    """As `flux_pass`, or what an earlier process has kept of the very same pass; then nothing is read.

    Args:
        source: of the rows; may hold a part of a data set's planets.
        selection: which rows.
    """
    path = _place(source, selection, config)
    found = _read(path) if path else None
    if found is None:
        found = flux_pass(batches, count, config)
        if path:
            with contextlib.suppress(OSError):  # a home that can't be written to costs another pass, no training
                path.parent.mkdir(parents=True, exist_ok=True)
                _write(path, found)
    return found


def _place(source: Source, selection: Selection, config: TrainConfig) -> Path | None:
    """The file of a pass in the user's cache folder; None for a user who has none, as in some containers."""
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not os.path.isabs(folder) and folder.startswith("~"):
        return None
    planets = sorted(planet for planet, fold in source.folds.items() if fold in selection.folds)
    what = [VERSION, FITTED_BYTES, source.fingerprint, planets, dataclasses.asdict(selection)]
    what += [config.ramp, config.function, config.transform == "yeo-johnson"]
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
    return Path(folder) / "ariel_tf" / f"{digest[:32]}.npz"


def _write(path: Path, found: dict[str, Any]) -> None:
    arrays = {
        f"{name}.{part}": getattr(statistics, part) for name, statistics in found.items() for part in _parts(name)
    }
    with replacing(path) as temporary:
        np.savez(temporary, **arrays)


def _read(path: Path) -> dict[str, Any] | None:
    """What was kept; None where nothing was, or where it is damaged (a zip file knows the sums of its members)."""
    try:
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
            found: dict[str, Any] = {}
            for name in dict.fromkeys(name.partition(".")[0] for name in arrays):
                parts = {part: arrays[f"{name}.{part}"] for part in _parts(name)}
                if "count" in parts:
                    parts["count"] = int(parts["count"])
                found[name] = KINDS[name](**parts)
    except UNREADABLE:
        return None
    return found or None


def _parts(name: str) -> tuple[str, ...]:
    return Power._fields if name == "power" else tuple(field.name for field in dataclasses.fields(Statistics))

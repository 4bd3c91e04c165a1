"""Statistics that a data set's sums cannot give: one pass over the training rows, with a cached result.

Over rows in memory a pass takes seconds. Over streamed rows it reads the whole data set once more, so the result is
cached in the user's cache folder (`$XDG_CACHE_HOME/ariel_tf`, by default `~/.cache/ariel_tf`) under a digest of the
data's fingerprint, of the planets, and of all options that determine the rows and their transforms.
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

# Amount of flux to which a power transform is fitted: 27,000 rows of one light curve.
FITTED_BYTES = 32 << 20
# Increased whenever the same rows give other statistics, so that results of an earlier version are not used.
VERSION = 1
# Form in which statistics are stored: the fields of each by name.
KINDS = {"flux": Statistics, "power": Power}


def flux_pass(batches: Iterable[np.ndarray], count: int, config: TrainConfig) -> dict[str, Any]:
    """Return statistics of flux that is shaped before it is scaled, from one pass.

    Args:
        batches: raw flux [b, ..., 300, channels].
        count: number of rows in all of them.
        config: resolved configuration, with the transforms of the flux before it is scaled.

    Returns:
        "flux", `Statistics` of the shaped flux over all rows, and for Yeo-Johnson "power", fitted to evenly chosen
        rows, or to all if there are few.
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
    """Like `flux_pass`, or the cached result of the same pass by an earlier process; then nothing is read.

    Args:
        source: source of the rows; may hold a part of a data set's planets.
        selection: rows of the pass.
    """
    path = _place(source, selection, config)
    found = _read(path) if path else None
    if found is None:
        found = flux_pass(batches, count, config)
        if path:
            with contextlib.suppress(OSError):  # without a writable cache the next training repeats the pass
                path.parent.mkdir(parents=True, exist_ok=True)
                _write(path, found)
    return found


def _place(source: Source, selection: Selection, config: TrainConfig) -> Path | None:
    """Return the file of a pass in the user's cache folder; None for a user without one, as in some containers."""
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
    """Return the cached result; None if there is none or it is damaged (zip files contain checksums)."""
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

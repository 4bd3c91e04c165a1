"""Measured rows of a simulated stream, in files: the training data of the network in `models.spectrum`.

    OUT/measured/settings.json     settings of the stream
                 00000.npz ...     a block of rows each: features and related values, targets; written atomically

The measurement of a light curve has no trained parameters, so each row is measured once, by worker processes, and read
in every epoch. Block i depends only on the seed and i: a stopped command resumes, and a longer one adds blocks.
"""

import multiprocessing
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ariel_tf.core.archives import UNREADABLE
from ariel_tf.core.atomic_files import read_json, replacing, write_json
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.physics.population import draw_population
from ariel_tf.physics.priors import Priors
from ariel_tf.physics.stream import Stream
from ariel_tf.runs.domain import depth_range, star_ranges

BLOCK_ROWS = 2048
# Orbits, spots, noise and sizes far beyond the default population, so that the model is robust there.
WIDE = Priors(
    impact_high=1.1, duration_low=20.0, duration_high=280.0, duration_widest=290.0, spot_fill_median=0.05,
    limb_darkening_spread=0.16, noise_spread=0.4, giant_spread=0.4, small_spread=0.7, relative_radius_low=0.008,
)  # fmt: skip
# Very extended atmospheres: rare, with large depths.
EXTENDED = Priors(extended_share=0.9, small_radius=2.2)
PRIORS = ((0.82, Priors()), (0.14, WIDE), (0.04, EXTENDED))
SETTINGS = "settings.json"
_MEASURED_AT_ONCE = 256
_SINGLE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


def training_stream(seed: int, rows: int = BLOCK_ROWS) -> Stream:
    """Return the stream on which the shipped model is trained."""
    return Stream(seed, rows, priors=PRIORS)


def trained_on(stream: Stream, planets: int = 20_000) -> dict[str, list[float]]:
    """Return ranges of a stream's planets, as in `runs.domain`."""
    rng = np.random.default_rng(stream.seed)
    drawn = [draw_population(rng, max(1, round(planets * share)), priors) for share, priors in stream.priors]
    star, radii = np.concatenate([one.star for one in drawn]), np.concatenate([one.radii for one in drawn])
    return star_ranges(star.min(axis=0), star.max(axis=0)) | depth_range(radii)


def validation_streams(seed: int, rows: int = BLOCK_ROWS) -> dict[str, Stream]:
    """Return streams of fixed pools from the default population, by name: 1, 8, 10 and 100 observations."""
    return {
        "1": Stream(seed + 10_001, rows, pool=1),
        "10 of one spot": Stream(seed + 10_002, rows, pool=10),
        "8 of 4 spots": Stream(seed + 10_003, rows, pool=8, instances=4),
        "100 of 10 spots": Stream(seed + 10_004, rows, pool=100, instances=10),
    }


def measure_block(stream: Stream, index: int) -> dict[str, np.ndarray]:
    """Return a block's rows by the names of `spectrum.Measured`, and their targets, "radii" and "impact_true".

    Rows whose measurement is not finite are left out.
    """
    from ariel_tf.models.spectrum import Measured

    model = measuring_model()
    flux, star, radii, impact = stream.block(index)
    parts = [
        model.predict_on_batch([flux[start : start + _MEASURED_AT_ONCE], star[start : start + _MEASURED_AT_ONCE]])
        for start in range(0, len(flux), _MEASURED_AT_ONCE)
    ]
    rows = {name: np.concatenate([part[place] for part in parts]) for place, name in enumerate(Measured._fields)}
    rows |= {"radii": radii, "impact_true": impact[:, None]}
    finite = np.all([np.isfinite(values).all(axis=1) for values in rows.values()], axis=0)
    return {name: np.asarray(values[finite], np.float32) for name, values in rows.items()}


def measuring_model() -> Any:
    """Return the model from flux and star to the measured values, built once per process."""
    if "model" not in _MODELS:
        import keras

        from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, STAR_NAMES
        from ariel_tf.models.spectrum import measure

        flux, star = keras.Input((N_STEPS, N_WAVELENGTHS)), keras.Input((len(STAR_NAMES),))
        _MODELS["model"] = keras.Model([flux, star], list(measure(flux, star)))
    return _MODELS["model"]


_MODELS: dict[str, Any] = {}


def write_blocks(folder: Path, stream: Stream, blocks: int, workers: int) -> Iterator[int]:
    """Measure the missing blocks; yields the number of rows of each as it is written.

    Args:
        folder: folder of the files; created.
        stream: stream of the rows.
        blocks: total number of blocks.
        workers: number of processes.

    Raises:
        UsageError: the folder contains rows of another stream.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"stream": repr(stream)}
    if (folder / SETTINGS).exists():
        if read_json(folder / SETTINGS, dict) != settings:
            raise UsageError(f"{folder}: expected rows of the same seed and priors, found others; give another folder.")
    else:
        write_json(folder / SETTINGS, settings)
    absent = [index for index in range(blocks) if not block_path(folder, index).is_file()]
    if not absent:
        return
    task = partial(_write_block, folder, stream)
    if workers == 1:
        yield from map(task, absent)
        return
    environment = {name: os.environ.get(name) for name in _SINGLE_THREAD}
    os.environ.update(_SINGLE_THREAD)  # for the workers, which share the cores
    try:
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            futures = [pool.submit(task, index) for index in absent]
            try:
                for future in as_completed(futures):
                    yield future.result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
    finally:
        for name, value in environment.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def block_path(folder: Path, index: int) -> Path:
    """Return the file of a block."""
    return folder / f"{index:05d}.npz"


def _write_block(folder: Path, stream: Stream, index: int) -> int:
    rows = measure_block(stream, index)
    with replacing(block_path(folder, index)) as temporary, open(temporary, "wb") as file:
        np.savez(file, **rows)  # type: ignore[arg-type]
    return len(rows["radii"])


def read_blocks(folder: Path, blocks: int) -> dict[str, np.ndarray]:
    """Return the rows of all blocks, concatenated.

    Raises:
        DataError: a block is damaged; names the file.
    """
    from ariel_tf.models.spectrum import Measured

    names = {*Measured._fields, "radii", "impact_true"}
    parts: list[Mapping[str, np.ndarray]] = []
    for index in range(blocks):
        path = block_path(folder, index)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
                if {*found.files} != names:  # a damaged list of members may be a shorter one
                    raise ValueError(f"it holds {', '.join(found.files) or 'no array'}")
                parts.append({name: found[name] for name in found.files})
                if any(np.ndim(values) != 2 for values in parts[-1].values()):
                    raise ValueError("it holds arrays of another shape")
        except UNREADABLE as error:
            raise DataError(
                f"{path}: cannot be read ({' '.join(str(error).split())[:200]}); remove it, and repeat the command."
            ) from error
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

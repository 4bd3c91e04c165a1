"""Planets directly from challenge text files: nothing is converted first, and few planets are in memory at a time.

Text is parsed on every read, about 500 files per second and core. A training whose rows fit into memory reads them
once; for larger ones, and for many trainings, `pipelines.convert` makes shards of the same planets and folds.
"""

import hashlib
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data import records
from ariel_tf.data.folds import assign_folds
from ariel_tf.data.selection import Selection
from ariel_tf.data.sources.subset import SourceBase
from ariel_tf.data.statistics import Statistics, Sums
from ariel_tf.data.text.discovery import PlanetFiles, find_files, group, no_folder, refuse_other_kind
from ariel_tf.data.text.planet import read_planet
from ariel_tf.planet import Planet

# Planets read in parallel, each of up to 7 MB; parsing releases Python's lock for most of its time.
PARALLEL = 4


class TextSource(SourceBase):
    """Challenge text files AAAA_BB_CC.txt in a folder and its subfolders.

    Args:
        folder: folder of light curves, `noisy_train` or `noisy_test`.
        params: folder of the targets, `params_train`; without it radii are unknown.

    Raises:
        UsageError: no such folder.
        DataError: no light curves, files of another name, or a repeated observation.
    """

    def __init__(self, folder: Path | str, params: Path | str | None = None):
        for path in (folder, params):
            if path is not None and not Path(path).is_dir():
                raise UsageError(f"{path}: {no_folder(Path(path))}.")
        light_curves = find_files(Path(folder))
        refuse_other_kind(folder, light_curves, params=False)
        targets = None if params is None else find_files(Path(params))
        if params is not None and targets is not None:
            refuse_other_kind(params, targets, params=True)
        tasks, faults = group(light_curves, targets)
        faults = [*light_curves.faults, *(targets.faults if targets else ()), *faults]
        if faults or not tasks:
            found = f"found {len(faults)} that are not" if faults else "found none"
            raise DataError(f"{folder}: expected light curves AAAA_BB_CC.txt, {found}.", list(map(str, faults)))
        self.description = f"text files in {folder}"
        self.labelled = params is not None
        self._folds = assign_folds((task.number for task in tasks), seed=0)
        self._tasks = tasks
        stamps = repr([sorted(found.stamps.items()) for found in (light_curves, targets) if found is not None])
        self._sums: dict[int, Sums] = {}
        self.fingerprint = hashlib.sha256(stamps.encode()).hexdigest()

    @property
    def folds(self) -> Mapping[int, int]:
        return self._folds

    def observations(self, folds: Sequence[int]) -> int:
        return sum(len(task.light_curves) for task in self._tasks if self.folds[task.number] in folds)

    def keys(self, folds: Sequence[int]) -> np.ndarray:
        """Like `Source.keys`, from the names of the files."""
        keys = [key for task in self._tasks if self.folds[task.number] in folds for key in task.light_curves]
        return np.array(sorted(keys), np.int32).reshape(-1, 3)

    def statistics(self, folds: Sequence[int]) -> Mapping[str, Statistics]:
        """Like `Source.statistics`; reads the planets of those folds that were not read before."""
        for _ in self.planets([fold for fold in folds if fold not in self._sums]):
            pass
        sums = Sums()
        for fold in sorted(set(folds)):
            sums.merge(self._sums.get(fold, Sums()))
        return sums.choose(folds)

    def planets(self, folds: Sequence[int]) -> Iterator[Planet]:
        """Like `Source.planets`, in ascending order."""
        tasks = [task for task in self._tasks if self.folds[task.number] in folds]
        sums: dict[int, Sums] = {fold: Sums() for fold in folds if fold not in self._sums}
        for planet in self._read(tasks):
            fold = self.folds[planet.number]
            if fold in sums:
                sums[fold].add(planet, fold)
            yield planet
        self._sums |= sums  # of whole folds, in ascending order of planets, so that rounding is always the same

    def planet(self, number: int) -> Planet | None:
        """Like `Source.planet`; reads its files."""
        return next(self._read([task for task in self._tasks if task.number == number]), None)

    def _read(self, tasks: Sequence[PlanetFiles]) -> Iterator[Planet]:
        """Yield the planets in this order; a few are read ahead."""
        with ThreadPoolExecutor(min(PARALLEL, os.cpu_count() or 1)) as pool:
            ahead: deque[Any] = deque()
            try:
                for task in tasks:
                    ahead.append(pool.submit(read_planet, task, skip_bad=False))
                    if len(ahead) >= PARALLEL:
                        yield self._sound(ahead.popleft().result())
                while ahead:
                    yield self._sound(ahead.popleft().result())
            finally:
                pool.shutdown(cancel_futures=True)

    def _sound(self, read: Any) -> Planet:
        if read.planet is None or read.faults:
            bad = f"{self.description}: planet {read.number:04d} could not be read; mend or remove its files."
            self.failure = DataError(bad, list(map(str, read.faults)))
            raise self.failure
        return read.planet

    def records(self, selection: Selection, order: tf.Tensor | None = None) -> tf.data.Dataset:
        inputs, white = selection.signature.inputs, selection.signature.white_light

        def planets(*seed: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
            if seed:
                tasks = [task for task in self._tasks if self.folds[task.number] in selection.folds]
                shuffled = np.random.default_rng(seed[0].view(np.uint32)).permutation(len(tasks))
                found = self._read([tasks[place] for place in shuffled])
            else:
                found = self.planets(selection.folds)
            return (records.as_record(planet, inputs, white) for planet in found)

        specs = records.specs(inputs, white)
        return tf.data.Dataset.from_generator(planets, output_signature=specs, args=() if order is None else (order,))

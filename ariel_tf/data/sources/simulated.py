"""Planets from the simulator, simulated on opening and held in memory: no data set needed."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from ariel_tf.challenge import N_STEPS
from ariel_tf.core import resources
from ariel_tf.core.errors import UsageError
from ariel_tf.data import arrays, records
from ariel_tf.data.folds import assign_folds
from ariel_tf.data.graph import as_written
from ariel_tf.data.held_rows import HeldRows
from ariel_tf.data.selection import Selection
from ariel_tf.data.sources.base import SIMULATED
from ariel_tf.data.sources.subset import SourceBase
from ariel_tf.data.statistics import Statistics, Sums
from ariel_tf.physics import simulator
from ariel_tf.planet import Planet

PARALLEL = 4
# Share of the free memory that may be used: training needs memory too.
SHARE = 0.7
# Upper bounds, since a description may come from an untrusted file. Folds of a million planets take seconds.
MOST = {"planets": 1_000_000, "spots": 1000, "photons": 1000, "seed": 2**63 - 1}


def numbers_of(description: str) -> Iterator[tuple[str, str, int | None]]:
    """Return settings of a description like `simulated:planets=40,seed=7`: each whole, its name, its value."""
    for setting in filter(None, description.partition(":")[2].split(",")):
        name, _, text = setting.partition("=")
        yield setting, name, int(text) if re.fullmatch("[0-9]{1,19}", text) else None


def described(kind: str, numbers: Mapping[str, int]) -> str:
    """Return the description that `numbers_of` reads."""
    return f"{kind}:" + ",".join(f"{name}={value}" for name, value in numbers.items())


@dataclass(frozen=True)
class Recipe:
    """Numbers of planets, spot instances and photon-noise instances, and the seed."""

    planets: int = 1000
    spots: int = 4
    photons: int = 2
    seed: int = 0

    @classmethod
    def parse(cls, description: str) -> Self:
        """Parse `simulated` or `simulated:planets=40,spots=2,photons=2,seed=7`."""
        values: dict[str, int] = {}
        for setting, name, value in numbers_of(description):
            if name not in cls.__dataclass_fields__ or value is None or value < (0 if name == "seed" else 1):
                raise UsageError(
                    f"--data {description}: expected settings among planets, spots, photons (1 or more) and seed, "
                    f"like simulated:planets=40,seed=7. Received: {setting}"
                )
            values[name] = value
            if value > MOST[name]:
                raise UsageError(f"--data {description}: expected {name} of {MOST[name]} at most. Received: {value}")
        return cls(**values)

    def __str__(self) -> str:
        return described(SIMULATED, asdict(self))


class SimulatedSource(SourceBase):
    """Planets simulated when the source is opened; only the requested wavelengths stay in memory.

    Args:
        recipe: numbers of planets and instances.
        wavelengths: wavelengths that will be read.
        quiet: whether to suppress the progress bar.
    """

    labelled = True

    def __init__(self, recipe: Recipe, wavelengths: Sequence[int], quiet: bool = False):
        self.description, self._recipe = str(recipe), recipe
        self._wavelengths = list(wavelengths)
        self._instances = recipe.spots * recipe.photons
        self._refuse_too_many()
        self._folds = assign_folds(range(1, recipe.planets + 1), recipe.seed)
        facts = {"simulator": simulator.VERSION, "priors": asdict(simulator.Priors()), **asdict(recipe)}
        self.fingerprint = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        self._sums = Sums()
        bar = tqdm(self.folds, "simulating", unit=" planets", disable=True if quiet else None, leave=False)
        table: dict[str, np.ndarray] = {}
        for index, number in enumerate(bar):
            planet = self._simulate(recipe, number)
            if not table:
                table = {name: arrays.empty((len(bar), *part.shape), part.dtype) for name, part in planet.items()}
            for name, part in planet.items():
                table[name][index] = part
        self._arrays = table
        self._table = {name: arrays.as_tensor(values) for name, values in table.items()}  # the same memory

    @property
    def folds(self) -> Mapping[int, int]:
        return self._folds

    @classmethod
    def from_description(cls, description: str, wavelengths: Sequence[int]) -> Self:
        return cls(Recipe.parse(description), wavelengths)

    def _refuse_too_many(self) -> None:
        recipe, free = self._recipe, resources.free_memory()
        needed = 4 * N_STEPS * self._instances * recipe.planets * (len(self._wavelengths) + 1)
        if needed > SHARE * free:
            raise UsageError(
                f"--data {self.description}: its light curves take {resources.format_bytes(needed)} of memory, and "
                f"{resources.format_bytes(free)} are free. Write them to a disk, and read them with --data DATA: "
                "python -m pipelines.simulate DATA "
                + " ".join(f"--{name} {value}" for name, value in asdict(recipe).items())
            )

    def _simulate(self, recipe: Recipe, number: int) -> dict[str, np.ndarray]:
        planet = simulator.simulate_planet(recipe.seed, number, recipe.spots, recipe.photons)
        self._sums.add(planet, self.folds[number])
        return records.as_record(planet, self._wavelengths, white=True)

    def observations(self, folds: Sequence[int]) -> int:
        return self._instances * len(self._of(folds))

    def _of(self, folds: Sequence[int]) -> np.ndarray:
        return np.flatnonzero(np.isin(list(self.folds.values()), list(folds)))

    def statistics(self, folds: Sequence[int]) -> Mapping[str, Statistics]:
        return self._sums.choose(folds)

    def records(self, selection: Selection, order: tf.Tensor | None = None) -> tf.data.Dataset:
        columns = [self._wavelengths.index(wavelength) for wavelength in selection.signature.inputs]
        white = selection.signature.white_light
        chosen = tf.constant(self._of(selection.folds), tf.int32)
        if order is not None:
            chosen = tf.random.experimental.stateless_shuffle(chosen, seed=order)

        @as_written
        def planet(index: tf.Tensor) -> dict[str, tf.Tensor]:
            record = {name: tf.gather(values, index) for name, values in self._table.items()}
            return records.narrow(record, columns, white)

        return tf.data.Dataset.from_tensor_slices(chosen).map(planet, PARALLEL)

    def held(self, selection: Selection) -> HeldRows:
        return HeldRows(self._arrays, self._wavelengths, selection.signature, self._of(selection.folds))

    def planets(self, folds: Sequence[int]) -> Iterator[Planet]:
        """Yield each planet of these folds, simulated again: only the requested wavelengths are in memory."""
        recipe = self._recipe
        for number, fold in self.folds.items():
            if fold in folds:
                yield simulator.simulate_planet(recipe.seed, number, recipe.spots, recipe.photons)

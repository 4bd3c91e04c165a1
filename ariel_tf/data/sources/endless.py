"""An endless source: each epoch of a training draws new planets from the simulator while the training runs.

    simulator:rows=20000,seed=1
        training folds 0-7    `rows` newly drawn rows per epoch: planets, each `draws` times as the mean of a pool of
                              its observations
        folds 8 and 9         `planets` fixed planets with spots x photons observations each, of another seed

Row r of epoch e depends only on seed, e and r, so that a resumed training reads the same rows as an uninterrupted one.
Threads prepare blocks of rows ahead; NumPy lets them run in parallel with each other and with TensorFlow.
"""

import dataclasses
import hashlib
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
import tensorflow as tf

from ariel_tf.core import resources
from ariel_tf.core.errors import UsageError
from ariel_tf.data import records
from ariel_tf.data.graph import as_written
from ariel_tf.data.held_rows import HeldRows
from ariel_tf.data.selection import Selection, Signature
from ariel_tf.data.sources.base import ENDLESS, Source
from ariel_tf.data.sources.simulated import Recipe, SimulatedSource, described, numbers_of
from ariel_tf.data.sources.subset import SourceBase
from ariel_tf.data.statistics import Statistics, Sums
from ariel_tf.physics import simulator
from ariel_tf.physics.stream import LARGEST_POOL, Block, Stream
from ariel_tf.planet import Planet, band_scatter, white_light

BLOCK_ROWS = 256
STREAMED = tuple(range(8))  # folds; 8 and 9 hold the fixed planets
SAMPLE = 2048  # rows from which the statistics of the training folds are computed
_HELD_OUT = 1 << 40  # added to the seed of the fixed planets
_AHEAD = 2  # blocks that each thread prepares ahead
# Lowest and highest values of the settings.
BOUNDS = {
    "rows": (10, 1_000_000), "seed": (0, 2**40 - 1), "draws": (1, 64), "pool": (0, LARGEST_POOL),
    "planets": (10, 100_000), "spots": (1, 99), "photons": (1, 99),
}  # fmt: skip


@dataclass(frozen=True)
class EndlessRecipe:
    """Settings of the source.

    Attributes:
        rows: rows per epoch.
        seed: seed of everything that is drawn.
        draws: rows with the same planet and different noise: simulating a planet costs ten times as much as its noise.
        pool: number of observations averaged in a row; 0 for 1 to 100 at random, where a fifth of the rows have one.
        planets: number of fixed planets, half to select the best epoch and half for the test.
        spots, photons: instances of each fixed planet.
    """

    rows: int = 20_000
    seed: int = 0
    draws: int = 8
    pool: int = 0
    planets: int = 200
    spots: int = 4
    photons: int = 2

    @classmethod
    def parse(cls, description: str) -> Self:
        """Parse `simulator` or `simulator:rows=20000,seed=1`."""
        values: dict[str, int] = {}
        for setting, name, value in numbers_of(description):
            low, high = BOUNDS.get(name, (1, 0))
            if value is None or not low <= value <= high:
                known = ", ".join(f"{name} ({low:,} to {high:,})" for name, (low, high) in BOUNDS.items())
                raise UsageError(f"--data {description}: expected settings among {known}. Received: {setting}")
            values[name] = value
        return cls(**values)

    def __str__(self) -> str:
        return described(ENDLESS, asdict(self))


class EndlessSource(SourceBase):
    """A source whose training folds are drawn anew in each epoch.

    Args:
        recipe: settings of the source.
        wavelengths: wavelengths to read.
        quiet: whether to suppress the progress bar.
    """

    labelled = True
    endless = True

    def __init__(self, recipe: EndlessRecipe, wavelengths: Sequence[int], quiet: bool = False):
        self.description, self._recipe = str(recipe), recipe
        self._wavelengths = list(wavelengths)
        held = Recipe(recipe.planets, recipe.spots, recipe.photons, recipe.seed + _HELD_OUT)
        self._held = SimulatedSource(held, wavelengths, quiet)
        self._stream = Stream(recipe.seed, max(1, BLOCK_ROWS // recipe.draws), pool=recipe.pool or None)
        self._rows = self._stream.rows * recipe.draws  # of a block
        self._folds = {row + 1: row % len(STREAMED) for row in range(recipe.rows)}
        self._folds |= {recipe.rows + number: _held_fold(fold) for number, fold in self._held.folds.items()}
        facts = {"simulator": simulator.VERSION, "stream": repr(self._stream), **asdict(recipe)}
        self.fingerprint = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        self._sampled: Sums | None = None

    @classmethod
    def from_description(cls, description: str, wavelengths: Sequence[int]) -> Self:
        return cls(EndlessRecipe.parse(description), wavelengths)

    @property
    def folds(self) -> Mapping[int, int]:
        return self._folds

    def observations(self, folds: Sequence[int]) -> int:
        return len(self._streamed(folds)) + self._held.observations(_held_folds(folds))

    def statistics(self, folds: Sequence[int]) -> Mapping[str, Statistics]:
        """Like `Source.statistics`; those of the training folds come from a sample of their rows."""
        streamed = [fold for fold in folds if fold in STREAMED]
        if streamed and len(streamed) < len(folds):
            raise UsageError(
                f"--data {self.description}: folds 0-7 are drawn anew and 8, 9 are fixed; received {folds}."
            )
        if not streamed:
            return self._held.statistics(_held_folds(folds))
        if self._sampled is None:
            self._sampled = Sums()
            for planet in self._first(np.arange(1, min(SAMPLE, self._recipe.rows) + 1)):
                self._sampled.add(planet, self._folds[planet.number])
        return self._sampled.choose(streamed)

    def subset(self, folds: Sequence[int], planets: int, signature: Signature) -> Source:
        if planets:
            raise UsageError(f"--planets: {self.description} draws planets without end; give rows= instead.")
        return self

    def records(self, selection: Selection, order: tf.Tensor | None = None) -> tf.data.Dataset:
        columns = [self._wavelengths.index(wavelength) for wavelength in selection.signature.inputs]
        white = selection.signature.white_light
        parts = []
        if numbers := self._streamed(selection.folds).tolist():
            parts.append(self._stream_records(np.array(numbers, np.int32), order))
        if held := _held_folds(selection.folds):
            chosen = Selection(held, Signature((), tuple(self._wavelengths), white_light=True))
            parts.append(self._held.records(chosen, order).map(as_written(self._numbered)))
        joined = parts[0] if len(parts) == 1 else parts[0].concatenate(parts[1])
        return joined.map(as_written(lambda record: records.narrow(record, columns, white)))

    def held(self, selection: Selection) -> HeldRows | None:
        """Like `Source.held`; None if planets of the training folds are selected."""
        if len(self._streamed(selection.folds)):
            return None
        chosen = Selection(_held_folds(selection.folds), selection.signature)
        return self._held.held(chosen).shifted(self._recipe.rows)

    def _numbered(self, record: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return record | {"planet": record["planet"] + self._recipe.rows}

    def _stream_records(self, numbers: np.ndarray, order: tf.Tensor | None) -> tf.data.Dataset:
        specs = records.specs(self._wavelengths, white=True)
        several = {name: tf.TensorSpec([None, *spec.shape], spec.dtype) for name, spec in specs.items()}
        epoch = tf.constant(0) if order is None else order[1]
        blocks = tf.data.Dataset.from_generator(
            lambda number: self._blocks(int(number), numbers), output_signature=several, args=(epoch,)
        )
        return blocks.unbatch()

    def _blocks(self, epoch: int, numbers: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
        """Return records of these rows of an epoch, a block at a time, in order."""
        blocks = np.unique((numbers - 1) // self._rows)
        threads = max(1, resources.available_cpus())
        with ThreadPoolExecutor(threads, thread_name_prefix="simulator") as pool:
            waiting = deque(pool.submit(self._block, epoch, block) for block in blocks[: threads * _AHEAD].tolist())
            for block in blocks[threads * _AHEAD :].tolist() + [None] * len(waiting):
                made = waiting.popleft().result()
                if block is not None:
                    waiting.append(pool.submit(self._block, epoch, block))
                chosen = np.isin(made["planet"], numbers)
                yield {name: values[chosen] for name, values in made.items()}

    def _block(self, epoch: int, block: int) -> dict[str, np.ndarray]:
        """Return a block's rows as stacked records."""
        made = self._stream.drawn(self._index(epoch, block), self._recipe.draws)
        flux = np.ascontiguousarray(made.flux.transpose(2, 0, 1))
        scatter = band_scatter(flux)
        columns = self._wavelengths
        return {
            "planet": (1 + block * self._rows + np.arange(len(made.star))).astype(np.int32),
            "instances": np.ones((len(made.star), 1, 2), np.int32),
            "star": made.star.astype(np.float32),
            "radii": made.radii[:, columns].astype(np.float32),
            "scatter": scatter[:, None, columns],
            "flux": np.ascontiguousarray(flux[columns].transpose(1, 0, 2)[:, :, None]),
            "white": white_light(flux, scatter)[:, None],
        }

    def _index(self, epoch: int, block: int) -> int:
        return epoch * -(-self._recipe.rows // self._rows) + block

    def _first(self, numbers: np.ndarray) -> Iterator[Planet]:
        """Return the planets of these numbers in the first epoch."""
        wanted = set(numbers.tolist())
        for block in np.unique((numbers - 1) // self._rows).tolist():
            made = self._stream.drawn(self._index(0, block), self._recipe.draws)
            for row in range(len(made.star)):
                if (number := 1 + block * self._rows + row) in wanted:
                    yield _planet(number, made, row)

    def _streamed(self, folds: Sequence[int]) -> np.ndarray:
        numbers = np.arange(self._recipe.rows)
        return numbers[np.isin(numbers % len(STREAMED), [fold for fold in folds if fold in STREAMED])] + 1

    def planets(self, folds: Sequence[int]) -> Iterator[Planet]:
        """Yield planets of the first epoch, and the fixed ones, simulated again."""
        if len(streamed := self._streamed(folds)):
            yield from self._first(streamed)
        for planet in self._held.planets(_held_folds(folds)):
            yield dataclasses.replace(planet, number=planet.number + self._recipe.rows)


def _planet(number: int, made: Block, row: int) -> Planet:
    flux = made.flux[row].T[:, None]
    star, radii = (values[row].astype(np.float64) for values in (made.star, made.radii))
    return Planet.from_observations(number, np.ones((1, 2), np.int32), star, flux, radii=radii)


def _held_fold(fold: int) -> int:
    """Return the folds of the fixed planets: one half of the ten folds becomes fold 8, the other fold 9."""
    return 8 + fold % 2


def _held_folds(folds: Sequence[int]) -> tuple[int, ...]:
    return tuple(fold for fold in range(10) if _held_fold(fold) in folds)

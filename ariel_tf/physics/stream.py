"""Endless rows for training: block i of a stream depends only on its seed and i, and can be made in any process.

A row is one planet, as the mean of a pool of its observations:

    most rows    1 to 100 photon-noise instances of one spot instance
    the others   1 to 100 observations, distributed at random over ten spot instances
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.physics.light_curves import Rows, flux_of, rows_of
from ariel_tf.physics.population import SpotMaps, draw_population, draw_spot_maps
from ariel_tf.physics.priors import Priors

INSTANCES = 10  # spot instances of a planet of the challenge
LARGEST_POOL = 100  # its observations
# In some rows this many bands have this many times their noise: practically dead, as in real data.
NOISY_ROWS, NOISY_BANDS, NOISY = 0.03, 0.06, 30.0
_MOST_SPOTS = 128  # near the path, of all instances of a pool
_BLOCK, _NOISE = 7, 9  # separate the random numbers from the simulator's, and the noise from the rest


class Block(NamedTuple):
    """Rows of a stream: flux float32 [n, 300, 55], star float32 [n, 6], radii float32 [n, 55], impact float32 [n]."""

    flux: np.ndarray
    star: np.ndarray
    radii: np.ndarray
    impact: np.ndarray


@dataclass(frozen=True)
class Stream:
    """Settings of a stream.

    Attributes:
        seed: seed of the whole stream.
        rows: rows of a block.
        mixed: share of rows whose pool holds several spot instances.
        single: share of rows that are one observation.
        pool: observations of every row's pool, divided evenly among `instances`; None for random pools.
        instances: spot instances, with `pool`.
        priors: shares of the rows, and their priors.
    """

    seed: int
    rows: int = 1024
    mixed: float = 0.25
    single: float = 0.2
    pool: int | None = None
    instances: int = 1
    priors: tuple[tuple[float, Priors], ...] = ((1.0, Priors()),)

    def block(self, index: int) -> Block:
        """Return the rows of a block, in random order."""
        rows = self.planets(index)
        return Block(flux_of(rows, self._noise(index)), rows["star"], rows["radii"], rows["impact"])

    def drawn(self, index: int, draws: int) -> Block:
        """Return the rows of a block, each `draws` times in sequence with other noise and another size of the pool.

        The noise costs a tenth of the light curve to which it is added.
        """
        rows, noise = self.planets(index), self._noise(index)
        size = np.full((self.rows, draws), self.pool or 0)
        if self.pool is None:
            size = np.floor(np.exp(noise.uniform(0, np.log(LARGEST_POOL + 1), size.shape)))
            size[noise.random(size.shape) < self.single] = 1
        scales = 1 / np.sqrt(size) / rows["scale"][:, None]
        flux = flux_of(rows, noise, scales)
        flux = flux.reshape(-1, *flux.shape[2:])
        return Block(flux, *(np.repeat(rows[name], draws, axis=0) for name in ("star", "radii", "impact")))

    def _noise(self, index: int) -> np.random.Generator:
        return np.random.Generator(np.random.SFC64(np.random.SeedSequence((self.seed, index, _NOISE))))

    def planets(self, index: int) -> Rows:
        """Return the arrays from which the light curves of a block are computed, as from `light_curves.rows_of`."""
        rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence((self.seed, _BLOCK, index))))
        parts = []
        edges = np.round(np.cumsum([0.0, *(share for share, _ in self.priors)]) * self.rows).astype(int)
        for count, (_, priors) in zip(np.diff(edges).tolist(), self.priors, strict=True):
            several = round(count * self.mixed)
            shares = ((count - several, 1), (several, INSTANCES)) if self.pool is None else ((count, self.instances),)
            parts += [self._part(rng, size, instances, priors) for size, instances in shares if size]
        rows = {name: _joined([part[name] for part in parts]) for name in parts[0]}
        order = rng.permutation(self.rows)
        return {name: values[order] for name, values in rows.items()}

    def _part(self, rng: np.random.Generator, n: int, instances: int, priors: Priors) -> Rows:
        population = draw_population(rng, n, priors)
        maps = draw_spot_maps(rng, population, instances, priors)
        if self.pool is not None:
            size, weights = np.full(n, self.pool), np.full((n, instances), 1 / instances)
        else:
            size = np.floor(np.exp(rng.uniform(0, np.log(LARGEST_POOL + 1), n)))
            size[rng.random(n) < self.single] = 1
            weights = rng.multinomial(size.astype(int), np.full(instances, 1 / instances)) / size[:, None]
            noisy = (rng.random(n) < NOISY_ROWS)[:, None] & (rng.random((n, N_WAVELENGTHS)) < NOISY_BANDS)
            population = population._replace(sigma=population.sigma * np.where(noisy, NOISY, 1.0))
        return rows_of(population, _most_important(maps, weights), weights, 1 / np.sqrt(size))


def _most_important(maps: SpotMaps, weights: np.ndarray) -> SpotMaps:
    """Keep at most `_MOST_SPOTS` spots near the path: those of the largest area, weighted by their instance's share."""
    importance = np.square(maps.radius) * np.take_along_axis(weights, maps.instance, axis=1)
    order = np.argsort(-importance, axis=1, kind="stable")[:, :_MOST_SPOTS]
    names = ("x", "y", "radius", "mu", "instance")
    return maps._replace(**{name: np.take_along_axis(getattr(maps, name), order, axis=1) for name in names})


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Concatenate parts along rows, padded with zeros to the widest."""
    if parts[0].ndim == 1:
        return np.concatenate(parts)
    width = max(part.shape[1] for part in parts)
    fills = [[(0, 0), (0, width - part.shape[1]), *[(0, 0)] * (part.ndim - 2)] for part in parts]
    return np.concatenate([np.pad(part, fill) for part, fill in zip(parts, fills, strict=True)])

"""A small data set, simulated or as shards, and its rows."""

import keras
import numpy as np
import tensorflow as tf

from ariel_tf.core.atomic_files import sha256
from ariel_tf.data import dataset, records, shuffling
from ariel_tf.data.folds import assign_folds
from ariel_tf.data.manifest import Manifest, Shard
from ariel_tf.data.selection import Selection, Signature
from ariel_tf.data.sources.simulated import Recipe
from ariel_tf.data.statistics import Sums
from ariel_tf.physics.simulator import simulate_planet

RECIPE = Recipe(planets=23, spots=1, photons=3, seed=5)
WAVELENGTHS = (40, 12)
ALL = tuple(range(10))


def chosen(*folds, white_light=False, row="observation", **more):
    """The rows of these folds, for both wavelengths."""
    return Selection(folds, Signature(WAVELENGTHS, WAVELENGTHS, white_light, row), **more)


def write_shards(path):
    """Write the planets of `RECIPE` to this folder, as shards of two planets each."""
    folds = assign_folds(range(1, RECIPE.planets + 1), RECIPE.seed)
    sums, shards = Sums(), []
    for fold in ALL:
        members = [planet for planet, its_fold in folds.items() if its_fold == fold]
        for start in range(0, len(members), 2):
            numbers = members[start : start + 2]
            name = f"fold-{fold}-{start // 2:05d}.tfrecord"
            with tf.io.TFRecordWriter(str(path / name)) as writer:
                for number in numbers:
                    planet = simulate_planet(RECIPE.seed, number, RECIPE.spots, RECIPE.photons)
                    sums.add(planet, fold)
                    writer.write(records.encode(planet))
            size = (path / name).stat().st_size
            shards.append(Shard(name, fold, numbers, 3 * len(numbers), size, sha256(path / name)))
    Manifest({"kind": "test"}, True, RECIPE.seed, shards, sums).write(path)


def shuffled(source, choice, batch_size, seed, first_epoch, epochs, streamed=False):
    """Training batches, either way, with a global seed as a model's builder leaves it."""
    keras.utils.set_random_seed(1)
    order = (batch_size, seed, first_epoch, epochs)
    if streamed:
        return shuffling.shuffled_stream(source, choice, *order, memory=20_000)
    return shuffling.shuffled_table(dataset.load(source, choice), *order)


def collect(batches):
    """All rows of batches, by name."""
    batches = list(batches.as_numpy_iterator())
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}

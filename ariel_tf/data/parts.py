"""A training's stream of rows over several hosts: each reads shards of its own, so no planet is read twice in an epoch.

    shards of the training folds --dealt out by their rows--> a part for each host, the same in every epoch
    a host's rows of an epoch    --as many batches as there are steps--> its share of each step

All rows are seen once an epoch. Hosts' parts differ by a shard at most, and so do their shares of a step.
"""

import copy
import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from ariel_tf.data import dataset
from ariel_tf.data.selection import Selection
from ariel_tf.data.sources import Source
from ariel_tf.data.sources.tfrecord import TFRecordSource


def parts_of(source: Source, folds: Sequence[int], count: int) -> list[TFRecordSource] | None:
    """The source in `count` parts by whole shards of these folds; None for one that has no shards, or too few."""
    if not isinstance(source, TFRecordSource):
        return None
    shards = [shard for shard in source.manifest.shards if shard.fold in folds]
    if len(shards) < count:
        return None
    dealt: list[list] = [[] for _ in range(count)]
    for shard in sorted(shards, key=lambda shard: (-shard.rows, shard.name)):
        min(dealt, key=lambda part: sum(one.rows for one in part)).append(shard)
    parts = []
    for mine in dealt:
        part = copy.copy(source)
        part.manifest = dataclasses.replace(source.manifest, shards=sorted(mine, key=lambda shard: shard.name))
        part.folds = part.manifest.planets
        parts.append(part)
    return parts


def stream(part: Source, selection: Selection, steps: int, seed: int, first_epoch: int, epochs: int) -> tf.data.Dataset:
    """A host's batches: its share of each step, `steps` an epoch, whose sizes differ by one row at most.

    Args:
        part: of `parts_of`; at least a row a step.
        selection: of the whole training.
        steps: of an epoch, on all hosts together.
        seed, first_epoch, epochs: as of `dataset.shuffled_stream`.
    """
    edges = np.arange(steps + 1) * part.observations(selection.folds) // steps
    own = max(1, int(np.diff(edges).max()))
    rows = dataset.shuffled_stream(part, selection, own, seed, first_epoch, epochs)
    return rows.rebatch(np.diff(edges).astype(np.int64))  # in turn, and again in the next epoch

"""Boosted decision trees as Keras operations, and their features: a forest saves, loads and exports like other models.

    raw flux [batch, 300, channels] --ramp divided out, folded, averaged in 27 bins--> bins, noise \\
    raw star [batch, 6] -------------------------------------------------------------------------> features [batch, f]
    features --every tree traversed to its leaf--> leaves [batch, wavelengths, trees] --sum--> depth --> radius

`keras.ops` only; the trees themselves come from `ariel_tf.ensembles.boosted_trees`.
"""

from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from ariel_tf.challenge import N_STEPS, STAR_NAMES
from ariel_tf.models.white_light import dips
from ariel_tf.physics.references import N_BINS

# Below any observable planet: the square root stays finite if the leaves do not sum to a positive depth.
SMALLEST_DEPTH = 1e-10
PER_CURVE = N_BINS + 1  # the bins, and the noise of one step


class Tree(NamedTuple):
    """A decision tree: at node i go left if feature < threshold, else right; a leaf points to itself.

    Attributes:
        feature, left, right: int [nodes].
        threshold, value: float32 [nodes]; the value of a leaf is its prediction.
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray


def feature_model(channels: int, star: bool) -> keras.Model:
    """Return the model from raw light curves to features of trees: float32 [batch, channels * 28 (+ 6)], by channel."""
    raw = {"flux": keras.Input((N_STEPS, channels), name="flux")}
    _, bins, noise = dips(raw["flux"])
    flat = ops.reshape(ops.concatenate([bins, noise], axis=2), (-1, channels * PER_CURVE))
    if star:
        raw["star"] = keras.Input((len(STAR_NAMES),), name="star")
        flat = ops.concatenate([flat, raw["star"]], axis=1)
    return keras.Model(raw, flat, name="features")


def columns_of(index: int, targets: int, white: bool, star: bool) -> list[int]:
    """Return the features that trees of the index-th of `targets` wavelengths read: its own, white light, star."""
    columns = list(range(index * PER_CURVE, (index + 1) * PER_CURVE))
    channels = targets + white
    if white:
        columns += range(targets * PER_CURVE, channels * PER_CURVE)
    if star:
        columns += range(channels * PER_CURVE, channels * PER_CURVE + len(STAR_NAMES))
    return columns


def forest_model(
    trees: list[list[Tree]], features: keras.Model, columns: list[list[int]], scale: np.ndarray, offset: np.ndarray
) -> keras.Model:
    """Return the model from raw light curves to radii.

    Args:
        trees: trees of each wavelength.
        features: result of `feature_model`.
        columns: features that the trees of a wavelength read; a tree's feature numbers index them.
        scale, offset: float [wavelengths]; depth = scale * sum of leaves + offset.
    """
    table, roots, depth = _table(trees, columns)
    layer = keras.layers.Embedding(len(table), table.shape[1], trainable=False, dtype="float32", name="trees")
    node = ops.zeros_like(features.output[:, :1], dtype="int32") + ops.convert_to_tensor(roots.reshape(1, -1), "int32")
    for _ in range(depth):
        step = layer(node)
        value = ops.take_along_axis(features.output, ops.cast(step[:, :, 0], "int32"), axis=1)
        node = ops.cast(ops.where(value < step[:, :, 1], step[:, :, 2], step[:, :, 3]), "int32")
    leaves = ops.reshape(layer(node)[:, :, 4], (-1, *roots.shape))
    total = keras.layers.Rescaling(scale.tolist(), offset.tolist(), dtype="float32")(ops.sum(leaves, axis=2))
    model = keras.Model(features.input, ops.sqrt(ops.maximum(total, SMALLEST_DEPTH)), name="trees")
    layer.set_weights([table])
    return model


def _table(trees: list[list[Tree]], columns: list[list[int]]) -> tuple[np.ndarray, np.ndarray, int]:
    """Return all nodes of all trees concatenated: float32 [nodes, 5], roots int [wavelengths, trees], and the depth.

    Wavelengths with fewer trees get trees of one leaf of value 0. Node numbers stay below 2^24, so float32 represents
    them exactly.
    """
    most = max(len(its) for its in trees)
    nothing = Tree(*(np.zeros(1, kind) for kind in (int, np.float32, int, int, np.float32)))
    parts, roots, start, depth = [], np.zeros((len(trees), most), np.int32), 0, 0
    for row, (its, seen) in enumerate(zip(trees, columns, strict=True)):
        for number, tree in enumerate([*its, *[nothing] * (most - len(its))]):
            feature = np.asarray(seen)[tree.feature]
            parts.append(np.stack([feature, tree.threshold, tree.left + start, tree.right + start, tree.value], axis=1))
            roots[row, number] = start
            start += len(feature)
            depth = max(depth, depth_of(tree))
    if start >= 2**24:
        raise ValueError(f"expected fewer than 2^24 nodes in all trees. Received: {start}")
    return np.concatenate(parts).astype(np.float32), roots, depth


def depth_of(tree: Tree) -> int:
    """Return the number of steps from the root to the farthest leaf."""
    level, nodes = 0, np.zeros(1, int)
    while True:
        inner = nodes[tree.left[nodes] != nodes]
        if not len(inner):
            return level
        nodes = np.concatenate([tree.left[inner], tree.right[inner]])
        level += 1

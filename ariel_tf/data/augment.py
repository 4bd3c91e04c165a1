"""Data augmentation consistent with the physics: other observations of the same planets, with the same radii.

    mirror   half of the rows reversed in time about mid-transit: transits are symmetrical, spots are not
    noise    additional photon noise, up to the observation's own level, as if the star were fainter
    mix      half of the rows averaged with another photon-noise instance of the same planet and spot: less noise

Off by default. Random numbers depend only on (seed, step), so a resumed run repeats those of an uninterrupted run.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ariel_tf.challenge import MID_TRANSIT_STEP, N_STEPS
from ariel_tf.physics.detector import RAMP
from ariel_tf.planet import OUT_OF_TRANSIT

_BEFORE = OUT_OF_TRANSIT[:-1][np.diff(OUT_OF_TRANSIT) == 1]
# Reversal maps steps to steps only about whole or half steps: those on both sides of mid-transit, alternately.
_TWICE_CENTRES = (int(np.floor(2 * MID_TRANSIT_STEP)), int(np.ceil(2 * MID_TRANSIT_STEP)))


class Augment:
    """Augments batches of rows.

    Args:
        kinds: some of mirror, noise and mix.
        seed: seed of the training.
        table: all training rows in ascending key order, needed for mix; else None.
    """

    def __init__(self, kinds: Sequence[str], seed: int, table: dict[str, tf.Tensor] | None):
        self.kinds, self.seed, self.table = tuple(kinds), seed, table
        if table is not None:
            self._groups = _group(table["key"])

    def __call__(self, step: tf.Tensor, rows: dict[str, Any]) -> dict[str, Any]:
        """Return the rows of one step, augmented.

        Args:
            step: int64 [], counted over all epochs.
            rows: batched rows from `dataset.as_rows`: flux float32 [batch, 300, channels].
        """
        key = tf.random.experimental.stateless_fold_in(tf.constant([self.seed, 0], tf.int32), step)
        flux = rows["flux"]
        # Mixed before noise is measured and added, and mirrored last; each of them is optional.
        if "mix" in self.kinds:
            flux = self._mixed(flux, rows["key"], _derived(key, 1))
        if "noise" in self.kinds:
            flux = noisier(flux, _derived(key, 2))
        if "mirror" in self.kinds:
            flux = mirrored(flux, _derived(key, 3))
        return rows | {"flux": flux}

    def _mixed(self, flux: tf.Tensor, keys: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        assert self.table is not None
        group = _group(keys)
        first = tf.searchsorted(self._groups, group, "left")
        count = tf.searchsorted(self._groups, group, "right") - first
        draw = tf.random.stateless_uniform([2, tf.shape(flux)[0]], key)
        sibling = first + tf.cast(draw[0] * tf.cast(count, tf.float32), tf.int32)
        mean = (flux + tf.gather(self.table["flux"], sibling)) / 2
        return tf.where(draw[1][:, None, None] < 0.5, mean, flux)


def _derived(key: tf.Tensor, number: int) -> tf.Tensor:
    return tf.random.experimental.stateless_fold_in(key, number)


def _group(keys: tf.Tensor) -> tf.Tensor:
    """Return one number for each (planet, spot), ascending with them: int64 [rows]."""
    keys = tf.cast(keys, tf.int64)
    return keys[:, 0] * 1000 + keys[:, 1]


def noisier(flux: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Add white noise with a standard deviation of 0 to 1 times the curve's own, drawn for each row.

    Args:
        flux: float32 [batch, 300, channels].
        key: int32 [2], seed of the random numbers.
    """
    step = tf.gather(flux, _BEFORE + 1, axis=1) - tf.gather(flux, _BEFORE, axis=1)
    own = tf.sqrt(tf.reduce_mean(tf.square(step), axis=1, keepdims=True) / 2)
    share = tf.random.stateless_uniform([tf.shape(flux)[0], 1, 1], _derived(key, 0))
    return flux + share * own * tf.random.stateless_normal(tf.shape(flux), _derived(key, 1))


def mirrored(flux: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Reverse half of the rows in time about mid-transit; the ramp is not moved.

    Steps whose mirror image is outside the observation (the last three or four) are not changed.
    """
    ramp = tf.constant(RAMP.astype(np.float32))[:, None]
    level = flux / ramp
    images = [flux]
    for twice in _TWICE_CENTRES:
        source = twice - np.arange(N_STEPS)
        inside = (source >= 0) & (source < N_STEPS)
        image = tf.gather(level, np.where(inside, source, 0), axis=1) * ramp
        images.append(tf.where(inside[:, None], image, flux))
    which = tf.random.stateless_uniform([tf.shape(flux)[0]], key, 0, 4, tf.int32)  # 0, 1: as it is
    chosen = tf.where((which == 2)[:, None, None], images[1], flux)
    return tf.where((which == 3)[:, None, None], images[2], chosen)

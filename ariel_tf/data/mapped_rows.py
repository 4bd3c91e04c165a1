"""Rows of a selection in files that are mapped into memory (`data.array_files`): in any order, without a window.

    place in the files [b] --gather--> flux [b, 300, channels], star, radius, scatter, key     in a TensorFlow graph

The files are handed to a dataset as one element that repeats, since tf.data copies whatever a function closes over.
"""

import functools
from collections.abc import Collection
from typing import Any, Self

import numpy as np
import tensorflow as tf

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS
from ariel_tf.data import arrays
from ariel_tf.data.array_files import COLUMNS, ROWS, WHITE, ArrayFiles, column_name
from ariel_tf.data.selection import Selection, Signature


class MappedRows:
    """Rows of a selection.

    Args:
        files: of the data set.
        signature: of the selection.
        index: places of the rows in the files, ascending.

    Attributes:
        index: int64 [rows].
        key: int32 [rows, 3].
    """

    def __init__(self, files: ArrayFiles, signature: Signature, index: np.ndarray):
        self._files, self._signature = files, signature
        self.index, self.key = index.astype(np.int64), files.small["key"][index]
        self._whole = ROWS in files.layouts and signature.inputs == tuple(range(N_WAVELENGTHS))
        columns = [WHITE] if self._whole else [*signature.inputs, WHITE]
        self._columns = columns if signature.white_light else columns[:-1]

    @functools.cached_property
    def held(self) -> dict[str, tf.Tensor]:
        """Tensors that `batch` takes, of all rows of the files."""
        small, targets = self._files.small, list(self._signature.targets)
        summed = [*range(N_WAVELENGTHS)] if self._whole else self._columns
        return {
            "key": tf.constant(small["key"]),
            "star": tf.constant(small["star"]),
            "radius": tf.constant(small["radius"][:, targets]),
            "scatter": tf.constant(small["scatter"][:, targets]),
            "sums": tf.constant(small["sums"][:, summed]),
            "white": tf.constant(small["sums"][:, WHITE]),
        } | {name: arrays.as_tensor(self._files.large[name]) for name in self._names()}

    def _names(self) -> list[str]:
        return ["rows"] * self._whole + [column_name(column) for column in self._columns]

    @classmethod
    def of(cls, files: ArrayFiles, selection: Selection, planets: Collection[int]) -> Self | None:
        """The rows of some planets; None where the files have not the light curves that the signature reads.

        Args:
            files: of the data set.
            selection: whose rows combine or skip no observations.
            planets: of the selection's folds.
        """
        inputs = selection.signature.inputs
        joint = ROWS in files.layouts and inputs == tuple(range(N_WAVELENGTHS)) and not selection.signature.white_light
        if not joint and COLUMNS not in files.layouts:
            return None
        inside = np.isin(files.small["key"][:, 0], np.fromiter(planets, np.int32, len(planets)))
        return cls(files, selection.signature, np.flatnonzero(inside))

    def only(self, planets: Collection[int]) -> "MappedRows":
        """The rows of these planets."""
        inside = np.isin(self.key[:, 0], np.fromiter(planets, np.int32, len(planets)))
        return MappedRows(self._files, self._signature, self.index[inside])

    def in_key_order(self) -> np.ndarray:
        """Places of the rows in the files, by ascending key: int64 [rows]."""
        return self.index[np.lexsort(self.key.T[::-1])]

    def batches(self, places: tf.data.Dataset) -> tf.data.Dataset:
        """Batches of rows from batches of places, int64 [b], in their order."""
        held = tf.data.Dataset.from_tensors(self.held).repeat()
        return tf.data.Dataset.zip(places, held).map(self.batch, 2)

    def batch(self, places: tf.Tensor, held: dict[str, tf.Tensor]) -> dict[str, Any]:
        """The rows at these places, as `dataset.as_rows` gives them.

        Raises:
            tf.errors.InvalidArgumentError: a row's words do not add up as when it was written; names the planet.
        """
        rows = {name: tf.gather(held[name], places) for name in ("key", "star", "radius", "scatter")}
        sums = tf.gather(held["sums"], places)
        curves = [tf.gather(held[column_name(column)], places) for column in self._columns]
        found = [_words_sum(each) for each in curves]
        if self._whole:
            flux = tf.gather(held["rows"], places)
            expected = [tf.reduce_sum(sums, axis=1)]
            if curves:
                expected.append(tf.gather(held["white"], places))
                flux = tf.concat([flux, curves[0][..., None]], axis=-1)
            found = [_words_sum(tf.reshape(flux[..., :N_WAVELENGTHS], [-1, N_STEPS * N_WAVELENGTHS])), *found]
        else:
            expected = tf.unstack(sums, axis=1)
            flux = tf.stack(curves, axis=-1) if len(curves) != 1 else curves[0][..., None]
        sound = tf.reduce_all(tf.equal(tf.stack(found), tf.stack(expected)), axis=0)
        first = tf.argmin(tf.cast(sound, tf.int32))
        name = tf.strings.as_string(rows["key"][first, 0], width=4, fill="0")
        fault = tf.strings.join(["planet ", name, " in the folder arrays is not as it was written"])
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(sound), [fault])]):
            return rows | {"flux": tf.identity(flux)}


def _words_sum(flux: tf.Tensor) -> tf.Tensor:
    """Sum of the 32-bit words of each row of [b, n], which wraps: int32 [b]."""
    return tf.reduce_sum(tf.bitcast(flux, tf.int32), axis=1)

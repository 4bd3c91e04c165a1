"""Rows of a selection in files that are mapped into memory (`data.array_files`): in any order, without a window.

    positions in the files [b] --gathered and verified, in NumPy--> flux [b, 300, channels], star, radius, scatter, key

NumPy, since TensorFlow's gather and its sum of integers take three and eighteen times as long.
"""

from collections.abc import Collection, Iterator

import numpy as np
import tensorflow as tf

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, STAR_PARAMETERS
from ariel_tf.data import arrays
from ariel_tf.data.array_files import COLUMNS, ROWS, WHITE, ArrayFiles, column_name, curve_sums, joint_sums, row_sums
from ariel_tf.data.graph import as_written
from ariel_tf.data.selection import Selection, Signature


class ChangedRow(ValueError):
    """A light curve differs from what was written."""


class MappedRows:
    """Rows of a selection.

    Args:
        files: files of the data set.
        signature: signature of the selection.
        index: positions of the rows in the files, ascending.

    Attributes:
        index: int64 [rows].
        key: int32 [rows, 3].
        row_bytes: bytes of the light curves of a row.
    """

    def __init__(self, files: ArrayFiles, signature: Signature, index: np.ndarray):
        self._files, self._signature = files, signature
        self.index, self.key = index.astype(np.int64), files.small["key"][index]
        self.row_bytes = signature.observation_bytes
        self._whole = ROWS in files.layouts and signature.inputs == tuple(range(N_WAVELENGTHS))
        self._columns = [*([] if self._whole else signature.inputs), *([WHITE] if signature.white_light else [])]

    @classmethod
    def of(cls, files: ArrayFiles, selection: Selection, planets: Collection[int]) -> "MappedRows | None":
        """Return the rows of some planets; None if the files lack the light curves that the signature reads.

        Args:
            files: files of the data set.
            selection: selection whose rows neither combine nor skip observations.
            planets: planets of the selection's folds.
        """
        inputs = selection.signature.inputs
        joint = ROWS in files.layouts and inputs == tuple(range(N_WAVELENGTHS)) and not selection.signature.white_light
        if not joint and COLUMNS not in files.layouts:
            return None
        inside = np.isin(files.small["key"][:, 0], np.fromiter(planets, np.int32, len(planets)))
        return cls(files, selection.signature, np.flatnonzero(inside))

    def only(self, planets: Collection[int]) -> "MappedRows":
        """Return the rows of these planets."""
        inside = np.isin(self.key[:, 0], np.fromiter(planets, np.int32, len(planets)))
        return MappedRows(self._files, self._signature, self.index[inside])

    def in_key_order(self) -> np.ndarray:
        """Return the positions of the rows in the files, by ascending key: int64 [rows]."""
        return self.index[np.lexsort(self.key.T[::-1])]

    def read(self, places: np.ndarray) -> dict[str, np.ndarray]:
        """Return the rows at these positions, in the form of `dataset.as_rows`.

        Raises:
            ChangedRow: the weighted sum of a row's words differs from the stored sum; names the planet.
        """
        small, targets = self._files.small, list(self._signature.targets)
        rows = {name: small[name][places] for name in ("key", "star")}
        rows |= {name: small[name][places][:, targets] for name in ("radius", "scatter")}
        sums = small["sums"][places]
        if self._whole and not self._columns:
            flux = self._gathered("rows", places, joint_sums(sums))
        else:
            flux = arrays.empty((len(places), N_STEPS, len(self._signature.channels)), np.dtype(np.float32))
            if self._whole:
                flux[..., :N_WAVELENGTHS] = self._gathered("rows", places, joint_sums(sums))
            first = flux.shape[-1] - len(self._columns)
            for channel, column in enumerate(self._columns, first):
                flux[..., channel] = self._gathered(column_name(column), places, sums[:, column])
        return rows | {"flux": flux}

    def _gathered(self, name: str, places: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """Return rows of a file, each verified."""
        values = self._files.large[name]
        found = arrays.empty((len(places), *values.shape[1:]), values.dtype)  # memory that a tensor can share
        np.take(values, places, axis=0, out=found, mode="clip")
        wrong = (row_sums if name == "rows" else curve_sums)(found) != sums
        if wrong.any():
            planet = self._files.small["key"][places[wrong.argmax()], 0]
            raise ChangedRow(f"planet {planet:04d} in the folder arrays is not as it was written")
        return found

    def in_order(self, size: int, part: slice = slice(None)) -> Iterator[dict[str, np.ndarray]]:
        """Yield all rows in the source's order, `size` at a time; or a part of these batches."""
        for start in range(0, len(self.index), size)[part]:
            yield self.read(self.index[start : start + size])

    def batches(self, places: tf.data.Dataset) -> tf.data.Dataset:
        """Return batches of rows from batches of positions, int64 [b], in their order."""
        shapes = {
            "key": ((3,), tf.int32),
            "star": ((len(STAR_PARAMETERS),), tf.float32),
            "radius": ((len(self._signature.targets),), tf.float32),
            "scatter": ((len(self._signature.targets),), tf.float32),
            "flux": ((N_STEPS, len(self._signature.channels)), tf.float32),
        }

        def read(index: np.ndarray) -> list[np.ndarray]:
            rows = self.read(index)
            return [rows[name] for name in shapes]

        @as_written
        def batch(index: tf.Tensor) -> dict[str, tf.Tensor]:
            found = tf.numpy_function(read, [index], [dtype for _, dtype in shapes.values()], stateful=False)
            return {
                name: tf.ensure_shape(values, (None, *shape))
                for (name, (shape, _)), values in zip(shapes.items(), found, strict=True)
            }

        return places.map(batch, 2)

"""Rows of planets that a source holds in memory, put together in NumPy.

Building a pipeline of tf.data takes a third of a second, and reading planets in memory in order does not need one.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from ariel_tf.challenge import N_STEPS
from ariel_tf.data import arrays
from ariel_tf.data.selection import Signature


class HeldRows:
    """Rows of a selection.

    Args:
        table: records of planets, stacked: the arrays of `records.as_record` with white light, each with one more axis.
        wavelengths: wavelengths of the table.
        signature: signature of the selection.
        places: positions of the selected planets in the table, ascending: int [planets].
        offset: number added to the planets' own numbers.
    """

    def __init__(
        self,
        table: Mapping[str, np.ndarray],
        wavelengths: Sequence[int],
        signature: Signature,
        places: np.ndarray,
        offset: int = 0,
    ):
        self._table, self._wavelengths, self._signature = table, list(wavelengths), signature
        self._places, self._offset = places, offset

    def only(self, planets: Collection[int]) -> "HeldRows":
        """Return the rows of these planets."""
        numbers = self._table["planet"][self._places] + self._offset
        inside = np.isin(numbers, np.fromiter(planets, np.int32, len(planets)))
        return HeldRows(self._table, self._wavelengths, self._signature, self._places[inside], self._offset)

    def shifted(self, offset: int) -> "HeldRows":
        """Return the same rows with this number added to the planets' numbers."""
        return HeldRows(self._table, self._wavelengths, self._signature, self._places, self._offset + offset)

    def in_order(self, size: int, part: slice = slice(None)) -> Iterator[dict[str, np.ndarray]]:
        """Yield all rows in the source's order, `size` at a time; or a part of these batches."""
        rows = len(self._places) * self._table["instances"].shape[1]
        for start in range(0, rows, size)[part]:
            yield self._read(np.arange(start, min(start + size, rows)))

    def _read(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return rows by their numbers in the selection, in the form of `dataset.as_rows`."""
        table, signature = self._table, self._signature
        place, instance = divmod(rows, table["instances"].shape[1])
        planet = self._places[place]
        targets = [self._wavelengths.index(wavelength) for wavelength in signature.targets]
        flux = arrays.empty((len(rows), N_STEPS, len(signature.channels)), np.dtype(np.float32))
        for channel, wavelength in enumerate(signature.inputs):
            flux[..., channel] = table["flux"][planet, self._wavelengths.index(wavelength), instance]
        if signature.white_light:
            flux[..., -1] = table["white"][planet, instance]
        number = table["planet"][planet] + np.int32(self._offset)
        return {
            "key": np.column_stack([number, table["instances"][planet, instance]]).astype(np.int32),
            "star": table["star"][planet],
            "radius": table["radii"][planet][:, targets],
            "scatter": table["scatter"][planet, instance][:, targets],
            "flux": flux,
        }

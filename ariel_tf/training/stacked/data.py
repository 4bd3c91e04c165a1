"""Rows of several wavelengths in memory, for models that train side by side."""

from typing import Any, NamedTuple, Self

import tensorflow as tf


class Table(NamedTuple):
    """Rows of all wavelengths in memory, or a batch of them; float32.

    Attributes:
        radius: [W, rows, 1].
        own: [W, rows, ..., 300, 1], each wavelength's light curves; None where all see the same.
        shared: [rows, ..., 300, channels], what all see: white light, or everything; or None.
        star: [rows, 6] or None.
    """

    radius: Any
    own: Any
    shared: Any
    star: Any

    @property
    def rows(self) -> int:
        return int(self.radius.shape[1])

    def take(self, index) -> Self:
        """The rows of an index [n]."""

        def rows(values, axis):
            return None if values is None else tf.gather(values, index, axis=axis)

        return type(self)(rows(self.radius, 1), rows(self.own, 1), rows(self.shared, 0), rows(self.star, 0))

    def inputs(self, own) -> dict[str, Any]:
        """What one wavelength's model takes, given its part of `own`."""
        parts = [part for part in (own, self.shared) if part is not None]
        flux = parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1)
        return {"flux": flux} if self.star is None else {"flux": flux, "star": self.star}

    def of(self, index: int) -> dict[str, Any]:
        """What the model of the index-th wavelength takes."""
        return self.inputs(None if self.own is None else self.own[index])

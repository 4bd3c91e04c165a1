"""Values of an unpickled file: plain Python values, and inert records of NumPy and pandas objects; NumPy only.

    Span      bytes of an array that stay in the file until they are requested
    DType     numpy.dtype
    Array     numpy.ndarray: dtype, shape, order, and its bytes, a Span of them, or a list of objects
    Global    a name in a pickle; it is never imported
    Made      a pandas or pyarrow object: the name of its constructor, the arguments, the state

No object of NumPy, pandas or pyarrow is created while a pickle is read, and none of their code runs.
"""

import math
import os
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from ariel_tf.core.errors import DataError

# Number, text and object types of arrays; structured, date and void types are recorded, but their values are not read.
_READABLE = re.compile(r"[<>=|]?(?:b1|\?|[iu][1248]|f[248]|[SU]\d{1,6}|O[48]?)")
# Longer names are an error; so are arrays with more dimensions, or longer ones.
_LONGEST_NAME, _MOST_DIMENSIONS, _LONGEST_SIDE = 100, 4, 2**40
_LAST_CHARACTER = 0x10FFFF
# Longer tables are an error; 9,999 planets of 100 observations have a tenth of that.
MOST_ROWS = 10_000_000


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes at a position in the file.

    Attributes:
        offset, length: position and size in bytes.
        text: encoding of text whose characters 0-255 represent bytes; empty for plain bytes.
    """

    offset: int
    length: int
    text: str = ""

    def read(self, handle: int) -> bytes:
        """Read the bytes from an open file.

        Raises:
            DataError: the file is shorter than before, or the text is not in its encoding.
        """
        parts, at, end = [], self.offset, self.offset + self.length
        while at < end:
            part = os.pread(handle, end - at, at)
            if not part:
                raise DataError(f"expected {self.length} bytes at {self.offset}, found {at - self.offset}")
            parts.append(part)
            at += len(part)
        raw = b"".join(parts)
        if not self.text:
            return raw
        try:
            return raw.decode(self.text).encode("latin-1")
        except UnicodeError as error:
            raise DataError(f"expected the bytes of an array at {self.offset}, found other text") from error


@dataclass(slots=True)
class DType:
    """`numpy.dtype`: a code such as `<f8`, or `""` for a type whose values are not read."""

    code: str
    built: bool = False

    @classmethod
    def named(cls, name: Any) -> "DType":
        """Return a dtype from the first argument of `numpy.dtype`."""
        if type(name) is not str or len(name) > _LONGEST_NAME:
            raise DataError("expected a name as the argument of numpy.dtype")
        return cls(name if _READABLE.fullmatch(name) else "")

    def build(self, state: Any) -> None:
        """Take the byte order from the state that NumPy stores."""
        if self.built or type(state) is not tuple or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
            raise DataError("expected a state that NumPy stores for a dtype")
        self.built = True
        plain = all(part is None for part in state[2:5])
        order = "" if state[1] in "|=" else state[1]
        self.code = order + self.code.lstrip("<>=|") if self.code and plain else ""

    @property
    def is_object(self) -> bool:
        return self.code.lstrip("<>=|").startswith("O")


@dataclass(slots=True)
class Array:
    """`numpy.ndarray`, not read yet.

    Attributes:
        dtype: dtype of the elements.
        shape: lengths of its sides.
        order: "C" or "F".
        data: bytes of the elements in that order, or the objects.
        axes: permutation of the axes; empty for none.
    """

    dtype: DType | None = None
    shape: tuple[int, ...] = ()
    order: str = "C"
    data: bytes | Span | list[Any] | None = None
    axes: tuple[int, ...] = ()

    def build(self, state: Any) -> None:
        """Take the state that NumPy stores: (version, shape, dtype, Fortran order, data)."""
        if self.dtype is not None or type(state) is not tuple or len(state) != 5 or state[3] not in (False, True, 0, 1):
            raise DataError("expected a state that NumPy stores for an array")
        self.fill(state[4], state[2], state[1], "F" if state[3] else "C")

    def fill(self, data: Any, dtype: Any, shape: Any, order: Any, axes: Any = ()) -> None:
        """Set all attributes, checked."""
        if type(data) is str:  # the bytes of Python 2
            data = data.encode("latin-1")
        if type(shape) is int:
            shape = (shape,)
        sound = (
            type(dtype) is DType
            and type(shape) is tuple
            and len(shape) <= _MOST_DIMENSIONS
            and all(type(side) is int and 0 <= side < _LONGEST_SIDE for side in shape)
            and order in ("C", "F")
            and type(data) in (bytes, bytearray, Span, list)
            and (type(data) is list) == dtype.is_object
            and (not axes or (type(axes) is tuple and sorted(axes) == list(range(len(shape)))))
        )
        if not sound:
            raise DataError("expected an array with its dtype, shape and data")
        self.dtype, self.shape, self.order, self.data, self.axes = dtype, shape, order, data, axes or ()

    @property
    def final_shape(self) -> tuple[int, ...]:
        """Return the shape after the axes are permuted."""
        return tuple(self.shape[axis] for axis in self.axes) if self.axes else self.shape

    def load(self, handle: int) -> np.ndarray:
        """Return the array; its bytes are read from an open file if they are still in it.

        Raises:
            DataError: it has more or fewer elements than its shape, or its values cannot be read.
        """
        if self.dtype is None or not self.dtype.code:
            raise DataError("expected an array of numbers or text, found another type")
        count = math.prod(self.shape)
        if isinstance(self.data, list):
            values = np.empty(len(self.data), object)
            for place, value in enumerate(self.data):  # one by one: NumPy would inspect a whole list of objects
                values[place] = value
        else:
            raw = self.data.read(handle) if isinstance(self.data, Span) else self.data
            kind = np.dtype(self.dtype.code)
            if kind.itemsize == 0 or len(raw or b"") != count * kind.itemsize:
                expected = f"{count} elements of {kind.itemsize} bytes"
                raise DataError(f"expected an array of {expected}, found {len(raw or b'')} bytes")
            values = np.frombuffer(raw or b"", kind)
            if kind.kind == "U" and (values.view(kind.str[0] + "u4") > _LAST_CHARACTER).any():
                raise DataError("expected text in an array, found numbers that are no characters")
        if len(values) != count:
            raise DataError(f"expected an array of {count} elements, found {len(values)}")
        values = values.reshape(self.shape, order=self.order)  # type: ignore[call-overload]
        return values.transpose(self.axes) if self.axes else values


@dataclass(frozen=True, slots=True)
class Global:
    """A name in the pickle; `constructors.ADMITTED` holds all that may occur."""

    module: str
    name: str


@dataclass(slots=True)
class Made:
    """A pandas or pyarrow object: its constructor, arguments and state."""

    kind: str
    args: tuple[Any, ...]
    state: Any = None

    def build(self, state: Any) -> None:
        """Record the state, once."""
        if self.state is not None or state is None:
            raise DataError(f"expected one state of a {self.kind}")
        self.state = state


def is_made(value: Any, kind: str) -> bool:
    """Whether a value is the record of an object that this constructor made."""
    return type(value) is Made and value.kind == kind

"""The state of the pickle machine: the bytes of the file, the stack, the memo, and their limits."""

import struct
from collections.abc import Callable
from typing import Any, BinaryIO

from ariel_tf.core.errors import DataError
from ariel_tf.data.pickles.values import Span

# Longer text and bytes stay in the file. The radii of an observation, 440 bytes, do not.
INLINE_BYTES = 1024
# 100,000 observations have 100 MB of short values.
MOST_INLINE_BYTES = 1 << 30
MARK = object()
_CHUNK = 8192
_LONGEST_LINE = 300


class Machine:
    """The file, the stack and the memo of the pickle machine.

    Args:
        file: a regular file, open for reading bytes.
        size: of the file in bytes.
        progress: called from time to time with the number of bytes passed since the last call.
    """

    def __init__(self, file: BinaryIO, size: int, progress: Callable[[int], None] | None = None):
        self._file, self.size, self._progress = file, size, progress
        self._buffer, self._at, self._base = b"", 0, 0
        self._inline = self._reported = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    @property
    def position(self) -> int:
        """Position in the file."""
        return self._base + self._at

    # --- bytes of the file ------------------------------------------------------------------------------------

    def _fill(self, count: int) -> None:
        """Buffer at least `count` bytes from the current position."""
        position = self.position
        if count > self.size - position:
            raise DataError(f"ends at byte {self.size}, within a value: the file was cut short")
        if self._progress is not None:
            self._progress(position - self._reported)
            self._reported = position
        self._file.seek(position)
        self._buffer, self._base, self._at = self._file.read(max(count, _CHUNK)), position, 0
        if len(self._buffer) < count:
            raise DataError("became shorter while it was read")

    def code(self) -> int:
        """Return the next byte."""
        if self._at >= len(self._buffer):
            self._fill(1)
        self._at += 1
        return self._buffer[self._at - 1]

    def read(self, count: int) -> bytes:
        """Return the next bytes."""
        if self._at + count > len(self._buffer):
            self._fill(count)
        raw = self._buffer[self._at : self._at + count]
        self._at += count
        return raw

    def number(self, form: str) -> int:
        """Return the next number in the format of `struct`."""
        return int(struct.unpack(form, self.read(struct.calcsize(form)))[0])

    def line(self) -> bytes:
        """Return the next line, without its end."""
        end = self._buffer.find(b"\n", self._at)
        if end < 0:
            self._fill(min(self.size - self.position, _LONGEST_LINE))
            end = self._buffer.find(b"\n", self._at)
        if end < 0 or end - self._at > _LONGEST_LINE:
            raise DataError(f"holds a line of more than {_LONGEST_LINE} bytes at {self.position}")
        return self.read(end + 1 - self._at)[:-1]

    def span(self, length: int, text: str = "") -> Span | None:
        """Skip long bytes; return None if they are short enough to be read."""
        if not 0 <= length <= self.size - self.position:
            raise DataError(f"ends at byte {self.size}, within {length} bytes: the file was cut short")
        if length <= INLINE_BYTES:
            self._inline += length + 50
            if self._inline > MOST_INLINE_BYTES:
                raise DataError(f"holds more than {MOST_INLINE_BYTES >> 20} MiB of text, which no file of planets does")
            return None
        made = Span(self.position, length, text)
        self._at += length  # usually beyond the buffer: `_fill` continues from there
        return made

    def long_line(self, text: str) -> Span | bytes:
        """Return the next line, of any length: the bytes of an array in protocol 0."""
        start = self.position
        while (end := self._buffer.find(b"\n", self._at)) < 0:
            self._at = len(self._buffer)
            self._fill(1)
        length = self._base + end - start
        self._at = end + 1
        if length > INLINE_BYTES:
            return Span(start, length, text)
        self._inline += length + 50
        self._file.seek(start)
        return self._file.read(length)

    # --- the stack --------------------------------------------------------------------------------------------

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is MARK:
            raise DataError("is no sound pickle: a value is absent")
        return value

    def pop_to_mark(self) -> list[Any]:
        """Return the values above the last mark."""
        stack = self.stack
        for place in range(len(stack) - 1, -1, -1):
            if stack[place] is MARK:
                values = stack[place + 1 :]
                del stack[place:]
                return values
        raise DataError("is no sound pickle: a mark is absent")

    def top(self, kind: type) -> Any:
        """Return the last value, which must be of this type."""
        if type(self.stack[-1]) is not kind:
            raise DataError(f"is no sound pickle: expected a {kind.__name__}")
        return self.stack[-1]

"""Standard output and error that never cost a command its work; no TensorFlow."""

import io
import os
import sys
from typing import Any

from ariel_tf.core.printable import printable_stream


class _Output(io.FileIO):
    """A standard stream that goes on without its reader, and whose errors name it.

    Args:
        number: file descriptor.
        name: the stream in words, for errors; None for one whose errors nobody can read.
    """

    def __init__(self, number: int, name: str | None):
        super().__init__(number, "wb", closefd=False)
        self._stream_name = name

    def write(self, data: Any) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError as error:
            # Otherwise the bytes that wait would fail once more as the interpreter ends, with another exit code.
            _open_null_device(self.fileno())
            if self._stream_name is None or isinstance(error, BrokenPipeError):
                return len(memoryview(data).cast("B"))
            raise OSError(error.errno, error.strerror, self._stream_name) from None


class _Text(io.TextIOWrapper):
    """A text stream that shows no control characters of what it prints (`core.printable`)."""

    def write(self, text: str) -> int:
        super().write(printable_stream(text))
        return len(text)


def prepare() -> None:
    """Let `print` work on whatever the standard streams of this process are.

    A closed stream becomes the null device (its number would otherwise go to the next file that is opened). A pipe
    whose reader has gone is ignored: the work goes on. Characters that the encoding lacks are escaped, and so are
    control characters.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            _open_null_device(number)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  (for as long as the process lives)
    if sys.stdout is None or sys.stdout is sys.__stdout__:
        sys.stdout = _robust(1, sys.stdout, "standard output")
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        sys.stderr = _robust(2, sys.stderr, None)


def _robust(number: int, stream: Any, name: str | None) -> io.TextIOWrapper:
    """A text stream over `_Output` with the encoding and buffering of `stream`."""
    if stream is not None:
        stream.flush()
    return _Text(
        io.BufferedWriter(_Output(number, name)),
        encoding=getattr(stream, "encoding", "utf-8"),
        errors="backslashreplace",
        line_buffering=getattr(stream, "line_buffering", True) or getattr(stream, "write_through", False),
    )


def _open_null_device(number: int) -> None:
    """Let a file descriptor be the null device, for child processes too."""
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    os.set_inheritable(number, True)

"""Standard output and error streams that never abort a command; no TensorFlow."""

import io
import os
import sys
from typing import Any

from ariel_tf.core.printable import printable_stream


class _Output(io.FileIO):
    """A standard stream that continues after its reader has closed it, and whose errors name it.

    Args:
        number: file descriptor.
        name: name of the stream for errors; None for a stream whose errors nobody can read.
    """

    def __init__(self, number: int, name: str | None):
        super().__init__(number, "wb", closefd=False)
        self._stream_name = name

    def write(self, data: Any) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError as error:
            # Otherwise the buffered bytes would fail again when the interpreter exits, with another exit code.
            _open_null_device(self.fileno())
            if self._stream_name is None or isinstance(error, BrokenPipeError):
                return len(memoryview(data).cast("B"))
            raise OSError(error.errno, error.strerror, self._stream_name) from None


class _Text(io.TextIOWrapper):
    """A text stream that escapes the control characters in what it prints (`core.printable`)."""

    def write(self, text: str) -> int:
        super().write(printable_stream(text))
        return len(text)


def prepare() -> None:
    """Make `print` work whatever the standard streams of this process are.

    A closed stream is replaced by the null device (its descriptor would otherwise be given to the next file that is
    opened). If the reader of a pipe has closed it, the work continues. Control characters, and characters that the
    encoding lacks, are escaped.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            _open_null_device(number)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  (for the lifetime of the process)
    if sys.stdout is None or sys.stdout is sys.__stdout__:
        sys.stdout = _robust(1, sys.stdout, "standard output")
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        sys.stderr = _robust(2, sys.stderr, None)


def _robust(number: int, stream: Any, name: str | None) -> io.TextIOWrapper:
    """Return a text stream over `_Output` with the encoding and buffering of `stream`."""
    if stream is not None:
        stream.flush()
    return _Text(
        io.BufferedWriter(_Output(number, name)),
        encoding=getattr(stream, "encoding", "utf-8"),
        errors="backslashreplace",
        line_buffering=getattr(stream, "line_buffering", True) or getattr(stream, "write_through", False),
    )


def _open_null_device(number: int) -> None:
    """Redirect a file descriptor to the null device, for child processes too."""
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    os.set_inheritable(number, True)

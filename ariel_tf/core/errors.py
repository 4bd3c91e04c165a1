"""Errors in one sentence that a user can act on, and exit codes that a script can act on.

| code | meaning |
|---|---|
| 0 | done |
| 1 | system error: no permission, no space, no such device |
| 2 | usage error: an option, a setting or a run folder that does not fit |
| 3 | data error: a file, a shard or a manifest with invalid content |
| 4 | non-finite value: a loss or a prediction became NaN or infinite |
| 129, 130, 143 | stopped by SIGHUP, Ctrl-C or SIGTERM; completed work is saved |
"""

import difflib
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ariel_tf.core import console, signals
from ariel_tf.core.printable import printable, printable_line

# A longer message quotes file content rather than a name.
_LONGEST = 20_000
_LONGEST_NAME = 200
# Lines of a message after the first are indented; any other line end is part of a quoted name or value.
_OTHER_LINE_END = re.compile("\n(?!  )")


class ArielError(Exception):
    """A user's mistake or a system error: its text is the whole message, and no traceback is printed.

    Args:
        message: may quote names and values of untrusted files; it is stored as `printable` returns it.
    """

    exit_code = 1

    def __init__(self, message: object = ""):
        super().__init__(_OTHER_LINE_END.sub(r"\\n", printable(str(message)[:_LONGEST])))


class UsageError(ArielError):
    """An option, a setting or a run folder that does not fit."""

    exit_code = 2


class DataError(ArielError):
    """Data with invalid content. `faults` lists every fault if there are several."""

    exit_code = 3

    def __init__(self, message: str, faults: Sequence[str] = ()):
        super().__init__(message)
        self.message: str = self.args[0]
        self.faults = [printable_line(fault) for fault in faults]

    def __reduce__(self) -> tuple[Any, ...]:  # keeps the faults when a worker process raises it
        return type(self), (self.message, self.faults)


class NonFiniteError(ArielError):
    """A loss, a weight or a prediction became NaN or infinite."""

    exit_code = 4


class Stopped(ArielError):
    """A stop was requested by the user or the system; completed work is saved."""

    def __init__(self, message: str, signal_number: int = signal.SIGINT):
        super().__init__(message)
        self.exit_code = 128 + signal_number


def nearest(received: object, known: Iterable[str]) -> str:
    """Return `. Did you mean NAME?` for the known name most similar to a mistyped one, or an empty text."""
    text = str(received)
    if len(text) > _LONGEST_NAME:  # not a mistyped name; the comparison would take minutes
        return ""
    near = difflib.get_close_matches(text, list(known), n=1)
    return f". Did you mean {near[0]}?" if near else ""


def run_command(main: Callable[[], None]) -> None:
    """Run a command's `main`; turn its errors into one sentence on stderr and an exit code.

    A signal that no part of the command handles ends it within ten seconds. Programming errors (any exception that is
    not an `ArielError`, an `OSError` or Ctrl-C) keep their traceback, since the user cannot mend them.
    """
    # TensorFlow imports Keras, which would otherwise use the backend of the user's keras.json (`core.tf_startup`).
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    console.prepare()
    with signals.Watcher() as watcher:
        try:
            try:
                main()
            finally:
                sys.stdout.flush()
        except BaseException as error:  # noqa: BLE001  (raised again in `_report`, unless it is a user's mistake)
            code = 128 + watcher.received
            if isinstance(error, Stopped) or not watcher.received:
                code = _report(error)
            else:  # whatever exception a library raised because of the interruption
                print(f"\n{signals.describe_signal(watcher.received)}", file=sys.stderr)
            watcher.reported = True
            sys.exit(code)


# Number of faults that are printed; a longer list is written to a file.
_SHOWN_FAULTS = 20


def _shown_faults(faults: Sequence[str]) -> list[str]:
    """Return the lines of a list of faults; a long list is cut, and written whole to a temporary file."""
    if len(faults) <= _SHOWN_FAULTS:
        return list(faults)
    try:
        handle, name = tempfile.mkstemp(prefix="ariel-faults-", suffix=".txt")
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(f"{fault}\n" for fault in faults)
    except OSError:
        return list(faults)
    more = len(faults) - _SHOWN_FAULTS
    return [*faults[:_SHOWN_FAULTS], f"... and {more} more; all {len(faults)} are in {name}"]


def _report(error: BaseException) -> int:
    """Print an error as one sentence on stderr and return the exit code; raise programming errors again."""
    if isinstance(error, Stopped):
        print(f"\n{error}", file=sys.stderr)
        return error.exit_code
    if isinstance(error, ArielError):
        for line in _shown_faults(getattr(error, "faults", ())):
            print(f"  {line}", file=sys.stderr)
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        print("\nstopped.", file=sys.stderr)
        return 128 + signal.SIGINT
    if isinstance(error, OSError):
        name = f": {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes | os.PathLike) else ""
        print(f"error: {printable(f'{error.strerror or error}{name}')}", file=sys.stderr)
        return 1
    raise error

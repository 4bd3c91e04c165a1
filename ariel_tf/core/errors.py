"""Errors in one sentence that a user can act on, and exit codes that a script can act on.

| code | meaning |
|---|---|
| 0 | done |
| 1 | the system refused: no permission, no space, no such device |
| 2 | usage: an option, a setting or a run folder that does not fit |
| 3 | data refused: a file, a shard or a manifest that does not hold what it should |
| 4 | non-finite: a loss or a prediction became NaN or infinite |
| 129, 130, 143 | stopped by SIGHUP, Ctrl-C or SIGTERM; what was done is saved |
"""

import difflib
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence

from ariel_tf.core import console, signals
from ariel_tf.core.printable import printable, printable_line

# A longer message quotes a file, not a name.
_LONGEST = 20_000
_LONGEST_NAME = 200
# Lines of a message after its first are indented; another line end is part of a quoted name or value.
_OTHER_LINE_END = re.compile("\n(?!  )")


class ArielError(Exception):
    """A user's mistake or a machine's refusal: its text is the whole message, no traceback is shown.

    Args:
        message: may quote names and values of files that are somebody else's; it is kept as `printable` gives it.
    """

    exit_code = 1

    def __init__(self, message: object = ""):
        super().__init__(_OTHER_LINE_END.sub(r"\\n", printable(str(message)[:_LONGEST])))


class UsageError(ArielError):
    """An option, a setting or a run folder that does not fit."""

    exit_code = 2


class DataError(ArielError):
    """Data that does not hold what it should. `faults` lists every fault when there are several."""

    exit_code = 3

    def __init__(self, message: str, faults: Sequence[str] = ()):
        super().__init__(message)
        self.message: str = self.args[0]
        self.faults = [printable_line(fault) for fault in faults]

    def __reduce__(self):  # so that it survives the way back from a worker process
        return type(self), (self.message, self.faults)


class NonFiniteError(ArielError):
    """A loss, a weight or a prediction became NaN or infinite."""

    exit_code = 4


class Stopped(ArielError):
    """The user or the system asked to stop, and what was done is saved."""

    def __init__(self, message: str, signal_number: int = signal.SIGINT):
        super().__init__(message)
        self.exit_code = 128 + signal_number


def nearest(received: object, known: Iterable[str]) -> str:
    """`. Did you mean NAME?` for the known name that looks most like a mistyped one, or nothing."""
    text = str(received)
    if len(text) > _LONGEST_NAME:  # no mistyped name; comparing it would take minutes
        return ""
    near = difflib.get_close_matches(text, list(known), n=1)
    return f". Did you mean {near[0]}?" if near else ""


def run_command(main: Callable[[], None]) -> None:
    """Run a command's `main`; turn its errors into one sentence on stderr and an exit code.

    A signal that no part of the command handles ends it within ten seconds. Programming errors (anything that is not
    an `ArielError`, an `OSError` or Ctrl-C) keep their traceback: they are ours to fix, not the user's.
    """
    # TensorFlow imports Keras, which would otherwise take the backend of the user's keras.json (`core.tf_startup`).
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    console.prepare()
    with signals.Watcher() as watcher:
        try:
            try:
                main()
            finally:
                sys.stdout.flush()
        except BaseException as error:  # noqa: BLE001  (raised again in `_report`, unless it is the user's)
            code = 128 + watcher.received
            if isinstance(error, Stopped) or not watcher.received:
                code = _report(error)
            else:  # whatever a library made of the interruption
                print(f"\n{signals.describe_signal(watcher.received)}", file=sys.stderr)
            watcher.reported = True
            sys.exit(code)


# Faults that are printed; a longer list goes to a file.
_SHOWN_FAULTS = 20


def _shown_faults(faults: Sequence[str]) -> list[str]:
    """The lines of a list of faults; a long one is cut, and written whole to a new file in the folder for those."""
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
    """Print an error as one sentence on stderr; return the exit code. What is not the user's is raised again."""
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

"""Messages about the progress of a command, through Python's `logging`; results are printed. No TensorFlow.

    messages.info("resuming RUN after epoch 3")      standard output, like results
    messages.warning("a band has no noise")          standard error, after "warning: "

`--log-level warning` of every command leaves out the first kind. In a notebook, `logging.getLogger("ariel_tf")` is the
logger: `setLevel` filters, and handlers of your own can be added.
"""

import logging
import sys

from ariel_tf.core.printable import printable

LEVELS = ("debug", "info", "warning", "error")
LOGGER = logging.getLogger("ariel_tf")


class _Printed(logging.Handler):
    """Prints messages to the streams of the process, whatever they are at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        serious = record.levelno >= logging.WARNING
        prefix = f"{record.levelname.lower()}: " if serious else ""
        print(f"{prefix}{printable(record.getMessage())}", file=sys.stderr if serious else sys.stdout, flush=True)


if not LOGGER.handlers:
    LOGGER.addHandler(_Printed())
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False


def info(message: str) -> None:
    """Report progress."""
    LOGGER.info("%s", message)


def warning(message: str) -> None:
    """Report something that the user should check."""
    LOGGER.warning("%s", message)


def set_level(level: str) -> None:
    """Leave out messages below a level.

    Args:
        level: one of `LEVELS`.
    """
    LOGGER.setLevel(level.upper())


def shows_progress() -> bool:
    """Whether messages of level info are printed."""
    return LOGGER.isEnabledFor(logging.INFO)

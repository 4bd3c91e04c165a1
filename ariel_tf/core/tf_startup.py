"""Importing TensorFlow without the page of notices that its C++ side prints at every start."""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from ariel_tf.core.errors import ArielError

# TensorFlow's level of errors only; a child process inherits it, and hides no less than its parent.
HIDDEN = "3"


@contextmanager
def notices_hidden() -> Iterator[None]:
    """What is written to stderr in this block is shown only if it fails, and not by a user's mistake or Ctrl-C.

    `TF_CPP_MIN_LOG_LEVEL` in the environment, as TensorFlow documents it, shows it always.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", HIDDEN) != HIDDEN:
        yield
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = HIDDEN
    sys.stderr.flush()
    visible = os.dup(2)
    with tempfile.TemporaryFile() as notices:
        os.dup2(notices.fileno(), 2)  # the notices bypass Python: only the file descriptor catches them
        told = False
        try:
            yield
            told = True
        except (ArielError, KeyboardInterrupt):
            told = True
            raise
        finally:
            os.dup2(visible, 2)
            os.close(visible)
            if not told:
                notices.seek(0)
                sys.stderr.write(notices.read().decode(errors="replace"))


def _not_of_retracing(record: logging.LogRecord) -> bool:
    """Models and processes by turns are each traced anew, on purpose; TensorFlow takes that for a mistake."""
    return "triggered tf.function retracing" not in record.getMessage()


def import_tensorflow(start_devices: bool = True):
    """The `tensorflow` module, without its start-up notices.

    Args:
        start_devices: also start the devices, which prints notices of its own. They cannot be configured
            any more after that; `training.distribute.strategy_of` does both.
    """
    logging.getLogger("tensorflow").addFilter(_not_of_retracing)
    if "tensorflow" in sys.modules:
        import tensorflow

        return tensorflow
    with notices_hidden():
        import tensorflow

        if start_devices:
            tensorflow.config.list_logical_devices()
    return tensorflow

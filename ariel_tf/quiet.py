"""Importing TensorFlow without the page of notices that its C++ side prints at every start."""

import os
import sys
import tempfile


def import_tensorflow(start_devices: bool = True):
    """The `tensorflow` module; its start-up notices are shown only if the import fails.

    Args:
        start_devices: also start the devices, which prints notices of its own. They cannot be configured
            any more after that.

    `TF_CPP_MIN_LOG_LEVEL` in the environment, as TensorFlow documents it, shows them again.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ or "tensorflow" in sys.modules:
        import tensorflow

        return tensorflow
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.stderr.flush()
    visible = os.dup(2)
    with tempfile.TemporaryFile() as notices:
        os.dup2(notices.fileno(), 2)  # the notices bypass Python: only the file descriptor catches them
        done = False
        try:
            import tensorflow

            if start_devices:
                tensorflow.config.list_logical_devices()
            done = True
        finally:
            os.dup2(visible, 2)
            os.close(visible)
            if not done:
                notices.seek(0)
                sys.stderr.write(notices.read().decode(errors="replace"))
    return tensorflow

"""Import TensorFlow and Keras without start-up notices, and with fixed settings that results depend on.

Keras reads `~/.keras/keras.json` on import. Its float type, epsilon, image layout and backend would silently change
models and scores, so this module sets them once, whatever the user's file contains.
"""

import logging
import os
import sys
import tempfile
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ariel_tf.core.errors import ArielError, UsageError

# TensorFlow's log level for errors only; a child process inherits it and hides no less than its parent.
HIDDEN = "3"
BACKEND = "tensorflow"
# TensorFlow reads it once, when it is imported.
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
# Keras's defaults; `epsilon` is the smallest standard deviation that its normalisation divides by.
FLOATX, EPSILON, IMAGE_DATA_FORMAT = "float32", 1e-7, "channels_last"


@contextmanager
def notices_hidden() -> Iterator[None]:
    """Print what this block writes to stderr only if it fails, and not because of a user's mistake or Ctrl-C.

    If `TF_CPP_MIN_LOG_LEVEL` is set in the environment, as TensorFlow documents, it is always printed.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", HIDDEN) != HIDDEN:
        yield
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = HIDDEN
    sys.stderr.flush()
    visible = os.dup(2)
    with tempfile.TemporaryFile() as notices:
        os.dup2(notices.fileno(), 2)  # the notices bypass Python, so the file descriptor is redirected
        drop = False
        try:
            yield
            drop = True
        except (ArielError, KeyboardInterrupt):
            drop = True
            raise
        finally:
            os.dup2(visible, 2)
            os.close(visible)
            if not drop:
                notices.seek(0)
                sys.stderr.write(notices.read().decode(errors="replace"))


def _not_of_retracing(record: logging.LogRecord) -> bool:
    """Filter out TensorFlow's retracing warning: a new model or process is traced again on purpose."""
    return "triggered tf.function retracing" not in record.getMessage()


def refuse_other_keras(any_backend: bool = False) -> None:
    """Raise if the environment selects another Keras, or another backend, than this package uses.

    Args:
        any_backend: accept JAX and PyTorch, which run the models but no other part of the package.

    Raises:
        UsageError: names the variable.
    """
    if os.environ.get("TF_USE_LEGACY_KERAS") in ("true", "True", "1"):
        raise UsageError(
            f"TF_USE_LEGACY_KERAS={os.environ['TF_USE_LEGACY_KERAS']}: expected Keras 3; unset this environment "
            "variable."
        )
    backend = os.environ.get("KERAS_BACKEND") or BACKEND
    if "keras" in sys.modules and hasattr(sys.modules["keras"], "config"):
        backend = sys.modules["keras"].config.backend()
    if backend != BACKEND and not any_backend:
        raise UsageError(
            f"KERAS_BACKEND={backend}: expected {BACKEND}, which trains and runs all models here; unset this "
            f"environment variable, or set it to {BACKEND}."
        )


@contextmanager
def _backend_chosen() -> Iterator[None]:
    """Make the first import of Keras in this block use TensorFlow, unless the environment names another backend.

    The environment is restored afterwards, so that child processes outside this package choose for themselves.
    """
    if os.environ.get("KERAS_BACKEND"):
        yield
        return
    os.environ["KERAS_BACKEND"] = BACKEND
    try:
        yield
    finally:
        del os.environ["KERAS_BACKEND"]


def import_keras() -> types.ModuleType:
    """Return the `keras` module with fixed settings, whatever the user's `keras.json` contains.

    Raises:
        UsageError: Keras cannot be imported with that file.
    """
    global _keras_is_set
    try:
        with _backend_chosen():
            import keras
    except (ValueError, AssertionError, AttributeError, ImportError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name in ("keras", "tensorflow"):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"Keras cannot be imported ({reason}); correct or remove its settings file, {_settings_file()}."
        ) from error
    if not _keras_is_set:
        keras.config.set_floatx(FLOATX)
        keras.config.set_epsilon(EPSILON)
        keras.config.set_image_data_format(IMAGE_DATA_FORMAT)
        for name in ("set_max_epochs", "set_max_steps_per_epoch"):  # missing in older versions
            getattr(keras.config, name, lambda value: None)(None)
        _keras_is_set = True
    return keras


_keras_is_set = False


def _settings_file() -> str:
    """Return the path of the user's `keras.json`."""
    return os.path.join(os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras"), "keras.json")


def keras_settings() -> dict[str, Any]:
    """Return the Keras settings that results depend on, to record them with a run."""
    keras = import_keras()
    return {
        "backend": keras.config.backend(),
        "floatx": keras.config.floatx(),
        "epsilon": keras.config.epsilon(),
        "image_data_format": keras.config.image_data_format(),
    }


def choose_onednn(choice: str) -> None:
    """Switch TensorFlow's oneDNN kernels on or off, which differ in rounding; call it before TensorFlow is imported.

    Args:
        choice: "yes", "no", or "auto" for TensorFlow's own choice: by the processor, or by `ONEDNN` in the environment.

    Raises:
        UsageError: this process has started TensorFlow the other way already.
    """
    if choice == "auto":
        return
    if "tensorflow" not in sys.modules:
        os.environ[ONEDNN] = "1" if choice == "yes" else "0"
    elif uses_onednn() != (choice == "yes"):
        raise UsageError(
            f"--onednn {choice}: this process has started TensorFlow the other way already; set {ONEDNN}="
            f"{int(choice == 'yes')} in the environment before Python starts."
        )


def uses_onednn() -> bool:
    """Whether TensorFlow, which is imported, takes oneDNN's kernels."""
    from tensorflow.python.util import _pywrap_util_port

    return bool(_pywrap_util_port.IsMklEnabled())


def import_tensorflow(start_devices: bool = True, any_backend: bool = False) -> Any:
    """Return the `tensorflow` module, imported without its start-up notices; Keras is imported and set up, too.

    Args:
        start_devices: also start the devices, which prints notices of its own. Afterwards they can no longer be
            configured; `training.strategy.strategy_of` does both.
        any_backend: as in `refuse_other_keras`.

    Raises:
        UsageError: the environment selects another Keras, or Keras cannot be imported.
    """
    refuse_other_keras(any_backend)
    logging.getLogger("tensorflow").addFilter(_not_of_retracing)
    if "tensorflow" in sys.modules:
        import tensorflow

        import_keras()
        _compute_in_float32(tensorflow)
        return tensorflow
    with notices_hidden():
        import_keras()  # first: importing TensorFlow would import Keras with the user's backend
        import tensorflow

        _compute_in_float32(tensorflow)
        if start_devices:
            tensorflow.config.list_logical_devices()
    return tensorflow


def _compute_in_float32(tf: Any) -> None:
    """Make GPUs compute products of float32 in float32, not in TensorFloat-32, whose numbers have 11 bits.

    Its relative error, 3e-4 of a product with a light curve, is larger than the transits of small planets are deep.
    """
    tf.config.experimental.enable_tensor_float_32_execution(False)

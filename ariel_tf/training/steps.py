"""Training steps in few calls of a compiled function, to reduce the overhead of Python in small models.

    Keras's `fit`        calls the training function once per step, with all callbacks in between
    `StepsTogether`      runs the steps of a tenth of a second in the first of these calls; the following calls of the
                         same group return its metrics

The number of steps is an argument of the compiled function, so the last call of an epoch runs the remaining steps. Each
step is Keras's own `train_step`, in its order: weights and metrics are those of one step per call, bit for bit.
"""

import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

# A signal, the progress bar and a supervisor wait for the end of a call.
CALL_SECONDS = 0.1


class StepsTogether(keras.callbacks.Callback):
    """The `train_function` of a model on one device; also a callback, which must be passed to `fit`.

    Args:
        model: built and compiled model.
        steps: number of steps per epoch.
        rows: function (element of the dataset that `fit` receives) -> (inputs, targets); None if elements are these.
    """

    def __init__(self, model: keras.Model, steps: int, rows: Callable[[Any], Any] | None = None):
        super().__init__()
        self._trained, self._steps, self._rows = model, steps, rows
        self._done = self._ahead = 0
        self._chunk = 1
        self._logs: dict[str, float] = {}
        self._several = self._compiled()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._done = self._ahead = 0

    def __call__(self, iterator: Any) -> dict[str, float]:
        """Run the next step unless it is done already, and return the metrics so far; called by Keras."""
        if not self._ahead:
            self._take(iterator, min(self._chunk, self._steps - self._done))
        self._ahead -= 1
        return self._logs

    def _take(self, iterator: Any, count: int) -> None:
        started, is_first = time.perf_counter(), not self._logs
        logs = self._several(iterator, tf.constant(count))
        self._logs = {name: float(value) for name, value in logs.items()}
        self._done, self._ahead = self._done + count, count
        if not is_first:  # which traces
            enough = int(count * CALL_SECONDS / (time.perf_counter() - started))
            self._chunk = max(1, min(enough, 2 * self._chunk))

    def _compiled(self) -> Any:
        """Return a function (iterator, number of steps) -> metrics."""
        model, rows = self._trained, self._rows
        jit = model.jit_compile
        one = tf.function(model.train_step, reduce_retracing=True, jit_compile=jit, autograph=False)

        def several(iterator: Any, count: tf.Tensor) -> dict[str, Any]:
            def step(number: tf.Tensor) -> tuple[tf.Tensor]:
                element = iterator.get_next()
                one(element if rows is None else rows(element))
                return (number + 1,)

            tf.while_loop(lambda number: number < count, step, (tf.constant(0),), parallel_iterations=1)
            return model.get_metrics_result()

        return tf.function(several, reduce_retracing=True, autograph=False)


def test_function(model: keras.Model, rows: Callable[[Any], Any]) -> Any:
    """Return the `test_function` of a model on one device, for Keras's `evaluate`.

    Args:
        model: built and compiled model.
        rows: function (element of the dataset that `evaluate` receives) -> (inputs, targets).
    """

    def step(iterator: Any) -> dict[str, Any]:
        return model.test_step(rows(iterator.get_next()))

    return tf.function(step, reduce_retracing=True, autograph=False)

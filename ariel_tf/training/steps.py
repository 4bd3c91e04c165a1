"""Training steps in few calls of a compiled function, to reduce the overhead of Python in small models.

    Keras's `fit`        calls the training function once per step, with all callbacks in between
    `StepsTogether`      runs the steps of a tenth of a second in the first of these calls; the following calls of the
                         same group return its metrics

The number of steps is an argument of the compiled function, so the last call of an epoch runs the remaining steps. Each
step is Keras's own `train_step`, in its order: weights and metrics are those of one step per call, bit for bit.
"""

import functools
import sys
import time
from typing import Any

import keras
import tensorflow as tf

from ariel_tf.training.numbered_rows import NumberedRows

# A signal, the progress bar and a supervisor wait for the end of a call.
CALL_SECONDS = 0.1


class StepsTogether(keras.callbacks.Callback):
    """The `train_function` of a model on one device; also a callback, which must be passed to `fit`.

    Args:
        model: built and compiled model.
        steps: number of steps per epoch.
        rows: rows that steps take by their numbers; None if the dataset of `fit` has the rows.
        most: maximum number of steps per call.
    """

    def __init__(self, model: keras.Model, steps: int, rows: NumberedRows | None = None, most: int = sys.maxsize):
        super().__init__()
        self._most = most
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
            self._chunk = max(1, min(enough, 2 * self._chunk, self._most))

    def _compiled(self) -> Any:
        """Return a function (iterator, number of steps) -> metrics."""
        model, rows = self._trained, self._rows
        jit, train = model.jit_compile, model.train_step
        if rows is not None:
            train = functools.partial(type(model).train_step, _Part(model, rows.network))
        one = tf.function(train, reduce_retracing=True, jit_compile=jit, autograph=False)

        def several(iterator: Any, count: tf.Tensor) -> dict[str, Any]:
            def step(number: tf.Tensor) -> tuple[tf.Tensor]:
                element = iterator.get_next()
                one(element if rows is None else rows.training(element))
                return (number + 1,)

            tf.while_loop(lambda number: number < count, step, (tf.constant(0),), parallel_iterations=1)
            return model.get_metrics_result()

        return tf.function(several, reduce_retracing=True, autograph=False)


def test_function(model: keras.Model, rows: NumberedRows) -> Any:
    """Return the `test_function` of a model on one device, for Keras's `evaluate` of numbers of validation rows."""
    test = functools.partial(type(model).test_step, _Part(model, rows.network))

    def step(iterator: Any) -> dict[str, Any]:
        return test(rows.validation(iterator.get_next()))

    return tf.function(step, reduce_retracing=True, autograph=False)


class _Part:
    """A model of Keras's own class, in whose steps a part of it is called, which has the same weights."""

    def __init__(self, model: keras.Model, network: keras.Model):
        self._model, self._network = model, network

    def __call__(self, inputs: Any, training: bool) -> Any:
        return self._network(inputs, training=training)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

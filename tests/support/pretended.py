"""Trainings without their steps: everything else of a run is real, its weights are those of the start, moved a little.

Most of a tiny training's time goes into building the graph of a step. Tests of what happens to a run afterwards need
a run folder, not a good model. With ARIEL_REAL_TRAINING=1 in the environment they train after all.
"""

import contextlib
import os
import zlib
from collections.abc import Iterator

import keras
import numpy as np
import pytest

# Of the spread of a weight, in an epoch.
STEP = 0.02


@contextlib.contextmanager
def trainings() -> Iterator[None]:
    """Within it, `keras.Model.fit` takes no step."""
    if os.environ.get("ARIEL_REAL_TRAINING") == "1":
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "fit", _fit)
        yield


def _fit(model: keras.Model, batches, *, initial_epoch: int, epochs: int, callbacks: list, **_) -> None:
    """As Keras's own for the callbacks; the weights after an epoch depend on those before it and on the epoch."""
    model.optimizer.build(model.trainable_variables)
    model.stop_training = False
    called = keras.callbacks.CallbackList(callbacks, model=model, epochs=epochs, verbose=0)
    called.on_train_begin()
    for epoch in range(initial_epoch, epochs):
        called.on_epoch_begin(epoch)
        called.on_train_batch_begin(0)
        for variable in model.trainable_variables:
            values = keras.ops.convert_to_numpy(variable)
            draw = np.random.default_rng([epoch, zlib.crc32(values.tobytes())])
            variable.assign(values + STEP * (values.std() or 1e-3) * draw.normal(size=values.shape))
        model.optimizer.iterations.assign_add(1)
        called.on_train_batch_end(0)
        called.on_test_begin()
        called.on_test_batch_end(0)
        called.on_test_end()
        score = 9000.0 + epoch
        logs = {"loss": 1 / (1 + epoch), "score": score, "val_loss": 1 / (1 + epoch), "val_score": score}
        called.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    called.on_train_end()

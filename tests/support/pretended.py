"""Trainings without their steps: everything else of a run is real, its weights are those of the start, moved a little.

Most of a tiny training's time goes into building the graph of a step, or of a stack's step, and into reading its few
rows again. Tests of what happens to a run afterwards need a run folder, not a good model: they take no step, read the
rows of equal data once, and train a list of wavelengths one by one. With ARIEL_REAL_TRAINING=1 in the environment they
train after all.
"""

import contextlib
import os
import zlib
from collections.abc import Iterator

import keras
import numpy as np
import pytest

from ariel_tf.data import dataset
from ariel_tf.training import per_wavelength
from ariel_tf.training.data import TrainingData
from ariel_tf.training.stacked.layers import NotStackable

# Of the spread of a weight, in an epoch.
STEP = 0.02


_rows: dict[tuple, dict] = {}


@contextlib.contextmanager
def trainings(stacks: bool = True) -> Iterator[None]:
    """Within it, `keras.Model.fit` takes no step.

    Args:
        stacks: whether a list of wavelengths is trained as a stack, for real; without, one by one.
    """
    if os.environ.get("ARIEL_REAL_TRAINING") == "1":
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "fit", _fit)
        patch.setattr(TrainingData, "__init__", _init)
        patch.setattr(TrainingData, "test", _test)
        if not stacks:
            patch.setattr(per_wavelength, "by_memory", _refuse_stack)
        yield


def active() -> bool:
    """Whether trainings are pretended at the moment."""
    return keras.Model.fit is _fit


def _refuse_stack(*_) -> None:
    raise NotStackable("a pretended training is alone.")


def _load(source, selection) -> dict:
    """As `dataset.load`, once for equal rows."""
    key = (source.fingerprint, selection)
    if key not in _rows:
        _rows[key] = dataset.load(source, selection)
    return _rows[key]


def _init(data: TrainingData, source, config, load=None, memory=None, windows=False, also=None) -> None:
    _real_init(data, source, config, _load if load is None else load, memory, windows, also)


def _test(data: TrainingData) -> Iterator[dict]:
    selection = data.config.selection("test")
    size = dataset.prediction_batch_size(selection.signature)
    yield from dataset.table_batches(data._load(data.source, selection), size).as_numpy_iterator()


_real_init = TrainingData.__init__


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
        score = 9000.0 + epoch + zlib.crc32(keras.ops.convert_to_numpy(model.trainable_variables[0]).tobytes()) / 2**32
        logs = {"loss": 1 / (1 + epoch), "score": score, "val_loss": 1 / (1 + epoch), "val_score": score}
        called.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    called.on_train_end()

"""Trainings without their steps: everything else of a run is real, its weights are those of the start, moved a little.

Most of a tiny training's time goes into building the graph of a step, or of a stack's step, and into reading its few
rows again. Tests of what happens to a run afterwards need a run folder, not a good model: they take no step, train a
list of wavelengths one by one, and read the rows of equal data, simulate equal planets and load equal model files once.
With ARIEL_REAL_TRAINING=1 in the environment they train after all.
"""

import contextlib
import hashlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from ariel_tf.data import dataset
from ariel_tf.data.sources.simulated import SimulatedSource
from ariel_tf.training import per_wavelength
from ariel_tf.training.data import TrainingData
from ariel_tf.training.stacked.layers import NotStackable

# Of the spread of a weight, in an epoch.
STEP = 0.02


def score(epoch: int, weights: np.ndarray) -> float:
    """Training and validation score of an epoch: the later, the better."""
    return 9000.0 + epoch + zlib.crc32(weights.tobytes()) / 2**32


_rows: dict[tuple, dict] = {}
_batches: dict[tuple, list[dict]] = {}
_sources: dict[tuple, SimulatedSource] = {}
_models: dict[str, keras.Model] = {}


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
        patch.setattr(keras.models, "load_model", _load_model)
        patch.setattr(dataset, "evaluation_batches", _evaluation_batches)
        patch.setattr(SimulatedSource, "from_description", classmethod(_simulated))
        if not stacks:
            patch.setattr(per_wavelength, "by_memory", _refuse_stack)
        yield


def active() -> bool:
    """Whether trainings are pretended at the moment."""
    return keras.Model.fit is _fit


def _refuse_stack(*_) -> None:
    raise NotStackable("a pretended training is alone.")


def _load_model(path, compile=True, safe_mode=True, **rest) -> keras.Model:
    """As `keras.models.load_model`, once for equal files where it is not to be trained."""
    if compile or rest or not safe_mode:
        return _real_load_model(path, compile=compile, safe_mode=safe_mode, **rest)
    key = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    if key not in _models:
        _models[key] = _real_load_model(path, compile=False)
    return _models[key]


def _is_simulated(source) -> bool:
    return type(source) is SimulatedSource and SimulatedSource._simulate is _real_simulate


def _evaluation_batches(source, selection, *rest) -> Iterator[dict]:
    """As `dataset.evaluation_batches`, once for equal simulated rows; files are read each time."""
    if not _is_simulated(source):
        yield from _real_batches(source, selection, *rest)
        return
    key = (source.fingerprint, selection, repr(rest))
    if key not in _batches:
        _batches[key] = list(_real_batches(source, selection, *rest))
    for batch in _batches[key]:
        yield dict(batch)


def _simulated(kind, description, wavelengths) -> SimulatedSource:
    """As `SimulatedSource.from_description`, simulated once."""
    if SimulatedSource._simulate is not _real_simulate:
        return _real_from_description(description, wavelengths)
    key = (description, tuple(wavelengths))
    if key not in _sources:
        _sources[key] = _real_from_description(description, wavelengths)
    return _sources[key]


def _load(source, selection) -> dict:
    """As `dataset.load`, once for equal rows."""
    key = (type(source), source.description, source.fingerprint, selection)
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
_real_load_model = keras.models.load_model
_real_batches = dataset.evaluation_batches
_real_from_description = SimulatedSource.from_description
_real_simulate = SimulatedSource._simulate


def _fit(model: keras.Model, *_, epochs: int, callbacks: list, initial_epoch: int = 0, **__) -> None:
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
        loss, its = 1 / (1 + epoch), score(epoch, keras.ops.convert_to_numpy(model.trainable_variables[0]))
        logs = {"loss": loss, "score": its, "val_loss": loss, "val_score": its}
        called.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    called.on_train_end()

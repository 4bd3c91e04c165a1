"""Rows that steps take by their numbers: the same training as with rows in batches."""

import dataclasses

import keras
import numpy as np
import pytest

from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.data.sources import open_source
from ariel_tf.models.builder import build
from ariel_tf.runs.folder import RunFolder
from ariel_tf.training import fit, numbered_rows
from ariel_tf.training.data import TrainingData
from pipelines import arrays, simulate

CPU = "/device:CPU:0"
JOINT = Targets.parse("joint")


def free(count):
    return lambda device: count


@pytest.fixture(scope="module")
def source():
    return open_source("simulated:planets=12,spots=2,photons=2", range(55))


def config_of(**options):
    given = {"model": "squid", "data": "simulated", "batch_size": 5, "epochs": 3} | options
    return TrainConfig(**given).resolve()


def built_of(rows):
    return build(rows.config, rows.statistics, rows.steps)


def hold(rows, device=CPU, count=1 << 40, model=None):
    return numbered_rows.hold(rows, model or built_of(rows).training, device, free(count))


def trained(path, rows, device=None, epochs=3, numbered=True):
    """Weights and table of epochs of a training."""
    built, config = built_of(rows), rows.config
    plan = fit.FitPlan.of(rows, config, rows.pairs(rows.validation()), epochs)
    if not numbered:
        plan = dataclasses.replace(plan, numbered=lambda model: None)
    elif device:
        plan = dataclasses.replace(plan, numbered=lambda model: hold(rows, device, model=model))
    with RunFolder(path, config.as_json(), "") as run:
        run.write_meta({}, {})
        fit.fit(run, built, plan, None, "")
    return [weight.numpy() for weight in built.training.variables], (path / "metrics.csv").read_text()


def numbers(table):
    """Numbers of each epoch but its duration."""
    return np.array([[float(value) for value in row.split(",")[:5]] for row in table.splitlines()[1:]])


def test_rows_on_a_device_are_trained_on_bit_for_bit(tmp_path, source, monkeypatch):
    monkeypatch.setattr(numbered_rows, "features_of", lambda *_: None)
    rows = TrainingData(source, config_of())
    expected, table = trained(tmp_path / "batches", rows, numbered=False)
    received, shown = trained(tmp_path / "device", rows, CPU)
    for before, now in zip(expected, received, strict=True):
        np.testing.assert_array_equal(before, now)
    np.testing.assert_array_equal(numbers(shown), numbers(table))


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
@pytest.mark.parametrize("options", [{"model": "transit"}, {"model": "transit", "wavelength": JOINT}])
def test_features_are_trained_on_like_light_curves(tmp_path, source, options, precision):
    rows = TrainingData(source, config_of(**options, precision=precision, batch_size=16))
    assert hold(rows, None).network is not None
    expected, table = trained(tmp_path / "batches", rows, numbered=False)
    received, shown = trained(tmp_path / "features", rows)
    near = 1e-3 if precision == "float32" else 0.02
    np.testing.assert_allclose(numbers(shown), numbers(table), rtol=near)
    assert len(expected) == len(received)


def test_a_resumed_training_is_the_uninterrupted_one_bit_for_bit(tmp_path, source):
    rows = TrainingData(source, config_of(model="transit", batch_size=16))
    expected, _ = trained(tmp_path / "whole", rows)
    trained(tmp_path / "parts", rows, epochs=1)
    received, _ = trained(tmp_path / "parts", rows)
    for before, now in zip(expected, received, strict=True):
        np.testing.assert_array_equal(before, now)


def test_rows_that_a_step_takes_are_those_of_its_batch(source):
    rows = TrainingData(source, config_of(model="segments"))  # reads stars, too
    network, held = built_of(rows).training, hold(rows)
    features = held.network
    assert features is not network
    for places, (inputs, radius) in zip(held.places(1).take(3), rows.training(1).take(3), strict=True):
        taken, truth = held.training(places)
        np.testing.assert_array_equal(truth, radius)
        assert len(taken[0]) == len(inputs["flux"])
    split = numbered_rows.halves(network, 1000)
    for values, expected in zip(taken, keras.tree.flatten(split.features(inputs)), strict=True):
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "device", "count"),
    [({"model": "cnn"}, None, 1 << 40), ({"model": "cnn"}, CPU, 1000), ({"augment": "noise"}, CPU, 1 << 40)],
    ids=["no features, no GPU", "too large for the GPU", "augmented"],
)
def test_rows_stay_in_batches(source, options, device, count):
    assert hold(TrainingData(source, config_of(**options)), device, count) is None


def test_rows_in_windows_stay_in_batches(source):
    assert hold(TrainingData(source, config_of(model="transit"), windows=True)) is None


def test_features_beyond_the_memory_limit_are_not_held(tmp_path):
    """Rows of mapped files can be many times larger than memory, and features a half of them."""
    simulate.main([str(tmp_path), "--planets=12", "--spots=1", "--photons=2"])
    arrays.main([str(tmp_path)])
    source = open_source(str(tmp_path), range(55))
    config = config_of(model="transit", wavelength=JOINT, batch_size=8, data=str(tmp_path))
    mapped = TrainingData(source, config, memory=50_000)
    assert mapped.table is None
    assert hold(mapped, None) is not None
    assert hold(TrainingData(source, config, memory=1000), None) is None
    table = TrainingData(source, config)
    places, both = np.arange(table.count), (hold(mapped, None), hold(table, None))
    for one, other in zip(*(keras.tree.flatten(each.training(places)) for each in both), strict=True):
        np.testing.assert_array_equal(one, other)


def with_layer(layer):
    flux = keras.Input((300, 1), name="flux")
    means = keras.layers.AveragePooling1D(30)(flux)
    return keras.Model({"flux": flux}, keras.layers.Dense(1)(keras.layers.Flatten()(layer(means))))


class OfTheBatch(keras.layers.Layer):
    def call(self, values):
        return values - keras.ops.mean(values, axis=0, keepdims=True)


class AddsLoss(keras.layers.Layer):
    def call(self, values):
        self.add_loss(keras.ops.mean(values))
        return values


@pytest.mark.parametrize(
    ("layer", "held"),
    [(keras.layers.Identity(), True), (OfTheBatch(), False), (AddsLoss(), False),
     (keras.layers.Activation("linear", activity_regularizer="l2"), False)],
    ids=["plain", "of the batch", "adds a loss", "regularised"],
)  # fmt: skip
def test_features_that_can_not_be_computed_once_are_computed_in_each_step(source, layer, held):
    rows = TrainingData(source, config_of())
    assert (hold(rows, None, model=with_layer(layer)) is not None) is held

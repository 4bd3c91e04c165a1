"""Rows that steps take by their numbers: the same training as with rows in batches."""

import dataclasses
import signal
from unittest import mock

import keras
import numpy as np
import pytest

from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.errors import Stopped
from ariel_tf.data.sources import open_source
from ariel_tf.models.builder import build
from ariel_tf.runs.folder import RunFolder
from ariel_tf.training import fit, numbered_rows
from ariel_tf.training.data import TrainingData
from ariel_tf.training.tensorboard import Profile
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
    return numbered_rows.hold(rows, model or built_of(rows).training, device=device, free=free(count))


def trained(path, rows, device=None, epochs=3, numbered=True, more=()):
    """Weights and table of epochs of a training."""
    built, config = built_of(rows), rows.config
    plan = fit.FitPlan.of(rows, config, rows.pairs(rows.validation()), epochs)
    if not numbered:
        plan = dataclasses.replace(plan, numbered=lambda model, each: None)
    elif device:
        plan = dataclasses.replace(plan, numbered=lambda model, each: hold(rows, device, model=model))
    with RunFolder(path, config.as_json(), "") as run:
        run.write_meta({}, {})
        fit.fit(run, built, plan, None, "repeat", more)
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


@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("options", [{"model": "transit"}, {"model": "transit", "wavelength": JOINT}])
def test_features_are_trained_on_like_light_curves(tmp_path, source, options, precision):
    rows = TrainingData(source, config_of(**options, precision=precision, batch_size=16))
    assert hold(rows, None).network is not None
    expected, table = trained(tmp_path / "batches", rows, numbered=False)
    received, shown = trained(tmp_path / "features", rows)
    near = {"float32": 1e-3, "mixed_float16": 0.02, "mixed_bfloat16": 0.1}[precision]
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
    ("options", "device"),
    [({"model": "cnn"}, None), ({"augment": "noise"}, CPU)],
    ids=["no features, no GPU", "augmented"],
)
def test_rows_stay_in_batches(source, options, device):
    assert hold(TrainingData(source, config_of(**options)), device) is None


@pytest.mark.parametrize("model", ["cnn", "transit"])
def test_rows_that_do_not_fit_on_the_gpu_are_taken_from_memory(source, model):
    """A resumed training takes its rows in the same way, whatever memory is free then."""
    rows = TrainingData(source, config_of(model=model))
    places = np.arange(rows.count)
    both = [keras.tree.flatten(hold(rows, CPU, count).training(places)) for count in (0, 1 << 40)]
    for one, other in zip(*both, strict=True):
        np.testing.assert_array_equal(one, other)


def test_features_do_not_depend_on_a_profile(tmp_path, source):
    rows = TrainingData(source, config_of(model="transit", batch_size=16))
    expected, _ = trained(tmp_path / "plain", rows)
    received, _ = trained(tmp_path / "profiled", rows, more=[Profile(tmp_path / "logs", 1, 2)])
    for before, now in zip(expected, received, strict=True):
        np.testing.assert_array_equal(before, now)
    assert list((tmp_path / "logs").rglob("*.xplane.pb"))


def test_a_signal_ends_the_computation_of_features(tmp_path, source):
    """It was heeded after the last row only."""
    rows = TrainingData(source, config_of(model="transit", batch_size=4))
    computed = []

    def interrupt():
        computed.append(1)
        signal.raise_signal(signal.SIGINT)

    with (
        mock.patch("ariel_tf.training.heartbeat.advance", interrupt),
        pytest.raises(Stopped, match="repeat the command"),
    ):
        trained(tmp_path / "run", rows)
    assert len(computed) == 1


def test_rows_in_windows_stay_in_batches(source):
    assert hold(TrainingData(source, config_of(model="transit"), windows=True)) is None


def test_features_of_mapped_rows_are_those_of_rows_in_memory(tmp_path, monkeypatch):
    simulate.main([str(tmp_path), "--planets=12", "--spots=1", "--photons=2"])
    arrays.main([str(tmp_path)])
    source = open_source(str(tmp_path), range(55))
    config = config_of(model="transit", wavelength=JOINT, batch_size=8, data=str(tmp_path))
    mapped, table = TrainingData(source, config, memory=1000), TrainingData(source, config)
    assert mapped.table is None
    assert table.table is not None
    places, both = np.arange(table.count), (hold(mapped, None), hold(table, None))
    for one, other in zip(*(keras.tree.flatten(each.training(places)) for each in both), strict=True):
        np.testing.assert_array_equal(one, other)
    monkeypatch.setattr(numbered_rows, "FEATURE_BYTES", 1000)
    assert hold(mapped, None) is None


def with_layer(layer, initializer="glorot_uniform"):
    flux = keras.Input((300, 1), name="flux")
    means = keras.layers.Flatten()(layer(keras.layers.AveragePooling1D(30)(flux)))
    return keras.Model({"flux": flux}, keras.layers.Dense(1, kernel_initializer=initializer)(means))


class OfTheBatch(keras.layers.Layer):
    def call(self, values):
        return values - keras.ops.mean(values, axis=0, keepdims=True)


class NoisyInTraining(keras.layers.Layer):
    def call(self, values, training=False):
        return values + keras.random.normal(keras.ops.shape(values), seed=1) if training else values


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
@pytest.mark.parametrize("initializer", ["glorot_uniform", "zeros"])
def test_features_that_can_not_be_computed_once_are_computed_in_each_step(source, layer, held, initializer):
    """With a last layer of zeros the outputs agree whatever the features are."""
    rows = TrainingData(source, config_of())
    assert (hold(rows, None, model=with_layer(layer, initializer)) is not None) is held


def test_a_layer_that_acts_in_training_is_part_of_each_step(source):
    """Its noise was left out: it has no weights, and does nothing where features are computed."""
    held = hold(TrainingData(source, config_of()), None, model=with_layer(NoisyInTraining()))
    assert any(isinstance(layer, NoisyInTraining) for layer in held.network.layers)

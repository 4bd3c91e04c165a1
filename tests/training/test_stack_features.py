"""Features are computed once for a stack's rows; its training is that of stacks that compute them in each step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.models.builder import build_dry
from ariel_tf.models.losses import ArielScore, RadiusLoss
from ariel_tf.training.stacked import stack as stack_module
from ariel_tf.training.stacked.features import halves
from ariel_tf.training.stacked.stack import Stack
from ariel_tf.training.stacked.tables import Table

W, ROWS, STEPS = 3, 23, 30


def make_table():
    rng = np.random.default_rng(0)
    radius, own, shared, star = (
        rng.uniform(0.02, 0.15, (W, ROWS, 1)), rng.normal(1, 0.1, (W, ROWS, STEPS, 1)),
        rng.normal(1, 0.1, (ROWS, STEPS, 1)), rng.normal(size=(ROWS, 6)),
    )  # fmt: skip
    return Table(*(tf.constant(values, tf.float32) for values in (radius, own, shared, star)))


def make_model(table, index, noise=0.0):
    """A model whose features, 5 means of a scaled curve and their spread, have constants of one wavelength."""
    keras.utils.set_random_seed(index)
    inputs = {"flux": keras.Input((STEPS, 2), name="flux"), "star": keras.Input((6,), name="star")}
    x = keras.layers.Rescaling(10.0 * (index + 1), -float(index), name="scale")(inputs["flux"])
    if noise:
        x = keras.layers.GaussianNoise(noise, name="noise")(x)
    means = keras.ops.mean(keras.ops.reshape(x, (-1, 5, 6, 2)), axis=2)
    spread = keras.ops.std(means, axis=1)
    x = keras.layers.Concatenate(name="all")([keras.layers.Flatten(name="flat")(means), inputs["star"]])
    x = keras.layers.Dense(8, activation="tanh", name="dense")(x)
    x = keras.layers.Dense(1, name="head")(keras.layers.Concatenate(name="with_spread")([x, spread]))
    model = keras.Model(inputs, x, name="model")
    model.compile(optimizer="adam", loss=RadiusLoss("mse", "depth", [0.01]), metrics=[ArielScore("depth")])
    return model


def values_of(model, row):
    found = halves(model, 10**6)
    return None if found is None else keras.tree.flatten(found.features(row))


@pytest.mark.parametrize(("name", "count"), [("squid", 101), ("segments", 44), ("transit", 46)])
def test_features_and_network_are_the_model(name, count):
    model = build_dry(TrainConfig(model=name, wavelength=Targets.one(12), data="simulated").resolve()).training
    before = [variable.path for variable in model.trainable_variables]
    found = halves(model, count)
    assert not found.features.variables
    assert [variable.path for variable in found.network.trainable_variables] == before
    row = {"flux": np.random.default_rng(0).normal(1, 0.01, (3, *model.input["flux"].shape[1:])).astype(np.float32)}
    if "star" in model.input:
        row["star"] = np.tile(np.array([5000, 4.4, 1, 1, 9, 3], np.float32), (3, 1))
    np.testing.assert_array_equal(found.network(found.features(row)), model(row))
    assert halves(model, count - 1) is None


def test_weights_and_random_layers_are_no_features():
    table = make_table()
    row = table.of(0)
    assert sum(part.shape[1] for part in values_of(make_model(table, 0), row)) == 5 * 2 + 6 + 2
    noisy = halves(make_model(table, 0, noise=0.1), 10**6)
    assert "noise" not in [layer.name for layer in noisy.features.layers]
    flux = keras.Input((4,), name="flux")
    assert halves(keras.Model({"flux": flux}, keras.layers.Dense(1)(flux)), 10**6) is None


def test_a_deep_residual_network_is_split_at_once():
    """Every path from output to input was followed: 2 ** 60 of them."""
    flux = keras.Input((8,), name="flux")
    x = keras.ops.mean(keras.ops.reshape(flux, (-1, 4, 2)), axis=2)
    for _ in range(60):
        x = keras.layers.Add()([x, keras.layers.Dense(4)(x)])
    found = halves(keras.Model({"flux": flux}, keras.layers.Dense(1)(x)), 10**6)
    assert [tensor.shape for tensor in found.features.outputs] == [(None, 4)]


@pytest.mark.parametrize("kind", ["rows of all instances", "a mean over the batch", "an unknown size"])
def test_features_that_are_not_those_of_a_row_are_computed_in_each_step(kind):
    """Such models were refused as stacks, though a stack of whole models has their outputs."""
    rng = np.random.default_rng(0)
    own = tf.constant(rng.normal(1, 0.1, (W, ROWS, 4, STEPS, 1)), tf.float32)
    table = Table(tf.constant(rng.uniform(0.02, 0.15, (W, ROWS, 1)), tf.float32), own, None, None)
    models = [make_model_of_instances(kind, index) for index in range(W)]
    stack = Stack(models, table.take([0, 1, 2, 3]))
    assert stack.prepared(table) is table
    stack.train(table, tf.range(ROWS), 5, 0, 5)


def make_model_of_instances(kind, index):
    """A model of rows of four instances, with features that are not one entry for each row of the batch."""
    keras.utils.set_random_seed(index)
    flux = keras.Input((4, STEPS, 1), name="flux")
    x = keras.ops.mean(keras.ops.reshape(flux, (-1, 4, 5, 6)), axis=3)
    if kind == "a mean over the batch":
        x = x - keras.ops.mean(x, axis=0, keepdims=True)
    elif kind == "rows of all instances":
        x = keras.ops.reshape(x, (-1, 5))
    else:
        x = keras.ops.transpose(keras.ops.reshape(x, (-1, 5)))
    if kind == "an unknown size":
        x = keras.ops.transpose(keras.layers.Rescaling(2.0, name="scale")(x))
    x = keras.ops.reshape(keras.layers.Dense(4, activation="tanh", name="dense")(x), (-1, 16))
    model = keras.Model({"flux": flux}, keras.layers.Dense(1, name="head")(x), name="model")
    model.compile(optimizer="adam", loss=RadiusLoss("mse", "depth", [0.01]), metrics=[ArielScore("depth")])
    return model


@pytest.mark.parametrize(("batch", "rows"), [(10, 10), (1000, 256)])
def test_features_of_no_more_rows_than_a_batch_has_are_computed_at_once(batch, rows, monkeypatch):
    """The memory of a stack is estimated for a batch; features of 256 rows took twice that of small batches."""
    at_once, features_of = [], Stack._features_of

    def recorded(stack, table, index):
        at_once.append(index.shape[0])
        return features_of(stack, table, index)

    monkeypatch.setattr(Stack, "_features_of", recorded)
    table = make_table()
    Stack([make_model(table, index) for index in range(W)], table.take([0, 1]), batch_size=batch).prepared(table)
    assert set(at_once) == {rows}


def test_a_prepared_table_has_the_features_of_each_wavelength_s_own_model():
    table = make_table()
    models = [make_model(table, index) for index in range(W)]
    prepared = Stack(models, table.take([0, 1]), batch_size=10).prepared(table)
    assert prepared.rows == ROWS
    assert prepared.shared is prepared.star is None
    expected = [values_of(model, table.of(index)) for index, model in enumerate(models)]
    for found, parts in zip(prepared.own, zip(*expected, strict=True), strict=True):
        np.testing.assert_allclose(found, np.stack(parts), rtol=1e-5, atol=1e-5)


def trained(table):
    stack = Stack([make_model(table, index) for index in range(W)], table.take([0, 1]))
    rows = stack.prepared(table)
    stack.train(rows, tf.range(ROWS), 5, 0, 5)
    return rows, stack.test(rows, 7), [weight.numpy() for weight in stack.variables.weights]


def test_a_stack_trains_as_one_that_computes_its_features_in_each_step(monkeypatch):
    table = make_table()
    rows, measured, weights = trained(table)
    assert isinstance(rows.own, list)
    monkeypatch.setattr(stack_module, "halves", lambda *_: None)
    raw, expected, each_step = trained(table)
    assert raw is table
    for one, other in zip(weights, each_step, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(measured.loss, expected.loss, rtol=1e-4)
    np.testing.assert_allclose(measured.score, expected.score, rtol=1e-4)

"""The update in one pass: the same steps as Keras's own operations, the same variables."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ariel_tf.config.choices import OPTIMIZERS
from ariel_tf.config.hyperparameters import Settings
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.models import builder
from ariel_tf.training import fused_update

SHAPES = ((7, 5), (5,), (3, 2, 4))


def trained(optimizer, steps=12):
    """Weights after some steps along gradients that are the same for every optimiser."""
    rng = np.random.default_rng(3)
    weights = [
        keras.Variable(rng.normal(size=shape).astype(np.float32), name=f"weight_{index}")
        for index, shape in enumerate(SHAPES)
    ]
    optimizer.build(weights)
    step = tf.function(lambda *gradients: optimizer.apply(gradients, weights))
    for _ in range(steps):
        step(*[tf.constant(rng.normal(scale=0.1, size=shape), tf.float32) for shape in SHAPES])
    return [weight.numpy() for weight in weights], optimizer


def pair(name, **settings):
    """The same optimiser twice, the second one to be updated in one pass."""
    own, fused = (builder._optimizer(Settings(settings), name, 20) for _ in range(2))
    return own, fused_update.fuse(fused)


def both(name, **settings):
    """The same optimiser with Keras's own operations, and in one pass."""
    made = pair(name, **settings)
    assert [fused_update.is_fused(optimizer) for optimizer in made] == [False, True]
    return [trained(optimizer) for optimizer in made]


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(
    "settings",
    [{}, {"schedule": "cosine", "learning_rate": 0.02}, {"clip_norm": 0.3, "weight_decay": 0.1}],
    ids=["plain", "scheduled", "clipped and decayed"],
)
def test_one_pass_takes_the_steps_of_keras(name, settings):
    (expected, own), (received, fused) = both(name, **settings)
    for one, other in zip(expected, received, strict=True):
        np.testing.assert_allclose(other, one, rtol=3e-5, atol=3e-7)
    shapes = [[tuple(variable.shape) for variable in optimizer.variables] for optimizer in (own, fused)]
    assert shapes[0] == shapes[1], "a checkpoint of either loads"
    for one, other in zip(own.variables, fused.variables, strict=True):
        np.testing.assert_allclose(other.numpy(), one.numpy(), rtol=3e-5, atol=1e-7)
    assert fused.get_config() | {"name": ""} == own.get_config() | {"name": ""}


def overflowing(optimizer):
    """A weight after three steps under a loss scale, the second of which overflows, and the steps that counted."""
    weight, scaled = keras.Variable(np.ones(4, np.float32)), keras.optimizers.LossScaleOptimizer(optimizer)
    scaled.build([weight])
    step = tf.function(lambda gradient: scaled.apply([gradient], [weight]))
    for size in (3.0, np.inf, -1.0):
        step(tf.fill([4], tf.constant(size, tf.float32) * scaled.dynamic_scale.value))
    return weight.numpy(), int(scaled.iterations.numpy())


def test_one_pass_under_a_loss_scale():
    """A half precision scales the loss; a step whose gradients overflow is left out by either."""
    (expected, steps), (received, others) = map(overflowing, pair("adam"))
    np.testing.assert_allclose(received, expected, rtol=1e-6)
    assert steps == others == 2


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.Adam(amsgrad=True),
        keras.optimizers.SGD(momentum=0.9),
        keras.optimizers.RMSprop(momentum=0.5),
        keras.optimizers.RMSprop(centered=True),
        keras.optimizers.Adagrad(),
    ],
    ids=["amsgrad", "momentum", "rmsprop with momentum", "centred", "another"],
)
def test_a_formula_without_a_kernel_is_left_to_keras(optimizer):
    assert not fused_update.is_fused(fused_update.fuse(optimizer))


def test_rows_of_an_embedding_are_left_to_keras():
    def step(optimizer):
        weight = keras.Variable(np.ones((4, 2), np.float32))
        optimizer.build([weight])
        optimizer.apply([tf.IndexedSlices(tf.ones([1, 2]), tf.constant([2]), tf.constant([4, 2]))], [weight])
        return weight.numpy()

    found = step(fused_update.fuse(keras.optimizers.SGD(0.5)))
    np.testing.assert_array_equal(found, step(keras.optimizers.SGD(0.5)))
    np.testing.assert_array_equal(found[[0, 1, 3]], 1)


def test_a_configuration_names_the_update_only_where_it_is_keras():
    """Runs of earlier versions name none, and are resumed."""
    assert "fused" not in TrainConfig(model="squid").as_json()
    unfused = TrainConfig(model="squid", fused="no")
    assert unfused.as_json()["fused"] == "no"
    assert TrainConfig.from_json(unfused.as_json()) == unfused

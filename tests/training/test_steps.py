"""Several steps in one call: weights and metrics of one step a call, bit for bit, and no step of the next epoch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ariel_tf.config.train_config import TrainConfig
from ariel_tf.data.sources import open_source
from ariel_tf.training import steps
from ariel_tf.training.steps import StepsTogether
from benchmarks.fit_speed import Case, Cost

ROWS, SIZE, EPOCHS = 21, 4, 3
STEPS = 6  # the last one has a single row


def model_of(seed):
    """With dropout, whose numbers must be drawn in the same order."""
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.3, seed=5), keras.layers.BatchNormalization()]
    model = keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    return model


def batches():
    values = np.random.default_rng(0).normal(size=(ROWS, 4)).astype(np.float32)
    rows = tf.data.Dataset.from_tensor_slices((values[:, :3], values[:, 3:])).batch(SIZE)
    return rows.repeat(EPOCHS)


def trained(model, *callbacks):
    history = model.fit(
        batches(), steps_per_epoch=STEPS, epochs=EPOCHS, verbose=0, shuffle=False, callbacks=list(callbacks)
    )
    return [weight.numpy() for weight in model.variables], history.history


@pytest.mark.parametrize("seconds", [pytest.param(0.0, marks=pytest.mark.slow), 10.0])
def test_steps_of_one_call_are_the_steps_of_many(monkeypatch, seconds):
    monkeypatch.setattr(steps, "CALL_SECONDS", seconds)
    one, other = model_of(1), model_of(1)
    expected, history = trained(one)
    together = StepsTogether(other, STEPS)
    other.train_function = together
    counts = []
    take = together._take
    monkeypatch.setattr(together, "_take", lambda iterator, count: counts.append(count) or take(iterator, count))
    received, shown = trained(other, together)
    for before, now in zip(expected, received, strict=True):
        np.testing.assert_array_equal(before, now)
    assert shown == history
    assert counts == ([1] * STEPS * EPOCHS if seconds == 0 else [1, 1, 2, 2, 6, 6])


def test_an_error_of_the_data_in_the_middle_of_a_call_is_raised():
    def fail(number):
        with tf.control_dependencies([tf.debugging.assert_less(number, 5, "no row")]):
            return tf.ones([2, 3]), tf.ones([2, 1])

    model = model_of(1)
    together = StepsTogether(model, 10)
    model.train_function = together
    rows = tf.data.Dataset.range(10, output_type=tf.int32).map(fail)
    with pytest.raises(tf.errors.InvalidArgumentError, match="no row"):
        model.fit(rows, steps_per_epoch=10, verbose=0, shuffle=False, callbacks=[together])


def test_keras_s_own_fit_takes_its_own_steps_after_ours():
    """It took none: the function of ours, whose steps are done, stayed in the model, and benchmarks measured that."""
    source = open_source("simulated:planets=10,spots=1,photons=1", [12])
    case = Case(TrainConfig(model="squid", data="simulated", batch_size=4).resolve(), source)
    case.ours(1, Cost())
    taken = int(case.built.training.optimizer.iterations.numpy())
    case.bare(1, Cost())
    assert taken == 2 * case.rows.steps == int(case.built.training.optimizer.iterations.numpy()) - taken

"""The score as a Keras metric is the challenge's score, at any batch size and on several replicas; the losses."""

import doctest

import keras
import numpy as np
import pytest
import tensorflow as tf

from ariel_tf.challenge import depth_error, score
from ariel_tf.models import losses
from ariel_tf.models.losses import ArielScore, RadiusLoss

RNG = np.random.default_rng(0)
TRUE = RNG.uniform(0.01, 0.2, (1003, 55)).astype(np.float32)
PREDICTED = (TRUE * RNG.normal(1, 0.3, TRUE.shape)).astype(np.float32)
# JAX has only float32 unless told otherwise: its sums are exact to a few hundredths of a point.
TOLERANCE = 0.05 if keras.backend.backend() == "jax" else 1e-3
WEIGHTS = RNG.uniform(3e8, 3e9, TRUE.shape).astype(np.float32)


def test_docstring_examples():
    assert doctest.testmod(losses).failed == 0


def test_one_formula_takes_arrays_and_tensors_with_the_same_result():
    by_numpy = 2 * TRUE * np.abs(PREDICTED - TRUE)
    np.testing.assert_array_equal(depth_error(TRUE, PREDICTED), by_numpy)
    by_keras = depth_error(keras.ops.convert_to_tensor(TRUE), keras.ops.convert_to_tensor(PREDICTED))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(by_keras), by_numpy)


@pytest.mark.parametrize("batch", [1, 7, 64, 1003])
@pytest.mark.parametrize("weighted", [False, True])
def test_exact_at_every_batch_size_with_a_partial_last_batch(batch, weighted):
    metric = ArielScore()
    rows = slice(150 * batch + batch // 2)  # steps enough for rounding to show
    true, predicted, weights = TRUE[rows], PREDICTED[rows], WEIGHTS[rows]
    for start in range(0, len(true), batch):
        part = slice(start, start + batch)
        metric.update_state(true[part], predicted[part], weights[part] if weighted else None)
    expected = score(true, predicted, weights if weighted else None)
    assert float(metric.result()) == pytest.approx(expected, abs=TOLERANCE)


def test_one_weight_a_row_counts_for_every_wavelength():
    metric = ArielScore()
    metric.update_state(TRUE, PREDICTED, WEIGHTS[:, 0])
    assert float(metric.result()) == pytest.approx(score(TRUE, PREDICTED, WEIGHTS[:, :1]), abs=TOLERANCE)


def test_reset_forgets_and_no_data_is_no_error():
    metric = ArielScore()
    metric.update_state(TRUE, 0 * TRUE)
    metric.reset_state()
    metric.update_state(TRUE, TRUE)
    assert float(metric.result()) == 10000


def test_depth_head_is_scored_as_the_radius_that_it_answers():
    depth = PREDICTED**2
    depth[:5] = -0.01  # noise can make a depth negative: the radius is then 0
    metric = ArielScore(head="depth")
    metric.update_state(TRUE, depth)
    expected = score(TRUE, np.sqrt(np.maximum(depth.astype(np.float64), 0)))
    assert float(metric.result()) == pytest.approx(expected, abs=TOLERANCE)


def test_a_nan_prediction_makes_the_score_nan():
    metric = ArielScore()
    metric.update_state([[0.1]], [[np.nan]])
    assert np.isnan(float(metric.result()))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.distribute runs on the TensorFlow backend only")
def test_exact_with_two_replicas():
    devices = tf.config.list_logical_devices("CPU")
    assert len(devices) == 2, "tests/conftest.py makes two"
    strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
    with strategy.scope():
        metric = ArielScore()
    data = tf.data.Dataset.from_tensor_slices((TRUE, PREDICTED)).batch(64)  # 15 full batches and one of 43
    step = tf.function(lambda batch: strategy.run(metric.update_state, batch))
    for batch in strategy.experimental_distribute_dataset(data):
        step(batch)
    assert float(metric.result()) == pytest.approx(score(TRUE, PREDICTED), abs=TOLERANCE)


def test_fit_reports_the_score_of_all_rows(tmp_path):
    inputs = keras.Input((55,))
    model = keras.Model(inputs, keras.layers.Rescaling(1.0)(inputs))
    model.compile(loss=RadiusLoss(), metrics=[ArielScore()])
    logs = model.evaluate(PREDICTED, TRUE, batch_size=100, verbose=0, return_dict=True)
    assert logs["score"] == pytest.approx(score(TRUE, PREDICTED), abs=TOLERANCE)


@pytest.mark.parametrize(
    ("kind", "head", "expected"),
    [
        # y = .1, .2; output .11, .18 for radius, .0121, .0324 for depth; scale .5
        ("mse", "radius", [(0.01 / 0.5) ** 2, (0.02 / 0.5) ** 2]),
        ("mae", "radius", [0.01 / 0.5, 0.02 / 0.5]),
        ("huber", "radius", [(0.01 / 0.5) ** 2 / 2, (0.02 / 0.5) ** 2 / 2]),
        ("ariel", "radius", [2 * 0.1 * 0.01 / 0.5, 2 * 0.2 * 0.02 / 0.5]),
        ("mse", "depth", [(0.0021 / 0.5) ** 2, (0.0076 / 0.5) ** 2]),
        ("mae", "depth", [0.0021 / 0.5, 0.0076 / 0.5]),
        ("ariel", "depth", [2 * 0.1 * 0.01 / 0.5, 2 * 0.2 * 0.02 / 0.5]),
    ],
)
def test_losses_worked_by_hand(kind, head, expected):
    output = np.array([[0.11], [0.18]]) if head == "radius" else np.array([[0.0121], [0.0324]])
    loss = RadiusLoss(kind, head, 0.5)
    received = loss.call(np.array([[0.1], [0.2]]), keras.ops.convert_to_tensor(output, "float32"))
    np.testing.assert_allclose(received, expected, rtol=1e-4)
    assert float(loss(np.array([[0.1], [0.2]]), output)) == pytest.approx(np.mean(expected), rel=1e-5)


def test_huber_is_linear_beyond_an_error_of_one_spread():
    loss = RadiusLoss("huber", "radius", 0.01)
    np.testing.assert_allclose(
        loss.call([[0.1]], keras.ops.convert_to_tensor([[0.13]])), [2.5], rtol=1e-5
    )  # error 3, less 1/2


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the gradient is taken with TensorFlow")
def test_the_score_of_a_depth_head_can_always_be_climbed():
    """At a negative depth the square root has no gradient; the loss still pulls the depth up."""
    depth = tf.Variable([[-0.001], [0.0], [1e-7]])
    with tf.GradientTape() as tape:
        loss = RadiusLoss("ariel", "depth", 0.01)([[0.1], [0.1], [0.1]], depth)
    gradient = tape.gradient(loss, depth).numpy()
    assert np.isfinite(gradient).all()
    assert (gradient < 0).all()


@pytest.mark.parametrize("thing", [ArielScore("depth", name="s"), RadiusLoss("mae", "depth", [0.1, 0.2])])
def test_configurations_survive_saving(thing):
    config = keras.saving.serialize_keras_object(thing)
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == thing.get_config()

"""Predictions carry their keys: scores per planet, weights, and no reliance on row order."""

import numpy as np
import pytest

from ariel_tf.challenge import score
from ariel_tf.core.errors import DataError, NonFiniteError
from ariel_tf.runs.predictions import Predictions


class Answering:
    """A model that answers what the flux holds at step 0."""

    class Tensor:
        name = "flux"
        shape = (None, 300, 1)

    inputs = (Tensor,)

    def __call__(self, inputs, training):
        return inputs["flux"][:, 0]


def rows(answers, keys, true, scatter):
    flux = np.repeat(np.asarray(answers, float)[:, None, None], 300, axis=1)
    column = {name: np.asarray(value, float)[:, None] for name, value in (("radius", true), ("scatter", scatter))}
    return {"flux": flux, "key": np.asarray(keys), **column}


KEYS = [(1, 1, 1), (1, 1, 2), (1, 2, 1), (5, 1, 1)]
BATCH = rows([0.1, 0.12, 0.5, 0.21], KEYS, [0.1, 0.1, 0.1, 0.2], [0.001, 0.001, 0.004, 0.004])


def test_a_planet_s_prediction_is_the_median_of_its_rows():
    predictions = Predictions.collect(Answering(), [BATCH])
    planets = predictions.by_planet()
    assert planets.keys.tolist() == [[1, 0, 0], [5, 0, 0]]
    np.testing.assert_allclose(planets.predicted[:, 0], [0.12, 0.21])
    # depth errors 2 x .1 x .02 = .004 and 2 x .2 x .01 = .004
    assert predictions.scores()["planet"] == pytest.approx(6000)
    assert predictions.scores()["observation"] == pytest.approx(score(BATCH["radius"], predictions.predicted))


def test_weights_are_one_a_planet_from_its_mean_scatter():
    predictions = Predictions.collect(Answering(), [BATCH])
    expected = [1 / 0.002**2] * 3 + [1 / 0.004**2]
    np.testing.assert_allclose(predictions.weights[:, 0], expected)
    # weights 4 : 1 on two planets of equal error change nothing; on other errors they do
    assert predictions.scores()["planet_weighted"] == pytest.approx(6000)
    errors = 2 * np.array([0.1, 0.1, 0.1, 0.2]) * np.array([0, 0.02, 0.4, 0.01])
    assert predictions.scores()["observation_weighted"] == pytest.approx(
        1e4 - 1e6 * np.average(errors, weights=expected)
    )


def test_row_order_and_batches_change_nothing():
    order = [3, 1, 0, 2]
    shuffled = {name: values[order] for name, values in BATCH.items()}
    parts = [{name: values[i : i + 3] for name, values in shuffled.items()} for i in (0, 3)]
    one, other = Predictions.collect(Answering(), [BATCH]), Predictions.collect(Answering(), parts)
    assert one.scores() == pytest.approx(other.scores())
    np.testing.assert_array_equal(one.by_planet().predicted, other.by_planet().predicted)


def test_a_prediction_that_is_not_finite_names_its_row():
    with pytest.raises(NonFiniteError, match="0001_01_02"):
        Predictions.collect(Answering(), [rows([0.1, np.nan], KEYS[:2], [0.1, 0.1], [1, 1])])


def test_rows_of_another_size_are_refused():
    batch = {name: values[:, None] if name == "flux" else values for name, values in BATCH.items()}
    with pytest.raises(DataError, match=r"takes flux of 300x1 .* Received: 1x300x1"):
        Predictions.collect(Answering(), [batch])


def weighted(scatter, predicted=0.11):
    """Two planets of two observations in three bands, all radii .1, with these scatters [4, 3]."""
    keys = np.array([(1, 1, 1), (1, 1, 2), (5, 1, 1), (5, 1, 2)])
    true = np.full((4, np.shape(scatter)[1]), 0.1)
    return Predictions.of(keys, true, np.broadcast_to(predicted, true.shape), np.array(scatter, np.float32))


def test_a_band_without_noise_has_no_weight():
    """It had 1e18, so the weighted score was that of one band of one planet."""
    usual = [0.01, 0.02, 0.03]
    dead = weighted([[0.01, 0, 0.03], [0.01, 1e-6, 0.03], usual, usual])
    expected = weighted([usual] * 4).weights
    expected[:2, 1] = 0
    np.testing.assert_array_equal(dead.weights, expected)
    half = weighted([[0.01, 0, 0.03], usual, usual, usual])  # dead in one observation: the other one's noise
    np.testing.assert_array_equal(half.weights, weighted([usual] * 4).weights)


def test_a_planet_without_noise_at_the_only_wavelength_has_no_weight():
    dead = weighted([[0], [0], [0.02], [0.02]], np.array([[0.5], [0.5], [0.11], [0.11]]))
    np.testing.assert_allclose(dead.weights[:, 0], [0, 0, 2500, 2500])
    assert dead.scores()["planet_weighted"] == pytest.approx(8000)


def test_without_any_noise_all_weights_are_equal():
    scores = weighted(np.zeros((4, 3))).scores()
    assert scores["observation_weighted"] == pytest.approx(scores["observation"])
    assert score(np.array([0.1]), np.array([0.11]), np.array([0.0])) == pytest.approx(8000)

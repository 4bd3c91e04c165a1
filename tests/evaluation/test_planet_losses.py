"""Losses, intervals, differences and groups, against hand-worked numbers and slower ways."""

import numpy as np
import pytest

from ariel_tf.challenge import score
from ariel_tf.evaluation.bootstrap import difference, score_interval
from ariel_tf.evaluation.breakdown import DEPTHS, by_magnitude, groups, score_of
from ariel_tf.evaluation.losses import Losses, Population
from ariel_tf.runs.predictions import Predictions


def predictions(seed=0, planets=30, wavelengths=3, error=0.01):
    """Planets of one to four observations each, in shuffled rows."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 5, planets)
    keys = np.array([(7 + planet, 1, i) for planet in range(planets) for i in range(counts[planet])])
    order = rng.permutation(len(keys))
    true = np.repeat(np.random.default_rng(9).uniform(0.02, 0.15, (planets, wavelengths)), counts, axis=0)
    weights = np.repeat(rng.uniform(1, 9, (planets, wavelengths)), counts, axis=0)
    answer = true + error * rng.standard_normal(true.shape)
    return Predictions(keys[order], true[order], answer[order], weights[order])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["observation", "planet"])
def test_scores_are_those_of_the_rows(kind, weighted):
    rows = predictions()
    losses = Losses.of("ours", rows, (2, 12, 40))
    assert losses.score(kind, weighted) == pytest.approx(rows.scores()[kind + "_weighted" * weighted])


def test_the_mean_over_wavelengths_is_the_score():
    losses = Losses.of("ours", predictions(), (2, 12, 40))
    assert losses.by_wavelength("planet").mean() == pytest.approx(losses.score("planet"))
    alone = losses.at(losses.planets, (12,))
    assert losses.by_wavelength("observation")[1] == pytest.approx(alone.score("observation"))


def test_a_choice_of_planets_is_the_score_of_their_rows():
    rows = predictions()
    chosen = [9, 20, 12]
    kept = np.isin(rows.keys[:, 0], chosen)
    losses = Losses.of("ours", rows, (2, 12, 40)).at(chosen, (2, 12, 40))
    assert losses.planets.tolist() == [9, 12, 20]
    assert losses.score("observation") == pytest.approx(score(rows.true[kept], rows.predicted[kept]))
    with pytest.raises(ValueError, match="no losses of some"):
        losses.at([9, 10], (2,))


def test_an_interval_holds_what_its_level_says():
    """Of 200 populations drawn from one law, about 95 % of the intervals hold the law's own score."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        loss = rng.exponential(100, (40, 1))
        one = np.ones((40, 1))
        interval = score_interval(Losses("x", np.arange(40), (0,), np.ones(40, int), loss, loss, one), "planet")
        held += interval.low <= 9900 <= interval.high
    assert 0.88 < held / 200 < 0.98


def test_a_paired_difference_is_narrower_than_the_scores():
    """Both share the luck of their planets: 10 ppm more on each planet is a difference of exactly 10."""
    losses = Losses.of("ours", predictions(error=0.02), (2, 12, 40))
    worse = Losses("worse", losses.planets, losses.wavelengths, losses.rows, losses.observation + 10,
                   losses.planet + 10, losses.weights)  # fmt: skip
    found = difference(losses, worse, "planet")
    assert found.difference == pytest.approx((10, 10, 10))
    assert found.better == 1
    assert difference(losses, losses, "planet").better == 0.5
    own = score_interval(losses, "planet")
    assert own.high - own.low > 100


def test_the_bootstrap_agrees_with_one_draw_at_a_time():
    losses = Losses.of("ours", predictions(), (2, 12, 40))
    rng = np.random.default_rng(5)
    loss, weight = losses.sums("observation", weighted=True)
    drawn = []
    for _ in range(3000):
        index = rng.integers(0, len(loss), len(loss))
        drawn.append(1e4 - loss[index].sum() / weight[index].sum())
    low, high = np.quantile(drawn, [0.025, 0.975])
    interval = score_interval(losses, "observation", weighted=True)
    assert interval.low == pytest.approx(low, abs=0.1 * (high - low))
    assert interval.high == pytest.approx(high, abs=0.1 * (high - low))


def test_other_planets_are_not_compared():
    one, other = (Losses.of(str(planets), predictions(planets=planets), (0, 1, 2)) for planets in (30, 29))
    with pytest.raises(ValueError, match="same planets"):
        difference(one, other, "planet")


def test_groups_hold_each_planet_once_and_make_up_the_score():
    losses = Losses.of("ours", predictions(), (2, 12, 40))
    star = np.zeros((len(losses.planets), 6))
    star[:, 4] = np.linspace(7, 13, len(star))
    population = Population.of(losses.planets, (2, 12, 40), star, np.full((len(star), 3), 0.1))
    found = by_magnitude(population)
    assert [group.label for group in found] == ["below 8", "8 to 9", "9 to 10", "10 to 11", "11 to 12", "12 and more"]
    assert sorted(np.concatenate([group.rows for group in found])) == list(range(len(star)))
    parts = sum(len(group.rows) * score_of(losses, group, "planet") for group in found)
    assert parts / len(star) == pytest.approx(losses.score("planet"))
    assert population.depth == pytest.approx(np.full(len(star), 10000))
    assert [group.label for group in groups(np.array([20000.0]), DEPTHS)] == ["20,000 and more"]

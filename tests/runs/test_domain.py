"""Planets unlike those of the training are named, and what was corrected is told."""

import numpy as np
import pytest

from ariel_tf.physics.disturbances import Disturbances
from ariel_tf.physics.goodness import Fit
from ariel_tf.runs import domain
from ariel_tf.runs.pooling import Estimate

STAR = np.array([5000.0, 4.5, 0.8, 0.8, 10.0, 6.0])
WIDTH = np.array([1000, 0.5, 0.2, 0.2, 3, 5])
RANGES = domain.star_ranges(STAR - WIDTH, STAR + WIDTH)
NOTHING = Disturbances(0, np.zeros(55, bool), np.ones(55), 0, 1.0)


def estimate(radius=0.1, **changes):
    found = Estimate(np.full(55, radius), np.full(55, 0.001), 0.3, NOTHING, 1.0, Fit(1136.0, 1136))
    return found._replace(**changes)


def test_a_planet_like_the_training_s_has_nothing_to_tell():
    assert domain.outside(RANGES, STAR) == []
    assert domain.unusual(RANGES | domain.depth_range(np.full((9, 55), 0.1)), STAR, estimate()) == []
    assert domain.corrections(estimate()) == []


def test_a_cool_star_and_its_unit_are_named():
    star = STAR.copy()
    star[0] = 2600
    assert domain.outside(RANGES, star) == ["star_temp 2,600 K (trained on 4,000 to 6,000)"]


def test_a_value_just_beyond_a_range_is_within_its_slack():
    star = STAR.copy()
    star[0] = 6020
    assert domain.outside(RANGES, star) == []


def test_without_recorded_ranges_nothing_is_said():
    assert domain.outside({}, STAR * 100) == []


def test_depth_and_misfit_are_told():
    ranges = domain.depth_range(np.linspace(0.05, 0.15, 99)[:, None] * np.ones(55))
    notes = domain.unusual(ranges, STAR, estimate(0.3, fit=Fit(20_000.0, 1136)))
    assert notes[0].startswith("depth 90,000 ppm (trained on ")
    assert notes[1] == "its light curves fit no transit well (chi^2 per value 17.6)"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"disturbances": NOTHING._replace(outliers=3000)}, "3,000 cosmic rays replaced"),
        ({"disturbances": NOTHING._replace(lost=np.arange(55) < 2)},
         "2 bands hold no light: replaced by their neighbours"),
        ({"disturbances": NOTHING._replace(ramp=np.full(55, 1.2))},
         "ramp of 55 bands rescaled, 1.20 times the usual one"),
        ({"disturbances": NOTHING._replace(moved=-4)}, "mid-transit 4 steps early, moved back"),
        ({"disturbances": NOTHING._replace(unseen=21)},
         "21 steps of the transit without the planet: replaced by the other half, mirrored"),
        ({"disturbances": NOTHING._replace(redness=1.5)}, "red noise: uncertainties 1.50 times larger"),
        ({"speed": 0.8}, "planet 0.80 times as fast as on a circular orbit"),
    ],
)  # fmt: skip
def test_each_correction_is_told(changes, said):
    assert domain.corrections(estimate(**changes)) == [said]

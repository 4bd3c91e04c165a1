"""The transit model's features, worked by hand, and what its answer keeps of a measured depth."""

import numpy as np
import pytest

from ariel_tf.challenge import STAR_NAMES
from ariel_tf.models import transit


def star(**values):
    usual = {"star_temp": 5772, "star_logg": 4.5, "star_rad": 1, "star_mass": 1, "star_k_mag": 10, "period": 365.25}
    return np.array([[{**usual, **values}[name] for name in STAR_NAMES]], np.float32)


def test_a_central_transit_of_the_earth_lasts_thirteen_hours():
    assert float(transit.central_steps(star())[0, 0]) == pytest.approx(13 * 60, rel=0.01)
    # T goes as P^(1/3), R, M^(-1/3)
    assert float(transit.central_steps(star(period=365.25 / 8))[0, 0]) == pytest.approx(6.5 * 60, rel=0.01)
    assert float(transit.central_steps(star(star_rad=2))[0, 0]) == pytest.approx(26 * 60, rel=0.01)
    assert float(transit.central_steps(star(star_mass=8))[0, 0]) == pytest.approx(6.5 * 60, rel=0.01)


def test_a_box_of_sixty_steps_is_sixty_steps_long():
    flux = np.ones((1, 300, 1), np.float32) * transit.RAMP.astype(np.float32)[None, :, None]
    flux[:, 118:178] *= 0.99
    bins, _ = transit.dips(flux)
    steps = transit.equivalent_steps(bins, np.full((1, 1, 1), 0.01, np.float32))
    assert float(steps[0, 0]) == pytest.approx(60, abs=1)
    assert float(transit.equivalent_steps(-bins, np.full((1, 1, 1), 0.01, np.float32))[0, 0]) > 0

"""A transit is compared with light curves; the speed of an eccentric orbit is found."""

import dataclasses

import numpy as np
import pytest

from ariel_tf.challenge import STAR_NAMES
from ariel_tf.physics import detector, simulator
from ariel_tf.physics.goodness import curves_of, fit, likelier_speed, star_of_speed
from ariel_tf.physics.priors import Priors
from ariel_tf.planet import Planet

SEED, NUMBER = 2024, 163
PERIOD = STAR_NAMES.index("period")


def observed(speed=1.0, number=NUMBER):
    """A planet without spots on an orbit of this speed, in 8 observations, and its system."""
    system = simulator.draw_system(SEED, number, Priors())
    system = dataclasses.replace(system, spot_fill=1e-9)
    changed = dataclasses.replace(system, scaled_axis=system.scaled_axis * speed)
    clean = simulator.clean_curves(changed, SEED, number, 1, Priors())[0] * detector.RAMP
    noise = np.random.default_rng(number).standard_normal((55, 8, 300)) * system.sigma[:, None, None]
    flux = (clean[:, None] + noise).astype(np.float32)
    instances = np.stack([np.ones(8, int), np.arange(1, 9)], axis=1)
    return Planet.from_observations(number, instances, system.star, flux), system


def test_the_true_transit_fits_and_another_does_not():
    planet, system = observed()
    curves = curves_of(planet)
    true = fit(curves, system.star, system.radii, system.impact)
    assert true.excess < 4
    assert fit(curves, system.star, system.radii, abs(system.impact - 0.4)).excess > 10
    assert fit(curves, star_of_speed(system.star, 1.2), system.radii, system.impact).excess > 10


def test_a_planet_of_another_period_moves_as_much_faster():
    star = np.array([5000.0, 4.5, 0.8, 0.8, 10.0, 8.0])
    assert star_of_speed(star, 2.0)[PERIOD] == pytest.approx(1.0)
    assert star_of_speed(star, 1.0) is not star


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.25])
def test_the_speed_is_found_where_the_answer_knows_the_planet(speed):
    planet, system = observed(speed)

    def answer(stars):  # a model that finds the truth at the true speed, and the truth's duration at another
        found = []
        for star in stars:
            tried = (system.star[PERIOD] / star[PERIOD]) ** (1 / 3)
            chord = np.sqrt(1 - system.impact**2) * tried / speed
            found.append((system.radii, float(np.sqrt(max(1 - min(chord, 1.0) ** 2, 0.0)))))
        return found

    found, fitted = likelier_speed(curves_of(planet), system.star, answer(system.star[None])[0], answer)
    assert found == pytest.approx(speed, abs=0.04)
    assert fitted.excess < 6
    if speed == 1:
        assert found == 1

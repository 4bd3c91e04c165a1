"""A planet's observations are averaged before the model sees them."""

import dataclasses

import numpy as np
import pytest

from ariel_tf.core.errors import NonFiniteError
from ariel_tf.physics.disturbances import steadied
from ariel_tf.runs.pooling import SIGMA_OF_BOTH, combined, estimates, pools_of


class Fake:
    """Answers with the mean flux of a row as radius."""

    def __init__(self, value=None):
        self.value, self.seen = value, []

    def call_uncertain(self, flux, star):
        self.seen.append(flux)
        radius = flux.mean(axis=2).astype(np.float64) / 10
        radius = np.full_like(radius, self.value) if self.value is not None else radius
        return {"radius": radius, "sigma": 0.01 * radius, "impact": np.full((len(flux), 1), 0.5)}


def test_rows_are_the_mean_of_all_and_of_each_spot_instance(make_planet):
    planet = make_planet(3, observations=25)  # ten photon instances a spot
    flux, star = pools_of(planet)
    assert flux.shape == (4, 55, 300)
    assert star.shape == (4, 6)
    np.testing.assert_allclose(flux[0], planet.flux.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(flux[3], planet.flux[:, planet.instances[:, 0] == 3].mean(axis=1), rtol=1e-6)


def test_one_spot_instance_is_one_row(make_planet):
    assert len(pools_of(make_planet(3, observations=4)).flux) == 1


def test_depths_of_both_ways_are_averaged():
    radius = np.array([[0.1], [0.12], [0.14]])
    found = combined(radius, 0.02 * radius, np.array([[0.3], [0.4], [0.5]]))
    expected = np.sqrt((0.1**2 + (0.12**2 + 0.14**2) / 2) / 2)
    np.testing.assert_allclose(found.radius, expected)
    np.testing.assert_allclose(found.sigma, SIGMA_OF_BOTH * 0.02 * expected)
    assert found.impact == 0.3


def test_planets_are_answered_one_by_one(make_planet):
    fake = Fake()
    planets = [make_planet(number, observations=3) for number in (4, 9)]
    assert [planet.number for planet, _ in estimates(fake, planets)] == [4, 9]
    np.testing.assert_array_equal(fake.seen[0], pools_of(steadied(planets[0])[0]).flux)


def test_red_noise_widens_the_uncertainty(make_planet):
    planet = make_planet(4, observations=3)
    drift = np.linspace(-1, 1, 300, dtype=np.float32) * 10 * planet.scatter.T[..., None]
    drifting = dataclasses.replace(planet, flux=planet.flux + drift)
    ((_, one),), ((_, other),) = (list(estimates(Fake(0.1), [each])) for each in (planet, drifting))
    assert one.disturbances.redness == 1
    assert other.disturbances.redness > 2
    np.testing.assert_allclose(other.sigma, one.sigma * other.disturbances.redness)


def test_an_answer_that_is_not_finite_names_the_planet(make_planet):
    with pytest.raises(NonFiniteError, match="0004"):
        list(estimates(Fake(np.nan), [make_planet(4)]))

"""Stars, orbits, spectra and spots against hand-worked numbers."""

import numpy as np
import pytest

from ariel_tf.challenge import MID_TRANSIT_STEP, N_WAVELENGTHS, WAVELENGTHS_UM
from ariel_tf.physics import planets, spectra, spots, stars
from ariel_tf.physics.priors import Priors

PRIORS = Priors()


def generator():
    return np.random.default_rng(0)


def test_the_sun_has_logg_4_44():
    assert stars.log_surface_gravity(1.0, 1.0) == pytest.approx(4.438, abs=1e-3)


def test_the_earth_is_one_astronomical_unit_away():
    assert planets.semi_major_axis(np.array(365.256), np.array(1.0)) == pytest.approx(1.496e11, rel=1e-3)


def test_a_real_planets_axis_follows_from_its_header():
    """Planet 0052: period 13.767102 days, .762933333 solar masses, sma 15368159642 m."""
    assert planets.semi_major_axis(np.array(13.767102), np.array(0.762933333)) == pytest.approx(15368159642, rel=1e-4)


def test_the_earths_central_transit_takes_13_hours():
    minutes = planets.transit_duration(np.array(365.256), np.array(215.03), np.array(0.0), np.array(0.00917))
    assert minutes / 60 == pytest.approx(13.1, abs=0.05)


def test_a_planet_that_misses_its_star_has_no_transit():
    assert planets.transit_duration(np.array(3.0), np.array(10.0), np.array(1.2), np.array(0.1)) == 0


def test_the_duration_is_when_the_path_touches_the_star():
    period, axis, impact, radius = 4.0, 11.0, 0.6, 0.1
    x, y = planets.sky_position(period, axis, impact)
    duration = planets.transit_duration(np.array(period), np.array(axis), np.array(impact), np.array(radius))
    assert abs((np.hypot(x, y) < 1 + radius).sum() - duration) < 1.01


def test_the_planet_is_nearest_at_mid_transit_and_hidden_behind_the_star_half_an_orbit_later():
    x, y = planets.sky_position(0.35, 3.0, 0.2)  # half an orbit is 252 steps
    assert abs(x).argmin() == round(MID_TRANSIT_STEP)
    assert np.isinf(x[0])  # 147.75 steps are more than a quarter of an orbit (126): behind the plane of the sky
    assert np.isinf(y[0])


def test_planck_in_photons_at_two_temperatures():
    """At 1 um, 6000 K over 3000 K: (e^4.7959 - 1) / (e^2.39796 - 1) = 120.01 / 10.001."""
    ratio = stars.black_body_photons(1.0, 6000.0) / stars.black_body_photons(1.0, 3000.0)
    assert ratio == pytest.approx((np.exp(14387.77 / 3000) - 1) / (np.exp(14387.77 / 6000) - 1))
    assert ratio == pytest.approx(12.0, rel=2e-3)


@pytest.mark.parametrize("temperature", [3104.0, 4900.0, 6996.0])
def test_limb_darkening_falls_to_the_infrared_and_never_darkens_the_limb_to_nothing(temperature):
    u1, u2 = stars.limb_darkening(temperature, scale=1.3)
    assert (np.diff(u1[3:]) < 0).all()
    assert u1[0] > 4 * u1[-1]
    assert (u1 + u2 < 1).all()


def test_selection_keeps_its_bounds():
    draws = stars.draw_stars(generator(), PRIORS, 5000)
    companions = planets.draw_planets(generator(), draws, PRIORS, 5000)
    kept = companions.accepted(PRIORS)
    assert 0.02 < kept.mean() < 0.9
    assert companions.duration[kept].max() < PRIORS.duration_high
    assert companions.relative_radius[kept].min() > PRIORS.relative_radius_low


def test_spectral_shapes_span_zero_to_one_and_show_water():
    shapes = np.array([spectra.draw_spectral_shape(rng, PRIORS) for rng in [generator()] for _ in range(200)])
    assert shapes.shape == (200, N_WAVELENGTHS)
    np.testing.assert_allclose(shapes.min(axis=1), 0)
    np.testing.assert_allclose(shapes.max(axis=1), 1)
    band = np.abs(np.array(WAVELENGTHS_UM) - 2.7).argmin()
    window = np.abs(np.array(WAVELENGTHS_UM) - 2.1).argmin()
    assert (shapes[:, band] > shapes[:, window]).all()


def test_smaller_planets_have_relatively_higher_atmospheres():
    rng = generator()
    small = np.array([spectra.draw_radii(rng, 0.02, PRIORS) for _ in range(300)])
    large = np.array([spectra.draw_radii(rng, 0.12, PRIORS) for _ in range(300)])
    assert ((small > 0) & (small < 1)).all()
    contrast = [np.median(radii.max(axis=1) / radii.min(axis=1)) for radii in (small, large)]
    assert contrast[0] > 1.2
    assert 1.02 < contrast[1] < 1.15


def test_overlap_of_two_discs():
    area = spots.overlap_area(np.array([0.0, 0.3, 1.0, 1.2, 2.0]), 1.0, 0.2)
    small = np.pi * 0.04
    np.testing.assert_allclose(area[[0, 1, 3, 4]], [small, small, 0, 0], atol=1e-9)
    assert 0.4 * small < area[2] < 0.5 * small  # the limb curves away


def test_two_equal_discs_at_one_radius_share_two_thirds_pi_minus_half_root_three():
    assert spots.overlap_area(np.array(1.0), 1.0, 1.0) == pytest.approx(2 * np.pi / 3 - np.sqrt(3) / 2)


def drawn_spots(fill=0.05, temperature=4500.0):
    u1, u2 = stars.limb_darkening(temperature)
    return spots.draw_spots(generator(), fill, temperature, u1, u2, PRIORS)


def test_spots_cover_their_fill_and_are_darker_in_the_visible():
    dark = drawn_spots()
    assert (np.hypot(dark.x, dark.y) < 1).all()
    assert 0.01 * np.pi < dark.area.sum() < 0.2 * np.pi
    loss = dark.missing
    assert (loss > 0).all()
    assert loss[0] > 1.5 * loss[-1]


def test_a_planet_before_a_spot_hides_the_loss_and_beside_it_nothing():
    dark = drawn_spots()
    one = spots.Spots(np.zeros(1), np.zeros(1), np.full(1, 0.02), np.full(1, np.pi * 4e-4), dark.loss[:, :1])
    occulted = spots.occulted_loss(one, np.array([0.0, 0.5]), np.zeros(2), 0.1)
    np.testing.assert_allclose(occulted[:, 0], one.missing, rtol=1e-6)
    assert (occulted[:, 1] == 0).all()

"""The transit model against batman, an independent implementation, and against hand-worked cases."""

import batman
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.physics.planets import sky_position
from ariel_tf.physics.stars import limb_darkening
from ariel_tf.physics.transit import blocked_flux, stellar_flux

PPM = 1e-6


def light_curve(distance, radii, u1, u2):
    return 1 - blocked_flux(distance, radii, u1, u2) / stellar_flux(u1, u2)[:, None]


def batman_curve(period, scaled_axis, impact, radius, u1, u2):
    orbit = batman.TransitParams()
    orbit.t0, orbit.per, orbit.a, orbit.ecc, orbit.w = 0.0, period, scaled_axis, 0.0, 90.0
    orbit.inc = np.degrees(np.arccos(impact / scaled_axis))
    orbit.rp, orbit.limb_dark, orbit.u = radius, "quadratic", [u1, u2]
    days = (np.arange(300) - 147.75) / 1440
    return batman.TransitModel(orbit, days, nthreads=1).light_curve(orbit)


@pytest.mark.parametrize("temperature", [3200.0, 5000.0, 6900.0])
@pytest.mark.parametrize("impact", [0.0, 0.45, 0.9, 1.0])
@pytest.mark.parametrize(
    ("smallest", "largest"), [(0.012, 0.014), (0.03, 0.035), (0.1, 0.115), (0.145, 0.164), (0.3, 0.31), (0.015, 0.65)]
)
def test_all_wavelengths_are_within_20_ppm_of_batman(temperature, impact, smallest, largest):
    period, scaled_axis = 3.0, 12.0
    radii = np.linspace(smallest, largest, N_WAVELENGTHS)
    u1, u2 = limb_darkening(temperature)
    distance = np.hypot(*sky_position(period, scaled_axis, impact))
    ours = light_curve(distance, radii, u1, u2)
    theirs = [batman_curve(period, scaled_axis, impact, *row) for row in zip(radii, u1, u2, strict=True)]
    assert np.abs(ours - theirs).max() < 20 * PPM


def test_without_limb_darkening_the_depth_is_the_squared_radius():
    radii, none = np.array([0.01, 0.1, 0.3]), np.zeros(3)
    curve = light_curve(np.array([0.0, 0.3]), radii, none, none)
    np.testing.assert_allclose(1 - curve, np.repeat(radii[:, None] ** 2, 2, axis=1), atol=1 * PPM)


def test_half_a_small_planet_covers_the_limb_at_distance_one():
    """Its disc is cut by an almost straight limb: just under half of k^2 is hidden."""
    hidden = blocked_flux(np.array([1.0]), np.array([0.01]), np.zeros(1), np.zeros(1))[0, 0] / np.pi
    assert 0.48e-4 < hidden < 0.5e-4


def test_a_central_planet_hides_the_brighter_middle():
    """u1 = 1, u2 = 0 leaves I = mu: hidden 2 pi/3 (1 - (1 - k^2)^1.5) of 2 pi/3, for k = .6: 1 - .8^3 = .488."""
    curve = light_curve(np.zeros(1), np.array([0.6]), np.ones(1), np.zeros(1))
    assert curve[0, 0] == pytest.approx(1 - 0.488, abs=5 * PPM)


def test_nothing_is_hidden_outside_or_at_infinity():
    far = np.array([1.2, 5.0, np.inf])
    assert (blocked_flux(far, np.array([0.1, 0.19]), np.full(2, 0.3), np.full(2, 0.2)) == 0).all()


@settings(deadline=None, max_examples=40)
@given(
    middle=st.floats(0.01, 0.3),
    spread=st.floats(0.0, 0.02),
    impact=st.floats(0.0, 1.0),
    temperature=st.floats(3100, 7000),
)
def test_interpolated_radii_agree_with_one_at_a_time(middle, spread, impact, temperature):
    radii = middle + spread * np.linspace(0, 1, N_WAVELENGTHS)
    u1, u2 = limb_darkening(temperature)
    distance = np.hypot(np.linspace(0, 1.4, 60), impact)
    together = light_curve(distance, radii, u1, u2)
    for w in (0, 17, 54):
        alone = light_curve(distance, radii[w : w + 1], u1[w : w + 1], u2[w : w + 1])
        assert np.abs(together[w] - alone[0]).max() < 15 * PPM

"""The simulator as a whole: reproducible, sound, and physical."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ariel_tf.challenge import STAR_NAMES, WAVELENGTHS_UM
from ariel_tf.core.errors import UsageError
from ariel_tf.physics import detector, spots, stars
from ariel_tf.physics.simulator import VERSION, Priors, clean_curves, draw_system, simulate_planet
from ariel_tf.physics.transit import stellar_flux
from ariel_tf.planet import OUT_OF_TRANSIT, planet_faults

ROOT = Path(__file__).parents[2]
PRIORS = Priors()
QUIET_STARS = Priors(spot_fill_median=1e-9)


def test_a_planet_has_the_records_shapes_types_and_keys():
    planet = simulate_planet(seed=3, number=41, spots=2, photons=3)
    assert planet.flux.shape == (55, 6, 300)
    assert planet.flux.dtype == planet.scatter.dtype == planet.white.dtype == np.float32
    assert planet.star.dtype == planet.orbit.dtype == planet.radii.dtype == np.float64
    assert planet.instances.tolist() == [[1, 1], [1, 2], [1, 3], [2, 1], [2, 2], [2, 3]]
    assert [key.name for key in planet.keys][-1] == "0041_02_03"


def test_a_few_hundred_planets_are_sound():
    for number in range(200):
        planet = simulate_planet(1, number, 1, 1)
        assert planet_faults(planet) == []
        assert planet.labelled
        assert planet.radii.max() < 1
        assert np.isfinite(planet.orbit).all()
        assert 0 < planet.orbit[1] <= 90


def test_same_arguments_same_bytes_in_any_order():
    forward = [simulate_planet(7, number, 2, 2) for number in (0, 1, 2)]
    backward = [simulate_planet(7, number, 2, 2) for number in (2, 1, 0)][::-1]
    for one, other in zip(forward, backward, strict=True):
        for name in ("flux", "star", "orbit", "radii", "instances", "scatter", "white"):
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


def test_another_process_makes_the_same_bytes():
    program = (
        "import hashlib; from ariel_tf.physics.simulator import simulate_planet;"
        "print(hashlib.sha256(simulate_planet(7, 1, 2, 2).flux.tobytes()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert other.stdout.strip() == hashlib.sha256(simulate_planet(7, 1, 2, 2).flux.tobytes()).hexdigest()


def test_another_output_has_another_version():
    """When this fails, the simulator's output has changed: raise VERSION, then write the new values here."""
    planet = simulate_planet(0, 0, 1, 1)
    found = [*planet.star[[0, 4, 5]], planet.radii[0], planet.radii[54], *planet.flux[5, 0, [0, 100, 148]]]
    np.testing.assert_allclose(
        found, [4542.26, 12.013, 3.75215837, 0.147484133, 0.149476518, 0.502603233, 0.975150824, 0.977528751], rtol=1e-6
    )
    assert VERSION == 4


def test_another_seed_or_number_is_another_planet():
    radii = {simulate_planet(seed, number, 1, 1).radii.tobytes() for seed in (0, 1) for number in (0, 1)}
    assert len(radii) == 4


def test_more_instances_leave_the_first_ones_as_they_are():
    few, many = simulate_planet(2, 5, 1, 2), simulate_planet(2, 5, 3, 4)
    np.testing.assert_array_equal(few.flux, many.flux[:, :2])
    np.testing.assert_array_equal(few.star, many.star)


@pytest.mark.parametrize(
    ("argument", "value"), [("seed", -1), ("number", 2**31), ("spots", 0), ("photons", 100), ("number", -1)]
)
def test_arguments_out_of_range_are_refused_by_name(argument, value):
    arguments = {"seed": 1, "number": 1, "spots": 1, "photons": 1, argument: value}
    with pytest.raises(UsageError, match=f"{argument} must be in .* Received: {value}"):
        simulate_planet(**arguments)


def test_priors_without_an_observable_planet_are_refused():
    with pytest.raises(UsageError, match="no observable planet"):
        draw_system(1, 1, Priors(duration_low=200, duration_high=100))


def test_header_values_are_round_and_consistent():
    for number in range(50):
        system = draw_system(4, number, PRIORS)
        star = dict(zip(STAR_NAMES, system.star, strict=True))
        assert 2 * star["star_logg"] == round(2 * star["star_logg"])
        gravity = stars.log_surface_gravity(star["star_mass"], star["star_rad"])
        assert abs(gravity - star["star_logg"]) < 0.26
        assert all(len(repr(float(value)).replace(".", "")) <= 12 for value in system.star)
        assert system.orbit[0] == round(system.orbit[0])


def quiet_system():
    """A system with spots turned off, deep enough to measure."""
    for number in range(50):
        system = draw_system(1, number, QUIET_STARS)
        if system.radii.min() > 0.08 and system.impact < 0.5:
            return number, system
    raise AssertionError("no large planet among fifty")


def test_a_transit_without_spots_is_symmetrical_about_mid_transit():
    number, system = quiet_system()
    curve = clean_curves(system, 1, number, 1, QUIET_STARS)[0]
    steps = np.arange(300)
    mirrored = np.array([np.interp(2 * 147.75 - steps[40:256], steps, row) for row in curve])
    difference = np.abs(curve[:, 40:256] - mirrored)  # linear interpolation errs at the contacts
    assert np.median(difference, axis=1).max() < 2e-6
    assert difference.max() < 1e-3


def test_curves_are_one_outside_the_transit_and_about_as_deep_as_the_squared_radius():
    number, system = quiet_system()
    curve = clean_curves(system, 1, number, 1, QUIET_STARS)[0]
    assert (curve[:, :55] == 1).all()
    depth = 1 - curve.min(axis=1)
    assert (depth > 0.95 * system.radii**2).all()  # limb darkening deepens the middle of the star's face
    assert (depth < 1.35 * system.radii**2).all()
    np.testing.assert_allclose(depth[45:] / system.radii[45:] ** 2, 1, atol=0.1)  # little of it in the infrared


def with_spot(monkeypatch, system, x, y):
    """The system's curve with one spot of a tenth of the star's radius at (x, y), and the flux that it lacks."""
    u1, u2 = system.u1[:, None], system.u2[:, None]
    mu = np.sqrt(1 - x * x - y * y)
    contrast = 1 - stars.black_body_photons(WAVELENGTHS_UM, 3800.0) / stars.black_body_photons(WAVELENGTHS_UM, 5000.0)
    loss = contrast[:, None] * (1 - u1 * (1 - mu) - u2 * (1 - mu) ** 2)
    one = spots.Spots(np.array([x]), np.array([y]), np.array([0.1]), np.array([np.pi * 0.01]), loss)
    monkeypatch.setattr(spots, "draw_spots", lambda *_: one)
    return clean_curves(system, 1, 0, 1, QUIET_STARS)[0], one.missing


def test_an_unocculted_spot_deepens_the_transit_most_in_the_visible(monkeypatch):
    number, system = quiet_system()
    clean = clean_curves(system, 1, number, 1, QUIET_STARS)[0]
    spotted, missing = with_spot(monkeypatch, system, 0.0, -0.8)  # the planet passes at impact >= 0
    deeper = (1 - spotted[:, 147]) / (1 - clean[:, 147])
    total = stellar_flux(system.u1, system.u2)
    np.testing.assert_allclose(deeper, total / (total - missing), rtol=1e-12)
    assert (deeper > 1).all()
    assert deeper[0] - 1 > 2 * (deeper[-1] - 1)


def test_an_occulted_spot_makes_a_bump(monkeypatch):
    number, system = quiet_system()
    clean = clean_curves(system, 1, number, 1, QUIET_STARS)[0]
    spotted, _ = with_spot(monkeypatch, system, 0.0, system.impact)
    assert (spotted[:, 147] > clean[:, 147]).all()
    contacts = np.flatnonzero(clean[0] < 1)[[2, -3]]  # elsewhere the spot is beside the planet
    assert (spotted[:, contacts] < clean[:, contacts]).all()


def test_spots_differ_by_instance_and_photon_noise_leaves_them_alone():
    priors = Priors(spot_fill_median=0.1)
    system = draw_system(1, 3, priors)
    curves = clean_curves(system, 1, 3, 3, priors)
    assert len({curve.tobytes() for curve in curves}) == 3


def test_scatter_outside_transit_is_the_systems_sigma():
    for number in (0, 1, 2):
        planet, system = simulate_planet(9, number, 1, 20), draw_system(9, number, PRIORS)
        measured = np.sqrt((planet.scatter.astype(float) ** 2).mean(axis=0))
        np.testing.assert_allclose(measured, system.sigma, rtol=0.12)
        assert np.median(measured / system.sigma) == pytest.approx(1, abs=0.01)


def test_the_noise_of_an_observation_is_white_and_does_not_grow_in_the_ramp():
    planet, system = simulate_planet(5, 8, 1, 30), draw_system(5, 8, PRIORS)
    clean = clean_curves(system, 5, 8, 1, PRIORS)[0] * detector.RAMP
    noise = (planet.flux - clean[:, None]) / system.sigma[:, None, None]
    assert np.mean(noise[..., 1:] * noise[..., :-1]) == pytest.approx(0, abs=0.01)
    assert noise[..., :5].std() == pytest.approx(1, abs=0.03)
    assert noise[..., OUT_OF_TRANSIT].std() == pytest.approx(1, abs=0.01)
    neighbours = np.mean(noise[1:] * noise[:-1])  # other wavelengths
    assert neighbours == pytest.approx(0, abs=0.01)

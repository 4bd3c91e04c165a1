"""The challenge's facts: names, score, scatter, white light, bounds."""

import dataclasses
import doctest

import numpy as np
import pytest

from ariel_tf import challenge
from ariel_tf.challenge import Key, parse_name, score
from ariel_tf.core.errors import DataError
from ariel_tf.physics.simulator import simulate_planet
from ariel_tf.planet import OUT_OF_TRANSIT, Planet, out_of_transit_scatter, planet_faults, white_light


def make_planet(seed=0, n=3, **changes):
    rng = np.random.default_rng(seed)
    flux = 1 + 0.01 * rng.standard_normal((55, n, 300))
    planet = Planet.from_observations(
        number=7,
        instances=[(1, i + 1) for i in range(n)],
        star=np.array([5000.0, 4.5, 0.8, 0.8, 10.0, 3.0]),
        flux=flux,
        orbit=np.array([1e10, 88.5]),
        radii=np.full(55, 0.05),
    )
    return dataclasses.replace(planet, **changes)


def test_docstring_examples():
    assert doctest.testmod(challenge).failed == 0


@pytest.mark.parametrize("key", [Key(1, 1, 1), Key(2097, 10, 10), Key(52, 3, 99)])
def test_names_round_trip(key):
    assert parse_name(key.name + ".txt") == parse_name(key.name) == key


@pytest.mark.parametrize(
    "name", ["52_01_01.txt", "0052_1_01.txt", "0052_01_01.csv", "a0052_01_01.txt", "", "0052-01-01", "００５２_01_01"]
)
def test_other_names_are_refused(name):
    with pytest.raises(DataError, match="0052_01_10"):
        parse_name(name)


def test_score_worked_by_hand():
    # errors in depth: 2 x .1 x .01 = .002 and 0; mean .001 = 1,000 ppm
    assert score(np.array([0.1, 0.2]), np.array([0.11, 0.2])) == pytest.approx(9000)
    # weights 3 : 1 make it .0015
    assert score(np.array([0.1, 0.2]), np.array([0.11, 0.2]), np.array([3, 1])) == pytest.approx(8500)


def test_score_of_nothing_and_of_other_shapes_is_refused():
    with pytest.raises(ValueError, match="no predictions"):
        score(np.zeros(0), np.zeros(0))
    with pytest.raises(ValueError, match="differ in shape"):
        score(np.zeros((3, 1)), np.zeros(3))


def test_scatter_is_the_noise_and_ignores_a_transit():
    rng = np.random.default_rng(1)
    noise = 0.003 * rng.standard_normal((2000, 300))
    transit = np.where(np.abs(np.arange(300) - 148) < 70, -0.01, 0.0)
    measured = out_of_transit_scatter(noise + transit)
    assert measured.dtype == np.float32
    assert np.mean(measured**2) ** 0.5 == pytest.approx(0.003, rel=0.01)


def test_white_light_weighs_by_inverse_variance():
    flux = np.zeros((2, 1, 300), np.float32)
    flux[1] = 1
    # variances 1 : 4 give weights .8 and .2
    white = white_light(flux, np.array([[1.0, 2.0]], np.float32))
    np.testing.assert_allclose(white, 0.2, rtol=1e-6)


def test_a_sound_planet_has_no_faults_and_each_fault_is_named():
    planet = make_planet()
    assert planet_faults(planet) == []
    flux = planet.flux.copy()
    flux[12, 1, 33] = np.nan
    star = planet.star.copy()
    star[4] = 1e9
    radii = planet.radii.copy()
    radii[3] = 1.5
    broken = make_planet(flux=flux, star=star, radii=radii, instances=np.array([(1, 1), (1, 2), (1, 1)]))
    text = "\n".join(planet_faults(broken))
    for part in ("twice", "0007_01_02: flux is nan at wavelength 12, step 33", "star_k_mag", "1.5 at wavelength 3"):
        assert part in text


def test_a_planet_without_radii_is_sound_but_not_labelled():
    for orbit in (np.full(2, np.nan), np.array([1e10, 88.5])):
        planet = make_planet(radii=np.full(55, np.nan), orbit=orbit)
        assert planet_faults(planet) == []
        assert not planet.labelled


@pytest.mark.parametrize(
    ("orbit", "fault"),
    [
        ([np.nan, np.nan], "sma is nan"),  # unknown only where the radii are
        ([-1.0, 88.5], "sma is -1.0, expected (0.0, 1000000000000000.0) m"),
        ([1e10, 200.0], "incl is 200.0, expected (0.0, 180.0) deg"),
    ],
)
def test_a_labelled_planet_has_an_orbit_within_its_bounds(orbit, fault):
    faults = planet_faults(make_planet(orbit=np.array(orbit)))
    assert fault in faults[0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.001, 0.0])
def test_scatter_is_above_zero(value):
    scatter = make_planet().scatter.copy()
    scatter[2, 54] = value
    assert planet_faults(make_planet(scatter=scatter)) == [
        f"0007_01_03: scatter is {np.float32(value)} at wavelength 54, expected more than 0"
    ]


def test_light_curves_without_noise_have_no_scatter():
    planet = make_planet()
    flux = planet.flux.copy()
    flux[3, 0] = 1
    flux[3, 0, 120:180] = 0.99
    scatter = planet.scatter.copy()
    scatter[0, 3] = 0
    assert planet_faults(make_planet(flux=flux, scatter=scatter)) == []


@pytest.mark.parametrize("value", [np.nan, 10.0, -11.0])
def test_white_light_lies_within_the_bounds_of_flux(value):
    white = make_planet().white.copy()
    white[1, 299] = value
    assert planet_faults(make_planet(white=white)) == [
        f"0007_01_02: white light is {value} at step 299, expected (-10.0, 10.0)"
    ]


def test_each_array_of_another_shape_is_named():
    planet = make_planet()
    faults = planet_faults(make_planet(scatter=planet.scatter[:, :54], white=planet.white[:2]))
    assert faults == [
        "planet 0007: scatter has shape (3, 54), expected (3, 55)",
        "planet 0007: white has shape (2, 300), expected (3, 300)",
    ]


def test_the_score_refuses_a_mask():
    true, masked = np.array([0.1, 0.2]), np.ma.masked_array([0.1, 0.5], mask=[False, True])
    for arguments in ((true, masked), (masked, true), (true, true, masked)):
        with pytest.raises(ValueError, match="without a mask"):
            score(*arguments)
    assert score(true, np.ma.masked_array(true)) == 10_000


def _spoiled(change):
    """A simulated planet of two observations, and the same with band 30 changed."""
    planet = simulate_planet(4, 7, 1, 2)
    flux = planet.flux.copy()
    change(flux[30])
    return planet, Planet.from_observations(7, planet.instances, planet.star, flux, planet.orbit, planet.radii)


def _constant(value, steps=slice(None)):
    return lambda band: band.__setitem__((..., steps), value)


DEAD = {
    "zero": _constant(0.0),
    "one": _constant(1.0),
    "in one observation": lambda band: band[:1].fill(1.0),
    "constant outside transit": _constant(1.0, OUT_OF_TRANSIT),
    "saturated": lambda band: np.minimum(band, 0.5, out=band),
    "rounded": lambda band: np.round(band, 0, out=band),
    "smoothed": lambda band: band.__setitem__(
        ..., [np.convolve(np.pad(row, 15, "edge"), np.ones(31) / 31, "valid") for row in band]
    ),
    "interpolated": lambda band: band.__setitem__(
        ..., [np.interp(np.arange(300), np.arange(0, 300, 10), row[::10]) for row in band]
    ),
    "nearly constant": lambda band: np.add(1.0, (band - 1) * 1e-4, out=band),
}


@pytest.mark.parametrize("kind", DEAD)
def test_a_band_without_noise_is_left_out_of_white_light(kind):
    """Its scatter was floored at 1e-9, so it weighed 1e18 and white light was that band."""
    sound, spoiled = _spoiled(DEAD[kind])
    assert (sound.dead_bands, spoiled.dead_bands) == ([], [30])
    others = np.delete(np.arange(55), 30)
    expected = white_light(sound.flux[others], sound.scatter[:, others])
    for row in range(2):
        alive = kind == "in one observation" and row == 1
        np.testing.assert_allclose(spoiled.white[row], (sound.white if alive else expected)[row], rtol=1e-6)


def test_white_light_of_ordinary_planets_is_bit_for_bit_the_plain_mean():
    planets = [simulate_planet(0, number, 1, 2) for number in range(1, 40)]
    flat = np.ones((55, 2, 300), np.float32)  # without any noise
    planets.append(Planet.from_observations(7, planets[0].instances, planets[0].star, flat))
    for planet in planets:
        weight = 1 / np.maximum(planet.scatter.astype(np.float64), 1e-9) ** 2
        weight /= weight.sum(axis=1, keepdims=True)
        plain = np.einsum("nw,wnt->nt", weight, planet.flux, optimize=True).astype(np.float32)
        assert planet.white.tobytes() == plain.tobytes()
        assert planet.dead_bands == []


def test_many_dead_bands_do_not_hide_each_other():
    planet = simulate_planet(4, 7, 1, 1)
    flux = planet.flux.copy()
    flux[5:50] = 1.0
    assert Planet.from_observations(7, planet.instances, planet.star, flux).dead_bands == list(range(5, 50))

"""What the transit model is told of a planet's path: worked by hand, and found again in curves of known planets."""

import keras
import numpy as np
import pytest
from keras import ops
from support.models import built

from ariel_tf.challenge import N_STEPS, STAR_NAMES
from ariel_tf.models import transit_chord, white_light
from ariel_tf.models.stages import stage
from ariel_tf.physics import planets, stars, transit

PERIOD = 3.0


def star(**values):
    usual = {"star_temp": 5772, "star_logg": 4.5, "star_rad": 1, "star_mass": 1, "star_k_mag": 10, "period": 365.25}
    return np.array([[{**usual, **values}[name] for name in STAR_NAMES]], np.float32)


def white_dip(radius, impact, period=PERIOD):
    """Of a planet of the Sun in the white bands, with the dip's depth at mid-transit: [1, 300] and [1, 1]."""
    axis, _ = (float(np.asarray(value)[0, 0]) for value in transit_chord.orbit_of(star(period=period)))
    u1, u2 = (values[transit_chord.WHITE_BANDS].mean(keepdims=True) for values in stars.limb_darkening(5000.0))
    distance = np.hypot(*planets.sky_position(period, axis, impact))
    dip = transit.blocked_flux(distance, np.array([radius]), u1, u2) / transit.stellar_flux(u1, u2)
    assert dip.shape == (1, N_STEPS)
    return dip.astype(np.float32), dip[:, 147:149].mean(keepdims=True).astype(np.float32)


def found(radius, impact, noise=1e-5, period=PERIOD):
    dip, depth = white_dip(radius, impact, period)
    along, steps = transit_chord.along_the_path(dip, *transit_chord.orbit_of(star(period=period)))
    path = transit_chord.path_of(along, steps, np.full((1, 1), noise, np.float32), depth)
    log_ratio, *others = (float(np.asarray(value)[0, 0]) for value in path)
    return float(np.sqrt(depth[0, 0] * np.exp(log_ratio))), *others


def test_the_earths_orbit_is_two_hundred_and_fifteen_solar_radii_wide():
    def axis(**values):
        return float(np.asarray(transit_chord.orbit_of(star(**values))[0])[0, 0])

    assert axis() == pytest.approx(215, rel=0.001)
    # a / R goes as P^(2/3), 1 / R, M^(1/3)
    assert axis(period=365.25 / 8) == pytest.approx(215 / 4, rel=0.001)
    assert axis(star_rad=2) == pytest.approx(215 / 2, rel=0.001)
    assert axis(star_mass=8) == pytest.approx(215 * 2, rel=0.001)


@pytest.mark.parametrize("period", [1.0, 3.0, 7.0])
def test_a_dip_along_its_path_does_not_depend_on_the_orbit(period):
    dip, _ = white_dip(0.1, 0.3, period)
    along, steps = transit_chord.along_the_path(dip, *transit_chord.orbit_of(star(period=period)))
    shapes = transit_chord.templates().reshape(
        len(transit_chord.RADII), len(transit_chord.IMPACTS), transit_chord.N_PLACES
    )
    nearest = shapes[np.abs(transit_chord.RADII - 0.1).argmin(), np.abs(transit_chord.IMPACTS - 0.3).argmin()]
    np.testing.assert_allclose(np.asarray(along)[0] / 0.01, nearest, atol=0.06)
    axis = 215 * (period / 365.25) ** (2 / 3)
    assert float(np.asarray(steps)[0, 0]) == pytest.approx(0.06 * period * 1440 / (2 * np.pi * axis), rel=0.001)


def test_templates_are_computed_once_and_cannot_be_changed():
    """Each build of a model took seconds for them."""
    assert transit_chord.templates() is transit_chord.templates()
    with pytest.raises(ValueError, match="read-only"):
        transit_chord.templates()[0] = 1


@pytest.mark.parametrize("radius", [0.02, 0.06, 0.15])
@pytest.mark.parametrize("impact", [0.1, 0.55, 0.8, 0.93])
def test_radius_and_impact_parameter_are_read_off_the_shape(radius, impact):
    expected, log_spread, height, height_spread = found(radius, impact)
    at_the_limb = impact + radius > 0.9
    assert expected == pytest.approx(radius, rel=0.08 if at_the_limb else 0.02)
    assert height == pytest.approx(impact, abs=0.06 if impact < 0.3 else 0.03)  # near the middle all dips are alike
    assert 0.001 < log_spread < 0.3
    assert 0 < height_spread < 0.1


def test_what_noise_hides_is_uncertain():
    spreads = [found(0.06, 0.5, noise)[1] for noise in (1e-4, 1e-3, 1e-2)]
    assert spreads[0] < spreads[1] < spreads[2]
    assert spreads[2] > 0.3


def test_curves_of_noise_alone_give_finite_features():
    dip = np.random.default_rng(0).normal(0, 0.01, (4, N_STEPS)).astype(np.float32)
    for scale in (1e-9, 1.0):
        for parameters in (star(), star(star_rad=0, star_mass=0, period=0), star(star_rad=100, period=1e4)):
            along, steps = transit_chord.along_the_path(
                scale * dip, *transit_chord.orbit_of(np.repeat(parameters, 4, 0))
            )
            noise, depth = np.full((4, 1), max(scale * 0.01, 1e-6)), np.full((4, 1), max(scale * 0.003, 1e-7))
            path = transit_chord.path_of(along, steps, noise.astype(np.float32), depth.astype(np.float32))
            assert all(bool(ops.all(ops.isfinite(value))) for value in (along, ops.log(steps), *path))


def test_a_dead_channel_does_not_take_over_white_light():
    """Its weight was 1 / SMALLEST_NOISE^2; without a dead channel nothing is changed."""
    draw = np.random.default_rng(0)
    noise = np.linspace(0.001, 0.03, 10, dtype=np.float32).reshape(1, 10, 1)
    dip = (draw.normal(0, 1, (1, 10, N_STEPS)) * noise).astype(np.float32)
    assert not np.asarray(white_light.noise_free(noise, dip)).any()
    noise[0, 4] = white_light.SMALLEST_NOISE
    assert np.flatnonzero(np.asarray(white_light.noise_free(noise, dip))).tolist() == [4]
    quiet = np.full((1, 10, 1), 1e-6, np.float32)
    assert not np.asarray(white_light.noise_free(quiet, np.zeros_like(dip))).any()


def test_a_smoothed_channel_does_not_take_over_white_light():
    """Neighbouring steps of it are alike, distant ones are not."""
    draw = np.random.default_rng(1)
    flux = 1 + draw.normal(0, 0.01, (3, N_STEPS, 10))
    smoothed = flux.copy()
    smoothed[1, :, 6] = np.interp(np.arange(N_STEPS), np.arange(0, N_STEPS, 10), flux[1, ::10, 6])
    for curves, expected in ((flux, []), (smoothed, [[1, 6]])):
        dip, _, noise = white_light.dips(curves.astype(np.float32))
        assert np.argwhere(np.asarray(white_light.noise_free(noise, dip))[..., 0]).tolist() == expected


@pytest.mark.parametrize(("options", "orbit"), [({}, "chord"), ({"star": "none"}, "shape")])
def test_its_summary_reads_from_light_curves_to_depth(options, orbit):
    names = [layer.name for layer in built("transit", **options).training.layers if not layer.weights]
    gate = ["path_gate"] if orbit == "chord" else []
    expected = {"fold", "white_light", "ratios", orbit, "features", *gate, "ratio_gate", "depth"}
    assert expected == set(names) - {"flux", "star", "star_transform"}


def test_a_stage_is_one_layer_without_weights_and_changes_nothing():
    x = keras.Input((3,), name="x")
    layered = keras.Model(x, stage("twice_and_sum", lambda x, y: 2 * x + ops.sum(y, axis=1, keepdims=True), x=x, y=x))
    assert [layer.name for layer in layered.layers] == ["x", "twice_and_sum"]
    assert layered.weights == []
    np.testing.assert_array_equal(layered(np.array([[1.0, 2.0, 4.0]])), [[9.0, 11.0, 15.0]])

"""What disturbs light curves is found and taken out, and undisturbed ones stay as they are."""

import numpy as np
import pytest

from ariel_tf.physics import simulator
from ariel_tf.physics.detector import RAMP
from ariel_tf.physics.disturbances import steadied
from ariel_tf.planet import Planet

SEED = 2024
BRIGHT = 2  # a planet whose transit is far above its noise


def planet(number, spots=2, photons=2):
    return simulator.simulate_planet(SEED, number, spots, photons)


def steadied_flux(one, flux):
    """The steadied flux of a planet with other light curves, and what was found."""
    steady, found = steadied(Planet.from_observations(1, one.instances, one.star, flux, one.orbit, one.radii))
    return steady.flux, found


@pytest.fixture(scope="module")
def bright():
    return planet(BRIGHT)


def test_undisturbed_light_curves_stay_as_they_are_bit_for_bit():
    for number in range(1, 31):
        one = planet(number, 2, 1)
        steady, found = steadied(one)
        assert steady is one
        assert (found.outliers, found.lost.sum(), found.moved, found.unseen) == (0, 0, 0, 0)
        assert (found.ramp == 1).all()


def test_cosmic_rays_are_replaced(bright):
    flux = bright.flux.copy()
    rng = np.random.default_rng(0)
    hit = rng.random(flux.shape) < 0.002
    flux += np.where(hit, 50 * bright.scatter.T[..., None], 0).astype(np.float32)
    steady, found = steadied_flux(bright, flux)
    assert found.outliers > 0.95 * hit.sum()
    noise = np.broadcast_to(bright.scatter.T[..., None], flux.shape)
    inside = np.s_[..., 10:-10]
    assert np.quantile(np.abs((steady - bright.flux)[inside] / noise[inside]), 0.9999) < 8


@pytest.mark.parametrize("size", [0.0, 0.8, 1.2])
def test_a_ramp_of_another_size_is_measured(bright, size):
    flux = (bright.flux / RAMP * (1 + size * (RAMP - 1))).astype(np.float32)
    steady, found = steadied_flux(bright, flux)
    quiet = bright.scatter.mean(axis=0) < 0.002
    np.testing.assert_allclose(found.ramp[quiet], size, atol=0.02)
    np.testing.assert_allclose(steady[quiet], bright.flux[quiet], atol=0.02)


@pytest.mark.parametrize("late", [-20, -7, 4, 20])
def test_a_late_transit_is_moved_back(bright, late):
    curves = np.roll(bright.flux / RAMP, late, axis=-1) * RAMP
    steady, found = steadied_flux(bright, curves.astype(np.float32))
    assert found.moved == pytest.approx(late, abs=1)
    if found.moved == late:
        np.testing.assert_allclose(steady[..., 40:260], bright.flux[..., 40:260], atol=1e-5)


def in_transit(one):
    """The first and last step of a transit, from the mean of all bands."""
    deep = np.flatnonzero((one.flux / RAMP).mean(axis=(0, 1)) < 1 - 5e-4)
    return int(deep[0]), int(deep[-1])


@pytest.mark.parametrize("end", ["begin", "end"])
def test_an_unseen_part_of_a_transit_is_replaced_by_the_other_half(bright, end):
    first, last = in_transit(bright)
    missing = (last - first) // 5
    unseen = slice(first - 5, first + missing) if end == "begin" else slice(last - missing, last + 6)
    flux = bright.flux.copy()
    noise = bright.scatter.T[..., None] * np.random.default_rng(3).standard_normal(flux[..., unseen].shape)
    flux[..., unseen] = (1 + noise) * RAMP[unseen]
    steady, found = steadied_flux(bright, flux)
    assert found.unseen == pytest.approx(missing, abs=6)
    assert found.moved == 0
    white, truth = steady.mean(axis=(0, 1)), bright.flux.mean(axis=(0, 1))
    depth = 1 - truth[100:200].min()
    assert np.abs(white - truth)[unseen].max() < 0.15 * depth < 0.5 * np.abs(flux - bright.flux)[..., unseen].mean()


@pytest.mark.parametrize("late", [-35, -20, 6, 20, 32, 35])
def test_a_late_transit_has_no_unseen_part(bright, late):
    curves = np.roll(bright.flux / RAMP, late, axis=-1) * RAMP
    assert steadied_flux(bright, curves.astype(np.float32))[1].unseen == 0


def test_red_noise_is_told():
    rng = np.random.default_rng(1)
    one = planet(5, 2, 4)
    white = rng.standard_normal(one.flux.shape)
    red = white.copy()
    for step in range(1, red.shape[-1]):
        red[..., step] = 0.3 * red[..., step - 1] + np.sqrt(1 - 0.3**2) * white[..., step]
    flat = np.broadcast_to(RAMP, one.flux.shape) + 0 * red
    scatter = one.scatter.mean(axis=0)[:, None, None]
    assert steadied_flux(one, (flat + scatter * white).astype(np.float32))[1].redness == 1
    # Scatter of neighbouring steps: sqrt(1 - phi) of the noise; of long means: sqrt((1 + phi) / (1 - phi)).
    expected = np.sqrt(1.3 / 0.7 / 0.7)
    assert steadied_flux(one, (flat + scatter * red).astype(np.float32))[1].redness == pytest.approx(expected, rel=0.2)


def test_bands_without_light_have_their_neighbour_s_light_curves(bright):
    flux = bright.flux.copy()
    noise = np.random.default_rng(2).standard_normal(flux[7].shape)
    flux[7] = 1 + 100 * bright.scatter[:, 7, None] * noise
    flux[[0, 20, 21, 22]] = 1
    steady, found = steadied_flux(bright, flux)
    assert np.flatnonzero(found.lost).tolist() == [0, 7, 20, 21, 22]
    for band, neighbour in ((0, 1), (7, 6), (20, 19), (21, 19), (22, 23), (30, 30)):
        np.testing.assert_array_equal(steady[band], bright.flux[neighbour])


def test_where_no_band_holds_light_nothing_is_done(bright):
    flux = np.ones_like(bright.flux)
    steady, found = steadied_flux(bright, flux)
    assert not found.lost.any()
    assert np.isfinite(steady).all()

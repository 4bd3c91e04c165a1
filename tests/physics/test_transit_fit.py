"""The classical fit against known answers, other transit models and its own standard errors."""

import dataclasses

import numpy as np
import pytest

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.core.errors import DataError
from ariel_tf.physics import transit_fit
from ariel_tf.physics.simulator import Priors, draw_system, simulate_planet
from ariel_tf.planet import Planet

PPM = 1e-6


@pytest.fixture(scope="module")
def planet() -> Planet:
    return simulate_planet(seed=3, number=8, spots=1, photons=3)


def without_noise(planet, radii):
    """One observation of these radii, with the noise outside transit that the planet's real ones have."""
    flux = transit_fit.reconstructed(planet, radii).astype(np.float32)[:, None]
    return dataclasses.replace(planet, flux=flux, scatter=planet.scatter[:1])


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_radii_come_back_from_curves_without_noise(planet, scale):
    radii = np.clip(scale * planet.radii * np.linspace(0.8, 1.2, N_WAVELENGTHS), 0.01, 0.6)
    alone, together = transit_fit.fit(without_noise(planet, radii))
    np.testing.assert_allclose(alone.radii[0], radii, rtol=1e-3)
    np.testing.assert_array_equal(alone.depth, together.depth)


def test_batman_and_our_own_transit_fit_the_same_radii(planet, monkeypatch):
    theirs = transit_fit.fit(planet)[0]
    assert transit_fit.engine_name() == "batman"
    monkeypatch.setattr(transit_fit, "_batman", lambda: None)
    ours = transit_fit.fit(planet)[0]
    assert transit_fit.engine_name() == "our own"
    assert np.abs(ours.depth - theirs.depth).max() < 10 * PPM
    np.testing.assert_allclose(ours.error, theirs.error, rtol=0.01)


def test_a_second_slower_fit_finds_the_same_depth(planet):
    """A fine grid of radii with the light curves of `reconstructed`, chi-square in full."""
    alone = transit_fit.fit(planet)[0]
    wavelength = 2
    grid = alone.radii[0, wavelength] * np.linspace(0.9, 1.1, 201)
    curves = [transit_fit.reconstructed(planet, np.full(N_WAVELENGTHS, radius))[wavelength, 40:260] for radius in grid]
    chi = np.square(planet.flux[wavelength, 0, 40:260] - np.array(curves)).sum(axis=1)
    assert alone.radii[0, wavelength] == pytest.approx(grid[chi.argmin()], rel=0.0015)


def test_the_errors_are_those_that_noise_makes(planet):
    """500 noises on one transit: the spread of the depths is the standard error, and the bound of Cramer and Rao."""
    rng = np.random.default_rng(0)
    clean = without_noise(planet, planet.radii)
    sigma = np.repeat(clean.scatter, 500, axis=0)
    flux = clean.flux + (rng.standard_normal((N_WAVELENGTHS, 500, 300)) * sigma.T[:, :, None]).astype(np.float32)
    alone, together = transit_fit.fit(dataclasses.replace(clean, flux=flux, scatter=sigma))
    pull = (alone.depth - planet.radii**2) / alone.error
    assert pull.std() == pytest.approx(1, abs=0.03)
    assert np.abs(pull.mean(axis=0)).max() < 0.2
    assert ((together.depth - planet.radii**2) / together.error).std() == pytest.approx(1, abs=0.3)
    np.testing.assert_allclose(together.error[0] * np.sqrt(500), alone.error.mean(axis=0), rtol=0.05)
    np.testing.assert_allclose(transit_fit.standard_errors(clean)[0], np.median(alone.error, axis=0), rtol=0.05)


def test_a_bump_instead_of_a_dip_is_a_radius_of_zero(planet):
    clean = without_noise(planet, planet.radii)
    alone = transit_fit.fit(dataclasses.replace(clean, flux=(2 * transit_fit.RAMP - clean.flux).astype(np.float32)))[0]
    assert (alone.depth < 0).all()
    assert (alone.radii == 0).all()


def test_a_planet_that_grazes_says_nothing_in_bands_where_it_is_too_small(planet):
    """Impact 1.3: radii below .3 hide nothing; no depth is nan, whatever the noise."""
    system = draw_system(3, 8, Priors())
    inclination = np.degrees(np.arccos(1.3 / system.scaled_axis))
    grazing = dataclasses.replace(planet, orbit=np.array([system.orbit[0], inclination]))
    alone = transit_fit.fit(grazing)[0]
    assert np.isfinite(alone.depth).all()
    assert (alone.error > 0).all()
    assert np.isinf(transit_fit.standard_errors(grazing)).all()


def test_an_unknown_orbit_is_refused_by_its_planet(make_planet):
    with pytest.raises(DataError, match=r"planet 0007: its orbit .* unknown"):
        transit_fit.fit(make_planet(7, labelled=False))

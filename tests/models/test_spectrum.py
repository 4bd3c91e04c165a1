"""The model of spectra: its physics is right before anything is trained."""

import keras
import numpy as np
import pytest
from keras import ops

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS
from ariel_tf.models import spectral_prior, transit_templates
from ariel_tf.models.spectrum import Measured, measure, with_uncertainty
from ariel_tf.physics import stars
from ariel_tf.physics.stream import Stream


@pytest.fixture(scope="module")
def measured():
    """A Keras model: flux and star to `Measured`."""
    flux, star = keras.Input((N_STEPS, N_WAVELENGTHS)), keras.Input((6,))
    return keras.Model([flux, star], list(measure(flux, star)))


@pytest.fixture(scope="module")
def planets():
    return Stream(11, rows=160, pool=100).block(0)


@pytest.fixture(scope="module")
def found(measured, planets):
    return Measured(*map(np.asarray, measured.predict_on_batch([planets.flux, planets.star])))


def test_physics_alone_is_near_the_truth(found, planets):
    usual = (planets.impact < 0.8) & (planets.radii.max(axis=1) < 2 * planets.radii.min(axis=1))
    depth = found.reference * np.exp(found.shaped)
    error = np.abs(depth / planets.radii**2 - 1)[usual]
    assert np.median(error) < 0.02
    assert np.median(np.abs(found.impact[usual, 0] - planets.impact[usual])) < 0.03


def test_what_is_measured_scatters_by_its_noise(found, planets):
    usual = (planets.impact < 0.7) & (planets.radii.max(axis=1) < 1.3 * planets.radii.min(axis=1))
    expected = np.log(planets.radii**2 / found.reference)
    noisy = found.noise[usual] > 0.02  # spots and limb darkening matter where noise is less
    deviations = ((found.seen - expected)[usual] / found.noise[usual])[noisy]
    assert len(deviations) > 200
    assert 0.8 < np.median(np.abs(deviations)) / 0.6745 < 1.4


def test_a_dead_band_is_told_by_the_others(measured, planets):
    flux = planets.flux[:40].copy()
    flux[:, :, 10] = 1.0
    found = Measured(*map(np.asarray, measured.predict_on_batch([flux, planets.star[:40]])))
    whole = Measured(*map(np.asarray, measured.predict_on_batch([planets.flux[:40], planets.star[:40]])))
    change = (found.shaped - whole.shaped)[planets.impact[:40] < 0.8]
    assert np.isfinite(found.features).all()
    assert np.median(np.abs(change[:, 10])) < 0.05
    assert np.median(np.abs(np.delete(change, 10, axis=1))) < 0.01


@pytest.mark.parametrize("kelvin", [3100.0, 4321.0, 5000.0, 6900.0])
def test_limb_darkening_is_that_of_the_stars(kelvin):
    first, second = transit_templates.limb_darkening(ops.convert_to_tensor([[kelvin]], "float32"))
    expected = stars.limb_darkening(kelvin)
    np.testing.assert_allclose(np.asarray(first)[0], expected[0], rtol=1e-4)
    np.testing.assert_allclose(second, expected[1], rtol=1e-4)


def test_the_prior_of_spectra_fills_in_what_is_not_seen():
    shape = spectral_prior.prior()
    factors = np.random.default_rng(0).standard_normal((20, spectral_prior.RANK)).astype(np.float32)
    truth = shape.mean + factors @ shape.factors.T  # at the size of unit
    depth = np.full((20, 1), spectral_prior.SIZE**2, np.float32)
    noise = np.full((20, N_WAVELENGTHS), 0.001, np.float32)
    exact = np.asarray(spectral_prior.most_probable(*map(ops.convert_to_tensor, (truth, noise, depth))))
    np.testing.assert_allclose(exact, truth, atol=0.05 * truth.std())
    noise[:, 5], seen = 1e3, truth.copy()
    seen[:, 5] += 100
    filled = np.asarray(spectral_prior.most_probable(*map(ops.convert_to_tensor, (seen, noise, depth))))
    assert np.abs(filled[:, 5] - truth[:, 5]).mean() < 0.3 * truth[:, 5].std()


def test_an_untrained_model_starts_as_the_physicist_and_loads_without_our_code(tmp_path, planets, found):
    model = with_uncertainty(units=8, layers=1)
    model.save(tmp_path / "model.keras")
    answer = keras.models.load_model(tmp_path / "model.keras").predict_on_batch(
        {"flux": planets.flux, "star": planets.star}
    )
    assert {name: values.shape[1] for name, values in answer.items()} == {"radius": 55, "sigma": 55, "impact": 1}
    usual = (planets.radii.max(axis=1) < 1.3 * planets.radii.min(axis=1)) & (planets.impact < 0.8)
    expected = np.sqrt(found.reference * np.exp(found.shaped))
    np.testing.assert_allclose(np.median(answer["radius"][usual] / expected[usual]), 1, atol=0.01)
    assert (answer["sigma"] > 0).all()

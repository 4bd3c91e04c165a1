"""Ramp and noise."""

import numpy as np
import pytest

from ariel_tf.physics.detector import FAINT_PPM, PHOTON_PPM, RAMP, noise_sigma, relative_brightness, white_noise


def test_the_ramp_starts_at_half_and_is_over_by_step_28():
    np.testing.assert_allclose(RAMP[:5], [0.504, 0.721, 0.814, 0.874, 0.915], atol=6e-4)  # the real train set's mean
    assert (np.diff(RAMP) >= 0).all()
    assert 1 - RAMP[28] < 1e-5


def test_the_reference_star_has_the_tables_noise():
    np.testing.assert_allclose(relative_brightness(5000.0, 10.0), 1)
    np.testing.assert_allclose(1e6 * noise_sigma(5000.0, 10.0), np.hypot(PHOTON_PPM, FAINT_PPM))


def test_bright_stars_are_photon_limited_and_faint_ones_worse():
    """Five magnitudes are a factor 100 in flux: photon noise grows by 10, faint-end noise by 100."""
    bright, faint = noise_sigma(5000.0, np.array([0.0, 5.0])), noise_sigma(5000.0, 15.0)
    np.testing.assert_allclose(bright[1] / bright[0], 10, rtol=0.05)
    assert (faint / noise_sigma(5000.0, 10.0) > 12).all()


def test_hot_stars_are_quieter_in_the_visible_at_the_same_k_magnitude():
    cool, hot = noise_sigma(np.array([3500.0, 6500.0]), 10.0)
    assert cool[0] > 2 * hot[0]
    assert (cool[9:20] / hot[9:20]).mean() == pytest.approx(1, abs=0.05)  # about the K band nothing changes


def test_photon_scale_multiplies_photon_noise_alone():
    variance = [noise_sigma(5000.0, 10.0, scale) ** 2 for scale in (1.0, 2.0)]
    np.testing.assert_allclose(variance[1] - variance[0], 3 * (PHOTON_PPM * 1e-6) ** 2)


def test_noise_is_white_and_gaussian():
    noise = white_noise(np.random.default_rng(0)).astype(np.float64)
    assert noise.mean() == pytest.approx(0, abs=0.03)
    assert noise.std() == pytest.approx(1, abs=0.02)
    assert np.mean(noise[:, 1:] * noise[:, :-1]) == pytest.approx(0, abs=0.03)
    assert np.mean(noise**4) == pytest.approx(3, abs=0.2)

"""The detector: persistence at the start of an observation (the ramp) and white noise by star and wavelength."""

import numpy as np

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, WAVELENGTHS_UM
from ariel_tf.physics.stars import black_body_photons

_steps = np.arange(N_STEPS)
# The ramp, float64 [300]: the same in all bands and files. Fitted to the real train set's mean light curve.
RAMP = 1 - 0.41059 * np.exp(-_steps / 2.53099) - 0.08549 * np.exp(-_steps / 0.28187)

# White noise of one step in ppm for a star of K = 10 mag and 5000 K: fitted to six real files of different stars (to 7
# % per band), then changed as little as possible to give the simulated population the pooled scatter of the real
# training set. Photon noise, proportional to flux^-1/2 ...
PHOTON_PPM = np.array(
    [
        869, 689, 611, 894, 904, 891, 812, 856, 1211, 2588, 2566, 2232, 2247, 2599,
        2259, 2454, 2387, 2657, 2692, 2672, 2726, 3074, 3237, 2740, 2838, 3023, 2946, 2952,
        2921, 3522, 3337, 3268, 3433, 2930, 3360, 3250, 3431, 3865, 3847, 3518, 3749, 3825,
        4731, 8149, 2234, 2633, 2826, 2850, 3077, 3248, 3286, 3501, 3996, 3992, 5805,
    ],
    dtype=np.float64,
)  # fmt: skip
# ... and additional noise of faint stars (dark current, read-out), proportional to flux^-1.
FAINT_PPM = np.array(
    [
        279, 136, 51, 176, 101, 75, 150, 155, 220, 611, 704, 619, 612, 473,
        663, 564, 685, 618, 583, 650, 761, 662, 394, 777, 765, 824, 874, 886,
        876, 572, 806, 992, 907, 1178, 1107, 1253, 1333, 1300, 1273, 1491, 1456, 1673,
        2212, 6222, 603, 564, 683, 734, 929, 1019, 1072, 1287, 1624, 2054, 4893,
    ],
    dtype=np.float64,
)  # fmt: skip
_K_BAND_UM = 2.16
_REFERENCE_TEMPERATURE = 5000.0  # K
_REFERENCE_K_MAGNITUDE = 10.0


def relative_brightness(temperature: np.ndarray | float, k_magnitude: np.ndarray | float) -> np.ndarray:
    """Return photons in each band relative to a star of K = 10 mag and 5000 K, for black bodies: float64 [..., 55]."""
    temperature = np.asarray(temperature, np.float64)[..., None]
    colour = black_body_photons(WAVELENGTHS_UM, temperature) / black_body_photons(_K_BAND_UM, temperature)
    reference = black_body_photons(WAVELENGTHS_UM, _REFERENCE_TEMPERATURE) / black_body_photons(
        _K_BAND_UM, _REFERENCE_TEMPERATURE
    )
    return colour / reference * 10 ** (-0.4 * (np.asarray(k_magnitude)[..., None] - _REFERENCE_K_MAGNITUDE))


def noise_sigma(
    temperature: np.ndarray | float, k_magnitude: np.ndarray | float, photon_scale: np.ndarray | float = 1.0
) -> np.ndarray:
    """Return the standard deviation of one step's white noise, float64 [..., 55], relative to the quiet star.

    sigma^2 = g^2 A^2 / F + C^2 / F^2 with A = `PHOTON_PPM`, C = `FAINT_PPM`, F = `relative_brightness`.

    Args:
        temperature: K, [...].
        k_magnitude: mag, [...].
        photon_scale: g, the star's photon noise relative to the table, [...].
    """
    brightness = relative_brightness(temperature, k_magnitude)
    photon = (np.asarray(photon_scale)[..., None] * PHOTON_PPM) ** 2 / brightness
    return 1e-6 * np.sqrt(photon + (FAINT_PPM / brightness) ** 2)


def white_noise(rng: np.random.Generator) -> np.ndarray:
    """Return unit Gaussian noise, float32 [55, 300]."""
    return rng.standard_normal((N_WAVELENGTHS, N_STEPS), dtype=np.float32)

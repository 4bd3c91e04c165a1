"""The detector: persistence at the start of an observation (the ramp) and white noise by star and wavelength."""

import numpy as np

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, WAVELENGTHS_UM
from ariel_tf.physics.stars import black_body_photons

_steps = np.arange(N_STEPS)
# The ramp, float64 [300]: the same in all bands and files. Fitted to the real train set's mean light curve.
RAMP = 1 - 0.41059 * np.exp(-_steps / 2.53099) - 0.08549 * np.exp(-_steps / 0.28187)

# White noise of one step in ppm for a star of K = 10 mag and 5000 K, fitted to six real files of different stars:
# photon noise, which goes as flux^-1/2 ...
PHOTON_PPM = np.array(
    [
        870, 687, 631, 902, 889, 834, 828, 860, 1210, 2541, 2567, 2208, 2242, 2525, 2266, 2411, 2387, 2594, 2682,
        2651, 2741, 2975, 2944, 2728, 2783, 2963, 2939, 2870, 2890, 3229, 3297, 3223, 3348, 2915, 3349, 3249, 3426,
        3795, 3780, 3479, 3679, 3813, 4670, 8129, 2228, 2647, 2854, 2808, 3071, 3132, 3270, 3456, 3921, 3967, 5786,
    ],
    dtype=np.float64,
)  # fmt: skip
# ... and what faint stars add (dark current, read-out), which goes as flux^-1.
FAINT_PPM = np.array(
    [
        290, 132, 54, 189, 97, 69, 174, 159, 219, 534, 709, 553, 595, 416, 694, 499, 685, 527, 568, 608, 826, 552,
        326, 739, 647, 692, 848, 690, 774, 441, 732, 850, 746, 1058, 1052, 1247, 1286, 1048, 1036, 1210, 1116, 1537,
        1702, 5277, 585, 588, 763, 647, 906, 748, 996, 1063, 1226, 1711, 3885,
    ],
    dtype=np.float64,
)  # fmt: skip
_K_BAND_UM = 2.16
_REFERENCE_TEMPERATURE = 5000.0  # K
_REFERENCE_K_MAGNITUDE = 10.0


def relative_brightness(temperature: np.ndarray | float, k_magnitude: np.ndarray | float) -> np.ndarray:
    """Photons in each band relative to a star of K = 10 mag and 5000 K; black bodies. float64 [..., 55]."""
    temperature = np.asarray(temperature, np.float64)[..., None]
    colour = black_body_photons(WAVELENGTHS_UM, temperature) / black_body_photons(_K_BAND_UM, temperature)
    reference = black_body_photons(WAVELENGTHS_UM, _REFERENCE_TEMPERATURE) / black_body_photons(
        _K_BAND_UM, _REFERENCE_TEMPERATURE
    )
    return colour / reference * 10 ** (-0.4 * (np.asarray(k_magnitude)[..., None] - _REFERENCE_K_MAGNITUDE))


def noise_sigma(
    temperature: np.ndarray | float, k_magnitude: np.ndarray | float, photon_scale: np.ndarray | float = 1.0
) -> np.ndarray:
    """Standard deviation of one step's white noise, float64 [..., 55], relative to the quiet star.

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
    """Unit Gaussian noise, float32 [55, 300]."""
    return rng.standard_normal((N_WAVELENGTHS, N_STEPS), dtype=np.float32)

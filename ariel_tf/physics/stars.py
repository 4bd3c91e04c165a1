"""Host stars: temperature, mass, radius, K magnitude, and brightness in each band."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ariel_tf.challenge import N_WAVELENGTHS, WAVELENGTHS_UM
from ariel_tf.physics.priors import Priors

SOLAR_RADIUS_M = 6.957e8  # IAU 2015 nominal
SOLAR_MASS_KG = 1.98847e30
GRAVITATION = 6.67408e-11  # m^3 kg^-1 s^-2, CODATA 2014
HC_OVER_K_UM = 14387.77  # second radiation constant, micrometres x kelvin

# Groups of bands with similar limb darkening: from, to.
ALIKE = ((0, 2), (2, 9), (9, 44), (44, N_WAVELENGTHS))

# Main sequence: effective temperature (K), mass and radius (solar). After Pecaut & Mamajek (2013), rounded.
_TEMPERATURE = np.array([3000, 3300, 3670, 4000, 4500, 5000, 5500, 5778, 6200, 6500, 7000.0])
_MASS = np.array([0.15, 0.30, 0.47, 0.62, 0.72, 0.82, 0.93, 1.00, 1.20, 1.35, 1.50])
_RADIUS = np.array([0.18, 0.31, 0.45, 0.61, 0.69, 0.78, 0.92, 1.00, 1.25, 1.40, 1.60])


class Stars(NamedTuple):
    """n stars: float64 [n] each."""

    temperature: np.ndarray  # K
    mass: np.ndarray  # solar masses
    radius: np.ndarray  # solar radii
    k_magnitude: np.ndarray  # mag


def draw_stars(rng: np.random.Generator, priors: Priors, n: int) -> Stars:
    """Draw n stars from the priors: main sequence in mass and radius, some of the hotter ones evolved."""
    span = priors.temperature_high - priors.temperature_low
    temperature = priors.temperature_low + span * rng.beta(priors.temperature_alpha, priors.temperature_beta, n)
    mass = np.interp(temperature, _TEMPERATURE, _MASS) * np.exp(priors.mass_spread * rng.standard_normal(n))
    evolved = np.abs(rng.standard_normal(n)) * priors.evolved_spread * (temperature > priors.evolved_above)
    radius = np.interp(temperature, _TEMPERATURE, _RADIUS) * np.exp(
        priors.radius_spread * rng.standard_normal(n) + evolved
    )
    below_faint_end = rng.gamma(priors.k_magnitude_shape, priors.k_magnitude_scale, n)
    return Stars(temperature, mass, radius, priors.k_magnitude_faint_end - below_faint_end)


def log_surface_gravity(mass: np.ndarray | float, radius: np.ndarray | float) -> np.ndarray:
    """Return log10 of g = G M / R^2 in cgs (dex), from solar masses and solar radii."""
    metres_per_s2 = GRAVITATION * np.asarray(mass) * SOLAR_MASS_KG / (np.asarray(radius) * SOLAR_RADIUS_M) ** 2
    return np.log10(100 * metres_per_s2)


def black_body_photons(wavelength_um: ArrayLike, temperature: ArrayLike) -> np.ndarray:
    """Return Planck's law in photons per unit wavelength, up to a constant factor; broadcasts."""
    wavelength_um = np.asarray(wavelength_um)
    return 1 / (wavelength_um**4 * np.expm1(HC_OVER_K_UM / (wavelength_um * np.asarray(temperature))))


def limb_darkening(temperature: np.ndarray | float, scale: np.ndarray | float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return quadratic limb-darkening coefficients u1, u2, float64 [55] each, or [n, 55] and [55].

    I(mu) = 1 - u1 (1 - mu) - u2 (1 - mu)^2. Our smooth fit to the trend of tabulated coefficients: u1 falls
    from .6 in the visible to .1 in the infrared and is largest for stars near 5000 K. Beyond 1 um the real
    mean dips have the same shape in all bands, which requires slightly stronger darkening there than the tables give.

    Args:
        temperature: K, a number or [n, 1].
        scale: multiplies u1, to spread stars about the trend.
    """
    by_temperature = np.interp(temperature, [3000, 4000, 5000, 6000, 7000], [0.80, 0.90, 1.0, 0.95, 0.88])
    u1 = 0.10 + 0.56 * by_temperature * np.exp(-(np.array(WAVELENGTHS_UM) - 0.5) / 0.65)
    u2 = 0.12 + 0.14 * np.exp(-((np.log(np.array(WAVELENGTHS_UM) / 1.4) / 0.9) ** 2))
    return np.minimum(scale * u1, 0.95 - u2), u2  # the limb stays bright: u1 + u2 < 1

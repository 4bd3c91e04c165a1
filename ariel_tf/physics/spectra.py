"""Transmission spectra: how much wider a planet looks where its atmosphere absorbs."""

import numpy as np

from ariel_tf.challenge import WAVELENGTHS_UM
from ariel_tf.physics.priors import Priors

# Opacity of each absorber as log10 of optical depth: bands as (centre in um, width in ln wavelength, height in
# dex), and a continuum. Schematic: centres are the molecules' known bands (HITRAN); heights were chosen so that
# mixtures look like the two labelled real spectra and the real train set's mean depth by wavelength.
_WATER = (
    (0.94, 0.04, 0.6),
    (1.15, 0.05, 1.0),
    (1.40, 0.06, 1.8),
    (1.88, 0.05, 2.2),
    (2.68, 0.10, 3.3),
    (6.3, 0.17, 3.4),
)
_METHANE = ((1.15, 0.04, 0.7), (1.67, 0.05, 1.2), (2.32, 0.06, 2.3), (3.32, 0.075, 3.8), (7.7, 0.10, 3.2))
_CARBON_DIOXIDE = ((2.02, 0.02, 1.0), (2.75, 0.03, 2.5), (4.05, 0.04, 4.6), (4.9, 0.05, 0.8))
_CARBON_MONOXIDE = ((2.34, 0.04, 1.0), (4.67, 0.06, 3.0))


def _bands(lines: tuple[tuple[float, float, float], ...]) -> np.ndarray:
    log_wavelength = np.log(WAVELENGTHS_UM)
    total = np.zeros_like(log_wavelength)
    for centre, width, height in lines:
        total += height * np.exp(-0.5 * ((log_wavelength - np.log(centre)) / width) ** 2)
    return total


# float64 [5 absorbers, 55]: water, methane, carbon dioxide, carbon monoxide, Rayleigh scattering (lambda^-4)
OPACITIES = np.stack(
    [
        _bands(_WATER) + np.sqrt(WAVELENGTHS_UM / 5),
        _bands(_METHANE) + 0.4,
        _bands(_CARBON_DIOXIDE),
        _bands(_CARBON_MONOXIDE),
        1.4 - 4 * np.log10(WAVELENGTHS_UM / 0.5),
    ]
)
# log10 abundance of each, mean and standard deviation over planets
_ABUNDANCE_MEAN = np.array([0.0, -0.3, -0.9, -1.5, -1.0])
_ABUNDANCE_SPREAD = np.array([0.6, 0.8, 1.0, 1.0, 0.6])
_CLOUD = (-1.0, 2.2)  # log10 of the grey optical depth of clouds, uniform


def draw_spectral_shape(rng: np.random.Generator) -> np.ndarray:
    """A spectrum's shape: 0 in the clearest band, 1 in the most opaque one, float64 [55].

    The apparent height of an atmosphere is the scale height times ln of the optical depth (Lecavelier des
    Etangs et al. 2008), so the shape is the log of a sum of absorbers.
    """
    abundance = _ABUNDANCE_MEAN + _ABUNDANCE_SPREAD * rng.standard_normal(len(OPACITIES))
    cloud = rng.uniform(*_CLOUD)
    log_depth = np.log10((10 ** (OPACITIES + abundance[:, None])).sum(axis=0) + 10**cloud)
    lowest = log_depth.min()
    return (log_depth - lowest) / (log_depth.max() - lowest)


def draw_radii(rng: np.random.Generator, relative_radius: float, priors: Priors) -> np.ndarray:
    """Rp/Rs by wavelength, float64 [55], in (0, 1): the planet's own radius and its atmosphere's height above it.

    A few small planets are puffy: their atmosphere reaches out by a good part of the star's radius. The
    2019 edition's targets hold such planets (Rp/Rs .0137 at .55 um, .668 at 7.8 um).
    """
    shape = draw_spectral_shape(rng)
    puffy = rng.random() < priors.puffy_share and relative_radius < priors.puffy_radius_high
    normal = rng.standard_normal()
    if puffy:
        extension = priors.puffy_extension_median * np.exp(priors.puffy_extension_spread * normal)
    else:
        extension = priors.extension_median * np.exp(priors.extension_spread * normal)
        extension *= (relative_radius / 0.05) ** priors.extension_slope
    return np.minimum(relative_radius + extension * shape, 0.95)

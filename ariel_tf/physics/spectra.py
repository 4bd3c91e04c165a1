"""Transmission spectra: the apparent radius of a planet where its atmosphere absorbs."""

import numpy as np

from ariel_tf.challenge import WAVELENGTHS_UM
from ariel_tf.physics.priors import Priors

# log10 of each absorber's optical depth by wavelength, above that of the clearest band. Schematic: the bands are the
# known ones of the molecules; the heights were estimated from the two labelled real spectra, whose differences show
# methane.
_WATER = np.array(
    [
        0.0, 0.0, 0.8, 1.8, 0.9, 3.3, 1.4, 1.1, 3.0, 2.8, 2.5, 1.8, 1.2, 0.9, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5, 2.9, 3.7,
        4.4, 4.3, 4.4, 4.8, 4.7, 4.6, 4.4, 4.5, 4.1, 3.8, 3.4, 3.3, 3.0, 2.8, 2.6, 2.5, 2.2, 1.9, 1.6, 1.3, 1.15, 1.0,
        1.1, 2.0, 2.9, 3.4, 3.8, 4.3, 4.1, 4.1, 5.0, 4.85, 4.85,
    ]
)  # fmt: skip
# (centre in um, width in ln wavelength, height in dex)
_METHANE = ((1.67, 0.05, 1.7), (2.32, 0.07, 2.8), (3.33, 0.10, 4.2), (7.80, 0.10, 4.2))
_CARBON_DIOXIDE = ((2.02, 0.02, 1.5), (2.75, 0.03, 3.2), (4.30, 0.035, 5.6))
_CARBON_MONOXIDE = ((2.34, 0.04, 1.0), (4.67, 0.07, 4.4))


def _bands(lines: tuple[tuple[float, float, float], ...]) -> np.ndarray:
    log_wavelength = np.log(WAVELENGTHS_UM)
    total = np.zeros_like(log_wavelength)
    for centre, width, height in lines:
        total += height * np.exp(-0.5 * ((log_wavelength - np.log(centre)) / width) ** 2)
    return total


_RAYLEIGH = -4 * np.log10(np.array(WAVELENGTHS_UM) / WAVELENGTHS_UM[1])
# float64 [5 absorbers, 55]: water, methane, carbon dioxide, carbon monoxide, Rayleigh scattering (lambda^-4)
OPACITIES = np.stack([_WATER, _bands(_METHANE), _bands(_CARBON_DIOXIDE), _bands(_CARBON_MONOXIDE), _RAYLEIGH])
# log10 abundance of each, mean and standard deviation over planets
_ABUNDANCE_MEAN = np.array([0.0, -0.6, -0.5, -0.5, -0.5])
_ABUNDANCE_SPREAD = np.array([0.3, 0.5, 0.4, 0.4, 0.4])


def draw_spectral_shape(rng: np.random.Generator, priors: Priors) -> np.ndarray:
    """Draw a spectrum's shape: 0 in the clearest band, 1 in the most opaque one, float64 [55]."""
    abundance = _ABUNDANCE_MEAN + _ABUNDANCE_SPREAD * rng.standard_normal(len(OPACITIES))
    return spectral_shape(abundance, rng.uniform(priors.cloud_low, priors.cloud_high))


def spectral_shape(abundance: np.ndarray, cloud: np.ndarray | float) -> np.ndarray:
    """Return shapes of spectra: 0 in the clearest band, 1 in the most opaque one.

    The apparent height of an atmosphere is the scale height times ln of the optical depth (Lecavelier des
    Etangs et al. 2008), so the shape is the log of a sum of absorbers.

    Args:
        abundance: log10 of each absorber's abundance, float [..., 5].
        cloud: log10 of the clouds' grey optical depth, float [...].

    Returns:
        float64 [..., 55].
    """
    absorbers = (10 ** (OPACITIES + abundance[..., None])).sum(axis=-2)
    log_depth = np.log10(absorbers + 10 ** np.asarray(cloud)[..., None])
    lowest = log_depth.min(axis=-1, keepdims=True)
    return (log_depth - lowest) / (log_depth.max(axis=-1, keepdims=True) - lowest)


def draw_radii(rng: np.random.Generator, relative_radius: float, priors: Priors) -> np.ndarray:
    """Draw Rp/Rs by wavelength, float64 [55], in (0, 1): the clearest band's radius and the atmosphere above it."""
    shape = draw_spectral_shape(rng, priors)
    if relative_radius < priors.extended_below and rng.random() < priors.extended_share:
        x: np.ndarray | float = rng.uniform(priors.extended_low, priors.extended_high)
    else:
        x = atmosphere(relative_radius, rng.standard_normal(), priors)
    return radii_of(relative_radius, shape, x, rng.standard_normal(), priors)


def draw_spectra(rng: np.random.Generator, relative_radius: np.ndarray, priors: Priors) -> np.ndarray:
    """Draw radii of n planets at once: the distribution of `draw_radii`, from other random numbers.

    Args:
        relative_radius: float [n], in the clearest band.

    Returns:
        float64 [n, 55].
    """
    n = len(relative_radius)
    abundance = _ABUNDANCE_MEAN + _ABUNDANCE_SPREAD * rng.standard_normal((n, len(OPACITIES)))
    shape = spectral_shape(abundance, rng.uniform(priors.cloud_low, priors.cloud_high, n))
    extended = (relative_radius < priors.extended_below) & (rng.random(n) < priors.extended_share)
    x = atmosphere(relative_radius, rng.standard_normal(n), priors)
    x = np.where(extended, rng.uniform(priors.extended_low, priors.extended_high, n), x)
    return radii_of(relative_radius, shape, x, rng.standard_normal(n), priors)


def atmosphere(relative_radius: np.ndarray | float, draw: np.ndarray | float, priors: Priors) -> np.ndarray:
    """Return the most opaque band's height above the clearest one, x of `radii_of`, from a standard normal draw."""
    median = priors.atmosphere_median * (relative_radius / 0.05) ** priors.atmosphere_slope
    return np.minimum(median * np.exp(priors.atmosphere_spread * draw), 0.9)


def radii_of(
    relative_radius: np.ndarray | float, shape: np.ndarray, x: np.ndarray | float, draw: np.ndarray | float,
    priors: Priors,
) -> np.ndarray:  # fmt: skip
    """Return Rp/Rs by wavelength of planets with these atmospheres.

    In an isothermal atmosphere ln of the density falls as 1/r, so that the level of n scale heights is at

        r = r0 / (1 - n H / r0) = r0 / (1 - x shape),      x = the most opaque band's n H / r0.

    For most planets x is about .1 and r nearly linear in the shape. As x approaches 1 the atmosphere becomes very
    extended: the few huge targets of the 2019 edition (Rp/Rs .0137 at .55 um, .668 at 7.8 um). Such an atmosphere ends
    at an edge, joined smoothly by a sum of fourth powers of 1/r.

    Args:
        relative_radius: r0, [...].
        shape: [..., 55].
        x: [...].
        draw: standard normal, of the edge, [...].

    Returns:
        float64 [..., 55].
    """
    edge = np.asarray(np.minimum(priors.edge_median * np.exp(priors.edge_spread * draw), 0.9))[..., None]
    inverse = np.maximum(1 - np.asarray(x)[..., None] * shape, 0) / np.asarray(relative_radius)[..., None]
    return (inverse**4 + edge**-4.0) ** -0.25

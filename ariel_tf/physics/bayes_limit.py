"""Lower bound on the error of an estimate that does not know the orbit, limb darkening and spots. NumPy only.

The Cramer-Rao bound with priors (van Trees 1968). With the parameters

    x_w = ln(radius) in 55 bands     Gaussian prior: what spectra look like
    b                                impact parameter, prior as wide as the star
    d                                relative change of the linear limb darkening, of the stars' spread
    f                                share of the star covered by spots, of the stars' spread

the covariance is at least (J' N^-1 J + priors^-1)^-1, where J holds the derivatives of all light curves and N their
noise. It is linearised about the truth: the posterior of a grazing planet is not Gaussian, and an estimate with a good
prior can be slightly better.
"""

import functools

import numpy as np

from ariel_tf.physics import planets, spots, transit
from ariel_tf.physics.priors import Priors
from ariel_tf.physics.stars import limb_darkening
from ariel_tf.physics.transit_fit import SMALLEST_SCATTER, path_of
from ariel_tf.planet import Planet, inverse_variance

IMPACT_WIDTH = 0.3  # standard deviation of a uniform impact parameter
STEPS = (0.01, 0.005, 0.02)  # of ln(radius), impact, limb darkening: for derivatives
_DRAWS = 20_000


def standard_errors(planet: Planet, precision: np.ndarray, priors: Priors = Priors()) -> np.ndarray:  # noqa: B008
    """Return standard errors of the depth radius^2 from each observation, and from all together: float64 [n + 1, 55].

    Args:
        planet: planet with orbit and radii.
        precision: inverse covariance of the prior over ln(radius), [55, 55].
        priors: priors of limb darkening and spots.

    Raises:
        DataError: its orbit is unknown.
    """
    slopes = _slopes(planet)
    products = np.einsum("wpt,wqt->wpq", slopes, slopes)
    weight = inverse_variance(planet.scatter, SMALLEST_SCATTER)
    known = np.diag([1 / IMPACT_WIDTH**2, 1 / priors.limb_darkening_spread**2, 1 / _spot_spread(priors) ** 2])
    weights = np.concatenate([weight, weight.sum(axis=0, keepdims=True)])
    return np.stack([_errors(one[:, None, None] * products, precision, known, planet.radii) for one in weights])


def _errors(products: np.ndarray, precision: np.ndarray, known: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Return the products [55, 4, 4] of one observation, divided by its noise."""
    bands = len(radii)
    information = np.zeros((bands + len(known),) * 2)
    information[:bands, :bands] = precision + np.diag(products[:, 0, 0])
    information[:bands, bands:] = products[:, 0, 1:]
    information[bands:, :bands] = products[:, 0, 1:].T
    information[bands:, bands:] = known + products[:, 1:, 1:].sum(axis=0)
    return 2 * np.square(radii) * np.sqrt(np.diag(np.linalg.inv(information))[:bands])


def _slopes(planet: Planet) -> np.ndarray:
    """Return derivatives of each band's dip by ln(radius), impact, limb darkening and spots: float64 [55, 4, 300]."""
    path, temperature = path_of(planet), float(planet.star[0])
    u1, u2 = limb_darkening(temperature)

    def dip(log_radius: float = 0.0, impact: float = 0.0, darkening: float = 0.0) -> np.ndarray:
        distance = np.hypot(*planets.sky_position(path.period, path.scaled_axis, abs(path.impact + impact)))
        first = u1 * (1 + darkening)
        radii = np.clip(planet.radii * np.exp(log_radius), 1e-5, 0.99)
        return transit.blocked_flux(distance, radii, first, u2) / transit.stellar_flux(first, u2)[:, None]

    names = ("log_radius", "impact", "darkening")
    numeric = [(dip(**{name: by}) - dip(**{name: -by})) / (2 * by) for name, by in zip(names, STEPS, strict=True)]
    # Spots outside the path make the star fainter, and therefore the transit deeper.
    contrast = spots.contrast_of(temperature, spots.coolness(temperature) * np.mean(spots.PENUMBRA))
    return np.stack([*numeric, dip() * contrast[:, None]], axis=1)


@functools.cache
def _spot_spread(priors: Priors) -> float:
    """Return the standard deviation over stars of the share covered by spots."""
    rng = np.random.default_rng(0)
    return float(np.std([spots.star_fill(rng, 5000.0, priors) for _ in range(_DRAWS)]))

"""The classical method: a transit of known orbit and limb darkening, fitted to each band's light curve.

    flux / ramp ─▶ dip [n, 55, t]          templates: the dips that planets of given radii would make
                      └───────── least squares ─────────┘
                                    ▼
                     depth of each band and its standard error

Orbit and star come from the record's header, limb darkening from the same table as the simulator's (without the star's
deviation from it, which no header contains). Templates come from batman if it is installed
(`pip install 'ariel_tf[physics]'`; Kreidberg 2015, PASP 127, 1161), else from our model, which agrees within 5 ppm.

Depth here is radius^2, in which a dip is so nearly linear that one Gauss-Newton step from the best node reaches the
minimum. No TensorFlow.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ariel_tf.challenge import MID_TRANSIT_STEP, MINUTES_PER_STEP
from ariel_tf.core.errors import DataError
from ariel_tf.physics import planets, transit
from ariel_tf.physics.detector import RAMP
from ariel_tf.physics.stars import SOLAR_RADIUS_M, limb_darkening
from ariel_tf.planet import Planet, inverse_variance, noise_free_bands

# Radii of the templates: 0, then 5 % apart up to nearly the star's own. Below .01 the dip is proportional to the depth.
NODES = np.r_[0.0, np.geomspace(0.01, 0.97, 94)]
SMALLEST_SCATTER = 1e-7


class Path(NamedTuple):
    """A planet's path across its star, from the header: days, stellar radii, stellar radii."""

    period: float
    scaled_axis: float
    impact: float


class Depths(NamedTuple):
    """Estimates of the depth radius^2 from light curves: float64 [n, 55] each; depth may be negative."""

    depth: np.ndarray
    error: np.ndarray  # standard error; infinite without a transit, or for a band without noise

    @property
    def radii(self) -> np.ndarray:
        """Return Rp/Rs: the square root, 0 where noise made the depth negative."""
        return np.sqrt(np.maximum(self.depth, 0.0))


def path_of(planet: Planet) -> Path:
    """Return the path that a planet's header describes.

    Raises:
        DataError: its orbit is unknown, as in test sets.
    """
    sma, inclination = planet.orbit
    if not np.isfinite(planet.orbit).all():
        raise DataError(f"planet {planet.number:04d}: its orbit (sma, incl) is unknown, and a transit fit needs it.")
    scaled_axis = float(sma / (planet.star[2] * SOLAR_RADIUS_M))
    return Path(float(planet.star[5]), scaled_axis, float(scaled_axis * np.cos(np.radians(inclination))))


class Templates(NamedTuple):
    """The dips of planets of the radii `NODES`, stored as their components.

    Attributes:
        moments: float64 [3, nodes, t], flux blocked of stars of the brightness 1, 1 - mu and (1 - mu)^2.
        shares: float64 [55, 3], share of these stars in each band's star, divided by its total flux.
        during: int [t], steps at which any of these planets blocks light.
    """

    moments: np.ndarray
    shares: np.ndarray
    during: np.ndarray

    def at(self, node: np.ndarray) -> np.ndarray:
        """Return dips at a node of each band, int [..., 55]: float64 [..., 55, t]."""
        return np.einsum("wm,...wmt->...wt", self.shares, self.moments.swapaxes(0, 1)[node])

    def slopes(self, node: np.ndarray) -> np.ndarray:
        """Return d dip / d depth there, from the neighbouring nodes."""
        below, above = np.maximum(node - 1, 0), np.minimum(node + 1, len(NODES) - 1)
        return (self.at(above) - self.at(below)) / (NODES[above] ** 2 - NODES[below] ** 2)[..., None]

    def nearest(self, dip: np.ndarray) -> np.ndarray:
        """Return the node of least squares for dips [n, 55, t]: int [n, 55]."""
        gram = np.einsum("mgt,kgt->gmk", self.moments, self.moments)
        power = np.einsum("wm,gmk,wk->wg", self.shares, gram, self.shares, optimize=True)
        match = (dip @ self.moments.reshape(-1, dip.shape[-1]).T).reshape(*dip.shape[:2], *self.moments.shape[:2])
        return (power - 2 * np.einsum("wm,nwmg->nwg", self.shares, match)).argmin(axis=-1)


def templates(planet: Planet) -> Templates:
    """Return templates for a planet's orbit and star."""
    path = path_of(planet)
    u1, u2 = limb_darkening(float(planet.star[0]))
    distance = np.hypot(*planets.sky_position(*path))
    during = np.flatnonzero(distance < 1 + NODES[-1])
    engine = _batman()
    moments = _own_moments(distance[during]) if engine is None else _batman_moments(engine, path, during)
    shares = np.stack([np.ones(len(u1)), -u1, -u2], axis=1) / transit.stellar_flux(u1, u2)[:, None]
    return Templates(moments, shares, during)


def fit(planet: Planet) -> tuple[Depths, Depths]:
    """Return depths [n, 55] of each observation alone, and [1, 55] of all of them together.

    Fitting all together is equivalent to fitting their inverse-variance mean.
    """
    shapes = templates(planet)
    dip = 1 - planet.flux[:, :, shapes.during].transpose(1, 0, 2) / RAMP[shapes.during]
    weight = inverse_variance(planet.scatter, SMALLEST_SCATTER)
    total = weight.sum(axis=0, keepdims=True)
    # For a band without noise in every observation: their plain mean, with weight zero.
    share = np.where(total > 0, weight / np.where(total > 0, total, 1.0), 1 / len(weight))
    together = np.einsum("nw,nwt->wt", share.astype(dip.dtype), dip)[None]
    return _least_squares(dip, weight, shapes), _least_squares(together, total, shapes)


def _least_squares(dip: np.ndarray, weight: np.ndarray, shapes: Templates) -> Depths:
    """Fit dips [n, 55, t] with weights [n, 55]: the nearest template, and one Gauss-Newton step from there.

    One weight for all steps of a curve: the ramp, whose division increases the noise, ends before step 28, and no
    transit begins before step 35.
    """
    nearest = shapes.nearest(dip)
    slope = shapes.slopes(nearest)
    power = np.square(slope).sum(axis=-1)
    step = (slope * (dip - shapes.at(nearest))).sum(axis=-1) / np.where(power > 0, power, 1.0)
    with np.errstate(divide="ignore"):  # a planet too small to touch its star's limb gives no information
        return Depths(NODES[nearest] ** 2 + step, 1 / np.sqrt(weight * power))


def standard_errors(planet: Planet) -> np.ndarray:
    """Return the least standard error of the depth radius^2 of any unbiased estimate, float64 [n, 55].

    Cramer and Rao: 1 / sqrt(sum over steps of (d flux / d depth)^2 / noise^2) at the true radii, with everything
    else known: orbit, limb darkening, spots, the level outside transit.
    """
    nearest = np.abs(NODES - planet.radii[:, None]).argmin(axis=1)
    power = np.square(templates(planet).slopes(nearest)).sum(axis=-1)
    with np.errstate(divide="ignore"):
        error = np.maximum(planet.scatter.astype(np.float64), SMALLEST_SCATTER) / np.sqrt(power)
    return np.where(noise_free_bands(planet.scatter), np.inf, error)


@cache
def _batman() -> Any:
    """Return the package batman, or None if it is not installed."""
    try:
        import batman
    except ImportError:
        return None
    return batman


def engine_name() -> str:
    """Return whose transit model the templates use."""
    return "our own" if _batman() is None else "batman"


def _own_moments(distance: np.ndarray) -> np.ndarray:
    """Return blocked flux with the brightness 1, 1 - mu and (1 - mu)^2: float64 [3, nodes, t]."""
    return np.concatenate([np.zeros((3, 1, len(distance))), transit.shadow_moments(distance, NODES[1:])], axis=1)


def _batman_moments(batman: Any, path: Path, during: np.ndarray) -> np.ndarray:
    """Return the same from batman: quadratic darkening is linear in its two coefficients, so three stars suffice.

    With (u1, u2) = (0, 0), (1, 0) and (0, 1) the hidden flux is m0, m0 - m1 and m0 - m2 in the terms of `_own_moments`.
    """
    orbit = batman.TransitParams()
    orbit.t0, orbit.ecc, orbit.w, orbit.limb_dark = 0.0, 0.0, 90.0, "quadratic"
    orbit.per, orbit.a = path.period, path.scaled_axis
    orbit.inc, orbit.rp, orbit.u = float(np.degrees(np.arccos(path.impact / path.scaled_axis))), 0.1, [0.0, 0.0]
    days = (during - MID_TRANSIT_STEP) * MINUTES_PER_STEP / planets.MINUTES_PER_DAY
    model = batman.TransitModel(orbit, days, nthreads=1)
    hidden = np.zeros((3, len(NODES), len(during)))
    for star, (u1, u2) in enumerate(((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))):
        flux = float(transit.stellar_flux(np.array(u1), np.array(u2)))
        orbit.u = [u1, u2]
        for node, radius in enumerate(NODES[1:], 1):
            orbit.rp = float(radius)
            hidden[star, node] = flux * (1 - model.light_curve(orbit))
    return np.stack([hidden[0], hidden[0] - hidden[1], hidden[0] - hidden[2]])


def reconstructed(planet: Planet, radii: np.ndarray) -> np.ndarray:
    """Return light curves of a transit of these radii without spots and noise, float64 [55, 300].

    Args:
        planet: planet with orbit and star; `path_of` refuses it if they are unknown.
        radii: float [55], Rp/Rs.
    """
    distance = np.hypot(*planets.sky_position(*path_of(planet)))
    u1, u2 = limb_darkening(float(planet.star[0]))
    hidden = transit.blocked_flux(distance, np.clip(radii, 1e-4, 0.99), u1, u2)
    return (1 - hidden / transit.stellar_flux(u1, u2)[:, None]) * RAMP

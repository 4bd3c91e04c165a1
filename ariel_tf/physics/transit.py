"""Transit light curves: the starlight that a planet's disc blocks, with quadratic limb darkening.

The planet's shadow is cut into arcs of circles about the star's centre, on which the star's brightness is constant; the
sum over the arcs' radius is a one-dimensional integral, smooth after the substitution r = middle - half width x
cos(theta), so that a midpoint rule in theta converges quickly.

The 55 radii of a planet are similar. Blocked flux over radius^2 is smooth in the radius, so it is computed at a few
Chebyshev nodes and interpolated; if the radii differ too much, it is computed for each.
"""

import numpy as np

_ARCS = 32
_LARGE_RADIUS = 0.15  # above it the error of a few ppm with 32 arcs grows with the blocked flux: use more arcs
_ARCS_LARGE = 96
_N_NODES = 6
_WIDEST_INTERPOLATION = 0.02  # spread of radii, in stellar radii, up to which interpolation is within 20 ppm


def stellar_flux(u1: np.ndarray, u2: np.ndarray) -> np.ndarray:
    """Return the flux of the whole disc, in units of its central intensity times squared stellar radius."""
    return np.pi * (1 - u1 / 3 - u2 / 6)


def blocked_flux(distance: np.ndarray, radii: np.ndarray, u1: np.ndarray, u2: np.ndarray) -> np.ndarray:
    """Return the starlight that the planet blocks, in the units of `stellar_flux`.

    Args:
        distance: float [t], between the centres of planet and star, in stellar radii; may be infinite.
        radii: float [w], Rp/Rs.
        u1, u2: float [w], limb darkening I(mu) = 1 - u1 (1 - mu) - u2 (1 - mu)^2.

    Returns:
        float64 [w, t].
    """
    blocked = np.zeros((len(radii), len(distance)))
    touching = distance < 1 + radii.max()
    if not touching.any():
        return blocked
    low, high = radii.min(), radii.max()
    if high - low > _WIDEST_INTERPOLATION:
        moments = shadow_moments(distance[touching], radii)  # 3, w, t
    else:
        moments = _interpolated_moments(distance[touching], radii)
    blocked[:, touching] = moments[0] - u1[:, None] * moments[1] - u2[:, None] * moments[2]
    return blocked


def _interpolated_moments(distance: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Return `shadow_moments` by Lagrange interpolation in the radius, float64 [3, w, t]."""
    middle, half = (radii.max() + radii.min()) / 2, max((radii.max() - radii.min()) / 2, 1e-4 * radii.mean())
    nodes = np.cos((np.arange(_N_NODES) + 0.5) * np.pi / _N_NODES)
    node_radii = middle + half * nodes
    at_nodes = shadow_moments(distance, node_radii) / node_radii[:, None] ** 2
    where = (radii - middle) / half
    weights = np.stack(
        [
            np.prod([(where - nodes[m]) / (nodes[n] - nodes[m]) for m in range(_N_NODES) if m != n], axis=0)
            for n in range(_N_NODES)
        ],
        axis=1,
    )  # w, nodes
    return np.matmul(weights * radii[:, None] ** 2, at_nodes)


def shadow_moments(distance: np.ndarray, radii: np.ndarray, arcs: int | None = None) -> np.ndarray:
    """Return integrals of 1, (1 - mu), (1 - mu)^2 over the part of the star that the planet covers, float64 [3, w, t].

    Args:
        distance: float [t], in stellar radii.
        radii: float [w], Rp/Rs.
        arcs: number of arcs; None for the number that the radii need.
    """
    d = np.maximum(distance, 1e-9)[None, :, None]
    k = radii[:, None, None]
    outer = np.minimum(1.0, d + k)
    inner = np.minimum(np.abs(d - k), outer)
    middle, half = (inner + outer) / 2, (outer - inner) / 2
    arcs = arcs or (_ARCS if radii.max() < _LARGE_RADIUS else _ARCS_LARGE)
    theta = (np.arange(arcs) + 0.5) * np.pi / arcs
    r = middle - half * np.cos(theta)
    r2 = r * r
    # half the angle of the arc at radius r that lies inside the planet's disc: law of cosines
    cosine = (d * d - k * k + r2) / (2 * d * r)
    arc = 2 * r * np.arccos(np.clip(cosine, -1, 1)) * (half * np.sin(theta) * (np.pi / arcs))
    shade = 1 - np.sqrt(np.maximum(1 - r2, 0))  # 1 - mu
    shaded = arc * shade
    moments = np.stack([arc.sum(axis=-1), shaded.sum(axis=-1), (shaded * shade).sum(axis=-1)])
    return moments + _central_disc(np.clip(radii[:, None] - distance[None], 0, 1))


def _central_disc(radius: np.ndarray) -> np.ndarray:
    """Return the three moments of a disc about the star's centre that the planet covers completely, [3, ...]."""
    mu = np.sqrt(1 - radius * radius)
    one = np.pi * radius**2
    of_mu = 2 * np.pi / 3 * (1 - mu**3)
    of_mu2 = np.pi * (radius**2 - radius**4 / 2)
    return np.stack([one, one - of_mu, one - 2 * of_mu + of_mu2])

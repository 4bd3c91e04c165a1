"""The starlight blocked by a planet's disc from a table: `transit.shadow_moments` for millions of light curves.

The three moments depend on two numbers, radius k and distance d. Over k^2 they are smooth functions of ln k and of

    phi,    d = (1 - k) sin(phi)                        0 to pi/2, the disc inside the star's
    theta,  d = 1 - k + k (1 - cos(theta))              0 to pi,   the disc across the star's edge

in which their square-root behaviour at the contacts vanishes, so that linear interpolation is within 4e-5 of the
planet's depth.
"""

import functools

import numpy as np

from ariel_tf.physics import transit

SMALLEST_RADIUS, LARGEST_RADIUS = 0.004, 0.95
_N_RADII, _N_INSIDE, _N_ACROSS = 288, 192, 384
_ARCS = 128
_LOG_LOW = float(np.log(SMALLEST_RADIUS))
_LOG_STEP = float((np.log(LARGEST_RADIUS) - _LOG_LOW) / (_N_RADII - 1))
_NODES = 8
_WIDEST = 1.4  # largest over smallest radius of a planet, up to which `_NODES` are enough


@functools.cache
def table() -> np.ndarray:
    """Return moments over k^2, float32 [radii x (inside + across), 3]; computed once per process, in two seconds."""
    radii = np.exp(_LOG_LOW + _LOG_STEP * np.arange(_N_RADII))
    inside = np.sin(np.linspace(0, np.pi / 2, _N_INSIDE))
    across = 1 - np.cos(np.linspace(0, np.pi, _N_ACROSS))
    rows = []
    for radius in radii:
        distance = np.concatenate([(1 - radius) * inside, 1 - radius + radius * across])
        rows.append(transit.shadow_moments(distance, np.array([radius]), arcs=_ARCS)[:, 0].T / radius**2)
    return np.concatenate(rows).astype(np.float32)


def moments(distance: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Return integrals of 1, (1 - mu), (1 - mu)^2 over the part of the star that the planet covers, in each band.

    Args:
        distance: float [n, t], in stellar radii.
        radii: float [n, w], Rp/Rs in `SMALLEST_RADIUS` to `LARGEST_RADIUS`; either all planets satisfy `lie_close` or
            none does.

    Returns:
        float32 [n, w, t, 3].
    """
    if not lie_close(radii).all():
        return _looked_up(distance[:, None], radii[:, :, None])
    low, high = radii.min(axis=1, keepdims=True), radii.max(axis=1, keepdims=True)
    middle, half = (high + low) / 2, np.maximum((high - low) / 2, 1e-4 * high)
    nodes = np.cos((np.arange(_NODES) + 0.5) * np.pi / _NODES)  # Chebyshev's
    at = middle + half * nodes  # n, nodes
    place = (radii - middle) / half
    weights = [
        np.prod([(place - nodes[m]) / (nodes[k] - nodes[m]) for m in range(_NODES) if m != k], axis=0)
        for k in range(_NODES)
    ]
    found = _looked_up(distance[:, None], at[:, :, None].astype(np.float32)) / np.square(at)[:, :, None, None]
    flat = found.reshape(len(found), _NODES, -1).astype(np.float32)
    made = np.matmul(np.stack(weights, axis=-1).astype(np.float32), flat) * np.square(radii)[:, :, None]
    return made.reshape(*radii.shape, *found.shape[2:])


def lie_close(radii: np.ndarray) -> np.ndarray:
    """Whether the radii of a planet [n, w] are similar enough for `moments` to interpolate between a few: bool [n]."""
    return radii.max(axis=1) < _WIDEST * radii.min(axis=1)


def _looked_up(distance: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Look up the table's moments: distance [n, 1, t], radius [n, w, 1] to float32 [n, w, t, 3]."""
    values, inner = table(), 1 - radius
    phi = np.arcsin(np.clip(distance / inner, 0.0, 1.0)) * ((_N_INSIDE - 1) / (np.pi / 2))
    theta = np.arccos(np.clip(1 - (distance - inner) / radius, -1.0, 1.0)) * ((_N_ACROSS - 1) / np.pi)
    is_inside = distance < inner
    place = np.where(is_inside, np.minimum(phi, _N_INSIDE - 1.001), np.minimum(theta, _N_ACROSS - 1.001))
    low = place.astype(np.int32)
    part = (place - low.astype(np.float32))[..., None]  # an integer would make it float64
    row = np.clip((np.log(radius) - _LOG_LOW) / _LOG_STEP, 0.0, _N_RADII - 1.001)
    low_row = row.astype(np.int32)
    row_part = (row - low_row.astype(np.float32))[..., None]
    index = low_row * (_N_INSIDE + _N_ACROSS) + low + np.where(is_inside, 0, _N_INSIDE)
    corners = [values.take(index + step, axis=0) for step in (0, 1)]
    below = corners[0] + part * (corners[1] - corners[0])
    corners = [values.take(index + step, axis=0) for step in (_N_INSIDE + _N_ACROSS, _N_INSIDE + _N_ACROSS + 1)]
    above = corners[0] + part * (corners[1] - corners[0])
    return (below + row_part * (above - below)) * np.square(radius)[..., None]

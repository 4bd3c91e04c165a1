"""Reference estimators: the best constant and the root of the median depth; features for `regression`.

Arguments and results are relative radii; the computation uses depth = radius^2, which is linear in flux. NumPy only.
"""

import numpy as np

from ariel_tf.challenge import MID_TRANSIT_STEP, N_STEPS
from ariel_tf.physics.detector import RAMP
from ariel_tf.planet import OUT_OF_TRANSIT

# Within 12 steps of mid-transit: the shortest common transits are at full depth there.
IN_TRANSIT = np.arange(round(MID_TRANSIT_STEP - 12), round(MID_TRANSIT_STEP + 12) + 1)
N_BINS = 27
STEPS_PER_BIN = 5  # 27 bins of 5 steps on each side of mid-transit reach steps 13 to 282


def constant(radii_train: np.ndarray) -> np.ndarray:
    """Return the constant prediction with the best unweighted score on the training radii.

    The loss sum_i y_i |c - y_i| is least at the y-weighted median: the first sorted y at which half of the
    sum of all y is reached.

    Args:
        radii_train: float [n] or [n, w], Rp/Rs.

    Returns:
        float64 [] or [w].

    >>> float(constant(np.array([0.1, 0.1, 0.1, 0.4])))  # .4 weighs more than the three others together
    0.4
    """
    radii = np.sort(np.asarray(radii_train, np.float64), axis=0)
    if radii.shape[:1] == (0,) or radii.ndim == 0:
        raise ValueError(f"the best constant needs at least one row of radii. Received shape: {radii.shape}")
    cumulative = np.cumsum(radii, axis=0)
    first = (cumulative >= cumulative[-1] / 2).argmax(axis=0)
    return np.take_along_axis(radii, first[None], axis=0)[0]


def relative_dip(flux: np.ndarray) -> np.ndarray:
    """Return 1 - flux with the ramp divided out and the level outside transit set to 1, float64 [..., 300].

    Args:
        flux: float [..., 300].
    """
    steady = np.asarray(flux, np.float64) / RAMP
    level = steady[..., OUT_OF_TRANSIT].mean(axis=-1, keepdims=True)
    return 1 - steady / np.where((level > 0) & np.isfinite(level), level, 1.0)


def median_depth(flux: np.ndarray) -> np.ndarray:
    """Return Rp/Rs as the square root of the median dip over the steps `IN_TRANSIT`; 0 if noise raises it above 1.

    Too large because of limb darkening (a few percent), too small for grazing transits; nothing is fitted.

    Args:
        flux: float [..., 300].

    Returns:
        float64 [...], finite whatever the flux.
    """
    depth = np.median(relative_dip(flux)[..., IN_TRANSIT], axis=-1)
    return np.sqrt(np.where(np.isfinite(depth) & (depth > 0), depth, 0.0))


def folded_bins(flux: np.ndarray) -> np.ndarray:
    """Return features of a light curve: its dip folded about mid-transit, averaged in bins of five steps.

    Folding halves the noise's variance without loss: a transit is symmetrical about mid-transit. Bin 0 contains the
    steps within 5 of mid-transit on both sides, bin 26 those at 130 to 135.

    Args:
        flux: float [..., 300].

    Returns:
        float64 [..., 27].
    """
    dip = np.asarray(flux, np.float64) / RAMP
    return (1 - dip) @ _FOLD


def fold_matrix() -> np.ndarray:
    """Return the matrix that averages steps into folded bins, float64 [300, 27]."""
    bins = (np.abs(np.arange(N_STEPS) - MID_TRANSIT_STEP) / STEPS_PER_BIN).astype(int)
    member = bins[:, None] == np.arange(N_BINS)
    return member / member.sum(axis=0)


_FOLD = fold_matrix()

"""Estimators to stand beside a model: the best constant, the square root of the median depth, a ridge on depth.

All speak relative radii at their borders; inside, they work on depth = radius^2, which is linear in flux.
NumPy only.
"""

import numpy as np

from ariel_tf.challenge import MID_TRANSIT_STEP, N_STEPS
from ariel_tf.physics.detector import RAMP
from ariel_tf.planet import OUT_OF_TRANSIT

# Within 12 steps of mid-transit: the shortest common transits are still in full there.
IN_TRANSIT = np.arange(round(MID_TRANSIT_STEP - 12), round(MID_TRANSIT_STEP + 12) + 1)
N_BINS = 27
STEPS_PER_BIN = 5  # 27 bins of 5 steps on each side of mid-transit reach steps 13 to 282
# Generalised cross-validation chooses among these, relative to the largest eigenvalue of X'X.
PENALTIES = np.geomspace(1e-7, 1.0, 29)
# Of a reweighted fit, relative to the median error: those that are smaller weigh no more than it.
SMALLEST_ERROR = 0.05


def constant(radii_train: np.ndarray) -> np.ndarray:
    """The constant prediction with the best unweighted score on the training radii.

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
    """1 - flux with the ramp divided out and the level outside transit set to 1, float64 [..., 300].

    Args:
        flux: float [..., 300].
    """
    steady = np.asarray(flux, np.float64) / RAMP
    level = steady[..., OUT_OF_TRANSIT].mean(axis=-1, keepdims=True)
    return 1 - steady / np.where((level > 0) & np.isfinite(level), level, 1.0)


def median_depth(flux: np.ndarray) -> np.ndarray:
    """Rp/Rs as the square root of the median dip over the steps `IN_TRANSIT`; 0 where noise lifts it above 1.

    Too large by limb darkening (a few percent), too small for grazing transits; no fit to anything.

    Args:
        flux: float [..., 300].

    Returns:
        float64 [...], finite whatever the flux.
    """
    depth = np.median(relative_dip(flux)[..., IN_TRANSIT], axis=-1)
    return np.sqrt(np.where(np.isfinite(depth) & (depth > 0), depth, 0.0))


def folded_bins(flux: np.ndarray) -> np.ndarray:
    """Features of a light curve: its dip folded about mid-transit, averaged in bins of five steps.

    Folding halves the noise's variance and loses nothing: a transit is symmetrical about mid-transit. Bin 0
    holds the steps within 5 of mid-transit on both sides, bin 26 those 130 to 135 away.

    Args:
        flux: float [..., 300].

    Returns:
        float64 [..., 27].
    """
    dip = np.asarray(flux, np.float64) / RAMP
    return (1 - dip) @ _FOLD


def fold_matrix() -> np.ndarray:
    """Averages steps into folded bins, float64 [300, 27]."""
    bins = (np.abs(np.arange(N_STEPS) - MID_TRANSIT_STEP) / STEPS_PER_BIN).astype(int)
    member = bins[:, None] == np.arange(N_BINS)
    return member / member.sum(axis=0)


_FOLD = fold_matrix()


class Ridge:
    """Weighted linear regression of depth on light-curve features, with a small penalty; one wavelength or several.

    Features are standardised with the training rows' mean and standard deviation. The penalty is the one of
    `PENALTIES` with the least generalised cross-validation error (Golub, Heath & Wahba 1979):

        GCV(p) = |y - yhat(p)|^2 / (n - trace H(p))^2

    Rows weigh 1 / (depth + 4 median depth), so that a few huge planets don't decide the fit. With `rounds` the fit is
    repeated so often, rows weighing 1 / |their last error| besides the smallest errors: towards the least absolute
    error, which is what the score counts (iteratively reweighted least squares, Holland & Welsch 1977).

    `features` is float [n, p] with radii [n], or wavelength-major [w, n, p] with radii [n, w]: one fit a
    wavelength, each with its own penalty.

    >>> bins = np.linspace(0, 1, 20)[:, None] * np.ones(27)
    >>> radii = np.sqrt(0.01 * bins[:, 0])
    >>> bool(np.allclose(Ridge().fit(bins, radii).predict(bins), radii, atol=1e-4))
    True
    """

    def __init__(self, penalty: float | None = None, rounds: int = 0):
        """penalty: relative to the largest eigenvalue of X'X; chosen by cross-validation when absent."""
        self._rounds = rounds
        self._candidates = PENALTIES if penalty is None else np.array([float(penalty)])
        self._fits: list[_DepthFit] = []
        self._one = True

    @property
    def penalties(self) -> np.ndarray:
        """The chosen penalty of each fit, float64 [w]."""
        return np.array([fit.penalty for fit in self._fits])

    def fit(self, features: np.ndarray, radii: np.ndarray) -> "Ridge":
        features, radii = np.asarray(features), np.asarray(radii, np.float64)
        self._one = features.ndim == 2
        if self._one:
            features, radii = features[None], radii[:, None]
        if features.ndim != 3 or radii.shape != features.shape[1::-1]:
            raise ValueError(
                "a ridge needs features [n, p] with radii [n], or features [w, n, p] with radii [n, w]. "
                f"Received: features {features.shape[int(self._one) :]}, radii {radii.shape}"
            )
        self._fits = [
            _DepthFit(one, radii[:, w] ** 2, self._candidates, self._rounds) for w, one in enumerate(features)
        ]
        return self

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Radii = sqrt(max(depth, 0)): float64 [n] or [n, w], as `fit` received."""
        if not self._fits:
            raise ValueError("fit the ridge before it predicts")
        features = np.asarray(features)
        features = features[None] if self._one else features
        depth = np.stack([fit.depth(one) for fit, one in zip(self._fits, features, strict=True)], axis=-1)
        radii = np.sqrt(np.maximum(depth, 0.0))
        return radii[:, 0] if self._one else radii

    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """Depth = features @ coefficients + intercept: float64 [w, p] and [w]."""
        parts = [fit.affine() for fit in self._fits]
        return np.stack([coefficients for coefficients, _ in parts]), np.array([level for _, level in parts])


class _DepthFit:
    """One wavelength's ridge, solved through the singular values of its standardised, weighted features."""

    def __init__(self, features: np.ndarray, depth: np.ndarray, candidates: np.ndarray, rounds: int):
        features = np.asarray(features, np.float64)
        self._mean, spread = features.mean(axis=0), features.std(axis=0)
        self._scale = np.where(spread > 0, spread, 1.0)  # a constant column says nothing
        standardised = (features - self._mean) / self._scale
        self._solve(standardised, depth, candidates, _row_weights(depth))
        for _ in range(rounds):
            error = np.abs(depth - self.depth(features))
            weights = 1 / np.maximum(error, max(SMALLEST_ERROR * np.median(error), 1e-12))
            self._solve(standardised, depth, candidates, weights / weights.sum())

    def _solve(self, standardised: np.ndarray, depth: np.ndarray, candidates: np.ndarray, weights: np.ndarray) -> None:
        root = np.sqrt(weights)
        centre = root**2 @ standardised
        self._level = root**2 @ depth
        x, y = root[:, None] * (standardised - centre), root * (depth - self._level)
        left, singular, right = np.linalg.svd(x, full_matrices=False)
        seen = left.T @ y
        penalties = candidates * max(singular[0] ** 2, 1e-300)
        kept = singular**2 / (singular**2 + penalties[:, None])  # candidates, p: the share of each direction kept
        unseen = np.sum(y**2) - np.sum(seen**2)
        residual = unseen + np.sum(((1 - kept) * seen) ** 2, axis=1)
        freedom = np.maximum(len(depth) - 1 - kept.sum(axis=1), 1e-9)
        best = int(np.argmin(residual / freedom**2))
        self.penalty = float(candidates[best])
        self._coefficients = right.T @ (seen * singular / (singular**2 + penalties[best]))
        self._level -= centre @ self._coefficients

    def depth(self, features: np.ndarray) -> np.ndarray:
        return self._level + ((np.asarray(features, np.float64) - self._mean) / self._scale) @ self._coefficients

    def affine(self) -> tuple[np.ndarray, float]:
        coefficients = self._coefficients / self._scale
        return coefficients, float(self._level - self._mean @ coefficients)


def _row_weights(depth: np.ndarray) -> np.ndarray:
    """1 / (depth + 4 median depth), summing to 1, float64 [n].

    The score is linear in the error, the fit quadratic: unweighted, a few huge or grazing planets decide it.
    On simulated planets these weights lower the typical planet's loss by a fifth to a third, the mean's little.
    """
    weights = 1 / np.maximum(depth + 4 * np.median(depth), 1e-30)
    return weights / weights.sum()

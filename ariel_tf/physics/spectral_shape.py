"""Prior of spectra: a Gaussian over ln(radius) in the 55 bands, fitted to planets of known radii.

The depth of a single band is uncertain by its noise; together with its neighbours it is known much better, since
spectra vary in a few ways rather than 55. With x = ln(radius), prior N(mean, covariance) and measured depths d +- e,

    posterior(x) ~ exp( - sum_w (d_w - exp(2 x_w))^2 / (2 e_w^2)  -  (x - mean)' covariance^-1 (x - mean) / 2 )

Depth is linear in flux and so has Gaussian errors; spectra share a shape in its logarithm. NumPy only.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

# Standard deviation of ln(radius) in a band that the others do not predict; regularises the covariance of few planets.
UNFORESEEN = 0.003
LARGEST_STEP = 0.7  # in ln(radius), of an iteration
ITERATIONS = 60
LARGEST_ERROR = 1e3  # error of a depth that was not measured


@dataclass(frozen=True, eq=False)
class SpectralShape:
    """The prior.

    Attributes:
        mean: float64 [w], of ln(radius).
        precision: float64 [w, w], the inverse covariance.
    """

    mean: np.ndarray
    precision: np.ndarray

    @classmethod
    def learnt(cls, radii: np.ndarray) -> Self:
        """Fit the prior to radii float [planets, w], Rp/Rs.

        Raises:
            ValueError: fewer than two planets.
        """
        if len(radii) < 2:
            raise ValueError(f"a spectral shape is learnt from two planets or more. Received: {len(radii)}")
        x = np.log(np.asarray(radii, np.float64))
        covariance = np.atleast_2d(np.cov(x.T)) + UNFORESEEN**2 * np.eye(x.shape[1])
        return cls(x.mean(axis=0), np.linalg.inv(covariance))

    def most_probable(self, depth: np.ndarray, error: np.ndarray) -> np.ndarray:
        """Return the radii of the highest posterior density, float64 [n, w].

        Newton's method in the Gauss approximation, damped where a step would not lower the cost (Marquardt 1963).

        Args:
            depth: float [n, w], measured radius^2; may be negative.
            error: float [n, w], standard errors; infinite where there is none.
        """
        error = np.minimum(error, LARGEST_ERROR)
        x = self._start(depth, error)
        cost = self._cost(x, depth, error)
        damping = np.ones(len(x))
        for _ in range(ITERATIONS):
            slope = 2 * np.exp(2 * x) / error
            downhill = slope * (depth - np.exp(2 * x)) / error - (x - self.mean) @ self.precision
            curvature = self._curvature(slope)
            curvature += damping[:, None, None] * np.eye(len(self.mean)) * curvature
            step = np.linalg.solve(curvature, downhill[..., None])[..., 0]
            step *= np.minimum(1, LARGEST_STEP / np.maximum(np.abs(step).max(axis=1), 1e-300))[:, None]
            new = self._cost(x + step, depth, error)
            better = new <= cost
            x, cost = np.where(better[:, None], x + step, x), np.where(better, new, cost)
            damping = np.where(better, 0.2 * damping, 10 * damping)
            if np.abs(step[better]).max(initial=0) < 1e-7 and better.any():
                break
        return np.exp(x)

    def _start(self, depth: np.ndarray, error: np.ndarray) -> np.ndarray:
        """Return the mean spectrum, scaled to the size that all bands together give."""
        relative = np.exp(2 * (self.mean - self.mean.mean()))
        weight = relative / error**2
        level = (weight * depth).sum(axis=1) / (weight * relative).sum(axis=1)
        return self.mean - self.mean.mean() + np.log(np.maximum(level, 1e-5))[:, None] / 2

    def _cost(self, x: np.ndarray, depth: np.ndarray, error: np.ndarray) -> np.ndarray:
        from_mean = x - self.mean
        misfit = np.square((depth - np.exp(2 * x)) / error).sum(axis=1)
        return (misfit + np.einsum("ni,ij,nj->n", from_mean, self.precision, from_mean, optimize=True)) / 2

    def _curvature(self, slope: np.ndarray) -> np.ndarray:
        return self.precision + np.square(slope)[:, :, None] * np.eye(len(self.mean))

    def standard_errors(self, radii: np.ndarray, error: np.ndarray) -> np.ndarray:
        """Return the remaining standard errors of the depth radius^2, float64 [n, w], if the prior is true.

        Args:
            radii: float [w], true Rp/Rs.
            error: float [n, w], standard errors of each band's depth alone.
        """
        slope = 2 * np.square(radii) / np.minimum(error, LARGEST_ERROR)
        variance = np.einsum("nii->ni", np.linalg.inv(self._curvature(slope)))
        return 2 * np.square(radii) * np.sqrt(variance)

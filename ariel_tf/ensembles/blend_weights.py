"""Weights of the members of an ensemble: equal, by validation score, or by non-negative least squares."""

from collections.abc import Callable, Sequence

import numpy as np
import scipy.special
from scipy.optimize import nnls

from ariel_tf.challenge import signed_depth_error

# Score points that increase a member's weight by a factor e, in `softmax`: about the spread between seeds of a model.
TEMPERATURE = 50.0


def softmax(scores: Sequence[float], temperature: float = TEMPERATURE) -> np.ndarray:
    """Return the weights exp(score / temperature), float64 [members], normalised to sum 1.

    >>> softmax([9800.0, 9800.0 + 50 * np.log(3)]).round(6).tolist()
    [0.25, 0.75]
    """
    return scipy.special.softmax(np.asarray(scores, np.float64) / temperature)


def least_squares(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return non-negative weights of the least squared error in transit depth, scaled to sum 1 (Lawson & Hanson 1974).

    The error of a weighted mean in depth is 2 y |sum_m w_m yhat_m - y|, as in the score.

    Args:
        true: float [rows, wavelengths], Rp/Rs.
        predicted: float [members, rows, wavelengths].

    Returns:
        float64 [members]; equal if no member reduces the error.

    >>> true = np.array([[0.1], [0.2], [0.15]])
    >>> least_squares(true, np.stack([true * 1.1, true * 0.9, true * 2])).round(6).tolist()
    [0.5, 0.5, 0.0]
    """
    true = np.asarray(true, np.float64)
    members = len(predicted)
    errors = signed_depth_error(true, np.asarray(predicted, np.float64)).reshape(members, -1)
    # If the weights sum to 1 the mean's error is sum_m w_m error_m. The last row imposes that sum; whatever its
    # weight, the solution only scales: with w = t v, sum v = 1, each t is best for the v of the least |errors v|.
    scale = max(float(np.sqrt(np.square(errors).sum() / members)), 1e-12)
    weights, _ = nnls(np.vstack([errors.T, np.full(members, scale)]), np.append(np.zeros(errors.shape[1]), scale))
    total = weights.sum()
    return weights / total if total > 0 else np.full(members, 1 / members)


def by_wavelength(
    targets: Sequence[int], members: Sequence[Sequence[int]], weigh: Callable[[list[int], list[int]], np.ndarray]
) -> np.ndarray:
    """Return each member's weight at each wavelength; 0 for members that do not predict a wavelength.

    Args:
        targets: wavelengths of the ensemble.
        members: wavelengths of each member.
        weigh: function from members and the wavelengths that exactly these predict to weights [members] that sum to 1.

    Returns:
        float64 [members, targets].
    """
    table = np.zeros((len(members), len(targets)))
    groups: dict[tuple[int, ...], list[int]] = {}
    for wavelength in targets:
        groups.setdefault(tuple(i for i, its in enumerate(members) if wavelength in its), []).append(wavelength)
    for group, its in groups.items():
        columns = [list(targets).index(wavelength) for wavelength in its]
        table[np.ix_(group, columns)] = weigh(list(group), its)[:, None]
    return table

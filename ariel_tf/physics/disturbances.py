"""Detect and correct disturbances of a planet's light curves before anything is measured. NumPy only.

    cosmic rays    single values of one band far from their neighbours: replaced by the neighbours
    ramp           size different from the detector's usual one, in any band: rescaled
    mid-transit    at another step: all curves are shifted to the usual one
    unseen part    quiet star in place of the transit's begin or end: replaced by the other half, mirrored
    lost bands     no noise, or far more than the star explains: replaced by the nearest usable band
    red noise      correlated over many steps: the factor by which it increases the error of a depth is returned

Each correction is made only if the disturbance is certain; undisturbed light curves are returned unchanged, bit for
bit.
"""

from typing import NamedTuple

import numpy as np

from ariel_tf.challenge import MID_TRANSIT_STEP, N_STEPS, STAR_NAMES
from ariel_tf.physics.detector import RAMP, noise_sigma
from ariel_tf.planet import Planet, band_scatter, inverse_variance, noise_free_bands

RAMP_STEPS = 28  # the ramp is over by then
# Cosmic rays: deviations from the middle two of four neighbours.
UNLIKELY = 8.0
_MAD = 1.4826  # standard deviation of a Gaussian over its median absolute deviation
COMMON = 3.0  # times the other bands' deviation at the same step: a contact of the transit, not a cosmic ray
MOST_HIT = 0.05  # share of a light curve's values; more than this is not caused by cosmic rays
# The ramp's size, relative to the usual one.
RAMP_CERTAIN, RAMP_SMALLEST, RAMP_LARGEST = 6.0, 0.02, 1.5  # difference; -1 is a ramp that was already removed
# Mid-transit: steps, and how much more likely than the usual step (twice ln likelihood).
MOST_MOVED, LEAST_MOVED = 30, 2
MOVED_CERTAIN = 25.0
SMOOTHED = 9  # steps
SYMMETRIC = 0.5  # of the asymmetry about the usual step must be explained
# An unseen part: how much more likely than a symmetric transit, at the usual step or moved (twice ln likelihood).
UNSEEN_CERTAIN = 20.0
MOST_TRIED = 50  # steps of the latest one; beyond `MOST_MOVED` nothing is taken for unseen
# Means of a few steps at its inner edge, relative to the deepest such mean: that of the quiet star at most, that of the
# other half at least.
EDGE_STEPS, EDGE_QUIET, EDGE_DEEP = 3, 0.25, 0.4
# A band with this many times the noise that the detector model expects, compared with other bands, has no light.
LOST = 10.0
# Red noise: means of two blocks outside all but the longest transits, compared with what white noise would give; near
# each other, and as far apart as can be.
_BLOCKS = (((262, 281), (281, 300)), ((28, 40), (281, 300)))
RED_CERTAIN = 4.0


_MAGNITUDE = STAR_NAMES.index("star_k_mag")


class Disturbances(NamedTuple):
    """Disturbances found in a planet's light curves.

    Attributes:
        outliers: number of values that were replaced.
        lost: bands replaced by the light curves of another one, bool [55].
        ramp: size of each band's ramp relative to the usual one, float64 [55]; 1 if unchanged.
        moved: steps by which mid-transit is late; 0 if unchanged.
        unseen: steps of the transit that were replaced by the other half; 0 if unchanged.
        redness: ratio of the noise of a depth to that of white noise with the same scatter, >= 1.
    """

    outliers: int
    lost: np.ndarray
    ramp: np.ndarray
    moved: int
    redness: float
    unseen: int = 0


def steadied(planet: Planet) -> tuple[Planet, Disturbances]:
    """Return a planet with its disturbances removed.

    Returns:
        the same planet, or a corrected copy, and the disturbances.
    """
    flux, outliers = without_outliers(planet.flux)
    scatter = band_scatter(flux) if outliers else planet.scatter
    noise = np.sqrt(np.mean(np.square(scatter, dtype=np.float64), axis=0) / flux.shape[1])
    mean = flux.mean(axis=1, dtype=np.float64)
    ramp = ramp_size(mean, noise)
    if (ramp != 1).any():
        usual = RAMP / (1 + ramp[:, None] * (RAMP - 1))
        flux, mean = (flux * usual[:, None]).astype(np.float32), mean * usual
    red, white = redness(flux, scatter), _white(mean / RAMP, noise)
    unseen = unseen_part(white[0], red * white[1])
    moved = 0 if unseen else mid_transit(*white)
    if unseen:
        flux = _completed(flux, unseen)
        scatter = band_scatter(flux)
    if moved:
        flux = _moved_back(flux, moved)
        scatter = band_scatter(flux)
    lost = lost_bands(scatter, planet.star)
    if lost.any():
        # Few training rows of the network have missing bands, and a band differs little from its neighbour.
        flux = flux[nearest_living(lost)]
    if flux is not planet.flux:
        planet = Planet.from_observations(
            planet.number, planet.instances, planet.star, flux, planet.orbit, planet.radii
        )
    return planet, Disturbances(outliers, lost, ramp, moved, red, len(unseen))


def without_outliers(flux: np.ndarray) -> tuple[np.ndarray, int]:
    """Return light curves [55, n, 300] with cosmic rays replaced by the median of four neighbours, and their number."""
    ramp = RAMP.astype(np.float32)
    curves = flux / ramp
    near = np.stack([curves[..., shift : N_STEPS - 4 + shift] for shift in (0, 1, 3, 4)])
    middle = (near.sum(axis=0) - near.min(axis=0) - near.max(axis=0)) / 2
    apart = curves[..., 2:-2] - middle
    size = np.abs(apart) * ramp[2:-2]
    spread = _MAD * np.median(size, axis=-1, keepdims=True)  # of these deviations
    hit = (size > UNLIKELY * spread) & (spread > 0)
    for observation, step in np.unique(np.argwhere(hit)[:, 1:], axis=0):
        common = abs(np.median(apart[:, observation, step]))
        hit[:, observation, step] &= size[:, observation, step] > COMMON * common + UNLIKELY * spread[:, observation, 0]
    hit &= hit.mean(axis=-1, keepdims=True) <= MOST_HIT
    count = int(hit.sum())
    if count:
        flux = flux.copy()
        flux[..., 2:-2][hit] = (middle * ramp[2:-2])[hit]
    return flux, count


def lost_bands(scatter: np.ndarray, star: np.ndarray) -> np.ndarray:
    """Return bands without noise, or with far more than a star like this gives, compared with others: bool [55].

    Args:
        scatter: of neighbouring steps, [n, 55].
        star: [6].
    """
    relative = np.sqrt(np.mean(np.square(scatter, dtype=np.float64), axis=0)) / noise_sigma(star[0], star[_MAGNITUDE])
    usual = np.median(relative)
    lost = ((relative > LOST * usual) & (usual > 0)) | (noise_free_bands(scatter).mean(axis=0) > 0.5)
    return lost & ~lost.all()


def nearest_living(lost: np.ndarray) -> np.ndarray:
    """Return for each band the nearest band that is not lost, or itself: int [55]."""
    bands, living = np.arange(len(lost)), np.flatnonzero(~lost)
    return living[np.abs(bands[:, None] - living).argmin(axis=1)]


def ramp_size(mean: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return the size of each band's ramp relative to the usual one, 1 unless it certainly differs: float64 [55].

    Args:
        mean: of all observations, [55, 300].
        noise: of a step of the mean, [55].
    """
    usual = RAMP[:RAMP_STEPS] - 1
    power = np.sum(np.square(usual))
    larger = (mean[:, :RAMP_STEPS] - RAMP[:RAMP_STEPS]) @ usual / power
    certain = np.abs(larger) > np.maximum(RAMP_CERTAIN * noise / np.sqrt(power), RAMP_SMALLEST)
    return np.where(certain & (np.abs(larger) < RAMP_LARGEST) & (noise > 0), 1 + larger, 1.0)


def mid_transit(white: np.ndarray, noise: float) -> int:
    """Return the steps by which mid-transit is late, 0 unless that is certain.

    A transit is symmetric. With d the dip and S(s) = sum_t d(c + s + t) d(c + s - t), the squared differences of steps
    that mirror each other about c + s sum to sum d^2 - S(s): the most likely s has the largest S.

    Args:
        white: white light without the ramp, [300].
        noise: of a step of it.
    """
    dip = 1 - white
    dip[: RAMP_STEPS // 2] = 0
    dip = np.convolve(dip, np.full(SMOOTHED, 1 / SMOOTHED), mode="same")  # otherwise noise correlates with itself
    mirrored = np.convolve(dip, dip)  # of index 2 c: between two of them
    doubled = int(2 * MID_TRANSIT_STEP) + 2 * np.arange(-MOST_MOVED, MOST_MOVED + 1)
    products = (mirrored[doubled] + mirrored[doubled + 1]) / 2
    best, usual = int(np.argmax(products)), products[MOST_MOVED]
    gain = products[best] - usual
    asymmetry = np.sum(np.square(dip)) - len(dip) / SMOOTHED * noise**2 - usual
    moved = best - MOST_MOVED
    if abs(moved) < LEAST_MOVED or gain < MOVED_CERTAIN * 2 * noise**2 or gain < SYMMETRIC * asymmetry:
        return 0
    return moved


def unseen_part(white: np.ndarray, noise: float) -> range:
    """Return the steps of the transit's begin or end in which the star is quiet; empty unless that is certain.

    A transit is symmetric. If a part of it was not observed, and the quiet star is there instead, the steps that mirror
    this part show the planet in front of the star, and all other pairs of steps still agree. That is compared with a
    symmetric transit about the usual mid-transit and about others.

    Args:
        white: white light without the ramp, [300].
        noise: of a step of it.
    """
    if not noise > 0:
        return range(0)
    dip = (1 - white) / noise
    before = np.arange(RAMP_STEPS // 2, int(MID_TRANSIT_STEP) + 1)
    apart, mirror = _asymmetry(dip, before, 0), _mirror(dip, before)
    shifts = range(-MOST_TRIED, MOST_TRIED + 1)
    tried = [_asymmetry(dip, before, late).sum() for late in shifts]
    usual, moved = apart.sum(), min(tried)
    if abs(shifts[int(np.argmin(tried))]) > MOST_MOVED:
        return range(0)
    deepest = max(_edge(dip[before]).max(), _edge(mirror).max())
    best, found = min(usual, moved) - UNSEEN_CERTAIN, range(0)
    begin, end = (dip[before], mirror, before), (mirror * np.sqrt(2), dip[before], _mirrored(before))
    for quiet, deep, steps in (begin, end):
        gain = apart - np.square(quiet) - 1  # of each step that was not observed; 1 for assuming so
        total = np.concatenate([[0.0], np.cumsum(gain)])
        # The part ends where the planet is seen on one side alone.
        edge = (_edge(deep) > EDGE_DEEP * deepest) & (_edge(quiet) < EDGE_QUIET * deepest)
        won = np.where(edge, total[1:] - np.minimum.accumulate(total[:-1]), -np.inf)
        last = int(np.argmax(won))
        first = int(np.argmin(total[: last + 1]))
        if usual - won[last] < best and won[last] > SYMMETRIC * (usual - len(before)):
            best = usual - won[last]
            ends = sorted((int(steps[first]), int(steps[last])))
            found = range(ends[0], ends[1] + 1)
    return found


def _edge(values: np.ndarray) -> np.ndarray:
    """Return the mean of each value and the ones before it."""
    return np.convolve(values, np.full(EDGE_STEPS, 1 / EDGE_STEPS))[: len(values)]


def _mirrored(steps: np.ndarray, late: int = 0) -> np.ndarray:
    """Return the earlier one of the two steps between which the mirror image of each step lies."""
    return int(2 * MID_TRANSIT_STEP) + 2 * late - steps


def _mirror(dip: np.ndarray, steps: np.ndarray, late: int = 0) -> np.ndarray:
    """Return the values of the mirror images of steps about mid-transit, which is late by some steps."""
    index = _mirrored(steps, late)
    inside = np.clip(index, 0, len(dip) - 2)
    return np.where(inside == index, (dip[inside] + dip[inside + 1]) / 2, 0.0)


def _asymmetry(dip: np.ndarray, steps: np.ndarray, late: int) -> np.ndarray:
    """Return the squared differences of steps and their mirror images, each of mean 1 if the dip is symmetric."""
    moved = steps + late
    return np.square(dip[np.clip(moved, 0, len(dip) - 1)] - _mirror(dip, moved, late)) / 1.5  # a mirror image has 1/2


def redness(flux: np.ndarray, scatter: np.ndarray) -> float:
    """Return the ratio of the noise over 20 steps to that of white noise with the same scatter; 1 if they agree.

    Args:
        flux: [55, n, 300].
        scatter: of neighbouring steps, [n, 55].
    """
    living = (inverse_variance(scatter).T > 0) & (scatter.T > 0)
    if not living.any():
        return 1.0
    found = 1.0
    for blocks in _BLOCKS:
        first, second = (flux[..., start:stop].mean(axis=-1, dtype=np.float64) for start, stop in blocks)
        expected = np.square(scatter.T, dtype=np.float64) * sum(1 / (stop - start) for start, stop in blocks)
        ratio = np.square(second - first)[living] / expected[living]
        if ratio.mean() > 1 + RED_CERTAIN * np.sqrt(2 / len(ratio)):
            found = max(found, float(np.sqrt(ratio.mean())))
    return found


def _white(curves: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the inverse-variance mean over bands [300], and its noise."""
    weight = inverse_variance(noise[None])[0]
    return weight @ curves / weight.sum(), float(1 / np.sqrt(weight.sum()))


def _moved_back(flux: np.ndarray, late: int) -> np.ndarray:
    """Return light curves with mid-transit at the usual step; steps not observed at the ends are mirrored."""
    first, last = RAMP_STEPS // 2, N_STEPS - 1
    steps = np.arange(N_STEPS) + late
    steps = np.where(steps < first, 2 * first - steps, np.where(steps > last, 2 * last - steps, steps))
    ramp = RAMP.astype(np.float32)
    return (flux / ramp)[..., steps] * ramp


def _completed(flux: np.ndarray, unseen: range) -> np.ndarray:
    """Return light curves in which each step of `unseen` is replaced by its mirror image."""
    ramp = RAMP.astype(np.float32)
    curves, steps = flux / ramp, np.asarray(unseen)
    index = _mirrored(steps)
    curves[..., steps] = (curves[..., index] + curves[..., index + 1]) / 2
    return curves * ramp

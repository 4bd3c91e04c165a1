"""Light curves without the ramp, folded about mid-transit; white light and its rough depth; `keras.ops` only."""

from typing import Any, NamedTuple

import numpy as np
from keras import ops

from ariel_tf.physics.detector import RAMP
from ariel_tf.physics.references import fold_matrix
from ariel_tf.planet import (
    NOISE_FREE_SHARE,
    OUT_OF_TRANSIT,
    SMOOTH_RATIO,
    SMOOTH_SHARE,
    distant_steps,
)

SMALLEST_NOISE = 1e-6
CENTRAL_BINS = 2  # the 20 steps about mid-transit: within totality of all but the shortest transits


def dips(flux: Any) -> tuple[Any, Any, Any]:
    """Raw flux [batch, 300, c] -> dip [batch, c, 300], its folded bins [batch, c, 27], step noise [batch, c, 1]."""
    curves = ops.transpose(flux, (0, 2, 1)) / ops.convert_to_tensor(RAMP.astype(np.float32))
    bins = ops.matmul(1.0 - curves, ops.convert_to_tensor(fold_matrix().astype(np.float32)))
    before = OUT_OF_TRANSIT[:-1][np.diff(OUT_OF_TRANSIT) == 1]
    step = ops.take(curves, before + 1, axis=2) - ops.take(curves, before, axis=2)
    noise = ops.sqrt(ops.mean(ops.square(step), axis=2, keepdims=True) / 2 + SMALLEST_NOISE**2)
    return 1.0 - curves, bins, noise


def noise_free(noise: Any, dip: Any) -> Any:
    """Return channels with implausibly little noise compared with others: dead, saturated, filled in or smoothed.

    Args:
        noise: [batch, c, 1], of neighbouring steps.
        dip: [batch, c, 300].

    Returns:
        bool [batch, c, 1].
    """
    usual = ops.mean(noise, axis=1, keepdims=True)
    first, last = distant_steps()
    step = ops.take(dip, last, axis=2) - ops.take(dip, first, axis=2)
    distant = ops.sqrt(ops.mean(ops.square(step), axis=2, keepdims=True) / 2)
    smooth = ops.logical_and(noise < SMOOTH_SHARE * usual, distant > SMOOTH_RATIO * noise)
    return ops.logical_or(noise < NOISE_FREE_SHARE * usual, smooth)


def white_of(curves: Any, weight: Any) -> Any:
    """Return the weighted mean over channels of [batch, c, n] with weights [batch, c, 1]: [batch, 1, n]."""
    return ops.sum(weight * curves, axis=1, keepdims=True) / ops.sum(weight, axis=1, keepdims=True)


def bin_noise() -> np.ndarray:
    """Return the noise of each folded bin in units of a step's: 1 / sqrt(steps in it), float32 [27]."""
    return np.sqrt(np.square(fold_matrix()).sum(axis=0)).astype(np.float32)


def rough_depth(white: Any, noise: Any) -> tuple[Any, Any]:
    """Return the depth at mid-transit of white light, always above zero: [batch, 1, 1], and its noise."""
    depth = ops.mean(white[:, :, :CENTRAL_BINS], axis=2, keepdims=True)
    own = noise * float(bin_noise()[:CENTRAL_BINS].mean() / np.sqrt(CENTRAL_BINS))
    return (depth + ops.sqrt(ops.square(depth) + 4 * ops.square(own))) / 2, own


class Folded(NamedTuple):
    """Light curves without the ramp.

    Attributes:
        dip: [batch, c, 300].
        bins: folded bins [batch, c, 27].
        noise: standard deviation of the noise of a step, [batch, c, 1].
    """

    dip: Any
    bins: Any
    noise: Any


class White(NamedTuple):
    """White light, and the channels with dead ones replaced by it.

    Attributes:
        bins: folded bins of the channels, [batch, c, 27].
        noise: noise of a step of the channels, [batch, c, 1].
        white: folded bins of white light, [batch, 1, 27].
        white_dip: dip of white light, [batch, 1, 300].
        white_noise: noise of a step of white light, [batch, 1, 1].
        depth: rough depth, [batch, 1, 1].
        features: ln of the rough depth and of its relative noise, scaled, [batch, 2].
    """

    bins: Any
    noise: Any
    white: Any
    white_dip: Any
    white_noise: Any
    depth: Any
    features: Any


def fold(flux: Any) -> Folded:
    """Return raw flux [batch, 300, c] without the ramp, folded about mid-transit."""
    return Folded(*dips(flux))


def white_light(dip: Any, bins: Any, noise: Any) -> White:
    """Return white light: the second of two channels, or the weighted mean of all.

    Args:
        dip, bins, noise: fields of `Folded`.
    """
    if bins.shape[1] == 2:  # own and white
        white, white_noise, white_dip = bins[:, 1:], noise[:, 1:], dip[:, 1:]
        bins, noise = bins[:, :1], noise[:, :1]
    else:
        dead = noise_free(noise, dip)
        weight = ops.where(dead, 0.0, 1 / ops.square(noise))
        white, white_dip = white_of(bins, weight), white_of(dip, weight)
        white_noise = ops.sqrt(1 / ops.sum(weight, axis=1, keepdims=True))
        # A dead channel is replaced by the white curve, with the noise of a typical channel.
        bins = ops.where(dead, white, bins)
        noise = ops.where(dead, ops.mean(noise, axis=1, keepdims=True), noise)
    depth, depth_noise = rough_depth(white, white_noise)
    features = [ops.log(depth)[:, :, 0] / 2 + 3, ops.log(depth_noise / depth)[:, :, 0] / 2]
    return White(bins, noise, white, white_dip, white_noise, depth, ops.concatenate(features, axis=-1))

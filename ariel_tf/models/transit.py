"""A network with a model of transits as its first part: scale-free, noise-aware inputs; a correction as output.

From each light curve it computes what a physicist would:

    flux / ramp -> dip -> 27 bins folded about mid-transit        half the noise, the same shape
    rough depth of the white light curve, kept above its noise     the scale of everything
    white light along the planet's path / rough depth              radius and impact parameter (`transit_chord.py`)
    each band's own depth, matched to the white curve, / rough depth, and the noise of that ratio
    the scatter of each curve / rough depth                        its reliability

Without all six stellar parameters the path is unknown, and the bins of white light are used instead.

A dense network predicts log(depth / rough depth) from these, so one network serves depths from 50 ppm to 5 %. The
radius from the path, and each band's own measured ratio, are added through gates that open with their certainty, so
that an atmosphere larger than any in the training set is measured rather than extrapolated.
White light is the last channel (--channels own+white), or computed from all 55 channels (joint).
"""

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from ariel_tf.challenge import N_STEPS
from ariel_tf.config.model_registry import model
from ariel_tf.core.errors import UsageError
from ariel_tf.models import transit_chord
from ariel_tf.models.builder import Depth, Inputs
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
# How much a band's depth is expected to differ from white light's, relative to it, before it is measured.
EXPECTED_SPREAD = 0.1
# How much the rough depth is expected to differ from radius^2, relative to it, before the shape is used.
EXPECTED_SHIFT = 0.3
SMALLEST_RATIO = 0.02
TYPICAL_LOG_STEPS = 1.5
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


class Curves(NamedTuple):
    """Light curves in the form that the network uses.

    Attributes:
        bins, noise: folded bins [batch, c, 27] and step noise [batch, c, 1] of the channels.
        white, white_noise, white_dip: folded bins [batch, 1, 27], step noise [batch, 1, 1] and dip [batch, 1, 300] of
            white light.
    """

    bins: Any
    noise: Any
    white: Any
    white_noise: Any
    white_dip: Any


def measured_curves(flux: Any) -> Curves:
    """Return raw flux [batch, 300, c] as curves; white light is the second of two channels, or the mean of all."""
    dip, bins, noise = dips(flux)
    if flux.shape[2] == 2:  # own and white
        white, white_noise, white_dip = bins[:, 1:], noise[:, 1:], dip[:, 1:]
        return Curves(bins[:, :1], noise[:, :1], white, white_noise, white_dip)
    dead = noise_free(noise, dip)
    weight = ops.where(dead, 0.0, 1 / ops.square(noise))
    white, white_dip = white_of(bins, weight), white_of(dip, weight)
    white_noise = ops.sqrt(1 / ops.sum(weight, axis=1, keepdims=True))
    # A dead channel is replaced by the white curve, with the noise of a typical channel.
    bins, noise = ops.where(dead, white, bins), ops.where(dead, ops.mean(noise, axis=1, keepdims=True), noise)
    return Curves(bins, noise, white, white_noise, white_dip)


def rough_depth(white: Any, noise: Any) -> tuple[Any, Any]:
    """Return the depth at mid-transit of white light, always above zero: [batch, 1, 1], and its noise."""
    depth = ops.mean(white[:, :, :CENTRAL_BINS], axis=2, keepdims=True)
    own = noise * float(bin_noise()[:CENTRAL_BINS].mean() / np.sqrt(CENTRAL_BINS))
    return (depth + ops.sqrt(ops.square(depth) + 4 * ops.square(own))) / 2, own


def matched_ratio(bins: Any, noise: Any, white: Any, depth: Any) -> tuple[Any, Any]:
    """Return each channel's depth relative to white light's, matched to the white curve's shape, and its noise.

    Weighted least squares of the channel's bins on the white bins: [batch, c, 1] each.
    """
    weight = ops.convert_to_tensor(1 / np.square(bin_noise()))  # on the right of each product, as JAX requires
    template = white / depth
    power = ops.sum(ops.square(template) * weight, axis=2, keepdims=True) + 1.0
    ratio = ops.sum(template * bins * weight, axis=2, keepdims=True) / power / depth
    return ratio, noise / ops.sqrt(power) / depth


@model(scope="any", channels="own+white", star="all", transform="none", head="depth", loss="mae",
       epochs=30, batch_size=256, optimizer="adam", settings={"schedule": "cosine", "learning_rate": 0.002},
       joint={"channels": "all"})  # fmt: skip
def transit(hp: Any, inputs: Inputs) -> Depth:
    """Physics first: folded, ramp-free, noise-aware features; a dense network corrects the white-light depth."""
    if inputs.flux.shape[1] != N_STEPS:
        raise UsageError(
            f"--steps: the model transit needs all {N_STEPS} steps. Received: {inputs.flux.shape[1]} of them"
        )
    if not inputs.raw:
        raise UsageError(
            "the model transit takes raw flux: expected --transform none, --ramp keep and --function none."
        )
    bins, noise, white, white_noise, white_dip = measured_curves(inputs.flux)
    depth, depth_noise = rough_depth(white, white_noise)
    ratio, ratio_noise = matched_ratio(bins, noise, white, depth)
    trust = 1 / (1 + ops.square(ratio_noise) * 100)  # a ratio known to 10 % has half the weight
    features = [
        ops.log(depth)[:, :, 0] / 2 + 3,
        ops.log(depth_noise / depth)[:, :, 0] / 2,
        ops.arcsinh((ratio - 1) * 10 * trust)[:, :, 0],  # the ratio of a huge atmosphere can exceed 5
        ops.log(ratio_noise)[:, :, 0] / 2,
    ]
    path = None
    if inputs.raw_star is None:  # the orbit is unknown: only the shape in time is
        features.append(ops.clip(white / depth, -2, 2)[:, 0])
    else:
        along, steps = transit_chord.along_the_path(white_dip[:, 0], *transit_chord.orbit_of(inputs.raw_star))
        path = transit_chord.path_of(along, steps, white_noise[:, 0], depth[:, 0])
        features += [
            ops.clip(along / depth[:, 0], -2, 2),
            ops.log(steps) - TYPICAL_LOG_STEPS,
            3 * path.log_ratio / (1 + 10 * ops.square(path.log_spread)),
            ops.log(path.log_spread) / 2 + 1,
            path.impact,
            ops.log(path.impact_spread) / 2 + 1,
        ]
    if inputs.star is not None:
        features.append(ops.clip(inputs.star, -4, 4))
    x = keras.layers.Concatenate(name="features")(features)
    units = hp.Int("units", 8, 2048, sampling="log", default=256)
    dropout = hp.Float("dropout", 0.0, 0.9, default=0.0)
    for index in range(hp.Int("layers", 1, 8, default=3)):
        x = keras.layers.Dense(units, activation="gelu", name=f"dense_{index}")(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"dropout_{index}")(x)
    correction = keras.layers.Dense(inputs.targets, kernel_initializer="zeros", dtype="float32", name="head")(x)
    if path is not None:
        # The radius from the shape, weighted by its certainty; neighbouring steps have similar gates.
        trusted = keras.layers.Dense(1, kernel_initializer="zeros", dtype="float32", name="trust_path")(x)
        correction += ops.sigmoid(trusted - 2 * ops.log(path.log_spread / EXPECTED_SHIFT)) * path.log_ratio
    if bins.shape[1] == inputs.targets:
        # The measurement at the wavelength itself, weighted by its certainty.
        trusted = keras.layers.Dense(inputs.targets, kernel_initializer="zeros", dtype="float32", name="trust")(x)
        gate = ops.sigmoid(trusted - 2 * ops.log(ratio_noise[:, :, 0] / EXPECTED_SPREAD))
        correction += gate * ops.log(ops.clip(ratio, SMALLEST_RATIO, 1 / SMALLEST_RATIO))[:, :, 0]
    return Depth(depth[:, :, 0] * ops.exp(ops.clip(correction, -5, 5)))

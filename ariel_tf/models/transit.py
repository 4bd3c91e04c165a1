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
from ariel_tf.models.stages import stage
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
        noise: of a step, [batch, c, 1].
    """

    dip: Any
    bins: Any
    noise: Any


class White(NamedTuple):
    """White light, and the channels without dead ones.

    Attributes:
        bins, noise: of the channels, folded [batch, c, 27], and of a step [batch, c, 1].
        white, white_dip, white_noise: of white light, folded [batch, 1, 27], [batch, 1, 300], and of a step
            [batch, 1, 1].
        depth: rough depth [batch, 1, 1].
        features: [batch, 2].
    """

    bins: Any
    noise: Any
    white: Any
    white_dip: Any
    white_noise: Any
    depth: Any
    features: Any


class Ratios(NamedTuple):
    """Depth of each channel relative to white light's rough depth.

    Attributes:
        ratio, noise: [batch, c, 1].
        features: [batch, 2 c].
    """

    ratio: Any
    noise: Any
    features: Any


class Chord(NamedTuple):
    """What the planet's path across its star tells.

    Attributes:
        log_ratio, log_spread: expected value and standard deviation of ln(radius^2 / rough depth), [batch, 1].
        features: [batch, 31].
    """

    log_ratio: Any
    log_spread: Any
    features: Any


def fold(flux: Any) -> Folded:
    """Return raw flux [batch, 300, c] without the ramp, folded about mid-transit."""
    return Folded(*dips(flux))


def white_light(dip: Any, bins: Any, noise: Any) -> White:
    """Return white light: the second of two channels, or the mean of all.

    Args:
        dip, bins, noise: of `Folded`.
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


def matched_ratios(bins: Any, noise: Any, white: Any, depth: Any) -> Ratios:
    """Return each channel's depth relative to white light's, matched to the white curve's shape, and its noise.

    Weighted least squares of the channel's bins on the white bins.

    Args:
        bins, noise, white, depth: of `White`.
    """
    weight = ops.convert_to_tensor(1 / np.square(bin_noise()))  # on the right of each product, as JAX requires
    template = white / depth
    power = ops.sum(ops.square(template) * weight, axis=2, keepdims=True) + 1.0
    ratio = ops.sum(template * bins * weight, axis=2, keepdims=True) / power / depth
    noise = noise / ops.sqrt(power) / depth
    trust = 1 / (1 + ops.square(noise) * 100)  # a ratio known to 10 % has half the weight
    features = [
        ops.arcsinh((ratio - 1) * 10 * trust)[:, :, 0],  # the ratio of a huge atmosphere can exceed 5
        ops.log(noise)[:, :, 0] / 2,
    ]
    return Ratios(ratio, noise, ops.concatenate(features, axis=-1))


def chord(white_dip: Any, white_noise: Any, depth: Any, star: Any) -> Chord:
    """Return the radius, and features, from white light along the planet's path.

    Args:
        white_dip, white_noise, depth: of `White`.
        star: raw stellar parameters [batch, 6].
    """
    along, steps = transit_chord.along_the_path(white_dip[:, 0], *transit_chord.orbit_of(star))
    path = transit_chord.path_of(along, steps, white_noise[:, 0], depth[:, 0])
    features = [
        ops.clip(along / depth[:, 0], -2, 2),
        ops.log(steps) - TYPICAL_LOG_STEPS,
        3 * path.log_ratio / (1 + 10 * ops.square(path.log_spread)),
        ops.log(path.log_spread) / 2 + 1,
        path.impact,
        ops.log(path.impact_spread) / 2 + 1,
    ]
    return Chord(path.log_ratio, path.log_spread, ops.concatenate(features, axis=-1))


def shape_in_time(white: Any, depth: Any) -> Any:
    """Return the folded bins of white light relative to its rough depth, [batch, 27], where the orbit is unknown."""
    return ops.clip(white / depth, -2, 2)[:, 0]


def path_gate(trusted: Any, log_ratio: Any, log_spread: Any) -> Any:
    """Return the radius from the shape, weighted by its certainty; neighbouring steps have similar gates: [batch, 1].

    Args:
        trusted: output of the network, [batch, 1].
        log_ratio, log_spread: of `Chord`.
    """
    return ops.sigmoid(trusted - 2 * ops.log(log_spread / EXPECTED_SHIFT)) * log_ratio


def ratio_gate(trusted: Any, ratio: Any, noise: Any) -> Any:
    """Return the measurement at the wavelength itself, weighted by its certainty: [batch, targets].

    Args:
        trusted: output of the network, [batch, targets].
        ratio, noise: of `Ratios`.
    """
    gate = ops.sigmoid(trusted - 2 * ops.log(noise[:, :, 0] / EXPECTED_SPREAD))
    return gate * ops.log(ops.clip(ratio, SMALLEST_RATIO, 1 / SMALLEST_RATIO))[:, :, 0]


def corrected_depth(depth: Any, correction: Any, **additions: Any) -> Any:
    """Return depths [batch, targets]: the rough depth times the exponential of all corrections."""
    for addition in additions.values():
        correction += addition
    return depth[:, :, 0] * ops.exp(ops.clip(correction, -5, 5))


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
    folded = stage("fold", fold, flux=inputs.flux)
    white = stage("white_light", white_light, **folded._asdict())
    known = {"white": white.white, "depth": white.depth}
    ratios = stage("ratios", matched_ratios, bins=white.bins, noise=white.noise, **known)
    features, path = [white.features, ratios.features], None
    if inputs.raw_star is None:  # the orbit is unknown: only the shape in time is
        features.append(stage("shape", shape_in_time, **known))
    else:
        measured = {"white_dip": white.white_dip, "white_noise": white.white_noise, "depth": white.depth}
        path = stage("chord", chord, **measured, star=inputs.raw_star)
        features.append(path.features)
    if inputs.star is not None:
        features.append(ops.clip(inputs.star, -4, 4))
    x = keras.layers.Concatenate(name="features")(features)
    units = hp.Int("units", 8, 2048, sampling="log", default=256)
    dropout = hp.Float("dropout", 0.0, 0.9, default=0.0)
    for index in range(hp.Int("layers", 1, 8, default=3)):
        x = keras.layers.Dense(units, activation="gelu", name=f"dense_{index}")(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"dropout_{index}")(x)

    def linear(count: int, name: str) -> Any:
        return keras.layers.Dense(count, kernel_initializer="zeros", dtype="float32", name=name)(x)

    parts = {"depth": white.depth, "correction": linear(inputs.targets, "head")}
    if path is not None:
        given = {"log_ratio": path.log_ratio, "log_spread": path.log_spread}
        parts["path"] = stage("path_gate", path_gate, trusted=linear(1, "trust_path"), **given)
    if white.bins.shape[1] == inputs.targets:
        given = {"ratio": ratios.ratio, "noise": ratios.noise}
        parts["own"] = stage("ratio_gate", ratio_gate, trusted=linear(inputs.targets, "trust"), **given)
    return Depth(stage("depth", corrected_depth, **parts))

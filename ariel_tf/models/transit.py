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
from ariel_tf.models.white_light import bin_noise, fold, white_light

# How much a band's depth is expected to differ from white light's, relative to it, before it is measured.
EXPECTED_SPREAD = 0.1
# How much the rough depth is expected to differ from radius^2, relative to it, before the shape is used.
EXPECTED_SHIFT = 0.3
SMALLEST_RATIO = 0.02
TYPICAL_LOG_STEPS = 1.5


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
    """The radius relative to the rough depth, from the shape of white light along the planet's path.

    Attributes:
        log_ratio, log_spread: expected value and standard deviation of ln(radius^2 / rough depth), [batch, 1].
        features: [batch, 31].
    """

    log_ratio: Any
    log_spread: Any
    features: Any


def matched_ratios(bins: Any, noise: Any, white: Any, depth: Any) -> Ratios:
    """Return each channel's depth relative to white light's, matched to the white curve's shape, and its noise.

    Weighted least squares of the channel's bins on the white bins.

    Args:
        bins, noise, white, depth: fields of `White`.
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
        white_dip, white_noise, depth: fields of `White`.
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
        log_ratio, log_spread: fields of `Chord`.
    """
    return ops.sigmoid(trusted - 2 * ops.log(log_spread / EXPECTED_SHIFT)) * log_ratio


def ratio_gate(trusted: Any, ratio: Any, noise: Any) -> Any:
    """Return the measurement at the wavelength itself, weighted by its certainty: [batch, targets].

    Args:
        trusted: output of the network, [batch, targets].
        ratio, noise: fields of `Ratios`.
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

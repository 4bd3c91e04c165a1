"""A network that is told what a transit is: inputs free of scale, aware of noise; a correction as output.

Of each light curve it takes what a physicist would:

    flux / ramp -> dip -> 27 bins folded about mid-transit        half the noise, the same shape
    rough depth of the white light curve, kept above its noise     the scale of everything
    bins of white light / rough depth                              duration, limb darkening, impact
    each band's own depth, matched to the white curve, / rough depth, and how noisy that ratio is
    the scatter of each curve / rough depth                        how far to trust it
    duration, and what it would be through the star's middle       how far from it the planet passes

A dense network turns these into log(depth / rough depth), so one network serves depths from 50 ppm to 5 %. Each
band's own measured ratio joins its answer through a gate that opens with the ratio's certainty: an atmosphere
larger than any of the training's planets is measured, not guessed.
White light is the last channel (--channels own+white), or made of all 55 channels (joint).
"""

import keras
import numpy as np
from keras import ops

from ariel_tf.challenge import N_STEPS, OUT_OF_TRANSIT, STAR_NAMES
from ariel_tf.errors import UsageError
from ariel_tf.models.builder import Depth, Inputs
from ariel_tf.models.registry import model
from ariel_tf.physics.detector import RAMP
from ariel_tf.physics.references import fold_matrix

SMALLEST_NOISE = 1e-6
# How much a band's depth is expected to differ from white light's, relative to it, before it is measured.
EXPECTED_SPREAD = 0.1
SMALLEST_RATIO = 0.02
TYPICAL_LOG_STEPS = 4.7
# Axis of a one-day orbit about the Sun, in solar radii.
SUN_AXIS = 4.2083
SMALLEST_STAR = 1e-2  # solar radii, solar masses, days
MINUTES_OF_A_DAY = 1440.0
CENTRAL_BINS = 2  # the 20 steps about mid-transit: within totality of all but the shortest transits


def dips(flux):
    """Raw flux [batch, 300, c] -> folded bins of the dip [batch, c, 27] and noise of one step [batch, c, 1]."""
    curves = ops.transpose(flux, (0, 2, 1)) / ops.convert_to_tensor(RAMP.astype(np.float32))
    bins = ops.matmul(1.0 - curves, ops.convert_to_tensor(fold_matrix().astype(np.float32)))
    before = OUT_OF_TRANSIT[:-1][np.diff(OUT_OF_TRANSIT) == 1]
    step = ops.take(curves, before + 1, axis=2) - ops.take(curves, before, axis=2)
    noise = ops.sqrt(ops.mean(ops.square(step), axis=2, keepdims=True) / 2 + SMALLEST_NOISE**2)
    return bins, noise


def white_of(bins, noise):
    """The inverse-variance mean over channels: bins [batch, 1, 27] and noise [batch, 1, 1]."""
    weight = 1 / ops.square(noise)
    total = ops.sum(weight, axis=1, keepdims=True)
    return ops.sum(weight * bins, axis=1, keepdims=True) / total, ops.sqrt(1 / total)


def bin_noise() -> np.ndarray:
    """Noise of each folded bin in units of a step's: 1 / sqrt(steps in it), float32 [27]."""
    return np.sqrt(np.square(fold_matrix()).sum(axis=0)).astype(np.float32)


def rough_depth(white, noise):
    """Depth at mid-transit of white light, always above zero: [batch, 1, 1], and its noise."""
    depth = ops.mean(white[:, :, :CENTRAL_BINS], axis=2, keepdims=True)
    own = noise * float(bin_noise()[:CENTRAL_BINS].mean() / np.sqrt(CENTRAL_BINS))
    return (depth + ops.sqrt(ops.square(depth) + 4 * ops.square(own))) / 2, own


def matched_ratio(bins, noise, white, depth):
    """Each channel's depth relative to white light's, matched to the white curve's shape, and its noise.

    Weighted least squares of the channel's bins on the white bins: [batch, c, 1] each.
    """
    weight = ops.convert_to_tensor(1 / np.square(bin_noise()))  # to the right of each product: JAX insists
    template = white / depth
    power = ops.sum(ops.square(template) * weight, axis=2, keepdims=True) + 1.0
    ratio = ops.sum(template * bins * weight, axis=2, keepdims=True) / power / depth
    return ratio, noise / ops.sqrt(power) / depth


def equivalent_steps(white, depth):
    """How many steps at mid-transit depth dim as much, about the duration: [batch, 1], above 0."""
    steps = ops.convert_to_tensor(1 / np.square(bin_noise()))
    area = ops.sum(white / depth * steps, axis=2)
    return (area + ops.sqrt(ops.square(area) + 4.0)) / 2


def central_steps(star):
    """Duration of a transit through the middle of the star, in steps (minutes): [batch, 6] raw -> [batch, 1].

    Half an orbit's circumference in stellar radii is pi a / R, and a follows from Kepler's third law in solar units:
    (a / R) = 4.2083 (M P^2)^(1/3) / R with P in days, so T = P / pi / (a / R).
    """
    radius, mass, period = (star[:, STAR_NAMES.index(name), None] for name in ("star_rad", "star_mass", "period"))
    radius, mass, period = (ops.maximum(value, SMALLEST_STAR) for value in (radius, mass, period))
    axis = SUN_AXIS * ops.exp((ops.log(mass) + 2 * ops.log(period)) / 3) / radius
    return MINUTES_OF_A_DAY * period / np.pi / axis


@model(scope="any", channels="own+white", star="all", transform="none", head="depth", loss="mae",
       epochs=30, batch_size=256, optimizer="adam", settings={"schedule": "cosine", "learning_rate": 0.002},
       joint={"channels": "all"})  # fmt: skip
def transit(hp, inputs: Inputs):
    """Physics first: folded, ramp-free, noise-aware features; a dense network corrects the white-light depth."""
    if inputs.flux.shape[1] != N_STEPS:
        raise UsageError(
            f"--steps: the model transit needs all {N_STEPS} steps. Received: {inputs.flux.shape[1]} of them"
        )
    if not inputs.raw:
        raise UsageError(
            "the model transit takes raw flux: expected --transform none, --ramp keep and --function none."
        )
    bins, noise = dips(inputs.flux)
    channels = inputs.flux.shape[2]
    if channels == 2:  # own and white
        white, white_noise = bins[:, 1:], noise[:, 1:]
        bins, noise = bins[:, :1], noise[:, :1]
    else:
        white, white_noise = white_of(bins, noise)
    depth, depth_noise = rough_depth(white, white_noise)
    ratio, ratio_noise = matched_ratio(bins, noise, white, depth)
    trust = 1 / (1 + ops.square(ratio_noise) * 100)  # a ratio known to 10 % counts half
    features = [
        ops.log(depth)[:, :, 0] / 2 + 3,
        ops.log(depth_noise / depth)[:, :, 0] / 2,
        ops.clip(white / depth, -2, 2)[:, 0],
        ops.arcsinh((ratio - 1) * 10 * trust)[:, :, 0],  # a huge atmosphere's ratio can be 5 and more
        ops.log(ratio_noise)[:, :, 0] / 2,
    ]
    duration = ops.log(equivalent_steps(white, depth))
    features.append(duration - TYPICAL_LOG_STEPS)
    if inputs.raw_star is not None:  # how far from the star's middle the planet passes shows in the difference
        features.append(duration - ops.log(central_steps(inputs.raw_star)))
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
    if bins.shape[1] == inputs.targets:
        # What is measured at the wavelength itself, as far as it can be trusted.
        trusted = keras.layers.Dense(inputs.targets, kernel_initializer="zeros", dtype="float32", name="trust")(x)
        gate = ops.sigmoid(trusted - 2 * ops.log(ratio_noise[:, :, 0] / EXPECTED_SPREAD))
        correction += gate * ops.log(ops.clip(ratio, SMALLEST_RATIO, 1 / SMALLEST_RATIO))[:, :, 0]
    return Depth(depth[:, :, 0] * ops.exp(ops.clip(correction, -5, 5)))

"""All 55 radii of a planet, their uncertainties and the impact parameter, from one light curve or the mean of many.

    flux [batch, 300, 55] ── ramp divided out ──▶ dips and noise of each band
        ── white light ──▶ rough depth
        ── along the planet's path, four groups of bands ──▶ radius, impact parameter, shapes (`orbit_posterior.py`)
        ── each band by its own shape ──▶ 55 depths with noise
        ── prior over spectra ──▶ 55 expected depths (`spectral_prior.py`)
        ── dense network over all of these ──▶ corrections, ln sigma, impact parameter

The noise of the row is an input of the network, so one network serves one observation and the mean of a hundred. It
corrects an estimate from physics alone; what it adds are spots, limb darkening that differs from star to star, grazing
orbits and the distribution of planets.
"""

import math
from typing import Any, NamedTuple

import keras
from keras import ops

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, STAR_NAMES
from ariel_tf.config.model_registry import model
from ariel_tf.core.errors import UsageError
from ariel_tf.models import orbit_posterior, spectral_prior, transit_templates
from ariel_tf.models.builder import Depth, Inputs
from ariel_tf.models.transit_chord import orbit_of
from ariel_tf.models.white_light import dips, noise_free, rough_depth, white_of

TYPICAL_LOG_STEPS = 1.5
SMALLEST_RATIO, LARGEST_RATIO = 0.02, 500.0
STAR_MEAN = (4900.0, 4.5, 0.8, 0.8, 10.5, 6.4)
STAR_SPREAD = (1000.0, 0.4, 0.35, 0.25, 1.6, 6.0)
SMALLEST_DEPTH = 1e-8
ITERATIONS = 2
# Beyond this many deviations, of noise and of this share of the atmosphere's expected size, the prior is ignored.
UNLIKE, FAR = 0.1, 5.0
LOG_SIGMA = (-9.0, 1.5)  # bounds of ln(sigma of ln depth)


class Measured(NamedTuple):
    """Estimates from physics alone; they contain no trained parameters.

    Attributes:
        features: inputs of the network, [batch, f].
        reference: depth of the reference group of bands, [batch, 1].
        size: expected size of the planet's atmosphere, in ln depth, [batch, 1].
        seen, noise: ln(depth / reference) of each band as measured, and its standard deviation, [batch, 55].
        shaped: the same, after applying the prior of spectra, [batch, 55].
        impact: impact parameter, stellar radii, [batch, 1].
    """

    features: Any
    reference: Any
    size: Any
    seen: Any
    noise: Any
    shaped: Any
    impact: Any


class Answer(NamedTuple):
    """Output of the network: depth [batch, 55], ln sigma of ln depth [batch, 55], impact parameter [batch, 1]."""

    depth: Any
    log_sigma: Any
    impact: Any


@model(scope="joint", channels="all", star="all", transform="none", head="depth", loss="mae", epochs=30,
       batch_size=256, optimizer="adam", settings={"schedule": "cosine", "learning_rate": 0.001})  # fmt: skip
def spectrum(hp: Any, inputs: Inputs) -> Depth:
    """Orbit from four groups of bands, depths from each band's own shape and a prior; a dense network corrects them."""
    if inputs.flux.shape[1] != N_STEPS or not inputs.raw or inputs.raw_star is None:
        raise UsageError(
            f"the model spectrum takes raw flux of all {N_STEPS} steps and all of the star: expected --transform none, "
            "--ramp keep, --function none, --star all."
        )
    units = hp.Int("units", 8, 2048, sampling="log", default=384)
    layers = hp.Int("layers", 1, 8, default=4)
    return Depth(correct(measure(inputs.flux, inputs.raw_star), units, layers).depth)


def with_uncertainty(units: int = 384, layers: int = 4, each: bool = False) -> keras.Model:
    """Return the model as it is shipped, untrained: raw flux and star to radius, sigma and impact parameter by name.

    Args:
        units, layers: width and number of the dense layers.
        each: whether each wavelength has a network of its own, `correct_each`.
    """
    flux = keras.Input((N_STEPS, N_WAVELENGTHS), name="flux")
    star = keras.Input((len(STAR_NAMES),), name="star")
    answer = (correct_each if each else correct)(measure(flux, star), units, layers)
    radius = ops.sqrt(answer.depth)
    outputs = {"radius": radius, "sigma": radius * ops.exp(answer.log_sigma) / 2, "impact": answer.impact}
    return keras.Model({"flux": flux, "star": star}, outputs, name="spectrum")


def measure(flux: Any, star: Any) -> Measured:
    """Return the estimates from physics alone.

    Args:
        flux: [batch, 300, 55], raw.
        star: [batch, 6], raw.
    """
    dip, bins, noise = dips(flux)
    dead = noise_free(noise, dip)
    weight = ops.where(dead, 0.0, 1 / ops.square(noise))
    white = white_of(bins, weight)
    depth, depth_noise = (
        part[:, :, 0] for part in rough_depth(white, ops.sqrt(1 / ops.sum(weight, axis=1, keepdims=True)))
    )
    depth = ops.maximum(depth, SMALLEST_DEPTH)
    # A dead band is replaced by white light, with a noise so large that it has no weight.
    dip = ops.where(dead, white_of(dip, weight), dip)
    noise = ops.where(dead, 30 * ops.mean(noise, axis=1, keepdims=True), noise)[:, :, 0]
    profiles = transit_templates.along_the_path(dip, *orbit_of(star))
    path = orbit_posterior.posterior(profiles, noise, weight[:, :, 0], depth, star[:, :1])
    log_scale = path.log_scale[:, orbit_posterior.REFERENCE, None]
    reference = depth * ops.exp(log_scale)
    size = spectral_prior.unit(reference)
    seen, seen_noise = _seen(profiles, noise, path.shape, reference)
    for _ in range(ITERATIONS):  # each band by the shape at its own radius
        shaped = spectral_prior.most_probable(seen, seen_noise, reference)
        doubt = ops.sigmoid(ops.abs(seen - shaped) / (seen_noise + UNLIKE * size) - FAR)
        radius = ops.sqrt(reference * ops.exp(ops.clip(shaped + doubt * (seen - shaped), -8, 8)))
        shape = orbit_posterior.shapes_at(path, radius)
        seen, seen_noise = _seen(profiles, noise, shape, reference)
    shaped = spectral_prior.most_probable(seen, seen_noise, reference)
    features = [
        ops.log(reference) / 2 + 3,
        ops.log(depth_noise / depth) / 2,
        log_scale,
        ops.log(profiles.steps) - TYPICAL_LOG_STEPS,
        path.log_scale - log_scale,
        ops.log(path.log_spread) / 2 + 1,
        path.impact,
        ops.log(path.impact_spread) / 2 + 1,
        path.darkening * 5,
        ops.arcsinh(seen / (ops.sqrt(size) * 0.05 + seen_noise)),
        ops.clip(seen, -1, 7),
        ops.log(seen_noise) / 2 + 1,
        ops.arcsinh(shaped * 10),
        *[ops.arcsinh(path.residual[:, group] / 3) for group in range(len(orbit_posterior.GROUPS))],
        (star - ops.convert_to_tensor([STAR_MEAN])) / ops.convert_to_tensor([STAR_SPREAD]),
    ]
    joined = ops.clip(keras.layers.Concatenate(name="features")(features), -6, 6)
    return Measured(joined, reference, size, seen, seen_noise, shaped, path.impact)


def correct(measured: Measured, units: int = 384, layers: int = 4) -> Answer:
    """Apply the network.

    Args:
        measured: result of `measure`.
        units, layers: width and number of the dense layers.
    """
    x = keras.layers.Dense(units, activation="gelu", name="dense_0")(measured.features)
    for index in range(1, layers):
        x = x + keras.layers.Dense(units, activation="gelu", name=f"dense_{index}")(x)
    correction, common = _zeros(N_WAVELENGTHS, "correction")(x), _zeros(1, "common")(x)
    depth = _corrected(measured, _zeros(N_WAVELENGTHS, "trust")(x), common, correction)
    # Sigma is trained on the features without changing them.
    y = ops.stop_gradient(keras.layers.Concatenate(name="known")([measured.features, x]))
    y = keras.layers.Dense(units // 2, activation="gelu", name="spread_0")(y)
    y = y + keras.layers.Dense(units // 2, activation="gelu", name="spread_1")(y)
    log_sigma = _bounded(_zeros(N_WAVELENGTHS, "log_sigma")(y), measured)
    return Answer(depth, log_sigma, measured.impact + _zeros(1, "impact")(y))


def correct_each(measured: Measured, units: int = 128, layers: int = 3) -> Answer:
    """Apply 55 networks side by side, one per wavelength, that have the features in common and no weight.

    Args:
        measured: result of `measure`.
        units, layers: width and number of the dense layers of each network.
    """
    features = ops.stack([measured.features] * N_WAVELENGTHS)  # 55, batch, f: fast in matrix products
    x = _dense_each(features, units, "dense_0")
    for index in range(1, layers):
        x = x + _dense_each(x, units, f"dense_{index}")
    depth = _corrected(measured, _zeros_each(x, "trust"), _zeros_each(x, "correction"))
    y = ops.stop_gradient(keras.layers.Concatenate(name="known")([features, x]))
    y = _dense_each(y, units // 2, "spread_0")
    y = y + _dense_each(y, units // 2, "spread_1")
    return Answer(depth, _bounded(_zeros_each(y, "log_sigma"), measured), measured.impact)


def _corrected(measured: Measured, trusted: Any, *corrections: Any) -> Any:
    """Return depths from the network's trust in each band's own measurement and its corrections of ln depth."""
    # For a spectrum unlike any in the prior, measurements many deviations from the expected value are used directly.
    beyond = measured.seen - measured.shaped
    gate = ops.sigmoid(trusted + ops.abs(beyond) / (measured.noise + UNLIKE * measured.size) - FAR)
    log_ratio = measured.shaped + gate * beyond
    for correction in corrections:
        log_ratio = log_ratio + correction
    return measured.reference * ops.exp(ops.clip(log_ratio, -8, 8))


def _bounded(log_sigma: Any, measured: Measured) -> Any:
    """Return ln sigma of ln depth from the network's output, relative to the measurement's noise."""
    return ops.clip(log_sigma + ops.log(0.01 + ops.minimum(measured.noise, 0.3)), *LOG_SIGMA)


def _dense_each(x: Any, units: int, name: str, **options: Any) -> Any:
    """Return a dense layer of each of 55 networks: [55, batch, f] to [55, batch, units]."""
    limit = math.sqrt(6 / (x.shape[-1] + units))  # Glorot's, which Keras would compute from all 55 together
    initial = {"activation": "gelu", "kernel_initializer": keras.initializers.RandomUniform(-limit, limit)}
    return keras.layers.EinsumDense(
        "wbf,wfu->wbu", (None, units), bias_axes="wu", name=name, **(initial | options)
    )(x)  # fmt: skip


def _zeros_each(x: Any, name: str) -> Any:
    """Return a linear layer of each of 55 networks, 0 before training: [55, batch, f] to [batch, 55]."""
    return ops.transpose(_dense_each(x, 1, name, activation=None, kernel_initializer="zeros", dtype="float32")[:, :, 0])


def _zeros(units: int, name: str) -> keras.layers.Layer:
    """Return a linear layer whose output is 0 before training: the network starts as the estimate from physics."""
    return keras.layers.Dense(units, kernel_initializer="zeros", dtype="float32", name=name)


def _seen(profiles: Any, noise: Any, shape: Any, reference: Any) -> tuple[Any, Any]:
    """Return ln(depth / reference depth) of each band as measured, and its noise, [batch, 55] each.

    Where the depth is hardly above the noise, depth / reference depth - 1 is used instead: it is free of bias.
    """
    ratio, ratio_noise = orbit_posterior.measured(profiles, noise, shape, reference)
    # A ratio far above 1 is used only if it is many deviations above 0.
    trust = ops.maximum(
        1 / (1 + 25 * ops.square(ratio_noise)),
        1 / (1 + ops.power(8 * ratio_noise / ops.maximum(ratio, 1.0), 4)),
    )
    in_log = ops.log(ops.clip(ratio, SMALLEST_RATIO, LARGEST_RATIO))
    seen = trust * in_log + (1 - trust) * ops.clip(ratio - 1, -3.0, 3.0)
    return seen, ratio_noise / (trust * ops.clip(ratio, 0.3, LARGEST_RATIO) + 1 - trust)

"""Rows of noise, and small models of every family for them."""

import keras
import numpy as np

from ariel_tf.challenge import N_STEPS, STAR_NAMES
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.data.statistics import Statistics
from ariel_tf.models.builder import build

ROWS, INSTANCES = 6, 3


def statistics_of(values):
    return Statistics(len(values), values.mean(0), values.std(0), values.min(0), values.max(0))


class Sample:
    """A few rows of noise in the shape that a configuration's model takes."""

    def __init__(self, config):
        rng = np.random.default_rng(0)
        channels = len(config.signature.channels)
        several = [INSTANCES] if config.signature.row != "observation" else []
        flux = (1 + 0.01 * rng.standard_normal([ROWS, *several, N_STEPS, channels])).astype(np.float32)
        star = rng.uniform(0.5, 9, (ROWS, len(STAR_NAMES))).astype(np.float32)
        self.inputs = {"flux": flux, "star": star} if config.star_names else {"flux": flux}
        self.radii = rng.uniform(0.02, 0.15, (ROWS, len(config.signature.targets))).astype(np.float32)
        arrays = {"flux": flux, "star": star, "radius": self.radii, "depth": self.radii**2}
        self.statistics = {name: statistics_of(values.astype(np.float64)) for name, values in arrays.items()}


# Recurrent networks are slow, and so are large pictures.
SMALLER = {"image": {"size": 32}, "lstm": {"units": 8}, "lstm_cnn": {"units": 8}}
STEPS = {"lstm": "40:290:25", "lstm_cnn": "40:290:25"}


def small(name, **settings):
    """Options of a smaller model where it allows them."""
    steps = {} if name in ("transit", "spectrum") else {"steps": STEPS.get(name, "40:290:4")}
    return {**steps, "settings": SMALLER.get(name, {}) | settings}


def configured(name, wavelength=12, **options):
    return TrainConfig(model=name, wavelength=wavelength, **options).resolve()


def built(name, wavelength=12, **options):
    config = configured(name, wavelength, **options)
    return build(config, Sample(config).statistics)


def small_backbone(input_shape, weights=None, include_top=False, pooling=None, name="backbone", alpha=1.0):
    """Takes the place of `keras.applications.MobileNet`, which `make test-slow` tries; this one is faster."""
    inputs = keras.Input(input_shape)
    x = keras.layers.Conv2D(8, 3, strides=4, use_bias=False, name="conv")(inputs)
    x = keras.layers.ReLU(name="relu")(keras.layers.BatchNormalization(name="norm")(x))
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x) if pooling else x, name=name)

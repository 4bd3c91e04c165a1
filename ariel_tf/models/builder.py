"""Build a model from a configuration: inputs, transforms, the registered function, head, loss, metric.

    raw flux [batch, 300, channels] --steps--> --transform--> \\
                                                               function(hp, inputs) --> head --> radius
    raw star [batch, 6] ----------select, standardise-------> /

Two models share these layers. `training` is compiled; its output is the quantity in the loss (with head "depth" the
transit depth). `inference` returns radii from raw input and is saved; it consists of Keras's own layers and operations,
so `keras.models.load_model` needs none of our code.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras
import numpy as np

from ariel_tf.challenge import N_STEPS, STAR_NAMES
from ariel_tf.config import model_registry
from ariel_tf.config.hyperparameters import Settings
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.models import outside, transforms
from ariel_tf.models.fine_tuning import FineTuning, continued, trunk_of
from ariel_tf.models.losses import ArielScore, RadiusLoss, predicted_radius
from ariel_tf.models.yeo_johnson import Power


class Inputs(NamedTuple):
    """Inputs of a model function.

    Attributes:
        flux: [batch, steps, channels].
        star: [batch, k] or None.
        raw_star: [batch, 6] as recorded, or None unless `star` contains all six parameters.
        targets: number of radii to predict.
        raw: whether the flux is untransformed.
        weights: path of a file of pretrained weights, or None.
    """

    flux: Any
    star: Any
    raw_star: Any
    targets: int
    raw: bool
    weights: str | None = None


class Depth(NamedTuple):
    """Result of a model function that predicts without our head: depths [batch, targets], positive."""

    depth: Any


class Pretrained(NamedTuple):
    """Result of a model function whose backbone is frozen at first.

    Attributes:
        features: [batch, f].
        backbone: the layers with pretrained weights.
        frozen_epochs: number of epochs before the backbone is trained too.
        fine_rate: factor of the learning rate from then on.
    """

    features: Any
    backbone: keras.Model
    frozen_epochs: int
    fine_rate: float


@dataclass(frozen=True)
class Built:
    """A model to train, a model to save that shares its layers, and the settings with their ranges."""

    training: keras.Model
    inference: keras.Model
    settings: dict[str, Any]
    fine_tuning: FineTuning | None = None
    ranges: Mapping[str, str] = field(default_factory=dict)


def build(
    config: TrainConfig,
    statistics: Mapping,
    steps: int = 1,
    hp: Settings | None = None,
    start: keras.Model | None = None,
) -> Built:
    """Build and compile the model that a configuration describes.

    Args:
        config: resolved configuration.
        statistics: `Statistics` over the training folds: "flux" in the layout of a row, [300, channels] or
            [instances, 300, channels], after `config.ramp` and `config.function`; "star" [6]; "radius" and
            "depth" [targets]; with the Yeo-Johnson transform "power", a `yeo_johnson.Power` in the layout of flux.
        steps: steps of the whole training, for learning-rate schedules.
        hp: object that returns the model's settings; None for those of the configuration.
        start: trained model of this configuration to be trained further, with its own standardisation; None for a new
            model.

    Raises:
        UsageError: an unknown setting, a value out of its range, or a `start` of another shape.
    """
    function = model_registry.load(config.model)
    hp = hp or Settings(config.settings)
    keras.utils.set_random_seed(config.seed)  # the same for every wavelength
    raw = {"flux": keras.Input(statistics["flux"].mean.shape, name="flux")}
    if config.star_names:
        raw["star"] = keras.Input((len(STAR_NAMES),), name="star")
    with precision(config.precision):
        features = function(hp, _seen(raw, config, statistics))
        if config.model_source:
            outside.refuse_features(features, config.model, (Depth, Pretrained))
        if not isinstance(features, Pretrained):
            features = Pretrained(features, backbone=None, frozen_epochs=0, fine_rate=1.0)
        _, backbone, frozen_epochs, fine_rate = features
        output = _answer(hp, features.features, config.head, statistics)
        training = keras.Model(raw, output, name=config.model_name)
        inference = keras.Model(raw, predicted_radius(output, config.head), name=config.model_name)
        if config.init_from:
            frozen_epochs = hp.Int("frozen_epochs", 0, 1000, default=0)
            fine_rate = hp.Float("fine_rate", 1e-4, 1.0, sampling="log", default=0.1)
            if start is not None:
                training, inference = continued(start, inference, config.head), start
            backbone = trunk_of(training) if frozen_epochs else None
        compile = functools.partial(_compile, training, config, statistics, steps, hp)
        fine_tuning = None
        if backbone is not None:
            fine_tuning = FineTuning(frozen_epochs, fine_rate, backbone, compile)
            backbone.trainable = False
        compile()
    if config.model_source:
        outside.refuse_layers(inference, config.model)
    hp.refuse_unknown()
    return Built(training, inference, hp.values, fine_tuning, hp.ranges)


def _compile(
    training: keras.Model, config: TrainConfig, statistics: Mapping, steps: int, hp: Settings, rate: float = 1.0
) -> None:
    """Compile a model with the loss, the metric and the optimiser of its configuration.

    Args:
        training: model whose output is the quantity in the loss.
        config, statistics, steps, hp: as for `build`.
        rate: factor of the learning rate.
    """
    spread = statistics["radius" if config.head == "radius" and config.loss != "ariel" else "depth"]
    training.compile(
        optimizer=_optimizer(hp, config.optimizer, steps, rate),
        # One scale for all targets: the score weighs a ppm equally at every wavelength.
        loss=RadiusLoss(config.loss, config.head, float(_or_one(spread.std).mean())),
        metrics=[ArielScore(config.head)],
        jit_compile=config.jit == "yes",
    )


def copy_of(model: keras.Model) -> keras.Model:
    """Return a copy of a model with the same layers and new weights, in the same order."""
    return type(model).from_config(model.get_config())


def build_dry(config: TrainConfig, hp: Settings | None = None) -> Built:
    """Build with placeholder statistics, to find mistakes in `--set` before any data are read.

    Raises:
        UsageError: as for `build`.
    """
    signature = config.signature
    several = () if signature.row == "observation" else (1,)
    shapes = {"flux": (*several, N_STEPS, len(signature.channels)), "star": (len(STAR_NAMES),)}
    shapes |= {name: (len(signature.targets),) for name in ("radius", "depth")}
    made = {name: _Placeholder(np.zeros(shape), *(np.ones(shape) for _ in range(3))) for name, shape in shapes.items()}
    flux = made["flux"]
    return build(config, made | {"power": Power(flux.std, flux.mean, flux.std)}, hp=hp)


class _Placeholder(NamedTuple):
    """Return placeholder statistics in the form that `build` takes."""

    mean: np.ndarray
    std: np.ndarray
    min: np.ndarray
    max: np.ndarray

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> "_Placeholder":
        return _Placeholder(*(function(values) for values in self))


@contextmanager
def precision(policy: str) -> Iterator[None]:
    """Use this precision for layers created in this block."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _optimizer(hp: Any, name: str, steps: int, fraction: float = 1.0) -> keras.Optimizer:
    """Return an optimiser by its Keras name, with its settings; `plateau` is left to a callback of the trainer.

    `cosine` is one cycle: up from 1/25 of the learning rate in the first tenth of all steps, down to
    1/1000 of it along half a cosine (after Smith & Topin 2017, arXiv:1708.07120).

    Args:
        steps: steps of the whole training.
        fraction: factor of the learning rate.
    """
    learning_rate = fraction * hp.Float("learning_rate", 1e-6, 1.0, sampling="log", default=1e-3)
    schedule = hp.Choice("schedule", ["constant", "cosine", "plateau"], default="constant")
    clip_norm = hp.Float("clip_norm", 0.0, 1000.0, default=0.0)
    weight_decay = hp.Float("weight_decay", 0.0, 1.0, default=0.004 if name == "adamw" else 0.0)
    rate: Any = learning_rate
    if schedule == "cosine":
        warmup = max(1, steps // 10)
        rate = keras.optimizers.schedules.CosineDecay(
            learning_rate / 25, max(1, steps - warmup), alpha=1e-3, warmup_target=learning_rate, warmup_steps=warmup
        )
    config: dict[str, Any] = {"learning_rate": rate, "global_clipnorm": clip_norm or None}
    if weight_decay or name == "adamw":  # AdamW accepts 0, but requires the argument
        config["weight_decay"] = weight_decay
    return keras.optimizers.get({"class_name": name, "config": config})


def _seen(raw: Mapping, config: TrainConfig, statistics: Mapping) -> Inputs:
    steps = config.time_steps
    flux, spread, power = raw["flux"], statistics["flux"], statistics.get("power")
    if len(steps) < N_STEPS:
        chosen = slice(steps.start, steps.stop, steps.step) if isinstance(steps, range) else None
        flux = flux[..., chosen, :] if chosen else keras.ops.take(flux, list(steps), axis=-2)
        spread, power = (part and part.map(lambda values: values[..., list(steps), :]) for part in (spread, power))
    flux = transforms.shape_flux(flux, steps, config.ramp, config.function)
    flux = transforms.transform_flux(flux, config.transform, spread, power)
    targets = len(statistics["radius"].mean)
    untouched = (config.ramp, config.function, config.transform) == ("keep", "none", "none")
    star = transforms.transform_star(raw["star"], config, statistics["star"]) if config.star_names else None
    raw_star = raw["star"] if config.star_names == STAR_NAMES else None
    return Inputs(flux, star, raw_star, targets, untouched, None if config.weights == "none" else config.weights)


def _or_one(spread: np.ndarray) -> np.ndarray:
    """Return a standard deviation to divide by: 1 if all training planets are equal."""
    return np.where(spread > 0, spread, 1.0)


def _answer(hp: Any, features: Any, head: str, statistics: Mapping) -> Any:
    """Convert radii to the training output [batch, targets]: a radius or a depth, by `head`."""
    if isinstance(features, Depth):
        return features.depth if head == "depth" else keras.ops.sqrt(features.depth)
    return _head(hp, features, statistics[head])


def _head(hp: Any, features: Any, spread: Any) -> Any:
    """Return the output [batch, targets] from features [batch, f], float32 whatever the policy.

    Linear by default, in units of the training planets' standard deviation about their mean, so that the initial
    weights already predict plausible radii. `head_activation=sigmoid` is the squid's historical head, which predicts
    in (0, 1).

    Args:
        spread: `Statistics` of the head's quantity at the targets.
    """
    activation = hp.Choice("head_activation", ["linear", "sigmoid"], default="linear")
    n = len(spread.mean)
    output = keras.layers.Dense(n, activation=activation, dtype="float32", name="head")(features)
    if activation != "linear":
        return output
    scale, offset = _or_one(spread.std).tolist(), spread.mean.tolist()
    return keras.layers.Rescaling(scale, offset, dtype="float32", name="answer")(output)

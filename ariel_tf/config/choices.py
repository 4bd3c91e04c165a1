"""Allowed values of training options: names, defaults, and parsers of their texts; no TensorFlow."""

from collections.abc import Iterable
from typing import Any

from ariel_tf.challenge import N_STEPS, STAR_NAMES
from ariel_tf.core.errors import UsageError
from ariel_tf.core.fields import parse_names

OPTIMIZERS = ("adam", "adamw", "nadam", "rmsprop", "sgd")
LOSSES = ("mse", "mae", "huber", "ariel")
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
HEADS = ("radius", "depth")
CHANNELS = ("own", "own+white", "all")
AUGMENTATIONS = ("mirror", "noise", "mix")
TRANSFORMS = ("none", "baseline", "standardize", "max-abs", "min-max", "yeo-johnson")
RAMPS = ("keep", "one", "divide")
FUNCTIONS = ("none", "log", "sqrt", "square", "exp")
YES_NO = ("no", "yes")
AUTO_NO_YES = ("auto", "no", "yes")
# Resolved value of --jit auto: with the update in one pass XLA is not faster for any model (docs/speed.md, "XLA").
XLA = "no"

# Defaults of options that neither the user nor the model's recipe sets.
FALLBACK: dict[str, Any] = {
    "channels": "own",
    "every": 1,
    "planets": 0,
    "bootstrap": "no",
    "steps": f"0:{N_STEPS}",
    "ramp": "keep",
    "function": "none",
    "transform": "standardize",
    "star": "none",
    "clip_star": "no",
    "logg": "number",
    "augment": "none",
    "head": "radius",
    "loss": "mse",
    "optimizer": "adam",
    "epochs": 20,
    "patience": 10,
    "batch_size": 50,
    "precision": "float32",
    "jit": "no",
}


def parse_settings(pairs: Iterable[str]) -> dict[str, str]:
    """Parse `["first=10"]` to {"first": "10"}; the model that uses a setting checks its value."""
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise UsageError(f"--set: expected NAME=VALUE, like --set first=10. Received: {pair}")
        settings[name] = value
    return settings


def parse_star(text: str) -> tuple[str, ...]:
    """Parse `none`, `all` or `star_temp,star_rad` to names in the order of the file's header."""
    return parse_names("--star", text, STAR_NAMES)


def parse_augment(text: str) -> tuple[str, ...]:
    """Parse `none` or `mix,mirror` to names in the order of `AUGMENTATIONS`."""
    return parse_names("--augment", text, AUGMENTATIONS, ("none",))


def format_star(names: tuple[str, ...]) -> str:
    """Return names as the shortest text that `parse_star` reads back."""
    return {(): "none", STAR_NAMES: "all"}.get(names, ",".join(names))

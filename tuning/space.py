"""The options and settings that a user selects for a search; no TensorFlow.

Without `--search` a search covers the model function's own settings and the learning rate. The ranges are keras-tuner's
(`tuning/hyperparameters.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ariel_tf.config.choices import CHANNELS, FUNCTIONS, HEADS, LOSSES, OPTIMIZERS, RAMPS, TRANSFORMS
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.atomic_files import read_json
from ariel_tf.core.errors import UsageError

# Values of an option when --search names it without any; its value in the configuration is added.
OPTIONS: dict[str, tuple[Any, ...]] = {
    "batch_size": (16, 32, 64, 128, 256),
    "optimizer": OPTIMIZERS,
    "loss": LOSSES,
    "head": HEADS,
    "transform": TRANSFORMS,
    "channels": CHANNELS,
    "steps": ("0:300", "50:300", "69:227", "99:200", "0:300:3"),
    "ramp": RAMPS,
    "function": FUNCTIONS,
    "star": ("none", "all"),
    "clip_star": ("no", "yes"),
    "logg": ("number", "one-hot"),
    "augment": ("none", "mirror", "noise", "mirror,noise"),
    "every": (1, 2, 4),  # size of the training set: all rows, half of them, a quarter
    "planets": (),  # depends on the data
}
# Settings that the builder requests for every model: only the first is searched unless --search names others.
LEARNING_RATE = "learning_rate"
BUILDER = (LEARNING_RATE, "schedule", "clip_norm", "weight_decay", "head_activation")
# The part of a setting's range that is searched unless --search or --space gives another; the rest performs badly.
SENSIBLE: dict[str, Mapping[str, Any]] = {
    LEARNING_RATE: {"low": 1e-4, "high": 3e-2},
    "clip_norm": {"low": 0.0, "high": 10.0},
    "weight_decay": {"low": 0.0, "high": 0.1},
    "dropout": {"low": 0.0, "high": 0.5},
}

# Digits of a chosen number: readable, and unchanged by the single precision of keras-tuner's messages.
DIGITS = 4


@dataclass(frozen=True)
class Space:
    """The values that a search chooses, over a configuration with the others.

    Attributes:
        base: resolved configuration; its settings are those that the user gave.
        given: name to the range that the user gave, or None for the default one; empty for the default search.
        fixed: names that keep the base's value.
    """

    base: TrainConfig
    given: Mapping[str, Any] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()

    def searches(self, name: str) -> bool:
        """Whether a setting of the model is searched."""
        if self.given:
            return name in self.given
        return name not in self.fixed and (name == LEARNING_RATE or name not in BUILDER)

    def configuration(self, values: Mapping[str, Any], seed: int | None = None) -> TrainConfig:
        """Return the base with the options among these values; `SearchSettings` handles the settings."""
        options = {name: rounded(value) for name, value in values.items() if name in TrainConfig.model_fields}
        if seed is not None:
            options["seed"] = seed
        return self.base.replace(**options).resolve()


def rounded(value: Any) -> Any:
    """Return a chosen value in the form that trainings accept: floats rounded to `DIGITS` digits."""
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def parse_search(text: str) -> dict[str, str | None]:
    """Parse `learning_rate=1e-4:1e-2,depth,batch_size=16|32` to names and ranges, None for the default one."""
    given: dict[str, str | None] = {}
    for part in text.split(","):
        name, equals, values = part.strip().partition("=")
        if not name or (equals and not values):
            raise UsageError(
                f"--search: expected NAME, NAME=LOW:HIGH or NAME=A|B|C, with commas between. Received: {text}"
            )
        given[name.replace("-", "_")] = values or None
    return given


def read_space(path: Path) -> dict[str, Any]:
    """Return the names and ranges of a `--space` file, in JSON: null, "LOW:HIGH", a list, or low, high and sampling.

    Raises:
        DataError: not a JSON object.
        UsageError: a range of another form.
    """
    given = read_json(path, dict)
    for name, value in given.items():
        if value is not None and not isinstance(value, str | list | dict):
            raise UsageError(
                f'--space {path}: {name}: expected null, "LOW:HIGH", a list, or an object with low, high and sampling. '
                f"Received: {value!r}"
            )
    return given

"""What a search may choose: options of the configuration, and the settings that the model function asks for.

The model function states its ranges where it uses them (`hp.Int("units", 4, 2048)`), so one pass over it
reveals them; settings that appear only once another has some value join the search when they do. Without
`--search` a search takes the model function's own settings and the learning rate.

No TensorFlow but inside `reveal`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ariel_tf.config.hyperparameters import Settings
from ariel_tf.config.train_config import (
    CHANNELS,
    FUNCTIONS,
    HEADS,
    LOSSES,
    OPTIMIZERS,
    RAMPS,
    TRANSFORMS,
    Configuration,
)
from ariel_tf.core.atomic_files import read_json
from ariel_tf.core.errors import UsageError, nearest
from tuning.dimensions import Dimension, rounded

# What is tried of an option when --search names it without values; its value outside the search joins.
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
    "every": (1, 2, 4),  # the train size: all rows, half of them, a quarter
    "planets": (),  # what there is depends on the data
}
# Settings that the builder asks for, whatever the model: only the first is searched unless --search names others.
LEARNING_RATE = "learning_rate"
BUILDER = (LEARNING_RATE, "schedule", "clip_norm", "weight_decay", "head_activation")
# The part of a setting's range that is searched unless --search or --space gives another; the rest is hopeless.
SENSIBLE: dict[str, Mapping[str, Any]] = {
    LEARNING_RATE: {"low": 1e-4, "high": 3e-2},
    "clip_norm": {"low": 0.0, "high": 10.0},
    "weight_decay": {"low": 0.0, "high": 0.1},
    "dropout": {"low": 0.0, "high": 0.5},
}


@dataclass(frozen=True)
class Space:
    """Which values a search chooses, over a configuration that holds the others.

    Attributes:
        base: resolved; its settings are those that the user gave.
        given: name to the range that the user gave, or None for the default one; empty for the default search.
        fixed: names that keep the base's value.
    """

    base: Configuration
    given: Mapping[str, Any] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()

    def wants(self, name: str) -> bool:
        """Whether a setting of the model is searched."""
        if self.given:
            return name in self.given
        return name not in self.fixed and (name == LEARNING_RATE or name not in BUILDER)

    def options(self) -> list[Dimension]:
        """Options of the configuration that are searched, in its order."""
        known = [item for item in fields(Configuration) if item.name in self.given]
        return [self._option(item) for item in known]

    def _option(self, item: dataclasses.Field) -> Dimension:
        name, given, value = item.name, self.given[item.name], getattr(self.base, item.name)
        if name not in OPTIONS:
            raise UsageError(
                f"--search: {flag(name)} is not searched; expected {', '.join(OPTIONS)}, or settings of the model."
            )
        if "low" in item.metadata and given is not None:
            whole = Dimension(name, "int", value, low=item.metadata["low"], high=1 << 20, sampling="log")
            return whole.narrowed(given)
        if given is None and not OPTIONS[name]:
            raise UsageError(f"--search {name}: expected values with it, like {name}=100|200|400.")
        if given is None:
            values = OPTIONS[name] if value in OPTIONS[name] else (value, *OPTIONS[name])
            return self._sound(Dimension.of_choices(name, values, value))
        return self._sound(Dimension(name, "choice", value).narrowed(given))

    def _sound(self, dimension: Dimension) -> Dimension:
        for value in dimension.choices:
            self.configuration({dimension.name: value})  # a value that no training takes is told now
        return dimension

    def setting(self, whole: Dimension) -> Dimension:
        """The part of a setting's range that is searched."""
        given = self.given.get(whole.name)
        if given is not None:
            return whole.narrowed(given)
        part = SENSIBLE.get(whole.name)
        if part is None or whole.kind != "float":
            return whole
        low, high = (min(part["low"], whole.default), max(part["high"], whole.default))
        return whole.narrowed({"low": low, "high": high})

    def configuration(self, values: Mapping[str, Any], seed: int | None = None) -> Configuration:
        """The base with the options among these values; the settings among them are `Chosen`'s affair."""
        names = {item.name for item in fields(Configuration)}
        options = {name: rounded(value) for name, value in values.items() if name in names}
        if seed is not None:
            options["seed"] = seed
        return dataclasses.replace(self.base, **options).resolved()


class Chosen(Settings):
    """Answers a model's questions with what the search chose, and tells the search of each that it may choose.

    Args:
        space: which settings are searched.
        hp: keras-tuner's `HyperParameters` of a trial; settings it does not know yet join it.
        overrides: of the configuration.
    """

    def __init__(self, space: Space, hp, overrides: Mapping[str, Any]):
        super().__init__(overrides)
        self.space, self.hp = space, hp
        self.seen: dict[str, Dimension] = {}

    def Int(self, name, min_value, max_value, step=None, sampling=None, default=None):
        self._choose(name, "int", default, low=min_value, high=max_value, sampling=sampling or "linear")
        return super().Int(name, min_value, max_value, default=default)

    def Float(self, name, min_value, max_value, step=None, sampling=None, default=None):
        self._choose(name, "float", default, low=min_value, high=max_value, sampling=sampling or "linear")
        return super().Float(name, min_value, max_value, default=default)

    def Choice(self, name, values, ordered=None, default=None):
        self._choose(name, "choice", default, choices=tuple(values))
        return super().Choice(name, values, default=default)

    def Boolean(self, name, default=False):
        self._choose(name, "boolean", default)
        return super().Boolean(name, default=default)

    def _choose(self, name: str, kind: str, default: Any, **known: Any) -> None:
        value = Settings(self.overrides)  # the value without a search: checked, and of the right type
        methods: dict[str, Callable[..., Any]] = {
            "int": value.Int,
            "float": value.Float,
            "choice": value.Choice,
            "boolean": value.Boolean,
        }
        rest = {"min_value": known.get("low"), "max_value": known.get("high"), "values": known.get("choices")}
        rest = {key: value for key, value in rest.items() if value is not None}
        now = methods[kind](name, **rest, default=default)
        whole = Dimension(name, kind, now, **known)
        self.seen[name] = whole
        if self.space.wants(name):
            self.overrides[name] = rounded(self.space.setting(whole).declare(self.hp))


def reveal(space: Space):
    """keras-tuner's `HyperParameters` with all that the first pass over the model function reveals.

    Raises:
        UsageError: a name to search that is neither an option nor a setting of the model; nothing to search.
    """
    import keras_tuner

    from ariel_tf.models.builder import rehearse

    hp = keras_tuner.HyperParameters()
    options = space.options()
    for dimension in options:
        dimension.declare(hp)
    asked = Chosen(space, hp, space.base.settings)
    rehearse(space.base, asked)
    known = {*asked.seen, *OPTIONS}
    for name in space.given:
        if name not in known:
            hint = nearest(name, known)
            raise UsageError(f"--search: expected names among {', '.join(sorted(known))}. Received: {name}{hint}")
    for name in space.fixed:
        if name not in asked.seen:
            raise UsageError(f"--fix: expected settings among {', '.join(sorted(asked.seen))}. Received: {name}")
    if not hp.space:
        raise UsageError(
            f"--search: the model {space.base.model} leaves nothing to search; name options, as --search "
            "batch_size,learning_rate."
        )
    return hp


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def parse_search(text: str) -> dict[str, str | None]:
    """`learning_rate=1e-4:1e-2,depth,batch_size=16|32` to names and ranges, None for the default one."""
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
    """The names and ranges of a `--space` file, in JSON: null, "LOW:HIGH", a list, or low, high and sampling.

    Raises:
        DataError: no JSON object.
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

"""What a training is: its options, their defaults and bounds, completed by the model's recipe; no TensorFlow."""

import dataclasses
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self, cast

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, STAR_NAMES
from ariel_tf.config import model_registry
from ariel_tf.config.targets import HELP, JOINT, Targets
from ariel_tf.core.errors import UsageError, nearest
from ariel_tf.core.schema import parse_names
from ariel_tf.data.folds import N_FOLDS, Folds
from ariel_tf.data.selection import Row, Selection, Signature

OPTIMIZERS = ("adam", "adamw", "nadam", "rmsprop", "sgd")
LOSSES = ("mse", "mae", "huber", "ariel")
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
HEADS = ("radius", "depth")
CHANNELS = ("own", "own+white", "all")
AUGMENTATIONS = ("mirror", "noise", "mix")
TRANSFORMS = ("none", "baseline", "standardize", "max-abs", "min-max", "yeo-johnson")
RAMPS = ("keep", "one", "divide")
Role = Literal["train", "validation", "test"]
FUNCTIONS = ("none", "log", "sqrt", "square", "exp")


def option(default: Any, group: str, help: str, **extra: Any) -> Any:
    return field(default=default, metadata={"group": group, "help": help, **extra})


@dataclass(frozen=True)
class Configuration:
    """Everything that decides what a training does; equal configurations give equal models.

    Fields of default None are filled by `resolved` from the model's recipe, then from `FALLBACK`; until then
    they may hold None.
    """

    model: str = option("baseline", "what to train", "which model; --list-models describes them")
    wavelength: Targets = option("12", "what to train", HELP)  # noqa: RUF009  (parsed in __post_init__)
    settings: Mapping[str, Any] = field(default_factory=dict)

    data: str = option("", "data", "folder of shards and manifest, or simulated[:planets=1000,spots=4,...]")
    validation_folds: tuple[int, ...] = option((8,), "data", "folds that choose the best epoch", list=True)
    every: int = option(None, "data", "train on every n-th observation only", low=1)
    planets: int = option(None, "data", "train on so many of the training planets; 0: all", low=0)
    bootstrap: str = option(None, "data", "draw training planets with replacement, by the seed", choices=("no", "yes"))
    test_folds: tuple[int, ...] = option((9,), "data", "folds that are scored once, at the end", list=True)

    channels: str = option(None, "what the model sees", "light curves beside the wavelength's own", choices=CHANNELS)
    steps: str = option(
        None, "what the model sees", "time steps: START:STOP[:EVERY] within 0:300, a list like 5,9,12, or random:N"
    )
    ramp: str = option(
        None, "what the model sees", "the ramp at the start: as it is, set to 1, or divided out", choices=RAMPS
    )
    function: str = option(None, "what the model sees", "of the flux, before it is scaled", choices=FUNCTIONS)
    transform: str = option(None, "what the model sees", "scaling of the light curves", choices=TRANSFORMS)
    star: str = option(None, "what the model sees", "stellar parameters: none, all, or names with commas")

    clip_star: str = option(None, "what the model sees", "cut the stellar parameters' far tails", choices=("no", "yes"))
    logg: str = option(None, "what the model sees", "surface gravity as", choices=("number", "one-hot"))

    weights: str = option("none", "how it learns", "file of pretrained weights, for a model that takes some")
    augment: str = option(None, "how it learns", f"none, or names among {', '.join(AUGMENTATIONS)} with commas")
    head: str = option(None, "how it learns", "what the last layer answers", choices=HEADS)
    loss: str = option(None, "how it learns", "what training minimises", choices=LOSSES)
    optimizer: str = option(None, "how it learns", "how", choices=OPTIMIZERS)
    epochs: int = option(None, "how it learns", "passes over the training planets, at most", low=1)
    patience: int = option(None, "how it learns", "epochs without a better score before stopping; 0: never", low=0)
    batch_size: int = option(None, "how it learns", "observations a step", low=1)
    precision: str = option(None, "how it learns", "of layers; weights stay float32", choices=PRECISIONS)
    jit: str = option(None, "how it learns", "compile the training step with XLA", choices=("no", "yes"))
    seed: int = option(0, "how it learns", "of initial weights, order and dropout", low=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "wavelength", Targets.parse(self.wavelength))

    @property
    def signature(self) -> Signature:
        """What the model, or the models of a list of wavelengths together, read and predict."""
        targets = self.wavelength.chosen
        inputs = tuple(range(N_WAVELENGTHS)) if self.channels == "all" else targets
        row = cast(Row, model_registry.entry(self.model).unit)
        return Signature(targets, inputs, self.channels == "own+white", row)

    def selection(self, role: Role) -> Selection:
        """The rows that a training reads: the only place that makes one.

        Args:
            role: what the rows are for; only those for training are thinned (`every`) and drawn (`bootstrap`).
        """
        folds = getattr(self.folds, role)
        if role != "train":
            return Selection(folds, self.signature)
        return Selection(folds, self.signature, self.every, self.seed if self.bootstrap == "yes" else None)

    @property
    def first(self) -> Self:
        """The configuration of one model: of the first wavelength of a list, else this one."""
        return next(iter(self.for_each_wavelength().values())) if self.wavelength.is_list else self

    def for_each_wavelength(self) -> dict[int, Self]:
        """The configuration of one model of each wavelength to train here."""
        return {one.chosen[0]: dataclasses.replace(self, wavelength=one) for one in self.wavelength.for_each()}

    @property
    def what(self) -> str:
        """What it predicts, in words."""
        return self.wavelength.describe()

    @property
    def time_steps(self) -> Sequence[int]:
        """Which of the 300, ascending."""
        return parse_steps(self.steps, self.seed)

    @property
    def needs_pass(self) -> bool:
        """Whether a data set's sums don't tell what its flux must be scaled by."""
        return self.ramp != "keep" or self.function != "none" or self.transform == "yeo-johnson"

    @property
    def star_names(self) -> tuple[str, ...]:
        return parse_star(self.star)

    @property
    def augmentations(self) -> tuple[str, ...]:
        return parse_augment(self.augment)

    @property
    def train_folds(self) -> tuple[int, ...]:
        held_out = {*self.validation_folds, *self.test_folds}
        return tuple(fold for fold in range(N_FOLDS) if fold not in held_out)

    @property
    def folds(self) -> Folds:
        """The folds by what the training uses them for."""
        return Folds(self.train_folds, self.validation_folds, self.test_folds)

    def resolved(self) -> Self:
        """With the model's recipe filled in and every value checked."""
        entry = model_registry.entry(str(self.model))
        if entry.scope == ("one" if self.wavelength.is_joint else "joint"):
            raise UsageError(
                f"--model {entry.name}: predicts {SCOPES[entry.scope]}. Received: --wavelength {self.wavelength}"
            )
        recipe = FALLBACK | entry.recipe | (entry.joint if self.wavelength.is_joint else {})
        filled = {name: recipe[name] for name in FALLBACK if getattr(self, name) is None}
        settings = {**recipe.get("settings", {}), **self.settings}
        complete = dataclasses.replace(self, **filled, settings=settings)
        complete.check()
        if entry.unit != "observation" and complete.every > 1:
            raise UsageError(f"--every: a row of the model {entry.name} is a whole {entry.unit}, none can be left out.")
        if entry.unit != "observation" and complete.augmentations:
            raise UsageError(f"--augment: a row of the model {entry.name} is a whole {entry.unit}, expected none.")
        if complete.weights != "none" and not entry.pretrained:
            raise UsageError(f"--weights: the model {entry.name} takes none; it starts from its seed.")
        steps, star = steps_text(complete.time_steps), star_text(complete.star_names)
        return dataclasses.replace(complete, steps=steps, star=star, augment=",".join(complete.augmentations) or "none")

    def check(self) -> None:
        """Raise a `UsageError` for the first value out of its bounds."""
        for item in fields(self):
            if item.type in ("str", str) and not isinstance(getattr(self, item.name), str):
                raise UsageError(f"{flag_of(item.name)}: expected text. Received: {getattr(self, item.name)!r}")
        parse_steps(str(self.steps), 0)
        parse_star(str(self.star))
        parse_augment(str(self.augment))
        for item in fields(self):
            value = getattr(self, item.name)
            flag = flag_of(item.name)
            choices = item.metadata.get("choices")
            if choices and value not in choices:
                hint = nearest(value, choices)
                raise UsageError(f"{flag}: expected one of {', '.join(choices)}. Received: {value}{hint}")
            low = item.metadata.get("low")
            if low is not None and not (type(value) is int and low <= value < 2**31):
                raise UsageError(f"{flag}: expected a whole number, {low} or more. Received: {value}")
        for name in ("validation_folds", "test_folds"):
            folds = getattr(self, name)
            if (
                not isinstance(folds, tuple)
                or not folds
                or any(type(fold) is not int or not 0 <= fold < N_FOLDS for fold in folds)
            ):
                raise UsageError(f"{flag_of(name)}: expected folds among 0-{N_FOLDS - 1}. Received: {folds}")
        if shared := set(self.validation_folds) & set(self.test_folds):
            raise UsageError(f"folds {sorted(shared)} are in both --validation-folds and --test-folds.")
        if not self.train_folds:
            raise UsageError("no fold is left to train on; give fewer --validation-folds and --test-folds.")

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Back from `as_json`."""
        fitting: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**fitting)

    def as_json(self) -> dict[str, Any]:
        """Plain values, as `config.json` holds them and `--config` takes them."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        values |= {"settings": dict(self.settings), "wavelength": self.wavelength.as_json()}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


SCOPES = {"one": "one wavelength at a time", "joint": f"all wavelengths together, --wavelength {JOINT}"}

# What a recipe need not say.
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


def flag_of(name: str) -> str:
    return "--set" if name == "settings" else "--" + name.replace("_", "-")


def parse_steps(text: str, seed: int = 0) -> Sequence[int]:
    """Time steps in any of their spellings, ascending.

    `99:200` gives range(99, 200), `::3` every third step, `9,5` (5, 9), and `random:100` a hundred drawn from the seed.

    Raises:
        UsageError: no such form, outside 0-300, or empty.
    """
    word, _, count = text.partition(":")
    if word == "random" and count.isdecimal() and 1 <= int(count) <= N_STEPS:
        return tuple(sorted(random.Random(seed).sample(range(N_STEPS), int(count))))
    listed = text.split(",")
    if len(listed) > 1 and all(part.isdecimal() for part in listed):
        steps = tuple(sorted(map(int, listed)))
        if len(set(steps)) == len(steps) and steps[-1] < N_STEPS:
            return steps
    parts = text.split(":")
    try:
        numbers = [int(part) if part else None for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) in (2, 3):
        start, stop, every = [*numbers, None][:3]
        start = 0 if start is None else start
        stop = N_STEPS if stop is None else stop
        every = 1 if every is None else every
        if 0 <= start < stop <= N_STEPS and every >= 1:
            return range(start, stop, every)
    raise UsageError(
        f"--steps: expected START:STOP[:EVERY] with 0 <= START < STOP <= {N_STEPS}, different steps like 5,9,12, or "
        f"random:N. Received: {text}"
    )


def parse_star(text: str) -> tuple[str, ...]:
    """`none`, `all` or `star_temp,star_rad` to names in the file header's order."""
    return parse_names("--star", text, STAR_NAMES)


def parse_augment(text: str) -> tuple[str, ...]:
    """`none` or `mix,mirror` to names in the order of `AUGMENTATIONS`."""
    return parse_names("--augment", text, AUGMENTATIONS, ("none",))


def steps_text(steps: Sequence[int]) -> str:
    """The one way to write a choice of steps: `99:200`, `0:300:3`, `5,9,12`."""
    if isinstance(steps, range):
        return f"{steps.start}:{steps.stop}" + (f":{steps.step}" if steps.step > 1 else "")
    return ",".join(map(str, steps))


def star_text(names: tuple[str, ...]) -> str:
    """The one way to write a choice of stellar parameters."""
    return {(): "none", STAR_NAMES: "all"}.get(names, ",".join(names))

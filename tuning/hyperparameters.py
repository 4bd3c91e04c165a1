"""A search space as keras-tuner's `HyperParameters`: ranges that a user narrows, settings that a model requests.

The model function states its ranges where it uses them (`hp.Int("units", 4, 2048)`), so building the model once reveals
them. keras-tuner's own classes (`Int`, `Float`, `Choice`, `Boolean`) hold a range and its default; this module narrows
them to the part that `--search` names, with an error message of one sentence.

Settings that are not searched never enter keras-tuner's space, which is the purpose of its `tune_new_entries=False`;
that option would also exclude a searched setting that a model requests only when another setting has a certain value.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from keras_tuner import HyperParameters
from keras_tuner.engine.hyperparameters import Boolean, Choice, Float, HyperParameter, Int

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.config.hyperparameters import FALSE, TRUE, Settings
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.errors import UsageError, nearest
from ariel_tf.core.fields import bounds
from ariel_tf.models.builder import build_dry
from tuning.space import OPTIONS, SENSIBLE, Space, flag, rounded

HIGHEST = 1 << 20  # upper end of a whole-number option


class SearchSettings(Settings):
    """A model's settings with the values that a search chose; searched ones are added to the search space.

    Args:
        space: the search space.
        hp: keras-tuner's hyperparameters of a trial; a searched setting that is missing is added.
        overrides: settings in the configuration.

    Attributes:
        asked: name to range of every setting that the model requested.
    """

    def __init__(self, space: Space, hp: HyperParameters, overrides: Mapping[str, Any]):
        super().__init__(overrides)
        self.space, self.hp = space, hp
        self.asked: dict[str, HyperParameter] = {}

    def Int(
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str | None = None,
        default: int | None = None,
    ) -> int:
        value = super().Int(name, min_value, max_value, default=default)  # checked, and of the right type
        self._search(Int(name, min_value, max_value, sampling=sampling or "linear", default=value))
        return super().Int(name, min_value, max_value, default=default)

    def Float(
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str | None = None,
        default: float | None = None,
    ) -> float:
        value = super().Float(name, min_value, max_value, default=default)
        self._search(Float(name, min_value, max_value, sampling=sampling or "linear", default=value))
        return super().Float(name, min_value, max_value, default=default)

    def Choice(self, name: str, values: Sequence[Any], ordered: bool | None = None, default: Any = None) -> Any:
        value = super().Choice(name, values, default=default)
        self._search(Choice(name, list(values), default=value))
        return super().Choice(name, values, default=default)

    def Boolean(self, name: str, default: bool = False) -> bool:
        value = super().Boolean(name, default=default)
        self._search(Boolean(name, default=value))
        return super().Boolean(name, default=default)

    def _search(self, whole: HyperParameter) -> None:
        self.asked[whole.name] = whole
        if self.space.searches(whole.name):
            part = setting_range(self.space, whole)
            self.hp.merge([part], overwrite=False)
            self.overrides[whole.name] = rounded(self.hp.values.setdefault(whole.name, part.default))


def reveal(space: Space) -> HyperParameters:
    """Return the search space with all settings revealed by building the model once.

    Raises:
        UsageError: a name to search that is neither an option nor a setting of the model; nothing to search.
    """
    hp = HyperParameters()
    hp.merge(option_ranges(space), overwrite=False)
    settings = SearchSettings(space, hp, space.base.settings)
    build_dry(space.base, settings)
    known = {*settings.asked, *OPTIONS}
    for name in space.given:
        if name not in known:
            hint = nearest(name, known)
            raise UsageError(f"--search: expected names among {', '.join(sorted(known))}. Received: {name}{hint}")
    for name in space.fixed:
        if name not in settings.asked:
            raise UsageError(f"--fix: expected settings among {', '.join(sorted(settings.asked))}. Received: {name}")
    if not hp.space:
        raise UsageError(
            f"--search: the model {space.base.model} leaves nothing to search; name options, as --search "
            "batch_size,learning_rate."
        )
    return hp


def option_ranges(space: Space) -> list[HyperParameter]:
    """Return ranges of the searched options of the configuration, in its order."""
    return [_option_range(space, name) for name in TrainConfig.model_fields if name in space.given]


def _option_range(space: Space, name: str) -> HyperParameter:
    given, value = space.given[name], getattr(space.base, name)
    if name not in OPTIONS:
        raise UsageError(
            f"--search: {flag(name)} is not searched; expected {', '.join(OPTIONS)}, or settings of the model."
        )
    if given is None and not OPTIONS[name]:
        raise UsageError(f"--search {name}: expected values with it, like {name}=100|200|400.")
    values: Sequence[Any]
    if given is None:
        values = OPTIONS[name] if value in OPTIONS[name] else (value, *OPTIONS[name])
    elif (low := bounds(TrainConfig.model_fields[name])[0]) is not None:
        return narrow(Int(name, int(low), HIGHEST, default=value), given, sampling="log")
    else:
        values = given.split("|") if isinstance(given, str) else given
        if not isinstance(values, Sequence) or not values or len({*map(str, values)}) < len(values):
            raise UsageError(f"search of {name}: expected different values, like {name}=A|B|C. Received: {given}")
        values = [str(one) for one in values]
    for one in values:
        space.configuration({name: one})  # refuses a value that no training accepts
    return _choice(name, values, value)


def setting_range(space: Space, whole: HyperParameter) -> HyperParameter:
    """Return the part of a setting's range that is searched: the user's, or the sensible part of the model's."""
    given = space.given.get(whole.name)
    if given is not None:
        return narrow(whole, given)
    part = SENSIBLE.get(whole.name)
    if part is None or not isinstance(whole, Float):
        return whole
    return narrow(whole, {"low": min(part["low"], whole.default), "high": max(part["high"], whole.default)})


def narrow(whole: HyperParameter, given: Any, sampling: str | None = None) -> HyperParameter:
    """Return the part of a range that a user requests.

    Args:
        whole: the range that the part must lie within.
        given: None for all of it; "LOW:HIGH"; "A|B|C"; a list; or {"low": ..., "high": ..., "sampling": ...}.
        sampling: sampling of a part that names none; None for that of the whole range.

    Raises:
        UsageError: another form, or outside the range.
    """
    if given is None:
        return whole
    numeric = isinstance(whole, Int | Float)
    if isinstance(given, str):
        low, colon, high = given.partition(":")
        given = {"low": low, "high": high} if numeric and colon and "|" not in given else given.split("|")
    if isinstance(given, list):
        return _narrow_to_list(whole, given)
    if not numeric or not isinstance(given, dict) or set(given) - {"low", "high", "sampling"}:
        raise _refusal(whole, given)
    low, high = _number(whole, given.get("low", whole.min_value)), _number(whole, given.get("high", whole.max_value))
    sampling = given.get("sampling", sampling or whole.sampling)
    if sampling not in ("linear", "log") or low >= high or (sampling == "log" and low <= 0):
        raise _refusal(whole, given)
    return type(whole)(whole.name, low, high, sampling=sampling, default=min(max(whole.default, low), high))


def _narrow_to_list(whole: HyperParameter, given: list[Any]) -> HyperParameter:
    if isinstance(whole, Int | Float):
        values = [_number(whole, value) for value in given]
    elif isinstance(whole, Boolean):
        values = [str(value).lower() for value in given]
        if {value in TRUE for value in values if value in TRUE + FALSE} != {True, False} or len(values) != 2:
            raise UsageError(
                f"search of {whole.name}: expected true|false; --fix {whole.name}=true keeps one. Received: {given}"
            )
        return whole
    else:
        known = {str(value): value for value in whole.values}
        if any(str(value) not in known for value in given):
            raise _refusal(whole, given)
        values = [known[str(value)] for value in given]
    if not values or len(set(values)) < len(values):
        raise _refusal(whole, given)
    return _choice(whole.name, values, whole.default)


def _choice(name: str, values: Sequence[Any], default: Any) -> Choice:
    return Choice(name, list(values), default=default if default in values else values[0])


def _number(whole: HyperParameter, value: Any) -> Any:
    """Return a number within the range, of its type."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise _refusal(whole, value) from None
    if not whole.min_value <= number <= whole.max_value or (isinstance(whole, Int) and number != int(number)):
        raise _refusal(whole, value)
    return int(number) if isinstance(whole, Int) else number


def _refusal(whole: HyperParameter, received: Any) -> UsageError:
    return UsageError(
        f"search of {whole.name}: expected {format_range(whole, ends_only=True)}, or a part of it. Received: {received}"
    )


def format_range(hp: HyperParameter, ends_only: bool = False) -> str:
    """Return a range in the form that `--search` accepts; a numeric one with its sampling unless `ends_only`."""
    if isinstance(hp, Boolean):
        return "true|false"
    if isinstance(hp, Choice):
        return "|".join(map(str, hp.values))
    return f"{hp.min_value:g}:{hp.max_value:g}" + ("" if ends_only else f" ({hp.sampling})")


def fits(hp: HyperParameter, value: Any) -> bool:
    """Whether a value is within a range."""
    if isinstance(hp, Int | Float):
        return isinstance(value, int | float) and hp.min_value <= value <= hp.max_value
    return value in hp.values


def highest(hp: HyperParameters, name: str) -> Any:
    """Return the highest value of a searched number; None if it is not searched."""
    return next((getattr(one, "max_value", None) or max(one.values) for one in hp.space if one.name == name), None)


def wavelengths_read(base: TrainConfig, hp: HyperParameters) -> tuple[int, ...]:
    """Return the wavelengths whose light curves some trial may read."""
    channels = next((one.values for one in hp.space if one.name == "channels"), (base.channels,))
    return tuple(range(N_WAVELENGTHS)) if "all" in channels else base.signature.targets

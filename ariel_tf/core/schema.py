"""Options as typed fields: one schema serves command-line flags, JSON files and Python callers; no TensorFlow.

    class Options(Schema):
        out: Path = option(..., "file to write", metavar="FILE")
        trials: int = option(50, "number of trials", low=1)

    add_flags(parser, Options)                     --out FILE, --trials N
    Options.from_flags(parser.parse_args())        typed and checked
    Options(out="x", trials=0)                     UsageError: --trials: expected a whole number, 1 or more. Received: 0

pydantic checks types and bounds, and argparse reads the command line: it costs .02 s to import, and both its help and
its errors can be worded here. tyro, jsonargparse and cyclopts also derive flags from types, but each words errors in
its own way, over several lines, and none reads `3,7,12-20` or `8,9` without a hook for each field.
"""

import argparse
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from ariel_tf.core.errors import UsageError, nearest

# Longer values are cut in messages.
_SHOWN = 300
# The largest whole number that an option takes: what fits an int32 of TensorFlow.
_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Flag:
    """How a field is written on the command line.

    Attributes:
        help: one line, without the default.
        group: title of its group in --help.
        metavar: placeholder of its value; by default its choices or its name.
        flag: its spelling, such as "--set"; by default by the name of the field.
        aliases: other spellings, such as "--old-name".
        choices: values allowed.
        expected: the values allowed in words, for messages; by default from type, bounds and choices.
        check: whether a value is allowed; may raise a `UsageError` of its own.
        parse: from the text of the flag to the value; by default by the field's type.
        default: the default in words.
        nargs: of argparse, for several values.
        append: whether the flag may be repeated, each time with one more value.
        positional: an argument without a flag.
    """

    help: str
    group: str = "options"
    metavar: str = ""
    flag: str = ""
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    expected: str = ""
    check: Callable[[Any], Any] | None = None
    parse: Callable[[str], Any] | None = None
    default: str = ""
    nargs: str | None = None
    append: bool = False
    positional: bool = False

    def __call__(self, schema: dict[str, Any]) -> None:
        """Add the help to a JSON schema; pydantic calls this."""
        schema["description"] = self.help


def option(
    default: Any, help: str, *, low: float | None = None, high: float | None = None, shown: str = "", **flag: Any
) -> Any:
    """A field with a flag.

    Args:
        default: value; `...` for none, which makes the flag required; None for a value that is filled in later.
        help: one line, without the default.
        low, high: bounds of a number, inclusive.
        shown: the default in words.
        flag: attributes of `Flag`.
    """
    if low is not None and high is None:
        high = _LARGEST
    return Field(default, ge=low, le=high, json_schema_extra=Flag(help, default=shown, **flag))


class Schema(BaseModel):
    """Options that are checked when they are made and never change; see the module's docstring.

    A field whose default is None counts as not given while it is None, whatever its type.

    Raises:
        UsageError: a value that does not fit, in one sentence that names its flag; an unknown name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True, defer_build=True)

    def __init__(self, **values: Any):
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise UsageError(self._sentence(error, values)) from None

    @model_validator(mode="before")
    @classmethod
    def _convert(cls, values: Any) -> Any:
        """Drop what is not given; lists of JSON to tuples, text to paths."""
        converted = {}
        for name, value in values.items():
            info = cls.model_fields.get(name)
            if info is None or value is not None or info.default is not None:
                converted[name] = _fitting(info, value)
        return converted

    @model_validator(mode="after")
    def _check_flags(self) -> Self:
        for name, flag in self.flags().items():
            value = getattr(self, name)
            if value is None:
                continue
            if flag.choices and value not in flag.choices:
                raise UsageError(self._mismatch(name, value))
            if flag.check is not None and not flag.check(value):
                raise UsageError(self._mismatch(name, value))
        return self

    @classmethod
    def flags(cls) -> dict[str, Flag]:
        """The flag of each field that has one."""
        found = {name: info.json_schema_extra for name, info in cls.model_fields.items()}
        return {name: flag for name, flag in found.items() if isinstance(flag, Flag)}

    @classmethod
    def given(cls, arguments: argparse.Namespace) -> dict[str, Any]:
        """The values of the flags that were given on the command line, parsed but not checked."""
        return {
            name: parse_text(cls.model_fields[name], getattr(arguments, name))
            for name in cls.flags()
            if hasattr(arguments, name)
        }

    @classmethod
    def from_flags(cls, arguments: argparse.Namespace) -> Self:
        """From the parsed arguments of a parser with this schema's flags."""
        return cls(**cls.given(arguments))

    @classmethod
    def from_text(cls, texts: Mapping[str, str], where: str, **values: Any) -> Self:
        """From values that are text, such as those of a URL; errors name `where` instead of flags.

        Raises:
            UsageError: an unknown name, or a value that does not fit.
        """
        for name in texts:
            if name not in cls.flags():
                raise UsageError(f"{where}: unknown option {name}{nearest(name, cls.flags())}")
        values |= {name: parse_text(cls.model_fields[name], text) for name, text in texts.items()}
        try:
            return cls(**values)
        except UsageError as error:
            flag, colon, rest = str(error).partition(": ")
            name = flag.removeprefix("--").replace("-", "_")
            if not colon or name not in cls.model_fields:
                raise
            raise UsageError(f"{where}: {name}: {rest}") from None

    def replace(self, **changes: Any) -> Self:
        """A copy with other values, checked."""
        return type(self)(**{**self.__dict__, **changes})

    @classmethod
    def _sentence(cls, error: ValidationError, values: Mapping[str, Any]) -> str:
        """The first of pydantic's errors as our sentence."""
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "extra_forbidden":
            return f"unknown option {name}{nearest(name, cls.model_fields)}"
        return cls._mismatch(name, values.get(name, "nothing"))

    @classmethod
    def _mismatch(cls, name: str, value: Any) -> str:
        flag = cls.flags().get(name)
        hint = nearest(value, flag.choices) if flag else ""
        expected = (flag.expected if flag else "") or _expected(cls.model_fields[name], flag)
        received = str(value)
        shown = received if len(received) <= _SHOWN else f"{received[:_SHOWN]}..."
        return f"{flag_name(name, flag)}: expected {expected}. Received: {shown}{hint}"


def flag_name(name: str, flag: Flag | None = None) -> str:
    """`--batch-size` of batch_size, or the placeholder of a positional argument."""
    if flag and flag.positional:
        return flag.metavar
    return (flag.flag if flag else "") or "--" + name.replace("_", "-")


def add_flags(
    parser: argparse.ArgumentParser, schema: type[Schema], names: Iterable[str] | None = None, **defaults: str
) -> None:
    """Add a schema's flags to a parser, in their groups; a flag that is not given leaves no trace in the namespace.

    Args:
        parser: may have groups of the same titles already.
        schema: the fields.
        names: the fields to add; by default all with a flag.
        defaults: by name of a field, another default in words.
    """
    groups = {group.title: group for group in parser._action_groups}
    wanted = schema.flags() if names is None else {name: schema.flags()[name] for name in names}
    for name, flag in wanted.items():
        info = schema.model_fields[name]
        title = "positional arguments" if flag.positional else flag.group
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        settings: dict[str, Any] = {"help": _help(info, flag, defaults.get(name)), "default": argparse.SUPPRESS}
        kind, _ = _kind(info.annotation)
        if kind is bool:
            settings["action"] = "store_true"
        else:
            settings["metavar"] = flag.metavar or "|".join(flag.choices) or name.upper()
            if flag.append:
                settings["action"] = "append"
            elif flag.nargs:
                settings["nargs"] = flag.nargs
        if flag.positional:
            action = groups[title].add_argument(name, **settings)
        else:
            settings |= {"dest": name, "required": info.is_required()}
            action = groups[title].add_argument(flag_name(name, flag), *flag.aliases, **settings)
        if kind is Path or flag.choices:  # what a shell can complete
            action.completion = flag.choices or Path  # type: ignore[attr-defined]


def parse_text(info: FieldInfo, text: Any) -> Any:
    """The value of a flag's text; text that does not fit is left as it is, for the check to refuse."""
    flag = info.json_schema_extra
    if isinstance(text, list):
        return tuple(parse_text(info, one) for one in text)
    if not isinstance(text, str):
        return text
    if isinstance(flag, Flag) and flag.parse is not None:
        return flag.parse(text)
    kind, _ = _kind(info.annotation)
    if kind is int and re.fullmatch(r"[+-]?[0-9]+", text):
        return int(text)
    if kind is float:
        try:
            return float(text)
        except ValueError:
            return text
    return Path(text) if kind is Path else text


def _fitting(info: FieldInfo | None, value: Any) -> Any:
    if info is None:
        return value
    kind, several = _kind(info.annotation)
    if isinstance(value, list) and several:
        value = tuple(value)
    if kind is Path:
        if isinstance(value, tuple):
            return tuple(Path(one) if isinstance(one, str) else one for one in value)
        return Path(value) if isinstance(value, str) else value
    return value


def _kind(annotation: Any) -> tuple[Any, bool]:
    """The type of a field's value without its None, and whether the field is a tuple of such values."""
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return _kind(kinds[0]) if len(kinds) == 1 else (annotation, False)
    if get_origin(annotation) is tuple:
        return get_args(annotation)[0], True
    return annotation, False


def bounds(info: FieldInfo) -> tuple[float | None, float | None]:
    """The lowest and the highest number that a field takes."""
    low, high = (
        next((getattr(one, name) for one in info.metadata if hasattr(one, name)), None) for name in ("ge", "le")
    )
    return low, high


def _expected(info: FieldInfo, flag: Flag | None) -> str:
    """The values that a field takes, in words."""
    if flag and flag.choices:
        return f"one of {', '.join(flag.choices)}"
    kind, several = _kind(info.annotation)
    if kind is int and several:
        return "whole numbers"
    if kind not in (int, float):
        return {str: "text", Path: "a path", bool: "true or false"}.get(kind, "another value")
    low, high = bounds(info)
    what = "a whole number" if kind is int else "a number"
    if low is None:
        return what
    if high is None or high >= _LARGEST:
        return f"{what}, {low:.12g} or more"
    return f"{what}, {low:.12g} to {high:.12g}"


def parse_names(flag: str, text: str, known: Sequence[str], words: Sequence[str] = ("none", "all")) -> tuple[str, ...]:
    """Names with commas, or one of `words`, to names in the order of `known`.

    Args:
        flag: named in errors.
        text: value of the flag.
        known: all names.
        words: values that stand alone; "all" gives every name, any other none.

    Raises:
        UsageError: an unknown name.
    """
    if text in words:
        return tuple(known) if text == "all" else ()
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            expected = f"{', '.join(words)}, or names among {', '.join(known)}"
            raise UsageError(f"{flag}: expected {expected}. Received: {name}{nearest(name, known)}")
    return tuple(name for name in known if name in names)


def _help(info: FieldInfo, flag: Flag, default: str | None) -> str:
    """The help of a flag with its default, escaped for argparse."""
    shown = flag.default if default is None else default
    value = None if info.is_required() else info.default
    if not shown and value is not None and value is not False:
        shown = ",".join(map(str, value)) if isinstance(value, tuple | dict) else str(value).removesuffix(".0")
    return (flag.help + (f" (default: {shown})" if shown else "")).replace("%", "%%").lstrip()

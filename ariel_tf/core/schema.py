"""Options as typed fields: one schema serves command-line flags, JSON files and Python callers; no TensorFlow.

    class Options(Schema):
        out: Path = option(..., "file to write", metavar="FILE")
        trials: int = option(50, "number of trials", low=1)

    add_flags(parser, Options)                     --out FILE, --trials N
    Options.from_flags(parser.parse_args())        typed and checked
    Options(out="x", trials=0)                     UsageError: --trials: expected a whole number, 1 or more. Received: 0

pydantic checks types and bounds, and argparse reads the command line: it imports in .02 s, and its help and errors can
be worded here. tyro, jsonargparse and cyclopts also derive flags from types, but each words errors differently, over
several lines, and none parses `3,7,12-20` or `8,9` without a hook for each field.
"""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ariel_tf.core.errors import UsageError, nearest
from ariel_tf.core.fields import LARGEST, Flag, convert, expected_values, flag_name, help_of, kind_of, parse_text

# Longer values are truncated in messages.
_SHOWN = 300


def option(
    default: Any, help: str, *, low: float | None = None, high: float | None = None, shown: str = "", **flag: Any
) -> Any:
    """Return a field with a flag.

    Args:
        default: default value; `...` for a required flag; None for a value that is filled in later.
        help: one line, without the default.
        low, high: bounds of a number, inclusive.
        shown: description of the default.
        flag: attributes of `Flag`.
    """
    if low is not None and high is None:
        high = LARGEST
    return Field(default, ge=low, le=high, json_schema_extra=Flag(help, default=shown, **flag))


class Schema(BaseModel):
    """Options that are checked on creation and immutable; see the module's docstring.

    A field whose default is None counts as not given while it is None, whatever its type.

    Raises:
        UsageError: a value that does not fit, in one sentence that names its flag; an unknown name.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        arbitrary_types_allowed=True,
        defer_build=True,
        protected_namespaces=(),
    )

    def __init__(self, **values: Any):
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise UsageError(self._sentence(error, values)) from None

    @model_validator(mode="before")
    @classmethod
    def _convert(cls, values: Any) -> Any:
        """Drop fields that are not given; convert lists of JSON to tuples, and text to paths."""
        converted = {}
        for name, value in values.items():
            info = cls.model_fields.get(name)
            if info is None or value is not None or info.default is not None:
                converted[name] = convert(info, value)
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
        """Return the flag of each field that has one."""
        found = {name: info.json_schema_extra for name, info in cls.model_fields.items()}
        return {name: flag for name, flag in found.items() if isinstance(flag, Flag)}

    @classmethod
    def given(cls, arguments: argparse.Namespace) -> dict[str, Any]:
        """Return the values of the flags given on the command line, parsed but not checked."""
        return {
            name: parse_text(cls.model_fields[name], getattr(arguments, name))
            for name in cls.flags()
            if hasattr(arguments, name)
        }

    @classmethod
    def from_flags(cls, arguments: argparse.Namespace) -> Self:
        """Return the options from the parsed arguments of a parser with this schema's flags."""
        return cls(**cls.given(arguments))

    @classmethod
    def from_text(cls, texts: Mapping[str, str], where: str, **values: Any) -> Self:
        """Return the options from text values, such as those of a URL; errors name `where` instead of flags.

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
        """Return a checked copy with other values."""
        return type(self)(**{**self.__dict__, **changes})

    @classmethod
    def _sentence(cls, error: ValidationError, values: Mapping[str, Any]) -> str:
        """Return the first of pydantic's errors as our sentence."""
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "extra_forbidden":
            return f"unknown option {name}{nearest(name, cls.model_fields)}"
        return cls._mismatch(name, values.get(name, "nothing"))

    @classmethod
    def _mismatch(cls, name: str, value: Any) -> str:
        flag = cls.flags().get(name)
        hint = nearest(value, flag.choices) if flag else ""
        received = str(value)
        expected = (flag.expected if flag else "") or expected_values(cls.model_fields[name], flag, received)
        shown = received if len(received) <= _SHOWN else f"{received[:_SHOWN]}..."
        return f"{flag_name(name, flag)}: expected {expected}. Received: {shown}{hint}"


def add_flags(
    parser: argparse.ArgumentParser, schema: type[Schema], names: Iterable[str] | None = None, **defaults: str
) -> None:
    """Add a schema's flags to a parser, in their groups; a flag that is not given adds nothing to the namespace.

    Args:
        parser: parser, which may already have groups of the same titles.
        schema: schema of the fields.
        names: fields to add; by default all that have a flag.
        defaults: descriptions of other defaults, by name of the field.
    """
    groups = {group.title: group for group in parser._action_groups}
    wanted = schema.flags() if names is None else {name: schema.flags()[name] for name in names}
    for name, flag in wanted.items():
        info = schema.model_fields[name]
        title = "positional arguments" if flag.positional else flag.group
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        settings: dict[str, Any] = {"help": help_of(info, flag, defaults.get(name)), "default": argparse.SUPPRESS}
        kind, _ = kind_of(info.annotation)
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
        if kind is Path or flag.choices:  # values that a shell can complete
            action.completion = flag.choices or Path  # type: ignore[attr-defined]

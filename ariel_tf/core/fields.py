"""One field of a schema: its flag, how its text is parsed, and a description of the values that it takes."""

import re
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from ariel_tf.core.errors import UsageError, nearest

# The largest whole number that an option takes: the largest int32, as in TensorFlow.
LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Flag:
    """How a field is written on the command line.

    Attributes:
        help: one line, without the default.
        group: title of its group in --help.
        metavar: placeholder of its value; by default its choices or its name.
        flag: spelling of the flag, such as "--set"; by default derived from the name of the field.
        aliases: other spellings, such as "--old-name".
        choices: allowed values.
        expected: description of the allowed values for messages; by default derived from type, bounds and choices.
        check: function that returns whether a value is allowed; may raise a `UsageError` itself.
        parse: function from the text of the flag to the value; by default derived from the type of the field.
        default: description of the default.
        nargs: number of values, as in argparse.
        append: whether the flag may be repeated, each time with one more value.
        positional: whether it is an argument without a flag.
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


def flag_name(name: str, flag: Flag | None = None) -> str:
    """Return `--batch-size` for batch_size, or the placeholder of a positional argument."""
    if flag and flag.positional:
        return flag.metavar
    return (flag.flag if flag else "") or "--" + name.replace("_", "-")


def parse_text(info: FieldInfo, text: Any) -> Any:
    """Return the value of a flag's text; text that cannot be parsed is returned unchanged, for the check to refuse."""
    flag = info.json_schema_extra
    if isinstance(text, list):
        return tuple(parse_text(info, one) for one in text)
    if not isinstance(text, str):
        return text
    if isinstance(flag, Flag) and flag.parse is not None:
        return flag.parse(text)
    kind, _ = kind_of(info.annotation)
    # Python refuses to convert thousands of digits; all of these numbers above `LARGEST` are refused later.
    if kind is int and re.fullmatch(r"[+-]?[0-9]{1,19}", text):
        return int(text)
    if kind is float:
        try:
            return float(text)
        except ValueError:
            return text
    return Path(text) if kind is Path else text


def convert(info: FieldInfo | None, value: Any) -> Any:
    if info is None:
        return value
    kind, several = kind_of(info.annotation)
    if isinstance(value, list) and several:
        value = tuple(value)
    if kind is Path:
        if isinstance(value, tuple):
            return tuple(Path(one) if isinstance(one, str) else one for one in value)
        return Path(value) if isinstance(value, str) else value
    return value


def kind_of(annotation: Any) -> tuple[Any, bool]:
    """Return the type of a field's value without None, and whether the field is a tuple of such values."""
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return kind_of(kinds[0]) if len(kinds) == 1 else (annotation, False)
    if get_origin(annotation) is tuple:
        return get_args(annotation)[0], True
    return annotation, False


def bounds(info: FieldInfo) -> tuple[float | None, float | None]:
    """Return the lowest and the highest number that a field takes."""
    low, high = (
        next((getattr(one, name) for one in info.metadata if hasattr(one, name)), None) for name in ("ge", "le")
    )
    return low, high


def expected_values(info: FieldInfo, flag: Flag | None, received: str = "") -> str:
    """Describe the values that a field takes; its largest whole number only if a longer one was received."""
    if flag and flag.choices:
        return f"one of {', '.join(flag.choices)}"
    kind, several = kind_of(info.annotation)
    if kind is int and several:
        return "whole numbers"
    if kind not in (int, float):
        return {str: "text", Path: "a path", bool: "true or false"}.get(kind, "another value")
    low, high = bounds(info)
    what = "a whole number" if kind is int else "a number"
    if low is None:
        return what
    if high is None or (high >= LARGEST and not re.fullmatch(r"\+?[0-9]{10,}", received)):
        return f"{what}, {low:.12g} or more"
    return f"{what}, {low:.12g} to {high:.12g}"


def parse_names(flag: str, text: str, known: Sequence[str], words: Sequence[str] = ("none", "all")) -> tuple[str, ...]:
    """Parse names with commas, or one of `words`, to names in the order of `known`.

    Args:
        flag: flag to name in errors.
        text: value of the flag.
        known: all names.
        words: values that are used alone; "all" means every name, any other means none.

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


def help_of(info: FieldInfo, flag: Flag, default: str | None) -> str:
    """Return the help of a flag with its default, escaped for argparse."""
    shown = flag.default if default is None else default
    value = None if info.is_required() else info.default
    if not shown and value is not None and value is not False:
        shown = ",".join(map(str, value)) if isinstance(value, tuple | dict) else str(value).removesuffix(".0")
    return (flag.help + (f" (default: {shown})" if shown else "")).replace("%", "%%").lstrip()

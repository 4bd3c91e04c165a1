"""`--wavelength`: the wavelengths to predict, by one model or by one model each. The only parser of that option.

    12             one model of wavelength 12
    joint          one model of all 55
    all            one model for each of the 55
    0-54           for each from 0 to 54
    3,7,12-20      numbers and ranges with commas, each wavelength once
    0-54/8:3       the third of eight slices of a list, for eight jobs run side by side

Slices are contiguous, in the order of the list, and their lengths differ by at most one; slices 1 to N of a list
contain each of its wavelengths exactly once. No TensorFlow.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, Self

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.core.errors import UsageError
from ariel_tf.core.numbers import whole_number
from ariel_tf.core.schema import option

ALL, JOINT = "all", "joint"
HELP = (
    "wavelength index 0-54; joint: all 55 in one model; or a list for one model each, like all, 3,7,12-20, or "
    "0-54/8:3 for the third of eight slices"
)


class Targets(NamedTuple):
    """The wavelengths of a training.

    Attributes:
        every: wavelength indices of the whole run, ascending.
        chosen: those to train in this command: a slice, or all.
        kind: "one" model of one wavelength, "joint" for one model of all 55, or "list" for one model each.

    >>> Targets.parse("0-54/8:3").chosen, str(Targets.parse("12,3,11")), str(Targets.parse("joint"))
    ((13, 14, 15, 16, 17, 18, 19), '3,11-12', 'joint')
    """

    every: tuple[int, ...]
    chosen: tuple[int, ...]
    kind: Literal["one", "joint", "list"]

    @classmethod
    def one(cls, wavelength: int) -> Self:
        """Return the target of one model of one wavelength."""
        return cls((wavelength,), (wavelength,), "one")

    @classmethod
    def joint(cls) -> Self:
        """Return the target of one model of all 55."""
        return cls(tuple(range(N_WAVELENGTHS)), tuple(range(N_WAVELENGTHS)), "joint")

    @classmethod
    def each(cls, wavelengths: Iterable[int]) -> Self:
        """Return the targets of one model for each of these wavelengths."""
        ordered = tuple(sorted(wavelengths))
        return cls(ordered, ordered, "list")

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Parse the text of `--wavelength`, or the value of "wavelength" in a configuration file.

        Raises:
            UsageError: another form, a number outside 0-54, a wavelength listed twice, or an empty slice.
        """
        if isinstance(value, cls):
            return value
        text = str(value)
        if text == JOINT:
            return cls.joint()
        if text == ALL or any(mark in text for mark in ",-/:"):
            whole, chosen = _parse_slice(text)
            return cls(whole, chosen, "list")
        number = whole_number(text)
        if number is None or number >= N_WAVELENGTHS:
            raise UsageError(
                f"--wavelength: expected a whole number in 0-{N_WAVELENGTHS - 1}, {JOINT}, or a list like 0-54 or 3,7. "
                f"Received: {text}"
            )
        return cls.one(number)

    @classmethod
    def of_run(cls, value: Any) -> Self:
        """Parse "wavelength" in the configuration of a run, where a list of one wavelength is text and not a number."""
        if isinstance(value, str) and whole_number(value) is not None:
            return cls.each([cls.parse(value).chosen[0]])
        return cls.parse(value)

    @property
    def is_list(self) -> bool:
        """Whether a run of several wavelengths has one model for each."""
        return self.kind == "list"

    @property
    def is_joint(self) -> bool:
        """Whether one model predicts all 55 wavelengths."""
        return self.kind == "joint"

    def __str__(self) -> str:
        """Return the shortest text that `parse` reads back as the same wavelengths, without the slice."""
        return JOINT if self.is_joint else _ranges(self.every)

    def as_json(self) -> int | str:
        """Return the value in configuration files: a number, "joint" or the list as text."""
        return self.every[0] if self.kind == "one" else str(self)

    def for_each(self) -> list[Self]:
        """Return the targets of one model for each wavelength to train in this command."""
        return [type(self).one(wavelength) for wavelength in self.chosen]

    @property
    def folder_name(self) -> str:
        """Return the part of a run folder's name: w12, joint, w00-w54.

        >>> Targets.one(3).folder_name, Targets.parse("3,7,10-12").folder_name
        ('w03', 'w03-w12')
        """
        if self.is_joint:
            return JOINT
        first = f"w{self.every[0]:02d}"
        return f"{first}-w{self.every[-1]:02d}" if self.is_list else first

    def describe(self) -> str:
        """Describe the targets: `all wavelengths`, `wavelength 12`, `wavelengths 3,7`."""
        if len(self.every) == N_WAVELENGTHS:
            return "all wavelengths"
        return f"wavelength{'s' * (len(self.every) > 1)} {_ranges(self.every)}"


def _parse_slice(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Parse a list, and return it and the slice of it that the text names, or all of it."""
    items, slash, part = text.partition("/")
    found = [wavelength for item in items.split(",") for wavelength in _parse_range(item, text)]
    for wavelength in found:
        if found.count(wavelength) > 1:
            raise UsageError(
                f"--wavelength: expected each wavelength once. Received: {text}, which has {wavelength} twice"
            )
    whole = tuple(sorted(found))
    return whole, _slice(whole, part, text) if slash else whole


def _parse_range(item: str, text: str) -> range:
    if item == ALL:
        return range(N_WAVELENGTHS)
    first, dash, last = item.partition("-")
    low, high = whole_number(first), whole_number(last if dash else first)
    if low is not None and high is not None and low <= high < N_WAVELENGTHS:
        return range(low, high + 1)
    raise UsageError(
        f"--wavelength: expected {ALL}, or numbers and ranges in 0-{N_WAVELENGTHS - 1} with commas like 3,7,12-20, "
        f"and perhaps a slice like /8:3. Received: {text}"
        + (f", where {item or 'nothing'} is none" if item != text else "")
    )


def _slice(wavelengths: Sequence[int], part: str, text: str) -> tuple[int, ...]:
    count, _, number = part.partition(":")
    slices, which, total = whole_number(count), whole_number(number), len(wavelengths)
    if slices is None or which is None or not 1 <= which <= slices:
        raise UsageError(
            f"--wavelength: expected a slice LIST/N:K, the K-th of N slices, K from 1 to N. Received: {text}"
        )
    if slices > total:
        raise UsageError(f"--wavelength: expected at most {total} slices of {total} wavelengths. Received: {text}")
    return tuple(wavelengths[total * (which - 1) // slices : total * which // slices])


def _ranges(wavelengths: Sequence[int]) -> str:
    """Return wavelength indices as numbers and ranges, so that a list has only one name."""
    runs: list[list[int]] = []
    for wavelength in wavelengths:
        if runs and wavelength == runs[-1][1] + 1:
            runs[-1][1] = wavelength
        else:
            runs.append([wavelength, wavelength])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def list_option(help: str, default: tuple[int, ...] | None = None) -> Any:
    """Return a field whose flag takes one wavelength, a list, or joint for all; its value is a tuple of indices."""
    return option(default, help, metavar="LIST", parse=lambda text: Targets.parse(text).chosen)

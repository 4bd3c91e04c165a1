"""Lists of wavelengths, as `--wavelength` takes them for training one model each; no TensorFlow.

    all            all 55
    0-54           from 0 to 54
    3,7,12-20      numbers and ranges with commas, each wavelength once
    0-54/8:3       the third of eight slices of a list, for eight jobs side by side

Slices are contiguous, in the list's order, and differ in length by one at most; the slices 1 ... N of a
list hold each of its wavelengths exactly once.
"""

from collections.abc import Sequence

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.core.errors import UsageError

ALL = "all"
HELP = (
    "which of the 55: one, 0-54; joint: all in one model; or a list for one model each, like all, 3,7,12-20, or "
    "0-54/8:3, the third of eight slices"
)


def is_list(text: str) -> bool:
    """Whether `--wavelength` names a list, rather than one number or `joint`."""
    return text == ALL or any(mark in text for mark in ",-/:")


def parse_list(text: str) -> tuple[int, ...]:
    """The wavelengths of a list in ascending order.

    Raises:
        UsageError: no such form, outside 0-54, a wavelength twice, or a slice that holds nothing.

    >>> parse_list("3,7,10-12"), parse_list("0-54/8:3")
    ((3, 7, 10, 11, 12), (13, 14, 15, 16, 17, 18, 19))
    """
    return parse_slice(text)[1]


def parse_slice(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A list, and what of it is to be trained here: the slice that the text names, else all; as of `parse_list`.

    >>> parse_slice("0-3/2:2")
    ((0, 1, 2, 3), (2, 3))
    """
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
    bounds = (first, last) if dash else (first, first)
    if all(bound.isascii() and bound.isdecimal() for bound in bounds):
        low, high = map(int, bounds)
        if low <= high < N_WAVELENGTHS:
            return range(low, high + 1)
    raise UsageError(
        f"--wavelength: expected {ALL}, or numbers and ranges in 0-{N_WAVELENGTHS - 1} with commas like 3,7,12-20, "
        f"and perhaps a slice like /8:3. Received: {text}"
        + (f", where {item or 'nothing'} is none" if item != text else "")
    )


def _slice(wavelengths: Sequence[int], part: str, text: str) -> tuple[int, ...]:
    count, _, number = part.partition(":")
    if not (count.isdecimal() and number.isdecimal() and 1 <= int(number) <= int(count)):
        raise UsageError(
            f"--wavelength: expected a slice LIST/N:K, the K-th of N slices, K from 1 to N. Received: {text}"
        )
    slices, which, total = int(count), int(number), len(wavelengths)
    if slices > total:
        raise UsageError(f"--wavelength: expected at most {total} slices of {total} wavelengths. Received: {text}")
    return tuple(wavelengths[total * (which - 1) // slices : total * which // slices])


def as_text(wavelengths: Sequence[int]) -> str:
    """The shortest list that `parse_list` reads back, so that one list has one name.

    >>> as_text([3, 7, 10, 11, 12])
    '3,7,10-12'
    """
    runs: list[list[int]] = []
    for wavelength in wavelengths:
        if runs and wavelength == runs[-1][1] + 1:
            runs[-1][1] = wavelength
        else:
            runs.append([wavelength, wavelength])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def folder_name(wavelength: int | str) -> str:
    """What a run folder's name calls a configuration's wavelength: w12, joint, w00-w54.

    >>> folder_name(3), folder_name("joint"), folder_name("3,7,10-12")
    ('w03', 'joint', 'w03-w12')
    """
    if isinstance(wavelength, int):
        return f"w{wavelength:02d}"
    if wavelength.isalpha():
        return wavelength
    several = parse_list(wavelength)
    return f"w{several[0]:02d}-w{several[-1]:02d}"

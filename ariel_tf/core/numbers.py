"""Numbers in text that users give."""

import re

_WHOLE = re.compile("[0-9]{1,9}")


def whole_number(text: str) -> int | None:
    """Return the value of one to nine ASCII digits; None for any other text.

    Python refuses to convert thousands of digits, and accepts those of other scripts.

    >>> whole_number("012"), whole_number("-1"), whole_number("1" * 10)
    (12, None, None)
    """
    return int(text) if _WHOLE.fullmatch(text) else None


def whole_numbers(text: str, separator: str = ",") -> tuple[int, ...] | None:
    """Return the whole numbers of a list; None if a part of it is none.

    >>> whole_numbers("3,12"), whole_numbers("3,"), whole_numbers("10:20", ":")
    ((3, 12), None, (10, 20))
    """
    parts = [whole_number(part) for part in text.split(separator)]
    numbers = tuple(number for number in parts if number is not None)
    return numbers if len(numbers) == len(parts) else None

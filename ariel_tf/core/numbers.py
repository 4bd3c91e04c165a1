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

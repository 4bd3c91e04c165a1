"""Text from outside as it may be shown: names, values and messages of files that may be somebody else's.

Errors (`core.errors`), the standard streams of a command (`core.console`) and model cards pass their text through
here. No TensorFlow.
"""

import re

# Control characters but tab and line end, among them the escape that begins a terminal's commands; separators that end
# a line; and marks that turn the direction of text, so that it reads otherwise than it is.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_CURSOR_UP = re.compile("(\x1b\\[A)+")


def printable(text: str) -> str:
    r"""Control characters as backslash escapes; tabs and line ends stay.

    >>> print(printable("red \x1b[31m and \u202egnp.exe"))
    red \x1b[31m and \u202egnp.exe
    """
    return _CONTROLS.sub(_escape, text)


def printable_line(text: str) -> str:
    r"""As `printable`, for one line: line ends and tabs are escaped too.

    >>> print(printable_line("name\nerror: none"))
    name\nerror: none
    """
    return printable(text).replace("\n", r"\n").replace("\t", r"\t")


def printable_stream(text: str) -> str:
    r"""As `printable`, for one write to a terminal: what progress bars begin a line with stays.

    >>> printable_stream("\r 50%|#####"), printable_stream("a\rb"), printable_stream("\x1b[A\x1b[A")
    ('\r 50%|#####', 'a\\rb', '\x1b[A\x1b[A')
    """
    if _CURSOR_UP.fullmatch(text):
        return text
    start = text[: len(text) - len(text.lstrip("\r"))]
    return start + printable(text[len(start) :].replace("\r\n", "\n"))


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return {"\r": r"\r"}.get(found[0]) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")

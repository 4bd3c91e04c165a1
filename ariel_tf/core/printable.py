"""Text that is safe to print or store: control characters of untrusted names escaped, and secrets masked.

Errors (`core.errors`), the standard streams of a command (`core.console`), model cards and the files of a run folder
pass their text through this module. No TensorFlow.
"""

import re
from collections.abc import Mapping
from typing import Any

# Control characters except tab and line end, among them the escape that begins terminal commands; separators that end
# a line; and marks that change the direction of text, so that it reads differently from its content.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_CURSOR_UP = re.compile("(\x1b\\[A)+")


HIDDEN = "***"
# Values of these address parameters are printed (`data.bigquery.address`, `simulated:`); all others may be secret.
_SHOWN = {
    "layout", "reader", "streams", "stars", "fold_seed", "cache", "endpoint", "storage", "planets", "spots", "photons",
    "seed", "name", "value",
}  # fmt: skip
_ADDRESS = re.compile(r"://[^\s'\"<>`]+")
# user:password@ before a host, also percent-encoded; a password may contain any character, a port only digits.
_USER = re.compile(r"(?<=://)(?:[^\s/?#]*|[^\s/:?#@]*:(?!\d{1,5}(?:[/?#]|$))\S*)(?:@|%40)", re.IGNORECASE)
_BARE_USER = re.compile(r"(?<![\w.+:/-])([\w.+-]{1,64}):(?!//)[^\s@'\"]{1,256}@(?=[\w-]+[.:]|localhost)")
_PARAMETER = re.compile(
    r"(?P<before>[?&;]|%3F|%26|#(?=[\w.%-]+=))(?P<name>[\w.~-]{1,80})(?P<equals>=|%3D)"
    r"[^\s&#'\"<>]*?(?=[).,;:\]]*(?:%26|[\s&#'\"<>]|$))",
    re.IGNORECASE,
)
_QUERY = re.compile(r"(?<=\?)[^\s=&?]+(?=$)")  # without a name
_WORD = (
    r"[\w.-]{0,40}(?:token|secret|password|passwd|passphrase|pwd|signature|credentials?|private[_-]?key|api[_-]?key|"
    r"access[_-]?key|accessid|authorization|x-goog-|x-amz-)[\w-]{0,40}|sig|sas"
)
_NAMED = re.compile(
    rf"(?<![\w.-])(?:(?P<head>(?:{_WORD})(?:\s?=\s?|%3D)['\"]?)(?!\*\*\*)[^\s'\"&<>]+"
    rf"|(?P<quoted>['\"](?:{_WORD})['\"]\s*[:=]\s*['\"])[^'\"]+)",
    re.IGNORECASE,
)
_HEADER = re.compile(r"\b((?:proxy-)?authorization\s*[:=]\s*\w+\s+|bearer\s+(?=\S*\d))[\w.~+/=-]{6,}", re.IGNORECASE)
# Key formats that their issuers publish: Google, Amazon, GitHub, Hugging Face, Slack, JSON Web Tokens, PEM.
_KEY = re.compile(
    r"\b(?:ya29\.[\w.-]+|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|hf_\w{20,}|"
    r"xox[abeprs]-[\w-]{10,}|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
# Every text that the expressions above change contains one of these.
_SIGNS = re.compile(
    r"[=@]|://|%3[DF]|\b(?:ya29|AKIA|ASIA|AIza|gh[pousr]_|github_pat|hf_|xox|eyJ)|PRIVATE KEY|['\"]:|earer|uthor"
)


def mask_secrets(text: str) -> str:
    """Replace passwords, tokens and signatures in addresses and messages by ***.

    >>> mask_secrets("gs://me:pw@bucket/data?token=abc&layout=classic")
    'gs://***@bucket/data?token=***&layout=classic'
    """
    if not _SIGNS.search(text):
        return text
    text = _KEY.sub(HIDDEN, text)
    text = _ADDRESS.sub(_mask_address, text)
    text = _BARE_USER.sub(rf"\1:{HIDDEN}@", text)
    text = _PARAMETER.sub(_mask_parameter, text)
    text = _NAMED.sub(lambda found: f"{found['head'] or found['quoted']}{HIDDEN}", text)
    return _HEADER.sub(rf"\1{HIDDEN}", text)


def _mask_address(found: re.Match[str]) -> str:
    address = found[0]
    before = found.string[max(0, found.start() - 8) : found.start()].lower()
    if not (before.endswith(("abfs", "abfss", "wasb", "wasbs")) and ":" not in address[3:].partition("@")[0]):
        address = _USER.sub(f"{HIDDEN}@", address)
    return _QUERY.sub(HIDDEN, address)


def _mask_parameter(found: re.Match[str]) -> str:
    if found["name"].lower() in _SHOWN:
        return found[0]
    return f"{found['before']}{found['name']}{found['equals']}{HIDDEN}"


def masked(value: Any) -> Any:
    """Return JSON-compatible values with `mask_secrets` applied to every text in them."""
    if isinstance(value, str):
        return mask_secrets(value)
    if isinstance(value, Mapping):
        return {name: masked(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [masked(inner) for inner in value]
    return value


def printable(text: str) -> str:
    r"""Return a text with control characters as backslash escapes and secrets masked; tabs and line ends stay.

    >>> print(printable("red \x1b[31m and \u202egnp.exe"))
    red \x1b[31m and \u202egnp.exe
    """
    return _CONTROLS.sub(_escape, mask_secrets(text))


def printable_line(text: str) -> str:
    r"""Like `printable`, for one line: line ends and tabs are escaped too.

    >>> print(printable_line("name\nerror: none"))
    name\nerror: none
    """
    return printable(text).replace("\n", r"\n").replace("\t", r"\t")


def printable_stream(text: str) -> str:
    r"""Like `printable`, for one write to a terminal: the characters with which progress bars begin a line stay.

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

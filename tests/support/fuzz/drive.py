"""Feeds a parser inputs, and notices whatever is neither a value nor an error of ours, takes long, or much memory."""

import contextlib
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from ariel_tf.core.errors import ArielError
from support.fuzz.targets import Target, seeds

# Of CPU time, and of memory beyond what the process had.
SECONDS, MEMORY = 1.0, 200 << 20
# What is put into inputs: ends of ranges, other spellings of numbers, brackets, separators, other encodings.
PIECES = [
    *(b"0", b"-1", b"1e999", b"-1e-400", b"NaN", b"Infinity", b"0x10", b"1_0", b"9" * 30, b"9" * 5000, b"1e5", b"0.5"),
    *(b"null", b"true", b"{}", b"[]", b"[[", b'"', b"'", b"{", b"}", b":", b",", b";", b"=", b"|", b"-", b"/", b"%"),
    *(b"\t", b"\n", b"\r\n", b" ", b"#", b"\\u0000", b"\\ud800", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xd9\xa3", b".."),
    *(b"\x80\x04", b"\x1f\x8b", b"PK\x03\x04", b"PK\x05\x06", b"\x89HDF", b"PAR1", b"\x00\x00\x00\x80", b"\xff" * 8),
]


def inputs(found: list[bytes]) -> st.SearchStrategy[bytes]:
    """Inputs like these, changed in a few places, and any bytes.

    Args:
        found: inputs of a corpus.
    """
    change = st.tuples(
        st.sampled_from(("insert", "replace", "remove", "flip", "repeat", "cut")),
        st.integers(0, 1 << 20),
        st.sampled_from(PIECES) | st.binary(max_size=4) | st.sampled_from(found).map(lambda one: one[:200]),
    )
    return st.builds(_changed, st.sampled_from(found), st.lists(change, max_size=4)) | st.binary(max_size=300)


def _changed(content: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    for how, place, piece in changes:
        at = place % (len(content) + 1)
        size = len(piece) or 1
        before, after = content[:at], content[at:]
        if how == "insert":
            content = before + piece + after
        elif how == "replace":
            content = before + piece + after[size:]
        elif how == "remove":
            content = before + after[size:]
        elif how == "flip" and after:
            content = before + bytes([after[0] ^ 1 << place % 8]) + after[1:]
        elif how == "repeat":
            content = before + after[:size] * 50 + after
        elif how == "cut":
            content = before
    return content


def check(target: Target, content: bytes) -> None:
    """Feed a parser one input.

    Raises:
        AssertionError: what it raised is none of ours, or it took more than `SECONDS` or `MEMORY`.
    """
    before, started = _peak(reset=True), time.process_time()
    try:
        target.parse(content)
    except ArielError as error:
        said = str(error)
    except FileNotFoundError:
        said = "of a file that the input names"
    except Exception as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise AssertionError(f"{content[:200]!r}: {what}") from error
    else:
        said = "a value"
    assert said, f"{content[:200]!r}: an error without a word"
    seconds, memory = time.process_time() - started, _peak() - before
    assert seconds < SECONDS, f"{content[:200]!r}: took {seconds:.1f} s"
    assert memory < MEMORY, f"{content[:200]!r}: took {memory >> 20} MiB"


def _peak(reset: bool = False) -> int:
    """Bytes that this process had in memory at most; `reset` begins anew, where the system can (Linux)."""
    if reset:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    with contextlib.suppress(OSError, IndexError):
        return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def drive(name: str, target: Target, examples: int, seed: int = 0) -> tuple[int, str]:
    """Feed a parser its corpus, then inputs made of it.

    Args:
        name: of the parser.
        target: the parser.
        examples: inputs that are made.
        seed: of them.

    Returns:
        Inputs tried, and what the first that did not hold led to; "" if all held.
    """
    corpus, tried = seeds(name), 0

    @seeded(seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        verbosity=Verbosity.quiet,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(corpus))
    def any_input(content: bytes) -> None:
        nonlocal tried
        tried += 1
        check(target, content)

    try:
        for content in corpus:
            tried += 1
            check(target, content)
        any_input()
    except AssertionError as error:
        return tried, str(error)
    return tried, ""


def with_atheris(name: str, parse: Callable[[bytes], Any], seconds: int, folder: Path) -> None:
    """Let atheris make inputs, guided by the branches that they reach; ends the process.

    Args:
        name: of the parser.
        parse: it.
        seconds: how long.
        folder: for new inputs; the corpus is only read.
    """
    import atheris

    from support.fuzz.targets import CORPUS

    arguments = ["fuzz", f"-max_total_time={seconds}", "-timeout=5", "-rss_limit_mb=4096", "-verbosity=0"]
    arguments += ["-print_final_stats=1", f"-artifact_prefix={folder}/", str(folder), str(CORPUS / name)]
    atheris.Setup(arguments, lambda content: check(Target(parse), content))
    atheris.Fuzz()

"""`--json`: print one JSON object on standard output; all other output of the command goes to stderr.

    with json_output(options.json) as result:
        ...
        result["score"] = 9000.0

A user error adds "error", "faults" and "exit_code" to the object, and is then printed as usual.
"""

import contextlib
import json
import math
import os
import sys
from collections.abc import Iterator
from typing import Any

from ariel_tf.core.errors import ArielError


@contextlib.contextmanager
def json_output(wanted: bool) -> Iterator[dict[str, Any]]:
    """Yield a dictionary to fill; print it at the end of the block if `wanted`.

    Args:
        wanted: whether --json was given; if not, nothing is redirected or printed.
    """
    result: dict[str, Any] = {}
    if not wanted:
        yield result
        return
    try:
        with _stdout_to_stderr():
            yield result
    except (ArielError, OSError) as error:
        faults = list(getattr(error, "faults", ()))
        print(as_json({**result, "error": str(error), "faults": faults, "exit_code": getattr(error, "exit_code", 1)}))
        raise
    print(as_json(result), flush=True)


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Redirect standard output to standard error in this block, also that of child processes and C libraries."""
    sys.stdout.flush()
    try:
        own = sys.stdout.fileno() == 1
    except (OSError, ValueError):  # the streams of a notebook or of a test have no descriptor
        own = False
    kept = os.dup(1) if own else None
    try:
        if kept is not None:
            os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stdout.flush()
        if kept is not None:
            os.dup2(kept, 1)
            os.close(kept)


def as_json(value: Any) -> str:
    """Return JSON that any parser accepts: NaN and infinite numbers as null, NumPy numbers and arrays as plain ones.

    >>> as_json({"score": float("nan"), "run": Path("a"), 3: (1, 2.5)})
    '{"score": null, "run": "a", "3": [1, 2.5]}'
    """
    return json.dumps(_plain(value), allow_nan=False)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # of NumPy
        value = value.tolist()
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, bool | int | float | str | None) else str(value)

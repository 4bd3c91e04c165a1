"""How far a long piece of work is: a bar on a terminal, a line now and then in a log; no TensorFlow."""

import sys
import time
from typing import Any

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 10.0


def counted(count: int, what: str) -> str:
    """`1 planet`, `2 planets`."""
    return f"{count} {what}{'s' * (count != 1)}"


class Progress:
    """How far, how fast and how much longer: a bar on a terminal, else a line every ten seconds, on stderr.

    Args:
        total: all there is to do.
        done: what an earlier run has done; it does not count for the rate.
        unit: what is counted, such as "observation".
    """

    def __init__(self, total: int, unit: str, done: int = 0):
        self._settings: dict[str, Any] = {"total": total, "unit": f" {unit}s", "initial": done}
        self._bar = tqdm(**self._settings, file=sys.stderr, disable=not sys.stderr.isatty())
        self._unit = unit
        self._n = self._first = done
        self._start = self._last = time.monotonic()

    def __call__(self, count: int) -> None:
        """Count `count` more as done."""
        self._n += count
        self._bar.update(count)
        now = time.monotonic()
        if self._bar.disable and now - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = now
            line = tqdm.format_meter(self._n, elapsed=now - self._start, ncols=100, **self._settings)
            print(line, file=sys.stderr, flush=True)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._start

    @property
    def summary(self) -> str:
        """What was done in this run, in how long, at which rate."""
        count = self._n - self._first
        return f"{counted(count, self._unit)} in {self.seconds:.1f} s, {count / max(self.seconds, 1e-9):.0f} a second"

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        self._bar.close()

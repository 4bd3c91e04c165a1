"""CPUs and free memory of this machine; formatting of sizes, counts and progress; no TensorFlow."""

import contextlib
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from ariel_tf.core import messages

_SECONDS_BETWEEN_LINES = 10.0


def available_cpus() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int:
    """Return the bytes that are free, both on the machine and within the limits of this process's control group."""
    return min([_free_of_machine(), *_free_of_group()])


def memory_used() -> int:
    """Return the peak memory of this process in bytes."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def _free_of_machine() -> int:
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _free_of_group(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> list[int]:
    """Return the free bytes below each memory limit of this process's control group and its parents; [] without limits.

    Version 2 has one tree of groups, version 1 a tree for memory alone. Within a container the root is its own group.
    """
    places = [root, root / "memory"]
    with contextlib.suppress(OSError, ValueError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("", "memory"):
                group = (root / "memory" if controllers else root) / path.strip("/")
                places += [group, *(parent for parent in group.parents if parent.is_relative_to(root))]
    free = []
    for place in dict.fromkeys(places):
        for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            with contextlib.suppress(OSError, ValueError):  # no such group, or "max": no limit
                bound = int((place / limit).read_text())
                free.append(max(0, bound - int((place / used).read_text()) + _reclaimable(place)))
    return free


def _reclaimable(group: Path) -> int:
    """Return the bytes of cached files in a control group's usage, which are freed when memory is needed."""
    with contextlib.suppress(OSError, ValueError):
        for line in (group / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name in ("inactive_file", "total_inactive_file"):
                return int(value)
    return 0


def parse_bytes(text: str) -> int | None:
    """Return a size like `8G`, `512M` or `1000` in bytes, with units of 1024; None for any other text.

    >>> parse_bytes("8G"), parse_bytes("1000"), parse_bytes("8 apples")
    (8589934592, 1000, None)
    """
    found = re.fullmatch(r"(\d{1,12})([KMGT]?)", text, re.ASCII)
    return int(found[1]) << 10 * " KMGT".index(found[2] or " ") if found else None


def format_bytes(size: float) -> str:
    """Format a number of bytes.

    >>> format_bytes(12_340_000_000), format_bytes(3_000_000)
    ('12.3 GB', '3.0 MB')
    """
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def format_count(count: int, what: str) -> str:
    """`1 planet`, `2 planets`."""
    return f"{count} {what}{'s' * (count != 1)}"


def format_seconds(seconds: float) -> str:
    """Format a duration, rounded to the accuracy of an estimate.

    >>> format_seconds(42.3), format_seconds(190), format_seconds(7500), format_seconds(200000)
    ('42 s', '3 min', '2 h 5 min', '2 days 7 h')
    """
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    return f"{format_count(hours // 24, 'day')} {hours % 24} h"


def format_rate(rate: float) -> str:
    """Format a rate; slow rates are given by the minute or the hour, so that none is printed as 0.

    >>> format_rate(1234.5), format_rate(3.21), format_rate(0.4), format_rate(0.002)
    ('1234 a second', '3.2 a second', '24 a minute', '7.2 an hour')
    """
    units = {"a second": 1, "a minute": 60, "an hour": 3600}
    unit = next((name for name, seconds in units.items() if rate * seconds >= 1), "an hour")
    value = rate * units[unit]
    return f"{value:.{0 if value >= 10 else 1}f} {unit}"


class TimeLeft:
    """Estimate the time left of equal steps from those of this process; the first, slower step counts only alone.

    Args:
        done: number of steps completed before.
    """

    def __init__(self, done: int = 0):
        self._marks = [(done, time.monotonic())]

    def __call__(self, done: int, total: int) -> str:
        """Return `at most 3 min left` after `done` of `total` steps; an empty text if none is left or none was done.

        At most, because a training may stop early and other processes may take over steps.
        """
        now = time.monotonic()
        first, start = self._marks[-1]
        if len(self._marks) == 2 and done == first:
            first, start = self._marks[0]
        if done <= first or done >= total:
            return ""
        if len(self._marks) == 1:
            self._marks.append((done, now))
        return f"at most {format_seconds((now - start) / (done - first) * (total - done))} left"


class Progress:
    """Progress, rate and time left: a bar on a terminal, else a line every ten seconds, on stderr.

    Args:
        total: total number of items.
        done: number that an earlier run completed, excluded from the rate.
        unit: name of an item, such as "observation".
    """

    def __init__(self, total: int, unit: str, done: int = 0):
        from tqdm import tqdm  # importing it takes a tenth of the time of `--help`

        self._settings: dict[str, Any] = {"total": total, "unit": f" {unit}s", "initial": done}
        self._bar = tqdm(
            **self._settings, file=sys.stderr, disable=not (sys.stderr.isatty() and messages.shows_progress())
        )
        self._unit = unit
        self._n = self._first = done
        self._start = self._last = time.monotonic()

    def __call__(self, count: int) -> None:
        """Count `count` more items as done."""
        self._n += count
        self._bar.update(count)
        now = time.monotonic()
        if self._bar.disable and messages.shows_progress() and now - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = now
            line = self._bar.format_meter(self._n, elapsed=now - self._start, ncols=100, **self._settings)
            print(line, file=sys.stderr, flush=True)

    @property
    def seconds(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._start

    @property
    def summary(self) -> str:
        """Return the number of items of this run, the duration and the rate; no rate for fewer than two items."""
        count = self._n - self._first
        done = f"{format_count(count, self._unit)} in {self.seconds:.1f} s"
        return f"{done}, {format_rate(count / max(self.seconds, 1e-9))}" if count > 1 else done

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

"""When to save, so that saving takes a small share of a training's time; no TensorFlow."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

# Of the time. A process that is killed loses at most what it did in 1 / SHARE times as long as a save takes.
SHARE = 0.05


class Pace:
    """Says when a save is due: the first at once, each other one after a pause in proportion to what the last took."""

    def __init__(self):
        self.ready = -float("inf")

    def due(self) -> bool:
        return time.perf_counter() >= self.ready

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Around a save."""
        started = time.perf_counter()
        yield
        ended = time.perf_counter()
        self.ready = ended + (ended - started) * (1 / SHARE - 1)

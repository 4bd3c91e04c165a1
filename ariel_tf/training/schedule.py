"""When to save checkpoints, so that saving takes a small share of the training time; no TensorFlow."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

# Share of the training time. A killed process loses at most 1 / SHARE times the duration of a save.
SHARE = 0.05


class CheckpointSchedule:
    """Decides when a checkpoint is due: the first immediately, later ones at intervals proportional to its cost."""

    def __init__(self) -> None:
        self.ready = -float("inf")

    def due(self) -> bool:
        return time.perf_counter() >= self.ready

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Time a save."""
        started = time.perf_counter()
        yield
        ended = time.perf_counter()
        self.ready = ended + (ended - started) * (1 / SHARE - 1)

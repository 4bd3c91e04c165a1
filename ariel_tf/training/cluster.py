"""Several processes, on one host or many, that train as one: who they are, what they share, and that one has gone.

Each is started with the same command and with `TF_CONFIG` in its environment, as TensorFlow documents it. The first
is the chief: it alone writes the run folder, which the others read, and scores the best model at the end. When one
of them dies the others can't go on; all must be started again, which `python -m ariel_tf.supervise` does.
"""

import json
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ariel_tf.core.errors import ArielError, DataError, UsageError
from ariel_tf.runs.folder import RunFolder
from ariel_tf.training.heartbeat import COMMAND


class PeerLost(ArielError):
    """Another process of this training died, or can't be reached."""


def task(text: str | None = None) -> tuple[int, int]:
    """(this process, how many train together), as a `TF_CONFIG` says, by default the environment's; (0, 1) without.

    Raises:
        UsageError: a `TF_CONFIG` that is not what TensorFlow documents, or that names other tasks than workers.
    """
    text = text or os.environ.get("TF_CONFIG")
    if not text:
        return 0, 1
    try:
        config = json.loads(text)
        workers = list(config["cluster"]["worker"])
        kind, index = config["task"]["type"], int(config["task"]["index"])
    except (ValueError, KeyError, TypeError):
        workers, kind, index = [], "", 0
    if kind != "worker" or not 0 <= index < len(workers) or set(config["cluster"]) != {"worker"}:
        raise UsageError(
            'TF_CONFIG: expected {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}, '
            f"the same list on every host and an index of its own. Received: {text}"
        )
    return index, len(workers)


@contextmanager
def run_folder(
    strategy: Any,
    path: Any,
    configuration: dict[str, Any],
    fingerprint: str,
    overwrite: bool = False,
    shared: bool = False,
) -> Iterator[RunFolder]:
    """The run folder of a training of one process or several, as of `RunFolder`; only the chief's is written.

    In the block a lost peer becomes one sentence. All leave it together.

    Raises:
        PeerLost: another process has gone.
        UsageError: what the chief's run folder refuses, or the folder is not to be seen from here.
        DataError: processes see different states of it.
    """
    index, workers = task()
    if workers == 1:
        with RunFolder(path, configuration, fingerprint, overwrite, shared=shared) as run:
            yield run
        return
    chief: RunFolder | None = None
    with _losing_peers():
        try:
            if index == 0:
                chief = RunFolder(path, configuration, fingerprint, overwrite, shared=shared)
        finally:
            opened = _sum(strategy, chief is not None)
        if not opened:
            raise UsageError(f"--run {path}: the first worker of this training refused it, and says why.")
        with chief or RunFolder(path, configuration, fingerprint, is_chief=False) as run:
            if not _agree(strategy, run.state["epoch"]):
                raise DataError(f"{path}: workers see different states of this run folder; do all hosts share it?")
            yield run
            barrier(strategy)  # the others wait for what the chief does last


def barrier(strategy: Any) -> None:
    """Wait until every worker reaches this point; returns immediately with one worker."""
    if task()[1] > 1:
        _sum(strategy, 1)


def _sum(strategy: Any, value: float) -> float:
    """The sum over all processes of each one's value; also a meeting point."""
    import tensorflow as tf

    @tf.function
    def add(number):
        return strategy.reduce("SUM", strategy.run(lambda: number + 0), axis=None)

    # Each of a process's devices brings the value once.
    return float(add(tf.constant(float(value), tf.float64))) / strategy.extended._num_devices_per_worker


def _agree(strategy: Any, value: float) -> bool:
    """Whether all processes bring the same value."""
    _, workers = task()
    same = _sum(strategy, value) == workers * value
    return _sum(strategy, same) == workers  # so that all come to one answer


def check_weights(strategy: Any, arrays: Iterable[Any]) -> None:
    """Refuse to go on where processes hold different weights, which they never should.

    Args:
        strategy: of all of them.
        arrays: this process's, NumPy.

    Raises:
        ArielError: they differ.
    """
    if task()[1] == 1:
        return
    digest = 0
    for values in arrays:
        digest = zlib.crc32(values.tobytes(), digest)
    if not _agree(strategy, digest):
        raise ArielError("the workers of this training hold different weights; start it again from the last epoch.")


@contextmanager
def _losing_peers() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if is_loss(error):
            again = "start all of them again, by hand or with `python -m ariel_tf.supervise`"
            if os.environ.get(COMMAND):
                again = "the supervisor starts all of them again"
            raise PeerLost(
                f"another worker of this training is gone, or can't be reached; {again}. What was saved is kept."
            ) from error
        raise


def is_loss(error: BaseException | None) -> bool:
    """Whether an error is TensorFlow's for a process that no longer answers."""
    if task()[1] == 1:
        return False
    import tensorflow as tf

    kinds = ("UnavailableError", "AbortedError", "CancelledError", "DeadlineExceededError", "InternalError")
    return isinstance(error, tuple(getattr(tf.errors, kind) for kind in kinds))

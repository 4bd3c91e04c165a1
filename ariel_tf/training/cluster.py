"""Several workers, on one host or many, that train one model: their tasks, their run folder, and the loss of a worker.

Each is started with the same command and with `TF_CONFIG` in its environment, as TensorFlow documents it. The first one
is the chief: it alone writes the run folder, which the others read, and scores the best model at the end. When a worker
dies the others cannot continue; all must be restarted, which `python -m ariel_tf.supervise` does.
"""

import json
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ariel_tf.core.cli import is_host_and_port
from ariel_tf.core.errors import ArielError, DataError, UsageError
from ariel_tf.core.numbers import whole_number
from ariel_tf.runs.folder import RunFolder
from ariel_tf.training.heartbeat import COMMAND
from ariel_tf.training.peers import wait_for_peers


class PeerLost(ArielError):
    """Another worker of this training died, or cannot be reached."""


def task(text: str | None = None) -> tuple[int, int]:
    """Return (index of this worker, number of workers) of `TF_CONFIG`, by default the environment's, or (0, 1).

    A `chief`, in the naming of Vertex AI and Kubeflow, is worker 0, and the workers follow it.

    Raises:
        UsageError: a `TF_CONFIG` that TensorFlow does not document, or whose task does not train.
    """
    index, addresses = _parse(os.environ.get("TF_CONFIG") if text is None else text)
    return index, max(1, len(addresses))


def name_workers_only() -> None:
    """Rewrite the environment's `TF_CONFIG` so that it lists only workers, in either naming."""
    index, addresses = _parse(os.environ.get("TF_CONFIG"))
    if len(addresses) > 1:
        os.environ["TF_CONFIG"] = json.dumps(
            {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        )


def wait_for_workers() -> None:
    """Wait until every worker of the environment's `TF_CONFIG` has started; a signal ends the wait."""
    wait_for_peers(*_parse(os.environ.get("TF_CONFIG")))


def _parse(text: str | None) -> tuple[int, list[str]]:
    """Return (index of this worker, addresses of all) of a `TF_CONFIG`; no addresses if it names no cluster."""
    if not text or not text.strip():
        return 0, []
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        raise _unreadable(text) from None
    if not isinstance(config, dict) or not isinstance(config.get("cluster", {}), dict):
        raise _unreadable(text)
    cluster = {kind: members for kind, members in config.get("cluster", {}).items() if members}
    if not cluster and not config.get("task"):
        return 0, []
    # An evaluator would score checkpoints during a training: the chief does this, so it is not needed.
    chiefs, workers = cluster.get("chief", []), cluster.get("worker", [])
    if not cluster.keys() <= {"chief", "worker", "evaluator"} or not all(
        isinstance(members, list) and all(isinstance(address, str) for address in members)
        for members in (chiefs, workers)
    ):
        raise _unreadable(text)
    addresses = [*chiefs, *workers]
    task = config.get("task")
    kind, number = (task.get("type"), _whole(task.get("index", 0))) if isinstance(task, dict) else (None, None)
    members = {"chief": chiefs, "worker": workers}.get(kind, []) if isinstance(kind, str) else []
    if len(chiefs) > 1 or number is None or not 0 <= number < len(members):
        raise _unreadable(text)
    if len(addresses) > 1:
        _check_addresses(addresses)
    return number + (len(chiefs) if kind == "worker" else 0), addresses


def _whole(value: Any) -> int | None:
    """Return a task's index; None if it is not a whole number. Some launchers write it as text."""
    if isinstance(value, str):
        return whole_number(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _check_addresses(addresses: Sequence[str]) -> None:
    """Refuse addresses that workers could not reach, or that two of them would share."""
    for address in addresses:
        if not is_host_and_port(address):
            raise UsageError(f"TF_CONFIG: expected HOST:PORT for each worker. Received: {address[:100]}")
    (twice, count), *_ = Counter(addresses).most_common(1)
    if count > 1:
        raise UsageError(f"TF_CONFIG: expected an address of its own for each worker. Received twice: {twice[:100]}")


def _unreadable(text: str) -> UsageError:
    received = text if len(text) <= 300 else f"{text[:300]}..."
    return UsageError(
        'TF_CONFIG: expected {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}, '
        f"the same list on every host and an index of its own, or a chief beside the workers. Received: {received}"
    )


@contextmanager
def run_folder(
    strategy: Any,
    path: Any,
    configuration: dict[str, Any],
    fingerprint: str,
    overwrite: bool = False,
    shared: bool = False,
) -> Iterator[RunFolder]:
    """Open the run folder of one or several workers, with the arguments of `RunFolder`; the chief writes it.

    In the block, the loss of a worker is reported in one sentence. All workers leave it together.

    Raises:
        PeerLost: another worker is gone.
        UsageError: the chief's run folder was refused, or this worker cannot read it.
        DataError: workers read different states of it.
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
            raise UsageError(f"--run {path}: the first worker of this training refused it, and prints the reason.")
        with chief or RunFolder(path, configuration, fingerprint, is_chief=False) as run:
            if not _agree(strategy, run.state["epoch"]):
                raise DataError(f"{path}: workers read different states of this run folder; do all hosts share it?")
            yield run
            barrier(strategy)  # the others wait for the chief's last actions


def barrier(strategy: Any) -> None:
    """Wait until every worker reaches this point; returns immediately with one worker."""
    if task()[1] > 1:
        _sum(strategy, 1)


def _sum(strategy: Any, value: float) -> float:
    """Return the sum of the values of all workers; also a barrier."""
    import tensorflow as tf

    @tf.function
    def add(number: Any) -> Any:
        return strategy.reduce("SUM", strategy.run(lambda: number + 0), axis=None)

    # Each device of a worker contributes the value once.
    return float(add(tf.constant(float(value), tf.float64))) / strategy.extended._num_devices_per_worker


def _agree(strategy: Any, value: float) -> bool:
    """Whether the value is equal in all workers."""
    _, workers = task()
    same = _sum(strategy, value) == workers * value
    return _sum(strategy, same) == workers  # so that all return the same


def check_weights(strategy: Any, arrays: Iterable[Any]) -> None:
    """Refuse to continue if workers have different weights, which should never happen.

    Args:
        strategy: the strategy of all workers.
        arrays: weights of this worker, NumPy.

    Raises:
        ArielError: the weights differ.
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
    """Whether an error is one that TensorFlow raises when a worker no longer responds."""
    if task()[1] == 1:
        return False
    import tensorflow as tf

    kinds = ("UnavailableError", "AbortedError", "CancelledError", "DeadlineExceededError", "InternalError")
    return isinstance(error, tuple(getattr(tf.errors, kind) for kind in kinds))

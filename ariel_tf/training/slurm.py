"""TensorFlow's `TF_CONFIG` from the variables that SLURM sets for each task of `srun`; no TensorFlow."""

import itertools
import json
import re
from collections.abc import Iterator, Mapping

from ariel_tf.core.errors import UsageError

# First of the ports on which the tasks of a host listen; jobs that share a host need different ones.
FIRST_PORT, PORTS = 20000, 10000
# More hosts than any cluster has: a longer list is a mistake that would only fill memory.
MAX_HOSTS = 100_000


def tf_config(environment: Mapping[str, str]) -> str | None:
    """Return the `TF_CONFIG` of a task; None outside SLURM, or if there is only one task.

    Raises:
        UsageError: a list of hosts or tasks that cannot be read, or several tasks without `srun`.
    """
    if not environment.get("SLURM_PROCID"):
        return None
    hosts_text, counts_text = (environment.get(f"SLURM_STEP_{name}", "") for name in ("NODELIST", "TASKS_PER_NODE"))
    step = bool(hosts_text and counts_text)
    tasks = _number(environment, "SLURM_NTASKS") if environment.get("SLURM_NTASKS") else None
    if tasks is None:
        tasks = sum(tasks_of_hosts(counts_text)) if step else 1
    if tasks == 1:
        return None
    if not step:
        raise UsageError(
            f"SLURM: {tasks} tasks are reserved, but this process was not started by srun; start it with "
            "`srun python -m ariel_tf.supervise -- ...`, or reserve one task."
        )
    hosts, counts = list(host_names(hosts_text)), tasks_of_hosts(counts_text)
    if len(hosts) != len(counts):
        raise UsageError(f"SLURM: expected a number of tasks for each of {len(hosts)} hosts. Received: {counts}")
    base = FIRST_PORT + _number(environment, "SLURM_JOB_ID") * 16 % PORTS
    addresses = [f"{host}:{base + task}" for host, count in zip(hosts, counts, strict=True) for task in range(count)]
    index = _number(environment, "SLURM_PROCID")
    if index >= len(addresses):
        raise UsageError(f"SLURM_PROCID: expected less than {len(addresses)}, the number of tasks. Received: {index}")
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})


def _number(environment: Mapping[str, str], name: str) -> int:
    """Return the whole number in a variable; for an array job's `4711_3`, the digits of job and task."""
    text = environment.get(name, "").strip()
    if not re.fullmatch(r"[0-9]{1,18}(_[0-9]{1,9})?", text):
        raise UsageError(f"{name}: expected a whole number. Received: {text[:100]!r}")
    return int(text.replace("_", ""))


def host_names(text: str) -> Iterator[str]:
    """Return the names in SLURM's short list of hosts, in its order: the last range of a name varies fastest.

    Raises:
        UsageError: brackets or ranges that cannot be read.

    >>> list(host_names("gpu[01-03,7],login"))
    ['gpu01', 'gpu02', 'gpu03', 'gpu7', 'login']
    >>> list(host_names("r1i[0-1]n[0-1]"))
    ['r1i0n0', 'r1i0n1', 'r1i1n0', 'r1i1n1']
    """
    count = 0
    for item in re.findall(r"(?:[^,\[]|\[[^]]*\]?)+|,,|^,|,$", text) or [text]:
        parts = re.split(r"\[([^\[\]]*)\]", item)  # alternately plain text and the inside of brackets
        if not item.strip() or any(re.search(r"[\[\],\s]", plain) for plain in parts[::2]):
            raise _unreadable(text)
        choices = [_numbers(part, text) if index % 2 else [part] for index, part in enumerate(parts)]
        for name in itertools.product(*choices):
            count += 1
            if count > MAX_HOSTS:
                raise _unreadable(text)
            yield "".join(name)


def _numbers(ranges: str, text: str) -> list[str]:
    """Return the numbers of `01-03,7`, with the leading zeros of the first of each range."""
    numbers: list[str] = []
    for part in ranges.split(","):
        found = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", part.strip())
        if not found:
            raise _unreadable(text)
        first, last = found[1], found[2] or found[1]
        if not 0 <= int(last) - int(first) < MAX_HOSTS:
            raise _unreadable(text)
        numbers += [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    return numbers


def _unreadable(text: str) -> UsageError:
    return UsageError(f"SLURM: expected hosts like gpu[01-03,7],login. Received: {text[:200]}")


def tasks_of_hosts(text: str) -> list[int]:
    """Return the numbers in SLURM's short list of tasks per host.

    Raises:
        UsageError: a list that cannot be read.

    >>> tasks_of_hosts("2(x3),1")
    [2, 2, 2, 1]
    """
    counts: list[int] = []
    for item in text.split(","):
        found = re.fullmatch(r"([0-9]{1,6})(?:\(x([0-9]{1,6})\))?", item)
        if not found or len(counts) + int(found[2] or 1) > MAX_HOSTS:
            raise UsageError(f"SLURM: expected tasks of hosts like 2(x3),1. Received: {text[:200]}")
        counts += [int(found[1])] * int(found[2] or 1)
    return counts

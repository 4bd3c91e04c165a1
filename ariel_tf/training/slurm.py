"""TensorFlow's `TF_CONFIG` from the variables that SLURM gives each task of `srun`; no TensorFlow."""

import json
import re
from collections.abc import Iterator, Mapping

from ariel_tf.core.errors import UsageError

# The first of the ports that tasks of a host listen on; jobs that share a host take others.
FIRST_PORT, PORTS = 20000, 10000


def tf_config(environment: Mapping[str, str]) -> str | None:
    """A task's `TF_CONFIG`; None outside SLURM, or where there is one task only.

    Raises:
        UsageError: a list of hosts or of tasks that cannot be read.
    """
    if int(environment.get("SLURM_NTASKS", "1")) == 1 or "SLURM_PROCID" not in environment:
        return None
    hosts = list(host_names(environment["SLURM_STEP_NODELIST"]))
    counts = tasks_of_hosts(environment["SLURM_STEP_TASKS_PER_NODE"])
    if len(hosts) != len(counts):
        raise UsageError(f"SLURM: expected a number of tasks for each of {len(hosts)} hosts. Received: {counts}")
    base = FIRST_PORT + int(environment["SLURM_JOB_ID"]) * 16 % PORTS
    addresses = [f"{host}:{base + task}" for host, count in zip(hosts, counts, strict=True) for task in range(count)]
    task = {"type": "worker", "index": int(environment["SLURM_PROCID"])}
    return json.dumps({"cluster": {"worker": addresses}, "task": task})


def host_names(text: str) -> Iterator[str]:
    """SLURM's short way to list hosts, spelled out.

    >>> list(host_names("gpu[01-03,7],login"))
    ['gpu01', 'gpu02', 'gpu03', 'gpu7', 'login']
    """
    for item in re.findall(r"(?:[^,\[]|\[[^]]*\])+", text):
        prefix, ranges, suffix = re.fullmatch(r"([^\[]*)(?:\[([^]]*)\])?(.*)", item).groups()  # type: ignore[union-attr]
        for part in ranges.split(",") if ranges else [""]:
            first, dash, last = part.partition("-")
            numbers = [str(n).zfill(len(first)) for n in range(int(first), int(last) + 1)] if dash else [first]
            yield from (f"{prefix}{number}{suffix}" for number in numbers)


def tasks_of_hosts(text: str) -> list[int]:
    """SLURM's short way to count the tasks of each host, spelled out.

    >>> tasks_of_hosts("2(x3),1")
    [2, 2, 2, 1]
    """
    counts: list[int] = []
    for item in text.split(","):
        found = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", item)
        if not found:
            raise UsageError(f"SLURM: expected tasks of hosts like 2(x3),1. Received: {text}")
        counts += [int(found[1])] * int(found[2] or 1)
    return counts

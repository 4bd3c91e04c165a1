"""A Python script for a Ray cluster: one task per machine, retried if its node is lost."""

import json

from ariel_tf.training.launching.work import SEARCH_PORT, Machine, Work

_SCRIPT = '''"""Run a command of ariel_tf on the nodes of a Ray cluster: `ray job submit -- python FILE`."""

import json
import os
import subprocess

import ray
from ray.util.placement_group import placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

COMMANDS = {commands}
THEN = {then}
FINAL = (0, 2, 3, 4)  # exit codes that another try would only repeat
PORT = {port}


@ray.remote
def address():
    return ray.util.get_node_ip_address()


@ray.remote(max_retries=20, retry_exceptions=True)
def run(command, variables):
    ended = subprocess.run(["bash", "-ec", "exec " + command], env=os.environ | variables)
    if ended.returncode not in FINAL:
        raise RuntimeError(f"exit code {{ended.returncode}}: {{command}}")
    return ended.returncode


def main():
    ray.init()
    resources = {{"num_cpus": {cpus}, "num_gpus": {gpus}}}
{start}
    codes = ray.get(tasks)
    if THEN and not any(codes):
        codes = ray.get([run.options(**resources).remote(THEN, {{}})])
    raise SystemExit(max(codes))


if __name__ == "__main__":
    main()
'''

_APART = """    tasks = [run.options(**resources).remote(command, {}) for command in COMMANDS]"""

# Each command has a fixed placement, whose address is known before the first one starts.
_TOGETHER = """    group = placement_group(
        [{"CPU": resources["num_cpus"], "GPU": resources["num_gpus"]}] * len(COMMANDS), strategy="STRICT_SPREAD"
    )
    ray.get(group.ready())
    places = [
        PlacementGroupSchedulingStrategy(placement_group=group, placement_group_bundle_index=index)
        for index in range(len(COMMANDS))
    ]
    hosts = ray.get([address.options(num_cpus=0, scheduling_strategy=place).remote() for place in places])
    addresses = [f"{host}:{PORT}" for host in hosts]
    tasks = []
    for index, (command, place) in enumerate(zip(COMMANDS, places)):
VARIABLES
        tasks.append(run.options(**resources, scheduling_strategy=place).remote(command, variables))"""

_WORKER = """        task = {"type": "worker", "index": index}
        variables = {"TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": task})}"""
_SEARCHER = """        variables = {"CHIEF": addresses[0]}"""


def script(work: Work, machine: Machine) -> str:
    """Return the script for `ray job submit`.

    Args:
        work: work of the job.
        machine: resources of each task.
    """
    numbers = [str(number) for number in range(1, work.count + 1)]
    commands = [work.command(number) for number in numbers]
    if work.way == "search":
        pairs = [work.of_search("$CHIEF", str(number)) for number in range(work.count)]
        commands = [pairs[0][0], *(worker for _, worker in pairs[1:])]
    variables = {"workers": _WORKER, "search": _SEARCHER}.get(work.way)
    return _SCRIPT.format(
        commands=json.dumps(commands, indent=4),
        then=json.dumps(work.then),
        port=SEARCH_PORT,
        cpus=machine.cpus,
        gpus=machine.gpus,
        start=_TOGETHER.replace("VARIABLES", variables) if variables else _APART,
    )

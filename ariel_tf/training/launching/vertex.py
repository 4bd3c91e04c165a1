"""A shell script that submits custom jobs of Vertex AI with `gcloud`: one job of several machines, or one per slice.

Vertex AI mounts shares of Filestore, and sets TF_CONFIG and CLUSTER_SPEC in each container.
"""

import json

from ariel_tf.training.launching.work import Machine, Work

_NUMBER = "@NUMBER@"
_CHIEF = """CHIEF=$(python -c 'import json, os
print(json.loads(os.environ["CLUSTER_SPEC"])["cluster"]["workerpool0"][0])')
INDEX=$(python -c 'import json, os
print(json.loads(os.environ["CLUSTER_SPEC"])["task"]["index"] + 1)')
"""


def script(work: Work, machine: Machine, region: str, machine_type: str, accelerator: str) -> str:
    """Return the script to run with `bash`.

    Args:
        work: work of the job.
        machine: resources of each replica; its volumes are SERVER:/SHARE.
        region: region of the job, such as europe-west4.
        machine_type: type of machine, such as n1-standard-16.
        accelerator: type of GPU, such as NVIDIA_TESLA_T4.
    """
    spec: dict = {"machineType": machine_type}
    if machine.gpus:
        spec |= {"acceleratorType": accelerator, "acceleratorCount": machine.gpus}
    mounts = []
    for source, mount in machine.volumes:
        server, _, path = source.partition(":")
        mounts.append({"server": server, "path": path, "mountPoint": mount})
    pools = [
        {
            "machineSpec": spec,
            "replicaCount": replicas,
            "containerSpec": {
                "imageUri": machine.image, "command": ["bash", "-ec"], "args": [start],
                "env": [{"name": "HOME", "value": "/tmp"}],
            },
            "nfsMounts": mounts,
        }
        for replicas, start in _pools(work)
    ]  # fmt: skip
    divided = work.way in ("slices", "parts")
    numbers = f"$(seq 1 {work.count})" if divided else "1"
    name = f"{machine.name}-$number" if divided else machine.name
    then = ["# Once all are complete, as a job of one machine:", f"#   {work.then}"] if work.then else []
    return "\n".join(
        [
            "#!/bin/bash",
            "set -e",
            *then,
            "config=$(mktemp --suffix .json)",
            f"for number in {numbers}; do",
            f'sed "s/{_NUMBER}/$number/g" > "$config" <<\'END\'',
            json.dumps({"workerPoolSpecs": pools}, indent=2),
            "END",
            f'gcloud ai custom-jobs create --region={region} --display-name="{name}" --config="$config"',
            "done",
            "",
        ]
    )


def _pools(work: Work) -> list[tuple[int, str]]:
    """Return replicas and the shell command of each pool; the first pool has one replica."""
    if work.way == "search":
        chief, worker = work.of_search("$CHIEF", "$INDEX")
        return [(1, f"{_CHIEF}exec {chief}"), (work.count - 1, f"{_CHIEF}exec {worker}")]
    command = f"exec {work.command(_NUMBER)}"
    return [(1, command), (work.count - 1, command)] if work.way == "workers" else [(1, command)]

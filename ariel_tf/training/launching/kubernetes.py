"""A manifest for Kubernetes: a Job, indexed for several machines, and a Service if they must find each other."""

import json

from ariel_tf.training.launching.work import SEARCH_PORT, SECONDS_TO_SAVE, Machine, Work, indented

WORKER_PORT = 2222

_SERVICE = """apiVersion: v1
kind: Service
metadata: {{name: "{name}"}}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector: {{job-name: "{name}"}}
---
"""

# Errors with exit codes 2, 3 and 4 (options, data, losses) would repeat, so they end the job; evictions do not count.
_JOB = """apiVersion: batch/v1
kind: Job
metadata: {{name: "{name}"}}
spec:{indexed}
  backoffLimit: {retries}
  podFailurePolicy:
    rules:
      - action: FailJob
        onExitCodes: {{containerName: ariel, operator: In, values: [2, 3, 4]}}
      - action: Ignore
        onPodConditions: [{{type: DisruptionTarget}}]
  template:
    spec:{subdomain}
      restartPolicy: Never
      terminationGracePeriodSeconds: {seconds}
      containers:
        - name: ariel
          image: {image}
          command: [bash, -ec]
          args:
            - |
{start}
          env:
            - {{name: HOME, value: /tmp}}{ports}
          resources:
            requests: {{cpu: {cpus}, memory: {memory}}}
            limits: {limits}
          volumeMounts:
{mounts}
      volumes:
{volumes}
"""


def manifest(work: Work, machine: Machine) -> str:
    """Return the manifest for `kubectl apply -f`.

    Args:
        work: work of the job.
        machine: resources of each pod; its volumes are names of claims.
    """
    together, memory = work.way in ("workers", "search"), f"{machine.memory}i"
    indexed = f"\n  completionMode: Indexed\n  completions: {work.count}\n  parallelism: {work.count}"
    port = WORKER_PORT if work.way == "workers" else SEARCH_PORT
    limits = {"memory": memory} | ({"nvidia.com/gpu": machine.gpus} if machine.gpus else {})
    mounts, volumes = [], []
    for number, (claim, mount) in enumerate(machine.volumes):
        access = ", readOnly: true" if work.is_read_only(mount) else ""
        mounts.append(f"- {{name: volume-{number}, mountPath: {json.dumps(mount)}{access}}}")
        volumes.append(f"- name: volume-{number}\n  persistentVolumeClaim: {{claimName: {json.dumps(claim)}}}")
    job = _JOB.format(
        name=machine.name,
        indexed=indexed if work.count > 1 else "",
        retries=100 if work.count > 1 else 20,
        subdomain=f'\n      subdomain: "{machine.name}"' if together else "",
        seconds=SECONDS_TO_SAVE,
        image=json.dumps(machine.image),
        start=indented("\n".join(_start(work, machine)), 14),
        ports=f"\n          ports:\n            - {{containerPort: {port}}}" if together else "",
        cpus=machine.cpus,
        memory=memory,
        limits=json.dumps(limits),
        mounts=indented("\n".join(mounts), 12),
        volumes=indented("\n".join(volumes), 8),
    )
    then = f"# Once it is complete, as a job of one machine:\n#   {work.then}\n" if work.then else ""
    return then + (_SERVICE.format(name=machine.name) if together else "") + job


def _start(work: Work, machine: Machine) -> list[str]:
    name = machine.name
    if work.way == "workers":
        addresses = ", ".join(f'"{name}-{index}.{name}:{WORKER_PORT}"' for index in range(work.count))
        cluster = f'{{"cluster": {{"worker": [{addresses}]}}, "task": {{"type": "worker", "index": INDEX}}}}'
        shown = cluster.replace('"', '\\"').replace("INDEX", "$JOB_COMPLETION_INDEX")
        return [f'export TF_CONFIG="{shown}"', f"exec {work.command('')}"]
    if work.way == "search":
        chief, worker = work.of_search(f"{name}-0.{name}:{SEARCH_PORT}", "$JOB_COMPLETION_INDEX")
        return ['if [ "$JOB_COMPLETION_INDEX" = 0 ]; then', f"  exec {chief}", "fi", f"exec {worker}"]
    return [f"exec {work.command('$((JOB_COMPLETION_INDEX + 1))')}"]

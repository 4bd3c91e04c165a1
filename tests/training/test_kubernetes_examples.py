"""The manifests of examples/kubernetes: the commands that their pods start, and who trains with whom."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from ariel_tf import supervise, train
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.training import cluster
from tuning import search

EXAMPLES = Path(__file__).parents[2] / "examples/kubernetes"
# A `python` that prints the arguments and TF_CONFIG with which it is started.
STUB = '#!/bin/sh\nprintf "%s\\0" "$@" "$TF_CONFIG"\n'
PARSERS = {"ariel_tf.train": train.parser, "ariel_tf.supervise": supervise.parser, "tuning.search": search.parser}


def jobs(name):
    return [page for page in yaml.safe_load_all((EXAMPLES / name).read_text()) if page["kind"] != "Service"]


def pod_of(job):
    return job["spec"]["template"]["spec"]


@pytest.fixture
def started(tmp_path):
    """A function (pod, **environment) -> module, its arguments, TF_CONFIG, as its container starts them."""
    stub = tmp_path / "python"
    stub.write_text(STUB)
    stub.chmod(0o755)

    def start(pod, **environment):
        (container,) = pod["containers"]
        known = {entry["name"]: entry["value"] for entry in container["env"]}
        path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        ended = subprocess.run(
            [*container["command"], *container["args"]], env=path | known | environment, capture_output=True, check=True
        )
        flag, module, *arguments, tf_config, _ = ended.stdout.decode().split("\0")
        assert flag == "-m"
        return module, arguments, tf_config

    return start


def check(module, arguments):
    """Refuse options that the command would refuse; return those of the training."""
    own, _, rest = "\n".join(arguments).partition("\n--\n")
    given = PARSERS[module]().parse_args(own.split("\n"))
    if module == "ariel_tf.supervise":
        given = train.parser().parse_args(rest.split("\n"))
    return TrainConfig.from_flags(given)


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.yaml")))
def test_pods_have_time_to_save_and_keep_their_runs_on_a_volume(name):
    for job in jobs(name):
        pods = [pod_of(job)] if job["kind"] == "Job" else [pod_of({"spec": its}) for its in replicas(job)]
        for pod in pods:
            assert pod["terminationGracePeriodSeconds"] >= 120
            mounts = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
            assert mounts == {"/data", "/runs"}
            assert {volume["name"] for volume in pod["volumes"]} == {"data", "runs"}


def replicas(job):
    return job["spec"]["tfReplicaSpecs"].values()


def test_one_training(started):
    (job,) = jobs("train.yaml")
    module, arguments, tf_config = started(pod_of(job))
    assert (module, tf_config) == ("ariel_tf.train", "")
    assert check(module, arguments).model == "transit"
    # Failures that another start would only repeat.
    assert job["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == [2, 3, 4]


def test_each_worker_knows_its_number_and_all_addresses(started):
    (job,) = jobs("workers.yaml")
    count = job["spec"]["completions"]
    seen = set()
    for index in range(count):
        module, arguments, tf_config = started(pod_of(job), JOB_COMPLETION_INDEX=str(index))
        assert module == "ariel_tf.supervise"
        assert check(module, arguments).wavelength.is_joint
        assert cluster.task(tf_config) == (index, count)
        addresses = json.loads(tf_config)["cluster"]["worker"]
        # A pod's host name is that of the job with its index, in the domain of the service.
        assert addresses[index] == f"{job['metadata']['name']}-{index}.{pod_of(job)['subdomain']}:2222"
        seen.add(tuple(addresses))
    assert len(seen) == 1


def test_slices_together_train_every_wavelength_once(started):
    (job,) = jobs("slices.yaml")
    trained = []
    for index in range(job["spec"]["completions"]):
        module, arguments, _ = started(pod_of(job), JOB_COMPLETION_INDEX=str(index))
        trained += check(module, arguments).wavelength.chosen
    assert sorted(trained) == list(range(55))


def test_a_search_has_one_chief_and_workers_of_their_own_names(started):
    (job,) = jobs("search.yaml")
    found = []
    for index in range(job["spec"]["completions"]):
        module, arguments, _ = started(pod_of(job), JOB_COMPLETION_INDEX=str(index))
        found.append(PARSERS[module]().parse_args(arguments))
    chief = "ariel-search-0.ariel-search:7000"
    assert [getattr(given, "chief", None) for given in found] == [chief, None, None, None, None]
    assert [getattr(given, "worker", None) for given in found] == [None, *[chief] * 4]
    assert [getattr(given, "worker_name", None) for given in found] == [None, *(f"worker-{i}" for i in range(1, 5))]


def test_the_operator_of_kubeflow_starts_a_chief_and_workers(started):
    """TF_CONFIG as the operator sets it in the second worker."""
    (job,) = jobs("tfjob.yaml")
    counts = {kind: its["replicas"] for kind, its in job["spec"]["tfReplicaSpecs"].items()}
    assert counts == {"Chief": 1, "Worker": 2}
    hosts = {
        kind.lower(): [f"ariel-{kind.lower()}-{i}.default.svc:2222" for i in range(n)] for kind, n in counts.items()
    }
    text = json.dumps({"cluster": hosts, "task": {"type": "worker", "index": 1}, "environment": "cloud"})
    for its in replicas(job):
        module, arguments, tf_config = started(pod_of({"spec": its}), TF_CONFIG=text)
        assert check(module, arguments).wavelength.is_joint
        assert cluster.task(tf_config) == (2, 3)

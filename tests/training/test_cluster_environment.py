"""Who trains with whom, from environments that launchers set: TF_CONFIG of Vertex AI and Kubeflow, and SLURM's."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ariel_tf.core.errors import UsageError
from ariel_tf.training import cluster, slurm

ROOT = Path(__file__).parents[2]


def tf_config(members, kind="worker", index=0, **more):
    return json.dumps({"cluster": members, "task": {"type": kind, "index": index}, **more})


TWO = {"worker": ["a:1", "b:1"]}
CHIEF_AND_TWO = {"chief": ["c:2222"], "worker": ["w0:2222", "w1:2222"]}
# (TF_CONFIG, this worker's index and the number of workers)
SOUND = {
    "two workers": (tf_config(TWO, index=1), (1, 2)),
    "index as text": (tf_config(TWO, index="1"), (1, 2)),
    "Vertex AI, one machine": (
        '{"cluster": {"chief": ["localhost:2222"]}, "task": {"type": "chief", "index": 0}, "environment": "cloud"}',
        (0, 1),
    ),
    "Vertex AI, chief of three": (tf_config(CHIEF_AND_TWO, "chief", environment="cloud", job="{}"), (0, 3)),
    "Vertex AI, last worker": (tf_config(CHIEF_AND_TWO, "worker", 1, environment="cloud"), (2, 3)),
    "Kubeflow, a chief only": (tf_config({"chief": ["job-chief-0.default.svc:2222"]}, "chief"), (0, 1)),
    "Kubeflow, with an evaluator": (tf_config(CHIEF_AND_TWO | {"evaluator": ["e:2222"]}, "worker", 0), (1, 3)),
    "no parameter servers": (tf_config(TWO | {"ps": []}), (0, 2)),
    "no cluster": ("{}", (0, 1)),
    "an empty cluster": ('{"cluster": {}}', (0, 1)),
    "an empty variable": ("", (0, 1)),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_tf_config_that_describes_a_sound_cluster_is_read(name):
    text, expected = SOUND[name]
    assert cluster.task(text) == expected


REFUSED = {
    "deeply nested": "[" * 100_000,
    "deeply nested cluster": '{"cluster": ' + '{"worker": ' * 100_000,
    "no JSON": "{'cluster': {'worker': ['a:1']}}",
    "null": "null",
    "text": '""',
    "a number": "1e999",
    "an infinite index": '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1e999}}',
    "an index that is no number": '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": NaN}}',
    "a broken index": tf_config(TWO, index=1.9),
    "an index that is true": tf_config(TWO, index=True),
    "an index that is null": tf_config(TWO, index=None),
    "a negative index": tf_config(TWO, index=-1),
    "an index beyond the list": tf_config(TWO, index=2),
    "a chief's index beyond the list": tf_config(CHIEF_AND_TWO, "chief", 1),
    "an index of 5,000 digits": tf_config(TWO, index="1" * 5000),
    "workers as one text": tf_config({"worker": "a:1,b:1"}),
    "workers by number": tf_config({"worker": {"0": "a:1", "1": "b:1"}}),
    "workers that are numbers": tf_config({"worker": [1, 2]}),
    "a cluster as a list": tf_config(["a:1"]),
    "a task as a list": '{"cluster": {"worker": ["a:1"]}, "task": []}',
    "a type that is a list": tf_config(TWO, kind=["worker"]),
    "no task": json.dumps({"cluster": TWO}),
    "two chiefs": tf_config({"chief": ["a:1", "b:1"]}, "chief"),
    "an evaluator": tf_config(TWO | {"evaluator": ["e:1"]}, "evaluator"),
    "a parameter server": tf_config(TWO | {"ps": ["p:1"]}, "ps"),
    "a worker of parameter servers": tf_config(TWO | {"ps": ["p:1"]}),
    "no ports": tf_config({"worker": ["a", "b"]}),
    "a port beyond 65535": tf_config({"worker": ["a:1", "b:70000"]}),
    "a port of 5,000 digits": tf_config({"worker": ["a:1", "b:" + "1" * 5000]}),
    "one address twice": tf_config({"worker": ["a:1", "a:1"]}),
    "the chief's address twice": tf_config({"chief": ["a:1"], "worker": ["a:1"]}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_tf_config_that_does_not_is_one_sentence(name):
    with pytest.raises(UsageError, match=r"^TF_CONFIG: expected .*Received") as refused:
        cluster.task(REFUSED[name])
    assert len(str(refused.value)) < 700
    assert "\n" not in str(refused.value)


def test_tensorflow_is_given_the_workers_in_one_list(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", SOUND["Vertex AI, last worker"][0])
    cluster.name_workers_only()
    assert json.loads(os.environ["TF_CONFIG"]) == {
        "cluster": {"worker": ["c:2222", "w0:2222", "w1:2222"]},
        "task": {"type": "worker", "index": 2},
    }
    assert cluster.task() == (2, 3)


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("r1i[0-1]n[0-2]", "r1i0n0 r1i0n1 r1i0n2 r1i1n0 r1i1n1 r1i1n2"),
        ("rack[1-2]node[1-3]", "rack1node1 rack1node2 rack1node3 rack2node1 rack2node2 rack2node3"),
        ("nid[00001-00003]", "nid00001 nid00002 nid00003"),
        ("n[09-11,100]", "n09 n10 n11 n100"),
        ("gpu-a-1", "gpu-a-1"),
        ("a[1-3,5]b", "a1b a2b a3b a5b"),
        ("n[1]", "n1"),
        ("node[1-2]-ib0", "node1-ib0 node2-ib0"),
        ("a,b[1-2],c", "a b1 b2 c"),
        ("x[0-1]y[0-1]z[0-1],w", "x0y0z0 x0y0z1 x0y1z0 x0y1z1 x1y0z0 x1y0z1 x1y1z0 x1y1z1 w"),
    ],
)
def test_slurm_s_lists_of_hosts_are_spelled_out(text, hosts):
    assert list(slurm.host_names(text)) == hosts.split()


@pytest.mark.parametrize(
    "text",
    ["", ",", "a,,b", "a,", "a[1-2", "a]1[", "a[]", "a[1-]", "a[2-1]", "n[01-10/2]", "a[x-y]", "a[1-2]]", "a[[1]]",
     "a b", "n[0-999999999]", "n[0-999]m[0-999]", "n[1,,2]", f"n[{'1' * 5000}]"],
)  # fmt: skip
def test_a_list_of_hosts_that_can_not_be_read_is_one_sentence(text):
    with pytest.raises(UsageError, match=r"^SLURM: expected hosts like"):
        list(slurm.host_names(text))


BATCH = {"SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_JOB_ID": "4711"}
STEP = BATCH | {"SLURM_STEP_NODELIST": "n[1-2]", "SLURM_STEP_TASKS_PER_NODE": "1(x2)"}


@pytest.mark.parametrize(
    ("changes", "workers"),
    [
        ({}, ["n1:25376", "n2:25376"]),
        ({"SLURM_NTASKS": ""}, ["n1:25376", "n2:25376"]),
        ({"SLURM_JOB_ID": "4711_3"}, ["n1:23808", "n2:23808"]),
        (
            {"SLURM_STEP_NODELIST": "r1i[0-1]n[0-1]", "SLURM_STEP_TASKS_PER_NODE": "1(x4)"},
            ["r1i0n0:25376", "r1i0n1:25376", "r1i1n0:25376", "r1i1n1:25376"],
        ),
    ],
)
def test_slurm_s_tasks_are_the_workers(changes, workers):
    config = json.loads(slurm.tf_config(STEP | changes))
    assert config == {"cluster": {"worker": workers}, "task": {"type": "worker", "index": 0}}


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        (BATCH, r"SLURM: 2 tasks are reserved, but this process was not started by srun; start it with `srun python"),
        (BATCH | {"SLURM_JOB_NODELIST": "n[1-2]", "SLURM_TASKS_PER_NODE": "1(x2)"}, "was not started by srun"),
        (STEP | {"SLURM_NTASKS": "two"}, "SLURM_NTASKS: expected a whole number. Received: 'two'"),
        (STEP | {"SLURM_JOB_ID": ""}, "SLURM_JOB_ID: expected a whole number. Received: ''"),
        (STEP | {"SLURM_PROCID": "x"}, "SLURM_PROCID: expected a whole number. Received: 'x'"),
        (STEP | {"SLURM_PROCID": "2"}, "SLURM_PROCID: expected less than 2, the number of tasks. Received: 2"),
        (STEP | {"SLURM_STEP_TASKS_PER_NODE": "1(x3)"}, "SLURM: expected a number of tasks for each of 2 hosts"),
        (STEP | {"SLURM_STEP_TASKS_PER_NODE": "1(x99999999)"}, "SLURM: expected tasks of hosts like"),
        (STEP | {"SLURM_STEP_TASKS_PER_NODE": ""}, "was not started by srun"),
    ],
)
def test_slurm_variables_that_do_not_fit_are_one_sentence(environment, sentence):
    with pytest.raises(UsageError, match=sentence):
        slurm.tf_config(environment)


def test_slurm_s_batch_script_with_one_task_trains_alone():
    assert slurm.tf_config(BATCH | {"SLURM_NTASKS": "1"}) is None
    assert slurm.tf_config({"SLURM_PROCID": "0", "SLURM_JOB_ID": "7"}) is None
    assert slurm.tf_config({"SLURM_NTASKS": "", "SLURM_PROCID": "0"}) is None
    assert slurm.tf_config({"SLURM_PROCID": ""}) is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_waiting_for_an_absent_worker_ends_within_ten_seconds_of_a_signal(number, tmp_path):
    """TensorFlow waits in C++, where six signals were ignored."""
    default = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = "from ariel_tf import train; from ariel_tf.core.errors import run_command; run_command(train.main)"
    options = ["--data", "simulated:planets=20,spots=1,photons=3,seed=1", "--wavelength", "12"]
    port = 29411 + 2 * number  # of its own: both cases may run at once
    addresses = {"worker": [f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}"]}
    with subprocess.Popen(
        [sys.executable, "-c", f"{default}\n{program}", *options],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TF_CONFIG": tf_config(addresses)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout.readline() == "waiting for the 2 workers of this training\n"
            deadline = time.monotonic() + 120
            while not _listens(port) and time.monotonic() < deadline:  # TensorFlow has begun to wait
                time.sleep(0.1)
            began = time.monotonic()
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 128 + number
    assert err == f"\nstopped by {number.name}; repeat the command to continue.\n"
    assert time.monotonic() - began < 10


def _listens(port):
    """Whether a process of this machine listens on a port."""
    table = "".join(path.read_text() for name in ("tcp", "tcp6") if (path := Path(f"/proc/net/{name}")).is_file())
    return any(f":{port:04X} " in line.split(" st ")[0] and " 0A " in line for line in table.splitlines())

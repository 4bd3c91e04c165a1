"""`ariel launch`: each system's job file starts every machine's command, as a shell or Ray would start it."""

import json
import os
import subprocess
import sys

import pytest
import yaml

from ariel_tf import launch, supervise, train
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.errors import UsageError
from ariel_tf.training import cluster
from pipelines import convert
from tuning import search

PARSERS = {
    "ariel_tf.train": train.parser,
    "ariel_tf.supervise": supervise.parser,
    "tuning.search": search.parser,
    "pipelines.convert": convert.parser,
}
SQUIDS = ["train", "--model=squid", "--wavelength=0-54", "--data", "/data/a b", "--run", "/runs/squid"]
JOINT = ["train", "--wavelength", "joint", "--data=/data/train", "--run=/runs/joint"]
SEARCH = ["search", "--data", "/data/train", "--run", "/runs/search"]
CONVERT = ["convert", "--light-curves", "/data/text", "--out", "/data/train"]
STUBS = {
    # Prints the arguments with which Python is started, and what the environment says of other machines.
    "python": f"""#!/bin/sh
[ "$1" = -c ] && exec {sys.executable} "$@"
printf "%s\\0" "$@" "$TF_CONFIG"
printf "\\036"
""",
    "srun": '#!/bin/sh\nwhile [ "${1#--}" != "$1" ]; do shift; done\nexec "$@"\n',
    "scontrol": '#!/bin/sh\n[ "$*" = "show hostnames node[1-3]" ] && printf "node1\\nnode2\\nnode3\\n"\n',
    # Prints the configuration of the job that is submitted.
    "gcloud": '#!/bin/sh\nfor option in "$@"; do :; done\ncat "${option#--config=}"; printf "\\0\\036"\n',
    # A Ray whose tasks run at once, in this process.
    "ray/__init__.py": """
class Task:
    def __init__(self, function): self.remote = function
    def options(self, **how): return self
def remote(*function, **how): return Task(*function) if function else Task
def init(): pass
def get(found): return found
""",
    "ray/util/__init__.py": """
hosts = iter(range(1, 10))
def get_node_ip_address(): return f"10.0.0.{next(hosts)}"
""",
    "ray/util/placement_group.py": """
class placement_group:
    def __init__(self, places, strategy): assert strategy == "STRICT_SPREAD" and len(places) == 3
    def ready(self): pass
""",
    "ray/util/scheduling_strategies.py": "def PlacementGroupSchedulingStrategy(**place): return place\n",
}


def printed(capsys, *arguments):
    launch.main(arguments)
    return capsys.readouterr().out


@pytest.fixture
def shell(tmp_path):
    """A function (command, **environment) -> the calls that a shell command makes, each in pieces."""
    for name, text in STUBS.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def run(*command, **environment):
        known = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(tmp_path)}
        ended = subprocess.run(command, env=known | environment, capture_output=True, check=True, cwd=tmp_path)
        return [call.split("\0")[:-1] for call in ended.stdout.decode().split("\36")[:-1]]

    return run


def each_slurm(text, shell, count):
    def variables(number):
        return {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_PROCID": str(number - 1)}

    job, numbers = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "node[1-3]"}, range(1, count + 1)
    return [call for number in numbers for call in shell("bash", "-ec", text, **job, **variables(number))]


def each_kubernetes(text, shell, count):
    job = next(page for page in yaml.safe_load_all(text) if page["kind"] == "Job")
    assert job["spec"].get("completions", 1) == count
    (container,) = job["spec"]["template"]["spec"]["containers"]
    start = [*container["command"], *container["args"]]
    return [call for index in range(count) for call in shell(*start, JOB_COMPLETION_INDEX=str(index))]


def each_vertex(text, shell, count):
    """With CLUSTER_SPEC as Vertex AI sets it in each container."""
    found = []
    for (job,) in shell("bash", "-c", text):
        pools = json.loads(job)["workerPoolSpecs"]
        hosts = {f"workerpool{pool}": ["host:2222"] * its["replicaCount"] for pool, its in enumerate(pools)}
        for pool, its in enumerate(pools):
            for index in range(its["replicaCount"]):
                spec = {"cluster": hosts, "task": {"type": f"workerpool{pool}", "index": index}}
                start = [*its["containerSpec"]["command"], *its["containerSpec"]["args"]]
                found += shell(*start, CLUSTER_SPEC=json.dumps(spec))
    return found


def each_ray(text, shell, count):
    return shell(sys.executable, "-c", text)


EACH = {"slurm": each_slurm, "kubernetes": each_kubernetes, "vertex": each_vertex, "ray": each_ray}


@pytest.fixture
def started(capsys, shell):
    """A function (system, machines, command) -> the arguments of each machine's call, as read, and its TF_CONFIG."""

    def start(system, count, command):
        launch.main([system, f"--machines={count}", "--gpus=1", "--", *command])
        return [parsed(call) for call in EACH[system](capsys.readouterr().out, shell, count)]

    return start


def parsed(call):
    flag, module, *arguments, tf_config = call
    assert flag == "-m"
    own, _, rest = "\n".join(arguments).partition("\n--\n")
    given = PARSERS[module]().parse_args(own.split("\n"))
    if module == "ariel_tf.supervise":
        given = train.parser().parse_args(rest.split("\n"))
    return given, tf_config


@pytest.mark.parametrize("system", launch.SYSTEMS)
def test_one_machine_runs_the_command(started, system):
    (((given, tf_config)),) = started(system, 1, SQUIDS)
    assert TrainConfig.from_flags(given).data == "/data/a b"
    assert tf_config == ""


@pytest.mark.parametrize("system", launch.SYSTEMS)
def test_slices_hold_each_wavelength_once(started, system):
    configs = [TrainConfig.from_flags(given) for given, _ in started(system, 3, SQUIDS)]
    assert [len(config.wavelength.chosen) for config in configs] == [18, 18, 19]
    assert sorted(wavelength for config in configs for wavelength in config.wavelength.chosen) == list(range(55))
    assert {config.model for config in configs} == {"squid"}


@pytest.mark.parametrize("system", ["kubernetes", "ray"])
def test_workers_of_one_training_know_each_other(started, system):
    found = started(system, 3, JOINT)
    assert all(TrainConfig.from_flags(given).wavelength.is_joint for given, _ in found)
    assert [cluster.task(tf_config) for _, tf_config in found] == [(0, 3), (1, 3), (2, 3)]
    (addresses,) = {tuple(json.loads(tf_config)["cluster"]["worker"]) for _, tf_config in found}
    assert len(set(addresses)) == 3


@pytest.mark.parametrize("system", ["slurm", "vertex"])
def test_workers_are_supervised_where_the_system_says_who_they_are(started, system):
    assert [TrainConfig.from_flags(given).wavelength.is_joint for given, _ in started(system, 3, JOINT)] == [True] * 3


@pytest.mark.parametrize("system", ["slurm", "kubernetes", "vertex"])
def test_a_search_has_one_chief_and_workers_of_their_own_names(started, system):
    given = [its for its, _ in started(system, 3, SEARCH)]
    chief = {"slurm": "node1:7000", "kubernetes": "ariel-0.ariel:7000", "vertex": "host:2222"}[system]
    assert [getattr(its, "chief", None) for its in given] == [chief, None, None]
    assert [getattr(its, "worker", None) for its in given] == [None, chief, chief]
    assert [getattr(its, "worker_name", None) for its in given] == [None, "worker-1", "worker-2"]


def test_a_search_on_ray_finds_its_chief(capsys, shell):
    launch.main(["ray", "--machines=3", "--", *SEARCH])
    calls = each_ray(capsys.readouterr().out, shell, 3)
    assert [call[call.index("--run") + 2 : -1] for call in calls] == [
        ["--chief", "10.0.0.1:7000"],
        ["--worker", "10.0.0.1:7000", "--worker-name", "worker-1"],
        ["--worker", "10.0.0.1:7000", "--worker-name", "worker-2"],
    ]


@pytest.mark.parametrize("system", launch.SYSTEMS)
def test_a_conversion_has_parts_and_an_end(started, system, capsys):
    given = [its for its, _ in started(system, 3, CONVERT)]
    assert [its.part for its in given[:3]] == ["1/3", "2/3", "3/3"]
    if system == "ray":
        assert given[3].finish
    else:
        launch.main([system, "--machines=3", "--", *CONVERT])
        assert f"#   python -m pipelines.convert {' '.join(CONVERT[1:])} --finish\n" in capsys.readouterr().out


def test_pods_have_time_to_save_and_write_only_where_they_must(capsys):
    launch.main(["kubernetes", "--machines=3", "--memory=64G", "--gpus=2", "--", *JOINT])
    service, job = yaml.safe_load_all(capsys.readouterr().out)
    pod = job["spec"]["template"]["spec"]
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert pod["subdomain"] == service["metadata"]["name"]
    assert pod["terminationGracePeriodSeconds"] >= 120
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"memory": "64Gi", "nvidia.com/gpu": 2}
    assert {mount["mountPath"]: mount.get("readOnly", False) for mount in container["volumeMounts"]} == {
        "/data": True,
        "/runs": False,
    }
    assert job["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == [2, 3, 4]


def test_slurm_has_an_array_or_nodes(capsys):
    launch.main(["slurm", "--machines=8", "--gpus=1", "--time=1:00:00", "--", *SQUIDS])
    slices = capsys.readouterr().out
    launch.main(["slurm", "--machines=4", "--", *JOINT])
    workers = capsys.readouterr().out
    assert "#SBATCH --array=1-8\n" in slices
    assert "#SBATCH --gpus-per-node=1\n#SBATCH --time=1:00:00\n#SBATCH --signal=TERM@120\n" in slices
    assert "#SBATCH --nodes=4 --ntasks-per-node=1 --cpus-per-task=8\n" in workers
    assert "array" not in workers


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["slurm"], "expected a command of ariel after --"),
        (["pbs", "--", *SQUIDS], "SYSTEM|system: expected one of slurm"),
        (["slurm", "--", "trian"], r"Received: trian\. Did you mean train\?"),
        (["slurm", "--", *SQUIDS, "--model", "squib"], "squib"),
        (["slurm", "--machines=2", "--", *SQUIDS[:-2]], "expected --run with several machines"),
        (["slurm", "--machines=56", "--", *SQUIDS], "--machines: expected 55 at most"),
        (["slurm", "--machines=2", "--", *SQUIDS, "--wavelength=0-54/2:1"], "expected a whole list"),
        (["slurm", "--machines=2", "--", *CONVERT, "--finish"], "expected without them"),
        (["slurm", "--machines=2", "--", "predict", "RUN", "--out", "x.csv"], "--machines: expected 1 for predict"),
        (["slurm", "--name=a b", "--", *SQUIDS], "--name: expected lower-case letters"),
        (["kubernetes", "--volume=x", "--", *SQUIDS], "--volume: expected CLAIM:/PATH"),
        (["vertex", "--volume=data:/mnt", "--", *SQUIDS], "--volume: expected SERVER:/SHARE:/PATH"),
        (["slurm", "--memory=32", "--", *SQUIDS], "--memory: expected a size like 32G"),
    ],
)
def test_what_does_not_fit_is_one_sentence(arguments, fault):
    with pytest.raises(UsageError, match=fault):
        launch.main(arguments)

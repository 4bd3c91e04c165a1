"""Several processes that train as one, and what keeps them alive: real processes on loopback."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ariel_tf import supervise, train
from ariel_tf.core.errors import ArielError, DataError, Stopped, UsageError
from ariel_tf.runs.folder import RunFolder
from ariel_tf.training import heartbeat, slurm
from pipelines import simulate

ROOT = Path(__file__).parents[2]
DATA = "simulated:planets=21,spots=1,photons=3,seed=1"
JOINT = ["--data", DATA, "--model", "linear", "--wavelength", "joint", "--set", "units=8", "--channels", "all"]
TRAINING = [*JOINT, "--batch-size", "8", "--epochs", "4", "--patience", "0"]
SHOWN = ("loss", "score", "val_loss", "val_score")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch, forked):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("TF_CONFIG", raising=False)


class Faulty(supervise.Supervisor):
    """A supervisor whose workers meet a fault, once a condition holds, at each of their first starts.

    Args:
        faults: for the first start, the second ...: (condition, what to do to the workers' processes).
    """

    def __init__(self, *arguments, faults=()):
        super().__init__(*arguments)
        self.faults, self.starts = list(faults), 0

    def _start(self, folder):
        workers = super()._start(folder)
        self.starts += 1
        if self.faults:
            condition, action = self.faults.pop(0)
            threading.Thread(target=self._wait, args=(condition, action, workers), daemon=True).start()
        return workers

    @staticmethod
    def _wait(condition, action, workers):
        while not condition():
            time.sleep(0.05)
        action([worker.process for worker in workers])


def epochs_of(path):
    state = Path(path, "state.json")
    return json.loads(state.read_text())["epoch"] if state.is_file() else 0


def rows(path):
    return [[float(row[name]) for name in SHOWN] for row in csv.DictReader(Path(path).read_text().splitlines())]


def check_supervised(arguments, silence, faults):
    """Two processes, met by faults, leave what one process leaves; return how often they started."""
    supervisor = Faulty([*arguments, "--run", "two"], 2, silence, 600, 3, faults=faults)
    supervisor.run()
    train.main([*arguments, "--run", "one"])
    for row, same in zip(rows("two/metrics.csv"), rows("one/metrics.csv"), strict=True):
        assert row == pytest.approx(same, rel=1e-5)
    scores, expected = (json.loads(Path(name, "scores.json").read_text()) for name in ("two", "one"))
    assert scores["test"] == pytest.approx(expected["test"], rel=1e-5)
    meta = json.loads(Path("two/meta.json").read_text())
    assert [session["hardware"]["devices"] for session in meta["sessions"]] == [2] * supervisor.starts
    assert Path("one/config.json").read_text() == Path("two/config.json").read_text()
    return supervisor.starts, [session["from_epoch"] for session in meta["sessions"]]


def test_two_processes_train_what_one_process_trains(capfd):
    starts, began = check_supervised([*TRAINING, "--epochs", "2"], 60, [])
    assert (starts, began) == (1, [0])
    printed = capfd.readouterr()
    assert "worker 1: waiting for the 2 workers" in printed.out  # whose lines are signed
    assert printed.out.count("on 2 devices, in two") == 1  # the chief speaks for all
    assert "Traceback" not in printed.err


@pytest.mark.slow
def test_two_processes_one_killed_train_what_one_process_trains(capfd):
    killed = (lambda: epochs_of("two") >= 1, lambda processes: processes[1].kill())
    starts, began = check_supervised(TRAINING, 60, [killed])
    assert starts == 2
    assert began[1] >= 1
    printed = capfd.readouterr()
    assert "worker 1: waiting for the 2 workers" in printed.out  # whose lines are signed
    # TensorFlow may miss the killed one, and end the other, before the supervisor looks.
    noticed = r"worker (1 ended by SIGKILL|0 ended with exit code 1): all workers of this host start again after epoch"
    assert re.search(noticed, printed.out)
    assert printed.out.count("on 2 devices, in two") == 2  # the chief speaks for all
    assert "Traceback" not in printed.err


@pytest.mark.slow
def test_a_frozen_process_and_a_killed_chief_cost_no_saved_epoch(capfd):
    frozen = (lambda: epochs_of("two") >= 1, lambda processes: processes[1].send_signal(signal.SIGSTOP))
    killed = (lambda: epochs_of("two") >= 2, lambda processes: processes[0].kill())
    starts, began = check_supervised(TRAINING, 15, [frozen, killed])
    assert starts == 3
    assert began[1] >= 1
    assert began[2] >= 2
    # TensorFlow may lose the frozen one, and end the other, before the supervisor takes it to hang.
    noticed = r"worker (1 has shown no sign of life for 15 s|0 ended with exit code 1): all workers of this host start"
    assert re.search(noticed, capfd.readouterr().out)


@pytest.mark.slow
def test_what_the_chief_refuses_ends_all_with_its_code(capfd):
    train.main([*TRAINING, "--epochs", "1", "--run", "two"])
    with pytest.raises(SystemExit) as ended:
        supervise.main(["--workers", "2", "--", *TRAINING, "--run", "two"])
    assert ended.value.code == 2
    errors = capfd.readouterr().err
    assert "epochs: 1 there, 4 now" in errors
    assert "worker 0: error: --run two" in errors


def test_a_second_supervisor_of_a_run_ends_with_a_sentence_and_the_first_goes_on(capfd):
    with RunFolder(Path("run"), {"model": "of the first one"}, "fingerprint"):  # as the first one's worker holds it
        before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
        with pytest.raises(SystemExit) as ended:
            supervise.main(["--workers", "1", "--", *TRAINING, "--run", "run"])
        assert ended.value.code == 2
        assert re.search(r"error: --run run: another process is training", capfd.readouterr().err)
        assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before


# The supervisor alone, with workers that only pretend to train.

PRETEND = """
import os, sys, time
from pathlib import Path
from ariel_tf.training import heartbeat
heartbeat.start()
{what}
"""


def pretending(what, workers=2, silence=20.0, stall=60.0, restarts=3, faults=()):
    supervisor = Faulty(["--run", "none"], workers, silence, stall, restarts, faults=faults)
    supervisor.command = [sys.executable, "-c", PRETEND.format(what=what)]
    supervisor.repeat_command = f"python -m ariel_tf.supervise --workers {workers} -- --run none"
    return supervisor


TWICE = """
index = __import__("json").loads(os.environ["TF_CONFIG"])["task"]["index"]
Path(f"began-{index}").open("a").write("x")
while len(Path(f"began-{index}").read_text()) < 2:
    time.sleep(0.05)
"""


def both_began():
    return all(Path(f"began-{index}").exists() for index in (0, 1))


@pytest.mark.parametrize(
    ("number", "silence", "said"), [(signal.SIGKILL, 20, "SIGKILL"), (signal.SIGSTOP, 3, "no sign of life for 3 s")]
)
def test_one_dead_or_frozen_worker_starts_all_again(number, silence, said, capfd):
    supervisor = pretending(TWICE, silence=silence, faults=[(both_began, lambda all_: all_[0].send_signal(number))])
    supervisor.run()
    assert supervisor.starts == 2
    assert [Path(f"began-{index}").read_text() for index in (0, 1)] == ["xx", "xx"]
    assert f"worker 0 ended by {said}" in (out := capfd.readouterr().out) or f"worker 0 has shown {said}" in out


def test_a_worker_that_does_no_step_is_taken_to_hang(capfd):
    with pytest.raises(ArielError, match=r"has done no step for 1 s; gave up after 1 restarts"):
        pretending("time.sleep(60)", workers=1, stall=1.0, restarts=1).run()


def test_new_epochs_between_faults_begin_the_count_anew():
    """Each start saves an epoch and dies; the fourth ends well, though one restart in a row is all that is allowed."""
    what = """
done = len(Path("epochs").read_text()) if Path("epochs").exists() else 0
Path("epochs").write_text("x" * (done + 1))
heartbeat.advance(done + 1)
sys.exit(0 if done == 3 else 1)
"""
    supervisor = pretending(what, workers=1, restarts=1)
    supervisor.run()
    assert supervisor.starts == 4
    with pytest.raises(ArielError, match="ended with exit code 1; gave up after 2 restarts without a new epoch"):
        pretending("sys.exit(1)", workers=1, restarts=2).run()


def test_lines_of_several_workers_are_signed_and_name_the_command_to_repeat(capsys):
    pretending('print(os.environ[heartbeat.COMMAND]); print("no", file=sys.stderr)').run()
    printed = capsys.readouterr()
    for index in (0, 1):
        assert f"worker {index}: python -m ariel_tf.supervise --workers 2 -- --run none" in printed.out.splitlines()
        assert f"worker {index}: no" in printed.err.splitlines()


def test_a_restart_does_not_move_the_epochs_aside_that_the_first_start_saved():
    what = """
Path("arguments").open("a").write(f"{sys.argv[1:]}|")
done = len(Path("arguments").read_text().split("|")) - 1
if done > 1:
    heartbeat.advance(done)
sys.exit(0 if done == 4 else 1)
"""
    supervisor = pretending(what, workers=1)
    supervisor.command += ["--epochs", "4", "--overwrite"]
    supervisor.run()
    first, second, third, fourth, _ = Path("arguments").read_text().split("|")
    assert first == second == "['--epochs', '4', '--overwrite']", "nothing was saved yet"
    assert third == fourth == "['--epochs', '4']"


@pytest.mark.parametrize("code", [2, 3, 4, 143])
def test_an_end_that_another_start_would_repeat_is_the_supervisor_s_own(code):
    what = f'sys.exit({code} if \'"index": 0\' in os.environ["TF_CONFIG"] else 1)'  # the other loses its peer
    supervisor = pretending(what)
    with pytest.raises(SystemExit) as ended:
        supervisor.run()
    assert ended.value.code == code
    assert supervisor.starts == 1


def test_a_supervisor_that_is_asked_to_stop_asks_its_workers():
    what = """
import signal
signal.signal(signal.SIGTERM, lambda *_: (Path(f"asked-{os.getpid()}").touch(), sys.exit(143)))
Path(f"ready-{os.getpid()}").touch()
time.sleep(60)
"""

    def ready():
        return len(list(Path().glob("ready-*"))) == 2

    stop = (ready, lambda processes: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped) as stopped:
        pretending(what, faults=[stop]).run()
    assert stopped.value.exit_code == 143
    assert len(list(Path().glob("asked-*"))) == 2


def test_a_worker_whose_supervisor_is_gone_ends():
    Path("one.py").write_text(PRETEND.format(what='Path("ready").touch(); time.sleep(60)'))
    program = f"""
import os, subprocess, sys, time
os.environ["{heartbeat.VARIABLE}"] = "beat"
print(subprocess.Popen([sys.executable, "one.py"]).pid, flush=True)
while not os.path.exists("ready"): time.sleep(0.05)
"""
    answer = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True)
    worker = Path(f"/proc/{answer.stdout.strip()}")
    deadline = time.monotonic() + 30
    while worker.exists() and "Z" not in (worker / "stat").read_text().split()[2] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert time.monotonic() < deadline


def test_supervise_says_what_it_expects():
    for arguments in ([], ["--workers", "2"], ["--workers", "0", "--", "--help"], ["--silence", "0", "--", "--help"]):
        with pytest.raises(UsageError, match="expected"):
            supervise.main(arguments)


def test_slurm_s_variables_give_each_task_the_same_cluster_and_its_own_index():
    common = {
        "SLURM_NTASKS": "3",
        "SLURM_JOB_ID": "7",
        "SLURM_STEP_NODELIST": "gpu[09-10]",
        "SLURM_STEP_TASKS_PER_NODE": "2,1",
    }
    for index in range(3):
        config = json.loads(slurm.tf_config(common | {"SLURM_PROCID": str(index)}))
        assert config["cluster"]["worker"] == ["gpu09:20112", "gpu09:20113", "gpu10:20112"]
        assert config["task"] == {"type": "worker", "index": index}
    assert slurm.tf_config({}) is None
    assert slurm.tf_config(common | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}) is None
    assert list(slurm.host_names("a[1,3-4]b,c[08-10],d")) == ["a1b", "a3b", "a4b", "c08", "c09", "c10", "d"]
    assert slurm.tasks_of_hosts("2(x3),1") == [2, 2, 2, 1]
    with pytest.raises(UsageError, match="expected tasks of hosts"):
        slurm.tasks_of_hosts("two")


def test_a_run_folder_that_is_followed_is_read_and_never_written(tmp_path):
    with pytest.raises(UsageError, match="a file system that all hosts share"):
        RunFolder(tmp_path / "run", {"epochs": 3}, "abc", is_chief=False)
    with RunFolder(tmp_path / "run", {"epochs": 3}, "abc") as run:
        before = sorted(path.name for path in run.path.rglob("*"))
        with RunFolder(run.path, {"epochs": 3}, "abc", is_chief=False) as other:
            other.rows.append({"epoch": 1})
            other.write_rows()
            other.write_meta({}, {})
            other.commit(("metrics.csv",), epoch=1, best_epoch=1)
            assert other.state["epoch"] == 1
        assert sorted(path.name for path in run.path.rglob("*")) == before
        with pytest.raises(UsageError, match="epochs: 3 there, 4 now"):
            RunFolder(run.path, {"epochs": 4}, "abc", is_chief=False)
    (tmp_path / "run" / "state.json").unlink()
    (tmp_path / "run" / "metrics.csv").write_text("epoch\n1\n")
    with pytest.raises(DataError, match=r"its state.json is gone"):
        RunFolder(tmp_path / "run", {"epochs": 3}, "abc", is_chief=False)


@pytest.mark.slow
def test_two_processes_train_a_stack_though_one_is_killed(capfd):
    stacked = ["--model=baseline", "--data", DATA, "--set", "first=16", "--set", "second=8", "--batch-size",
               "8", "--wavelength", "3,7,12"]  # fmt: skip
    stacked += ["--epochs", "6", "--patience", "0", "--head", "depth"]
    killed = (lambda: epochs_of("two/stack-w03-w12") >= 1, lambda processes: processes[0].kill())
    supervisor = Faulty([*stacked, "--run", "two"], 2, 60, 600, 3, faults=[killed])
    supervisor.run()
    assert supervisor.starts == 2
    train.main([*stacked, "--run", "one"])
    for name in ("w03", "w07", "w12"):
        for row, same in zip(rows(f"two/{name}/metrics.csv"), rows(f"one/{name}/metrics.csv"), strict=True):
            # Scores of two planets: six epochs amplify the rounding of sums over devices.
            assert row[1::2] == pytest.approx(same[1::2], rel=2e-4)
    scores, expected = (json.loads(Path(name, "scores.json").read_text()) for name in ("two", "one"))
    assert scores["test"] == pytest.approx(expected["test"], rel=2e-4)
    assert "worker 0 ended by SIGKILL" in capfd.readouterr().out


@pytest.mark.slow
def test_two_processes_that_are_asked_to_stop_save_every_epoch_that_they_told(capfd):
    def stop(processes):
        time.sleep(4)  # so that epochs wait for the next save
        os.kill(os.getpid(), signal.SIGTERM)

    asked = (lambda: epochs_of("two") >= 1, stop)
    with pytest.raises(Stopped):
        Faulty([*TRAINING, "--epochs", "5000", "--run", "two"], 2, 60, 600, 3, faults=[asked]).run()
    told = re.findall(r"epoch +(\d+)/5000", capfd.readouterr().out)
    assert int(told[-1]) == len(told) == epochs_of("two") > 3


STREAMED = """
from ariel_tf import train
from ariel_tf.data import dataset
from ariel_tf.core.errors import run_command
dataset.fits_in_memory = lambda *_: False
run_command(lambda: train.main({}))
"""


@pytest.mark.slow
def test_two_processes_stream_shards_of_their_own_and_end_with_equal_weights(capfd):
    """Each row once an epoch, from one process or the other; `train` itself compares the weights at the end."""
    simulate.main(["data", "--planets=21", "--spots=1", "--photons=3", "--seed=1", "--jobs=1"])
    arguments = [*TRAINING, "--data", "data", "--run", "two"]
    supervisor = supervise.Supervisor(["none"], 2, 60, 600, 0)
    supervisor.command = [sys.executable, "-c", STREAMED.format(arguments)]
    supervisor.run()
    assert "different weights" not in capfd.readouterr().err
    assert json.loads(Path("two/state.json").read_text())["finished"]
    train.main([*arguments[:-1], "one"])  # another order of the same rows: not the same path, but the same sum of rows
    last, same = rows("two/metrics.csv")[-1], rows("one/metrics.csv")[-1]
    assert last[3] == pytest.approx(same[3], rel=0.05)

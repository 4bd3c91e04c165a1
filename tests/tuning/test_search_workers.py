"""Searches by many processes: real ones on loopback, killed in the middle; chiefs and workers that vanish."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import keras_tuner
import pytest

from ariel_tf import train
from ariel_tf.core.errors import ArielError
from tuning import connection, local_workers, oracles, outcomes, search, study, workers
from tuning.outcomes import COMPLETED, FAILED, Outcome
from tuning.safe_oracle import OBJECTIVE

ROOT = Path(__file__).parents[2]
# Plain gradient descent with a learning rate of 1 diverges in a network without bounds.
FAULTY = ["--model", "linear", "--steps", "0:300:20", "--data", "simulated:planets=20,spots=1,photons=3,seed=1",
          "--loss", "mse", "--set", "learning_rate=1", "--epochs", "12", "--patience", "0", "--batch-size", "4",
          "--algorithm", "random", "--trials", "4", "--search", "optimizer=adam|sgd,units=4|8|12|16"]  # fmt: skip
CRASHES = 3


def process(arguments, cwd):
    command = [sys.executable, "-m", "tuning.search", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=cwd, env=environment, **pipes)


def kill_one_in_the_middle(search_process, run):
    """SIGKILL a worker whose trial has finished an epoch and has some left; the trial."""
    while search_process.poll() is None:
        for outcome in outcomes.read_all(run):
            state = run / "trials" / outcome.run / "state.json"
            if (
                outcome.status == outcomes.RUNNING
                and state.is_file()
                and 1 <= json.loads(state.read_text())["epoch"] < 10
            ):
                worker = worker_at(run / "trials" / outcome.run)
                if worker is not None:
                    os.kill(worker, signal.SIGKILL)
                    return outcome.trial
        time.sleep(0.05)
    raise AssertionError(search_process.communicate())


def worker_at(folder):
    """The process that holds the lock of a run folder, from /proc/locks; None if none does any more."""
    inode = (folder / ".lock").stat().st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        _, _, _, _, pid, file, *_ = line.split()
        if file.endswith(f":{inode}"):
            return int(pid)
    return None


def test_trials_with_a_crash_a_nan_and_a_kill_end_with_a_row_each_and_the_best(tmp_path, monkeypatch, forked):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "found"
    with process([*FAULTY, "--jobs", "2", "--run", "found"], tmp_path) as searching:
        while not (run / "trials").is_dir():
            assert searching.poll() is None, searching.communicate()
            time.sleep(0.05)
        (run / "trials" / f"{CRASHES:04d}").write_text("in the way of a run folder")
        killed = kill_one_in_the_middle(searching, run)
        printed, errors = searching.communicate(timeout=500)
    assert searching.returncode == 0, errors
    assert "was killed by SIGKILL: it is started again" in printed
    rows = list(csv.DictReader((run / "trials.csv").read_text().splitlines()))
    assert [row["trial"] for row in rows] == list("0123")
    diverged = [row for row in rows if row["optimizer"] == "sgd" and int(row["trial"]) != CRASHES]
    assert diverged
    for row in rows:
        if int(row["trial"]) == CRASHES:
            assert (row["status"], "0003" in row["reason"]) == (FAILED, True)
        elif row in diverged:
            assert (row["status"], "loss is" in row["reason"]) == (FAILED, True)
        else:
            assert row["status"] == COMPLETED
    starts = outcomes.find(run, killed).starts
    assert starts[0] == 0
    assert len(starts) == 2
    assert starts[1] >= 1, "it went on from its epoch"
    best = max((row for row in rows if row["score"]), key=lambda row: float(row["score"]))
    assert json.loads(Path("found/best.json").read_text())["settings"]["units"] == int(best["units"])


@pytest.mark.slow
def test_searches_of_two_wavelengths_by_two_workers_outlive_a_kill(tmp_path, monkeypatch, forked):
    monkeypatch.chdir(tmp_path)
    # The first trial, with the smallest rate, can hardly be the best.
    arguments = [
        *FAULTY,
        "--set",
        "learning_rate=1e-5",
        "--search",
        "learning_rate=1e-4:1e-2,units=4|8",
        "--trials",
        "4",
    ]
    arguments += ["--wavelength", "3,12", "--each", "--jobs", "2", "--run", "found"]
    with process(arguments, tmp_path) as searching:
        killed = kill_one_in_the_middle(searching, tmp_path / "found/w12")  # the first to be searched
        printed, errors = searching.communicate(timeout=500)
    assert searching.returncode == 0, errors
    assert "was killed by SIGKILL: it is started again" in printed
    assert "Traceback" not in errors
    starts = outcomes.find(Path("found/w12"), killed).starts
    assert (starts[0], len(starts)) == (0, 2)
    assert starts[1] >= 1, "it went on from its epoch"
    table = list(csv.DictReader(Path("found/wavelengths.csv").read_text().splitlines()))
    assert [row["wavelength"] for row in table] == ["3", "12"]
    for row in table:
        run = Path(f"found/w{int(row['wavelength']):02d}")
        tried = list(csv.DictReader((run / "trials.csv").read_text().splitlines()))
        assert [(one["trial"], one["status"]) for one in tried] == [(str(index), COMPLETED) for index in range(4)]
        assert float(row["score"]) == max(float(one["score"]) for one in tried)
        assert (run / "best.keras").stat().st_size > 1000
        for name in ("history.png", "parallel.png", "values.png"):  # forked processes save a dot
            assert (run / name).read_bytes().startswith(b"\x89PNG")
    best = outcomes.best(outcomes.read_all(Path("found/w12")))
    assert best.trial > 0
    assert best.values == outcomes.find(Path("found/w03"), 1).values, "the first one's best seeds the second"
    train.main(["--config", "found/w03/best.json", "--run", "again"])
    assert json.loads(Path("again/scores.json").read_text())["best_score"] == float(table[0]["score"])


class FakeRunner:
    """Runs trials without training.

    Args:
        outcome: of each.
        dies: raised in the first trial instead.
    """

    def __init__(self, dies=False):
        self.dies, self.done = dies, []

    def run(self, trial):
        if self.dies:
            raise SystemExit
        self.done.append(trial.trial_id)
        return Outcome(int(trial.trial_id), COMPLETED, {}, "0000", score=1.0)


@pytest.fixture
def oracle(tmp_path):
    hp = keras_tuner.HyperParameters()
    hp.Float("learning_rate", 0.0, 1.0)
    made = oracles.make_oracle("random", hp, trials=3, epochs=1, seed=0)
    made.place(tmp_path / "run")
    return made


@pytest.fixture
def chief(oracle):
    """A chief on a port of its own that takes a worker for dead after a second, and that port."""
    port = []
    known = threading.Event()

    def started(number):
        port.append(number)
        known.set()

    def serve():  # pytest fails on an exception in a thread
        workers.serve(oracle, "127.0.0.1:0", lambda: None, started=started, silence=1.0)

    thread = threading.Thread(target=serve)
    thread.start()
    assert known.wait(60)
    yield port[0]
    thread.join(60)
    assert not thread.is_alive(), "the chief ends when no trial is left"


def test_the_trial_of_a_worker_that_vanished_is_handed_on_and_the_search_ends(oracle, chief, monkeypatch):
    monkeypatch.setattr(workers, "FAREWELL", 0.5)
    address = f"127.0.0.1:{chief}"
    with pytest.raises(SystemExit):
        study.run_trials(FakeRunner(dies=True), workers.connect(address, "gone", oracle), "gone", print)
    bench = FakeRunner()
    study.run_trials(bench, workers.connect(address, "there", oracle), "there", lambda outcome: None)
    assert sorted(bench.done) == ["0", "1", "2"]
    assert {trial.status for trial in oracle.trials.values()} == {"COMPLETED"}


def test_a_worker_under_the_same_name_gets_the_same_trial_again(oracle, chief):
    address = f"127.0.0.1:{chief}"
    first = workers.connect(address, "one", oracle).create_trial("one")
    again = workers.connect(address, "one", oracle)
    assert again.create_trial("one").trial_id == first.trial_id
    study.run_trials(FakeRunner(), again, "one", lambda outcome: None)


def test_a_worker_that_waits_for_another_s_trial_is_told_the_end(oracle, chief):
    address = f"127.0.0.1:{chief}"
    slow, idle = (workers.connect(address, name, oracle) for name in ("slow", "idle"))
    kept = slow.create_trial("slow")
    slow._trial = None  # its signs of life are given below
    ended = []

    def wait():
        study.run_trials(FakeRunner(), idle, "idle", lambda outcome: None)
        ended.append("idle")

    thread = threading.Thread(target=wait)
    thread.start()
    deadline = time.monotonic() + 60
    while len(oracle.end_order) < 2 and time.monotonic() < deadline:
        slow.stub.GetTrial(workers.protos.get_service().GetTrialRequest(trial_id=kept.trial_id))
        time.sleep(0.1)
    slow.update_trial(kept.trial_id, {OBJECTIVE: 2.0})
    kept.status = "COMPLETED"
    slow.end_trial(kept)
    assert slow.create_trial("slow").status == "STOPPED"
    thread.join(60)
    assert ended == ["idle"]


def test_a_worker_says_that_its_chief_is_gone(oracle, monkeypatch):
    monkeypatch.setattr(workers, "CHIEF_SILENCE", 0.5)
    with pytest.raises(ArielError, match="the chief did not answer"):
        workers.connect("127.0.0.1:9", "one", oracle).create_trial("one")


def test_a_worker_without_a_chief_says_at_once_that_it_waits_and_then_ends(monkeypatch, capsys):
    """It was silent for ten minutes."""
    monkeypatch.setattr(connection, "CHIEF_SILENCE", 0.5)
    monkeypatch.setattr(connection, "REMINDER", 0.1)
    with pytest.raises(ArielError, match=r"--worker 127.0.0.1:9: the chief did not answer within"):
        search.main(["--data", "simulated", "--worker", "127.0.0.1:9", "--run", "found"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("waiting for the chief at 127.0.0.1:9 (Connection refused), 0 s")
    assert len(lines) > 1, "and again, now and then"


def test_a_port_that_is_taken_is_said(oracle, chief):
    with pytest.raises(ArielError, match="is the port taken"):
        workers.serve(oracle, f"127.0.0.1:{chief}", lambda: None)
    study.run_trials(FakeRunner(), workers.connect(f"127.0.0.1:{chief}", "one", oracle), "one", lambda outcome: None)


@pytest.mark.parametrize(
    ("program", "said"),
    [("print('error: --set: no'); exit(2)", "exit code 2: error: --set: no"), ("exit(1)", "exit code 1")],
)
def test_workers_that_cannot_work_end_the_search_with_their_last_words(oracle, tmp_path, program, said):
    local = local_workers.LocalWorkers(2, [sys.executable, "-c", program], tmp_path, lambda index: {})
    with pytest.raises(ArielError, match=said):
        workers.supervise(oracle, local, lambda: None)
    assert all(child.poll() is not None for child in local.processes.values())


def test_a_worker_ends_with_the_process_that_started_it(tmp_path):
    program = (
        "from tuning.local_workers import LocalWorkers; import os, sys, time\n"
        "child = ('import time; from ariel_tf.core import processes; processes.stop_with_parent();'\n"
        "         'print(1, flush=True); time.sleep(999)')\n"
        "from pathlib import Path\n"
        "local = LocalWorkers(1, [sys.executable, '-c', child], Path('.'), lambda index: {})\n"
        "local.start_all(1)\n"
        "while '1' not in Path('worker0.txt').read_text(): time.sleep(0.05)\n"
        "print(local.processes[0].pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    child = int(answer.stdout)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("it lives on")

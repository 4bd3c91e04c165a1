"""Several jobs in one run of several wavelengths: no two take the same one, and a dead one's is taken over."""

import os
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import pytest
from support.run_folders import loaded, run

from ariel_tf import evaluate
from ariel_tf.config.targets import Targets
from ariel_tf.core import processes
from ariel_tf.core.atomic_files import write_json
from ariel_tf.core.devices import Devices
from ariel_tf.core.errors import ArielError, DataError, Stopped, UsageError
from ariel_tf.evaluation import prediction_figures
from ariel_tf.runs import work_queue
from ariel_tf.runs.folder import RunFolder
from ariel_tf.runs.lock import Busy, is_locked
from ariel_tf.training import per_wavelength
from ariel_tf.training.stacked import memory

ROOT = Path(__file__).parents[2]
DATA = "simulated:planets=20,spots=1,photons=3,seed=1"
SMALL = ["--model=baseline", "--data", DATA, "--set", "first=16", "--set", "second=8", "--batch-size", "8",
         "--epochs", "1"]  # fmt: skip


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch, forked):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in (processes.CHILD, processes.NUMBER, "TF_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def test_slices_of_one_list_share_a_run_and_the_last_one_sums_it_up(capsys, pretended_training_here):
    run(*SMALL, "--wavelength", "3,7,12/3:1")
    (folder,) = Path("runs").iterdir()
    assert loaded(folder / "config.json")["wavelength"] == "3,7,12"
    card = (folder / "README.md").read_text()
    assert "1 of 3 are done" in card
    score = loaded(folder / "w03/scores.json")["test"]["planet"]
    assert f"| 03 | 1.152 | done | {score:.1f} |" in card
    assert "| 12 | 2.089 | not begun |  |" in card
    assert f"1 of 3 wavelengths are done; {folder / 'README.md'} shows which" in capsys.readouterr().out
    run(*SMALL, "--wavelength", "3,7,12/3:3")
    assert "2 of 3 are done" in (folder / "README.md").read_text()
    assert not (folder / "scores.json").exists()
    run(*SMALL, "--wavelength", "3,7,12")  # the whole list takes what is left
    printed = capsys.readouterr().out
    assert "training baseline, wavelength 7, in" in printed
    assert "training baseline, wavelength 3, in" not in printed
    assert "mean score, 3 of 55 wavelengths" in printed
    assert list(loaded(folder / "scores.json")["wavelengths"]) == ["03", "07", "12"]
    assert [path.name for path in Path("runs").iterdir()] == [folder.name]


def test_a_picture_that_fails_never_costs_the_scores(monkeypatch, capsys, draws, pretended_training_here):
    """A finished training ended in matplotlib's RuntimeError, again at each repetition."""

    def broken(*arguments):
        raise RuntimeError("no font")

    monkeypatch.setattr(prediction_figures, "draw_predictions", broken)
    run(*SMALL, "--wavelength", "3", "--run", "one")
    assert loaded("one/state.json")["finished"]
    assert "planet" in loaded("one/scores.json")["test"]
    assert not list(Path("one").glob("*.png"))
    assert "warning: a picture could not be drawn (RuntimeError: no font)" in capsys.readouterr().err


@pytest.mark.slow
def test_a_slice_of_what_trains_together_is_refused(tiny_run):
    tiny_run(*SMALL, "--wavelength", "3,7", into="one")
    state = loaded("one/state.json")
    assert state["groups"] == [[3, 7]]
    with pytest.raises(UsageError, match="trains wavelengths 3,7 together, and this list holds some of them only"):
        run(*SMALL, "--wavelength", "3,7/2:1", "--run", "one")


@pytest.mark.slow
def test_a_damaged_model_of_a_stack_is_made_anew_by_its_command(tiny_run, capsys):
    tiny_run(*SMALL, "--wavelength", "3,7", into="one")
    score = loaded("one/w03/scores.json")["test"]["planet"]
    untouched = Path("one/w07/best.keras").stat().st_mtime_ns
    Path("one/w03/best.keras").write_bytes(b"torn")
    with pytest.raises(DataError, match="repeat"):
        evaluate.main(["one/w03"])
    run(*SMALL, "--wavelength", "3,7", "--run", "one")
    capsys.readouterr()
    evaluate.main(["one/w03"])
    assert f"{score:9.1f}" in capsys.readouterr().out
    assert Path("one/w07/best.keras").stat().st_mtime_ns == untouched


@pytest.mark.slow
def test_the_configuration_of_a_list_trains_the_list_again(tiny_run):
    tiny_run(*SMALL, "--wavelength", "3,7", into="one")
    run("--config", "one/config.json", "--run", "two")
    assert loaded("two/config.json") == loaded("one/config.json")
    assert loaded("two/scores.json")["test"] == pytest.approx(loaded("one/scores.json")["test"], rel=1e-6)


def test_jobs_that_share_memory_and_cores_have_a_group_each():
    assert memory.groups(range(6), each=10, free=1000, jobs=3) == [[0, 1], [2, 3], [4, 5]]
    assert memory.groups(range(6), each=10, free=100, jobs=2) == [[0, 1, 2], [3, 4, 5]]
    assert memory.groups(range(4), each=10, free=60, jobs=2) == [[0, 1], [2, 3]]
    assert memory.groups(range(2), each=10, free=1000, jobs=5) == [[0], [1]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--wavelength", "3", "--jobs", "2"], "--jobs 2: expected a list of wavelengths with it"),
        (["--wavelength", "3,7", "--jobs", "0"], "--jobs: expected a whole number, 1 or more. Received: 0"),
        (["--wavelength", "3,7", "--jobs", "2", "--overwrite"], "--overwrite: with --jobs, expected --run with it"),
    ],
)
def test_jobs_say_what_they_expect(arguments, said):
    with pytest.raises(UsageError, match=said):
        run(*SMALL, *arguments)


# Claims alone: wavelengths that only pretend to be trained.


def finish(path, wavelength):
    folder = work_queue.folder_of(path, wavelength)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "state.json", {"epoch": 3, "best_epoch": 2, "finished": True, "files": {}})


HOLD = """
import sys, time
from pathlib import Path
from ariel_tf.runs.folder import RunFolder
run = RunFolder(Path(sys.argv[1]), {}, "x")
run.commit(epoch=2)
print("held", flush=True)
time.sleep(600)
"""


def test_a_wavelength_that_another_job_holds_waits_and_a_dead_job_s_is_taken_over(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(work_queue, "CHECK_SECONDS", 0.1)
    held = [sys.executable, "-c", HOLD, str(tmp_path / "w03")]
    taken = []

    def pretend(group):
        taken.append(list(group))
        for wavelength in group:
            finish(tmp_path, wavelength)
        if group == [7]:
            assert dict(work_queue.states(tmp_path, [[3], [7], [9]], (3, 7, 9))) == {
                3: "in training, 2 epochs saved",
                7: "done",
                9: "not begun",
            }
            process.kill()

    with subprocess.Popen(held, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        assert is_locked(tmp_path / "w03")
        with pytest.raises(Busy):
            RunFolder(tmp_path / "w03", {}, "x")
        work_queue.train_each(tmp_path, [[3], [7]], pretend)
    assert taken == [[7], [3]]
    assert "waiting for other jobs, which train wavelengths 3" in capsys.readouterr().out


def test_what_another_job_finishes_is_not_trained_again(tmp_path, monkeypatch):
    monkeypatch.setattr(work_queue, "CHECK_SECONDS", 0.1)
    with RunFolder(tmp_path / "w03", {}, "x"):
        threading.Timer(0.5, finish, (tmp_path, 3)).start()
        work_queue.train_each(tmp_path, [[3]], lambda group: pytest.fail("it was another job's"))
    finish(tmp_path, 7)
    work_queue.train_each(tmp_path, [[7]], lambda group: pytest.fail("it was done"))


def test_overwrite_never_moves_a_list_whose_jobs_are_at_work(tmp_path):
    with RunFolder(tmp_path / "run", {"epochs": 3}, "x", shared=True), RunFolder(tmp_path / "run/w03", {}, "x"):
        assert not is_locked(tmp_path / "run")
        with pytest.raises(Busy, match="another process is training in w03"):
            RunFolder(tmp_path / "run", {"epochs": 4}, "x", overwrite=True)


def test_a_shared_folder_commits_to_the_state_of_the_moment(tmp_path):
    with RunFolder(tmp_path, {}, "x", shared=True) as one, RunFolder(tmp_path, {}, "x", shared=True) as other:
        with one.held():
            one.commit(groups=[[1]])
        with other.held():
            other.commit(groups=[*other.state["groups"], [2]])
        with one.held():
            assert one.state["groups"] == [[1], [2]]


def test_the_job_that_ends_a_run_tells_whichever_group_it_was_at(tmp_path, monkeypatch, capsys):
    """The last to end was at the first group: its scores were written, and no job told them."""
    monkeypatch.setattr(per_wavelength.work_queue, "unfinished", lambda path, listed: [])
    monkeypatch.setattr(
        per_wavelength,
        "_finish",
        lambda run, job: (write_json(run.path / "scores.json", {}), run.commit(("scores.json",), finished=True)),
    )
    monkeypatch.setattr(per_wavelength.list_run, "report_lines", lambda path, scores: ["mean score"])
    config = types.SimpleNamespace(wavelength=Targets.parse("3,7"))
    options = types.SimpleNamespace(track="none", command="train")
    job = types.SimpleNamespace(path=tmp_path, config=config, identity=None, options=options)
    told = []
    for number, details in (
        ("2", {"last": False}),
        ("2", {}),
        ("1", {}),
        ("1", {"repeated": True}),
        ("2", {"repeated": True}),
    ):
        monkeypatch.setenv(processes.NUMBER, number)
        with RunFolder(tmp_path, {"settings": {}}, "x", shared=True) as run_folder:
            per_wavelength.finish(run_folder, job, **details)
        told.append(capsys.readouterr().out)
    assert told == ["mean score\n", "", "", "mean score\n", ""]


# Jobs alone: processes that only pretend to train.


def pretending(what, count=2):
    program = f"import os, sys, time\nfrom pathlib import Path\nme = os.environ['{processes.NUMBER}']\n{what}"
    return processes.Jobs([sys.executable, "-c", program], count, Devices("cpu"))


def test_a_job_that_is_killed_is_started_again(capfd):
    what = "Path(f'began-{me}').open('a').write('x')\n"
    what += "if me == '2' and Path('began-2').read_text() == 'x': os.kill(os.getpid(), 9)\nprint('done', flush=True)"
    pretending(what).run()
    assert Path("began-1").read_text() == "x"
    assert Path("began-2").read_text() == "xx"
    printed = capfd.readouterr().out
    assert "job 2 was killed by SIGKILL: it is started again" in printed
    assert "job 1: done" in printed


def test_jobs_that_die_again_and_again_end_in_a_sentence_and_refusals_in_their_code():
    with pytest.raises(ArielError, match=r"job \d ended with exit code 1, the 5th to do so"):
        pretending("sys.exit(1)").run()
    with pytest.raises(SystemExit) as ended:
        pretending("sys.exit(3) if me == '1' else time.sleep(60)").run()
    assert ended.value.code == 3


def test_jobs_that_are_asked_to_stop_ask_their_processes():
    what = "import signal; signal.signal(signal.SIGTERM, lambda *_: (Path(f'asked-{me}').touch(), sys.exit(143)))\n"
    what += "Path(f'ready-{me}').touch(); time.sleep(60)"

    def stop():
        while len(list(Path().glob("ready-*"))) < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(Stopped):
        pretending(what).run()
    assert sorted(path.name for path in Path().glob("asked-*")) == ["asked-1", "asked-2"]


def test_two_jobs_train_a_list_though_one_is_killed(tiny_run, monkeypatch, capfd, pretended_training_here):
    """Real processes; the second is killed once it holds a wavelength."""
    start = processes.Jobs.start
    killed = []

    def kill(process):
        while not any(is_locked(Path("one", name)) for name in ("w03", "w07")):
            time.sleep(0.05)
        process.kill()

    def start_and_kill(self, index):
        process = start(self, index)
        if index == 1 and not killed:
            killed.append(process)
            threading.Thread(target=kill, args=(process,), daemon=True).start()
        return process

    monkeypatch.setattr(processes.Jobs, "start", start_and_kill)
    arguments = [*SMALL, "--wavelength", "3,7", "--stack", "no", "--devices", "cpu"]
    run(*arguments, "--jobs", "2", "--run", "one")
    printed = capfd.readouterr().out
    assert "job 2 was killed by SIGKILL: it is started again" in printed
    assert printed.count("mean score, 2 of 55 wavelengths") == 1
    assert "--jobs 2" in loaded("one/meta.json")["command"]
    assert all(loaded(f"one/{name}/state.json")["finished"] for name in ("w03", "w07"))
    for number, shown in (
        ("1", 1),
        ("2", 0),
    ):  # what the same command starts again: it was silent of a run that was over
        with monkeypatch.context() as patch:
            patch.setenv(processes.NUMBER, number)
            run(*arguments, "--jobs", "2", "--run", "one")
        assert capfd.readouterr().out.count("mean score, 2 of 55 wavelengths") == shown
    alone = loaded(tiny_run(*arguments) / "scores.json")
    assert loaded("one/scores.json")["test"] == pytest.approx(alone["test"], rel=1e-6)

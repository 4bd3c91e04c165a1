"""Searches in one process: what they leave behind, how they go on, what a failed trial costs."""

import csv
import errno
import json
import os
import shutil
import signal
from pathlib import Path

import keras
import numpy as np
import pytest
from support.hparams import session_groups
from support.pictures import drawn, is_drawn
from support.run_folders import send_in_epoch

from ariel_tf import evaluate, train
from ariel_tf.core.errors import DataError, NonFiniteError, Stopped, UsageError
from ariel_tf.data import dataset
from tuning import outcomes, pictures, report, search
from tuning import trial as trials

DATA = "simulated:planets=20,spots=1,photons=3,seed=1"
FIXED = ["--model=baseline", "--data", DATA, "--epochs", "2", "--fix", "first=16", "--algorithm", "random"]
LOWEST = {"first": 4, "second": 4, "dropout": 0, "learning_rate": 0.1}
ALL = {**LOWEST, "activation": "relu"}
SEARCH = [*FIXED, "--search", "second=4:64,learning_rate,batch_size=7|14"]


pytestmark = pytest.mark.usefixtures("pretended_training")


def run(*arguments):
    search.main([*arguments])


def rows(path):
    return list(csv.DictReader(Path(path, "trials.csv").read_text().splitlines()))


def scores(path):
    return [float(row["score"]) for row in rows(path)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, pretended_training):
    """A search of three trials, and what it printed; not to be changed."""
    folder = tmp_path_factory.mktemp("search")
    with pytest.MonkeyPatch.context() as patch, drawn():
        patch.chdir(folder)
        loads = []
        load = dataset.load
        patch.setattr(dataset, "load", lambda source, choice: loads.append(choice) or load(source, choice))
        run(*SEARCH, "--trials", "3", "--run", "found")
    return folder / "found", loads


@pytest.fixture(autouse=True)
def pictures_once(finished, monkeypatch):
    """The finished search has drawn them; the others save their second or two."""
    monkeypatch.setattr(pictures, "draw", lambda *_: None)


@pytest.fixture
def found(finished, tmp_path, monkeypatch):
    """A copy of it to go on with, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(finished[0], "found"))


def test_a_search_leaves_a_table_the_best_and_pictures(found):
    table = rows(found)
    assert [row["trial"] for row in table] == ["0", "1", "2"]
    assert [row["status"] for row in table] == ["completed"] * 3
    assert list(table[0])[-4:] == ["batch_size", "second", "learning_rate", "reason"]
    best = int(np.argmax(scores(found)))
    folder = found / "trials" / f"{best:04d}"
    assert (found / "best.json").read_text() == (folder / "config.json").read_text()
    assert (found / "best.keras").read_bytes() == (folder / "best.keras").read_bytes()
    for picture in ("history", "parallel", "values"):
        assert is_drawn(found / f"{picture}.png")
    config = json.loads((found / "best.json").read_text())
    assert config["seed"] == best
    assert config["batch_size"] == int(table[best]["batch_size"])
    assert config["settings"]["second"] == int(table[best]["second"])
    assert config["settings"]["learning_rate"] == float(table[best]["learning_rate"])
    assert f"{scores(found)[best]:.1f}" in (found / "README.md").read_text()


def test_the_first_trial_is_the_training_without_a_search(found):
    first = rows(found)[0]
    assert first["learning_rate"] == "0.001"
    config = json.loads((found / "trials/0000/config.json").read_text())
    assert (config["seed"], config["settings"]["first"]) == (0, 16)


def test_trials_share_what_they_read(finished):
    assert len(finished[1]) == 2, "training and validation rows, once each"


def test_the_best_equals_a_training_from_best_json(found):
    train.main(["--config", str(found / "best.json"), "--run", "again"])
    again = json.loads(Path("again/scores.json").read_text())
    assert again["best_score"] == max(scores(found))


def test_the_best_trial_is_scored_on_the_test_folds_without_training(found, capsys):
    best = int(np.argmax(scores(found)))
    train.main(["--config", str(found / "best.json"), "--run", str(found / f"trials/{best:04d}")])
    assert "epoch 1/2" not in capsys.readouterr().out
    assert json.loads((found / f"trials/{best:04d}/scores.json").read_text())["best_score"] == max(scores(found))


def test_the_same_command_again_only_tells(found, capsys, monkeypatch):
    monkeypatch.setattr(trials.TrialRunner, "run", lambda *_: pytest.fail("no trial is left"))
    before = scores(found)
    run(*SEARCH, "--trials", "3", "--run", "found")
    assert "3 trials; best: trial" in capsys.readouterr().out
    assert scores(found) == before


def test_more_trials_go_on_as_one_longer_search_would_have(found, monkeypatch):
    before = scores(found)
    run(*SEARCH, "--trials", "4", "--run", "found")
    assert scores(found)[:3] == before
    broken = [outcome.values for outcome in outcomes.read_all(found)]
    monkeypatch.setattr(
        trials.TrialRunner, "_train", lambda self, trial, outcome: ({"best_score": 1.0}, outcome.values)
    )
    monkeypatch.setattr(report, "finish", lambda *_: [])
    monkeypatch.setattr(report, "keep_copy", lambda *_: None)
    run(*SEARCH, "--trials", "4", "--run", "unbroken")
    for one, other in zip(broken, outcomes.read_all(Path("unbroken")), strict=True):
        assert one == pytest.approx(other.values, rel=1e-3)  # that one's are not rounded


def test_another_search_is_refused_and_shown(found):
    with pytest.raises(UsageError, match="epochs: 2 there, 3 now"):
        run(*SEARCH, "--epochs", "3", "--run", "found")


@pytest.mark.parametrize("torn", [["oracle.json"], ["oracle.json", "oracle.backup.json"], ["trial_1/trial.json"]])
def test_torn_files_of_the_oracle_cost_nothing(found, torn, monkeypatch):
    for name in torn:
        text = (found / "oracle" / name).read_text()
        (found / "oracle" / name).write_text(text[: len(text) // 2])
    tried = []
    monkeypatch.setattr(
        trials.TrialRunner, "_train", lambda self, trial, outcome: tried.append(outcome.values) or stop()
    )
    before = rows(found)
    with pytest.raises(Stopped):
        run(*SEARCH, "--trials", "4", "--run", "found")
    after = rows(found)
    assert after[:3] == before
    assert len(tried) == 1
    assert all(tried[0] != {k: type(tried[0][k])(row[k]) for k in tried[0]} for row in before), (
        "a new one, not one again"
    )


def stop():
    raise Stopped("stopped.")


def test_an_interrupted_trial_goes_on_from_its_epoch(found, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        send_in_epoch(patch, 2, signal.SIGINT)
        with pytest.raises(Stopped, match=r"1 whole epoch[\s\S]*python -m tuning.search"):
            run(*SEARCH, "--trials", "4", "--run", "found")
    assert rows(found)[3]["status"] == "running"
    run(*SEARCH, "--trials", "4", "--run", "found")
    assert outcomes.find(found, 3).starts == (0, 1)
    assert rows(found)[3]["status"] == "completed"


def test_crashes_and_nans_are_rows_and_the_search_goes_on(found, monkeypatch, capsys):
    build, count = trials.TrainingJob.build, iter(range(9))

    def broken(*arguments):
        number = next(count)
        if number == 0:
            raise RuntimeError("out of something\nmore of it")
        if number == 1:
            raise NonFiniteError("loss is nan after epoch 1; nothing is saved.")
        return build(*arguments)

    monkeypatch.setattr(trials.TrainingJob, "build", broken)
    best = max(scores(found))
    run(*SEARCH, "--trials", "6", "--run", "found")
    table = rows(found)
    assert [row["status"] for row in table] == [*["completed"] * 3, "failed", "failed", "completed"]
    assert table[3]["reason"] == "RuntimeError: out of something"
    assert table[4]["reason"].startswith("loss is nan")
    assert "Traceback" in (found / "logs/0003.txt").read_text()
    assert "2 of them failed" in capsys.readouterr().out
    assert json.loads((found / "best.json").read_text())
    assert max(float(row["score"]) for row in table if row["score"]) >= best


def test_a_disk_that_refuses_ends_the_search_and_no_trial_fails_by_it(found, monkeypatch):
    """The trial counted as failed, and so did all later ones of a full disk, with exit code 0."""
    before = rows(found)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "found/trials")

    monkeypatch.setattr(trials.TrainingJob, "build", full)
    with pytest.raises(OSError, match="No space left"):
        run(*SEARCH, "--trials", "4", "--run", "found")
    assert rows(found)[:3] == before
    assert json.loads((found / "outcomes/0003.json").read_text())["status"] == "running"


def test_a_trial_that_kills_its_process_again_and_again_is_given_up(found, monkeypatch):
    monkeypatch.setattr(trials.TrialRunner, "_train", lambda *_: stop())  # a death, as far as the files tell
    for _ in range(trials.DEATHS):
        with pytest.raises(Stopped):
            run(*SEARCH, "--trials", "4", "--run", "found")
    run(*SEARCH, "--trials", "4", "--run", "found")
    assert rows(found)[3]["reason"] == f"its process died {trials.DEATHS} times after 0 epochs."


def test_without_a_completed_trial_the_search_fails_and_says_why(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trials.TrainingJob, "build", lambda *_: stop_with("no memory"))
    with pytest.raises(Exception, match="no trial was completed"):
        run(*SEARCH, "--trials", "2", "--run", "none")
    assert [row["reason"] for row in rows("none")] == ["MemoryError: no memory"] * 2


def stop_with(message):
    raise MemoryError(message)


@pytest.mark.slow
def test_hyperband_s_best_goes_on_in_its_folder_and_brackets_are_found_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["--data", DATA, "--epochs", "4", "--algorithm", "hyperband", "--search", "learning_rate"]
    small = ["--model=baseline", "--set", "first=16", "--set", "second=8"]
    run(*arguments, *small, "--trials", "7", "--run", "band")
    table = rows("band")
    assert [int(row["epochs"]) for row in table][:5] == [2] * 5
    promoted = [row for row in table if row["run"] != f"{int(row['trial']):04d}"]
    assert len(promoted) == 2
    assert max(promoted, key=lambda row: float(row["score"]))["epochs"] == "4"
    state = Path("band/oracle/oracle.json")
    brackets = json.loads(state.read_text())["brackets"]
    state.write_text("")
    Path("band/oracle/oracle.backup.json").unlink()
    run(*arguments, *small, "--trials", "7", "--run", "band")
    assert json.loads(state.read_text())["brackets"] == brackets
    assert rows("band") == table
    train.main(["--config", "band/best.json", "--run", "again"])
    assert json.loads(Path("again/scores.json").read_text())["best_score"] == max(scores("band"))
    models = [keras.models.load_model(path, compile=False) for path in ("again/best.keras", "band/best.keras")]
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)  # of all four epochs, two of which an earlier trial trained


def test_tensorboard_s_hparams_tab_shows_every_trial_with_its_values_and_score(found):
    groups = session_groups(found / "trials")
    seen = {group.hparams["second"].number_value: group for group in groups}
    for row in rows(found):
        group = seen[float(row["second"])]
        assert group.hparams["learning_rate"].number_value == float(row["learning_rate"])
        assert group.hparams["batch_size"].number_value == float(row["batch_size"])
        values = {metric.name.tag: metric.value for metric in group.metric_values}
        assert values["best_score"] == pytest.approx(float(row["score"]), rel=1e-6)


def test_evaluate_names_the_models_of_a_search_and_the_leaderboard_shows_them(found, capsys):
    """It said that no epoch was saved; the leaderboard listed a finished search as unfinished, without its best."""
    with pytest.raises(UsageError, match=r"found: the folder of a search, .* or the best, found/best, after"):
        evaluate.main(["found"])
    evaluate.main(["."])
    assert "no run here is scored on its test folds yet" in capsys.readouterr().out
    train.main(["--config", "found/best.json", "--run", "found/best"])
    capsys.readouterr()
    evaluate.main(["."])
    board = capsys.readouterr().out
    assert "found/best" in board
    assert "not finished" not in board


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (["--search", "lerning_rate"], UsageError, "Did you mean learning_rate"),
        (["--search", "learning_rate=1:2"], UsageError, r"expected 1e-06:1"),
        (["--search", "loss=mse|mad"], UsageError, "mad"),
        (["--search", "seed"], UsageError, "--seed is not searched"),
        (["--search", "second="], UsageError, "NAME=LOW:HIGH"),
        (["--search", "batch_size", "--fix", "batch_size=3"], UsageError, "leave one of them out"),
        (["--fix", "frist=3"], UsageError, "Did you mean first"),
        ([f"--fix={name}={value}" for name, value in ALL.items()], UsageError, "leaves nothing to search"),
        (["--space", "nowhere.json"], OSError, "nowhere.json"),
        (["--trials", "0"], UsageError, "1 or more"),
        (["--jobs", "2", "--chief", "127.0.0.1:7000"], UsageError, "one of them"),
        (["--chief", "7000"], UsageError, "HOST:PORT"),
        (["--worker", "127.0.0.1:7000"], UsageError, "expected --run"),
        (["--data", "nowhere"], DataError, "nowhere"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(arguments, error, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = [] if "--data" in arguments else ["--data", DATA]
    with pytest.raises(error, match=said):
        run("--model", "baseline", *data, *arguments)


def test_dry_run_shows_the_space_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("space.json").write_text('{"second": {"low": 8, "high": 16}, "batch_size": [8, 16], "steps": "99:200|0:300"}')
    run("--model", "baseline", "--data", DATA, "--space", "space.json", "--dry-run")
    printed = capsys.readouterr().out
    space = {"batch_size": "8|16", "steps": "99:200|0:300", "second": "8:16 (log)"}
    assert json.loads(printed[: printed.rindex("}") + 1])["space"] == space
    assert [path.name for path in tmp_path.iterdir()] == ["space.json"]

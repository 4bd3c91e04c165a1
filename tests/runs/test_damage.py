"""A run folder that was damaged, falsified or killed: noticed and refused in one sentence, or resumed without loss."""

import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from support.pretended_run import finish, opened, train

from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core import atomic_files
from ariel_tf.core.errors import ArielError, DataError, UsageError
from ariel_tf.evaluation import leaderboard
from ariel_tf.runs import folder as folder_module
from ariel_tf.runs.committed import read_scores, recorded_fingerprint
from ariel_tf.runs.folder import RunFolder
from ariel_tf.runs.history import read_history
from ariel_tf.runs.lock import Busy, is_locked
from ariel_tf.runs.predictor import Predictor
from ariel_tf.runs.run_facts import facts_of
from ariel_tf.runs.state import read_state


def contents(path):
    """The state of a run, and every other file but the lock, by name."""
    files = {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name not in (".lock", "meta.json", "state.json")  # meta.json counts the starts
    }
    return files, read_state(path)


def rewrite(path, **changes):
    """Change state.json as an earlier version would have written it, without its checksum."""
    state = json.loads((path / "state.json").read_text())
    del state["sha256"]
    (path / "state.json").write_text(json.dumps(state | changes))


@pytest.fixture(autouse=True)
def no_disk(monkeypatch):
    """Thousands of files are written; none needs to survive a power cut."""
    monkeypatch.setattr(atomic_files, "flush", lambda path: None)


@pytest.fixture
def run(tmp_path):
    train(tmp_path / "run")
    return tmp_path / "run"


# The history.


def test_a_score_of_metrics_csv_that_was_falsified_is_refused_by_name(run):
    """One flipped bit of a validation score changed best.keras and the scores, exit 0."""
    path = run / "metrics.csv"
    path.write_text(path.read_text().replace("9100.5", "9900.5"))
    with pytest.raises(DataError, match=r"metrics.csv: its first 5 epochs are not those that this run saved"):
        opened(run)


@pytest.mark.parametrize("epoch", ["7", "nan", "1e999", "-1", "x", ""])
def test_a_falsified_epoch_of_metrics_csv_is_one_sentence(run, epoch):
    lines = (run / "metrics.csv").read_text().splitlines()
    lines[3] = epoch + lines[3][1:]
    (run / "metrics.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"metrics.csv: expected a row for each of the 5 epochs that are saved"):
        opened(run)


def test_another_run_s_metrics_csv_is_refused(run, tmp_path):
    text = (run / "metrics.csv").read_text()
    (run / "metrics.csv").write_text(text.replace("val_score", "val_scorf").replace("0.1,", "0.2,"))
    with pytest.raises(DataError, match=r"metrics.csv: its first 5 epochs are not those"):
        opened(run)


def test_rows_that_were_written_just_before_a_kill_are_no_damage(run):
    with opened(run) as open_run:
        open_run.rows.append({"epoch": 6, "loss": 0.01, "val_score": 9999.0})
        open_run.write_rows()  # and killed before the commit
    with opened(run) as open_run:
        assert [row["epoch"] for row in open_run.rows] == [1, 2, 3, 4, 5]


def test_the_history_survives_reading_and_writing_to_the_byte(run):
    before = (run / "metrics.csv").read_bytes()
    with opened(run) as open_run:
        open_run.write_rows()
    assert (run / "metrics.csv").read_bytes() == before
    assert read_history(run)[3] == {"epoch": 4.0, "loss": 0.025, "val_score": 9300.0}
    assert read_history(run.parent) == []


# The state.


@pytest.mark.parametrize(
    "changes",
    [
        {"best_epoch": 5},
        {"best_epoch": 5, "best_score": 9200.75},
        {"best_score": 9999.0},
        {"best_score": None},
        {"best_epoch": 6},
        {"best_epoch": -1},
        {"epoch": 10**30},
        {"epoch": True},
        {"best_score": 10**400},
        {"best_score": float("nan")},
        {"best_score": "9300"},
        {"files": {"../other": "00"}},
        {"files": []},
        {"groups": [3]},
        {"data_fingerprint": 7},
    ],
    ids=str,
)
def test_a_falsified_state_is_one_sentence_even_without_a_checksum(run, changes):
    """best_epoch 4 -> 5 reported epoch 5 and kept epoch 4's model."""
    rewrite(run, **changes)
    with pytest.raises(DataError, match=r"state\.json: (expected the state of a run|its best epoch)"):
        opened(run)


@pytest.mark.parametrize("name", ["epoch", "best_epoch", "finished", "files"])
def test_a_state_without_a_key_is_one_sentence(run, name):
    state = json.loads((run / "state.json").read_text())
    del state[name]
    (run / "state.json").write_text(json.dumps(state))
    with pytest.raises(DataError, match=r"state\.json: expected the state of a run"):
        read_state(run)


def test_a_changed_state_is_refused_by_its_checksum(run):
    text = (run / "state.json").read_text()
    (run / "state.json").write_text(text.replace('"finished": false', '"finished": true'))
    with pytest.raises(DataError, match=r"state\.json: not the state that this run saved"):
        opened(run)
    (run / "state.json").write_text(json.dumps(json.loads(text), sort_keys=True))  # another spelling of the same
    opened(run).close()


def test_a_folder_of_an_earlier_version_is_resumed(run, tmp_path):
    """It has neither a checksum nor a data fingerprint in state.json, and keeps one checkpoint and the best one's."""
    state = json.loads((run / "state.json").read_text())
    for name in ("sha256", "data_fingerprint"):
        del state[name]
    for file in (run / "checkpoints").iterdir():
        if file.name[6:11] not in ("00004", "00005"):
            file.unlink()
            del state["files"][f"checkpoints/{file.name}"]
    (run / "state.json").write_text(json.dumps(state))
    assert train(run)["epoch"] == 5
    with opened(run) as open_run:
        open_run.commit(finished=True)
    assert read_state(run)["data_fingerprint"] == "abc"
    assert "sha256" in json.loads((run / "state.json").read_text())


# The data.


def test_a_lost_meta_json_never_lets_other_data_in(run):
    (run / "meta.json").unlink()
    with pytest.raises(UsageError, match="data fingerprint: abc there, xyz now"):
        opened(run, "xyz")
    assert recorded_fingerprint(run) == "abc"
    rewrite(run, data_fingerprint="")  # a folder of an earlier version does not know better
    with pytest.raises(DataError, match=r"its meta.json, which names the data of the 5 epochs that are saved, is gone"):
        opened(run, "xyz")


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "expected JSON"), ("[]", "expected a JSON dict"), ('{"sessions": 3}', "a list of sessions")],
)
def test_a_damaged_meta_json_is_one_sentence(run, content, said):
    (run / "meta.json").write_text(content)
    with pytest.raises(DataError, match=rf"meta.json: .*{said}"):
        opened(run)


def test_a_meta_json_of_other_data_is_refused(run):
    (run / "meta.json").write_text('{"data_fingerprint": "xyz"}')
    for fingerprint in ("abc", "xyz"):
        with pytest.raises(DataError, match=r"meta.json: names data xyz, state.json abc"):
            opened(run, fingerprint)


# The configuration.


@pytest.mark.parametrize(
    "changes",
    [
        {"unknown": 1},
        {"test_folds": 9},
        {"test_folds": [[9]]},
        {"steps": 7},
        {"channels": None},
        {"settings": 3},
        {"model": None},
        {"model": "frist"},
        {"wavelength": [1]},
        {"epochs": 10**30},
        {"ensemble": {}, "seen": 3},
        {"ensemble": {}, "wavelength": None},
    ],
    ids=str,
)
def test_a_config_json_of_wrong_types_is_one_sentence_for_every_reader(tmp_path, changes):
    """Even where its checksum fits: a stranger's run folder. Each was a traceback."""
    path = tmp_path / "run"
    configuration = TrainConfig(data="simulated").resolve().as_json() | changes
    with pytest.raises(ArielError):  # evaluate, predict, report, ensemble, export
        facts_of(path, configuration)
    with RunFolder(path, configuration, "abc") as run:
        scores = {"test": {"observation": 9000.0, "planet": 9100.0}, "test_planets": 2}
        atomic_files.write_json(path / "scores.json", scores)
        run.commit(("scores.json",), finished=True)
    with pytest.raises(ArielError):
        Predictor.load(path)
    with pytest.raises(UsageError, match="another configuration"):
        opened(path)
    leaderboard.lines(leaderboard.read(tmp_path))


# The scores.


def test_a_damaged_scores_json_is_refused_wherever_it_is_read(tmp_path):
    finish(tmp_path / "run")
    assert read_scores(tmp_path / "run")["test"]["planet"] == 9100.0
    assert leaderboard.read(tmp_path).runs[0].planet == 9100.0
    text = (tmp_path / "run/scores.json").read_text()
    (tmp_path / "run/scores.json").write_text(text.replace("9100", "9900"))
    with pytest.raises(DataError, match=r"scores.json: not the file that this run saved"):
        read_scores(tmp_path / "run")
    board = leaderboard.read(tmp_path)
    assert board.runs == []
    assert "scores.json: not the file that this run saved" in board.damaged[0]


def test_scores_that_were_not_committed_leave_the_run_unfinished(run):
    (run / "scores.json").write_text("{}")
    assert leaderboard.read(run.parent) == leaderboard.Leaderboard([], [run], [])


# Checkpoints.


def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(run, tmp_path, capsys):
    """All epochs since were lost: the run could never go on."""
    train(tmp_path / "unbroken")
    (run / "checkpoints/epoch-00005.weights.h5").write_text("torn")
    with opened(run) as open_run:
        assert open_run.fall_back() == 4
        assert (open_run.state["best_epoch"], len(open_run.rows)) == (4, 4)
    train(run)
    assert "epoch-00005.weights.h5 is damaged: resuming from epoch 4, which was saved before" in capsys.readouterr().out
    assert contents(run) == contents(tmp_path / "unbroken")


def test_the_best_epoch_after_the_fall_back_is_made_again(tmp_path):
    train(tmp_path / "unbroken", 4)
    train(tmp_path / "run", 4)
    (tmp_path / "run/checkpoints/epoch-00004.weights.h5").unlink()
    with opened(tmp_path / "run") as run:
        assert run.fall_back() == 3
        assert (run.state["best_epoch"], run.state["best_score"]) == (2, 9100.5)
        assert not run.is_sound("best.keras")  # it is epoch 4's
    assert train(tmp_path / "run", 4)["best_epoch"] == 4
    assert contents(tmp_path / "run") == contents(tmp_path / "unbroken")


def test_without_a_sound_checkpoint_the_last_one_is_refused_by_name(run):
    for file in (run / "checkpoints").iterdir():
        file.write_text("torn")
    with opened(run) as open_run:
        assert open_run.fall_back() == 5
        with pytest.raises(DataError, match=r"epoch-00005.weights.h5: not the file that this run saved"):
            open_run.verified(open_run.checkpoint_name(5))


# Kills; `tests/commands/test_file_system_steps.py` has one at every step.


def test_a_new_folder_is_committed_before_anything_is_trained(tmp_path):
    with opened(tmp_path / "run") as run:
        assert read_state(run.path)["epoch"] == 0
        (run.path / run.checkpoint_name(1)).write_text("weights")
        (run.path / "metrics.csv").write_text("epoch\n1\n")
    with opened(tmp_path / "run") as run:
        assert (run.state["epoch"], run.rows) == (0, [])


def test_checkpoints_that_a_killed_commit_had_no_time_to_remove_go_when_the_run_is_opened(tmp_path):
    """They stayed for ever in a finished run."""
    finish(tmp_path / "run")
    before = contents(tmp_path / "run")
    (tmp_path / "run/checkpoints/epoch-00001.weights.h5").write_text("weights 1")
    opened(tmp_path / "run").close()
    assert contents(tmp_path / "run") == before


# Links.


@pytest.mark.parametrize(
    "name",
    [".lock", "checkpoints", "tensorboard", "best.keras", "README.md", "tensorboard/train", "checkpoints/epoch-9"],
)
def test_a_link_out_of_a_run_folder_is_refused_and_nothing_is_touched(run, tmp_path, name):
    """A stranger's run folder, resumed, truncated the target of .lock and deleted another run's checkpoints."""
    other = tmp_path / "other"
    (other / "inner").mkdir(parents=True)
    for file in ("epoch-00009.weights.h5", "inner/epoch-00009.weights.h5", "precious"):
        (other / file).write_text("precious")
    path = run / name
    path.parent.mkdir(exist_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(other if name in ("checkpoints", "tensorboard", "tensorboard/train") else other / "precious")
    for start in (lambda: opened(run), lambda: train(run)):
        with pytest.raises(UsageError, match=rf"{name} is a link to .*, out of this run folder"):
            start()
    assert {file.name for file in other.iterdir()} == {"epoch-00009.weights.h5", "precious", "inner"}
    assert (other / "precious").read_text() == "precious"


def test_a_lock_file_is_never_truncated_through_a_link_nor_opened_as_a_pipe(run, tmp_path):
    (tmp_path / "precious").write_text("precious")
    for place in (lambda path: path.symlink_to(tmp_path / "precious"), os.mkfifo, Path.mkdir):
        lock = run / ".lock"
        lock.rmdir() if lock.is_dir() and not lock.is_symlink() else lock.unlink()
        place(lock)
        for use in (lambda: opened(run), lambda: opened(run, overwrite=True), lambda: is_locked(run)):
            with pytest.raises(ArielError):
                use()
        assert (tmp_path / "precious").read_text() == "precious"
    lock.rmdir()
    (run / "metrics.csv").unlink()
    os.mkfifo(run / "metrics.csv")
    with pytest.raises(UsageError, match=r"metrics.csv is neither a file nor a folder"):
        opened(run)


def test_a_lock_file_keeps_its_content_and_a_link_within_the_folder_is_fine(run):
    (run / ".lock").write_text("kept")
    (run / "newest.keras").symlink_to("best.keras")
    with opened(run), pytest.raises(Busy):
        opened(run)
    assert (run / ".lock").read_text() == "kept"


def test_a_run_folder_that_is_a_link_itself_is_resumed(run, tmp_path):
    (tmp_path / "name").symlink_to(run)
    assert train(tmp_path / "name")["epoch"] == 5


def test_overwriting_twice_in_one_second_takes_another_name(tmp_path, monkeypatch, capsys):
    """The second ended in "Directory not empty"."""
    monkeypatch.setattr(folder_module.time, "strftime", lambda form: "20260102-030405")
    for _ in range(3):
        train(tmp_path / "run", overwrite=True)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["run", "run.20260102-030405", "run.20260102-030405-2"]


def test_waiting_for_a_lock_ends_when_it_is_free(tmp_path):
    with opened(tmp_path / "run", shared=True) as run, opened(tmp_path / "run") as other:
        threading.Timer(0.2, other.close).start()
        started = time.monotonic()
        with run.held():
            assert time.monotonic() - started > 0.1

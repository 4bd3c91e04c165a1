"""Run folders: create, resume, refuse, and survive being stopped at any write."""

import json
import shutil
from pathlib import Path

import pytest

from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.runs.folder import RunFolder

CONFIGURATION = {"model": "baseline", "epochs": 3, "settings": {"first": 10}}


def epoch(run, number, best=True):
    if not (run.path / "meta.json").is_file():
        run.write_meta({}, {})
    name = run.checkpoint_name(number)
    (run.path / name).write_text(f"weights {number}")
    run.rows.append({"epoch": number, "loss": 0.1 / number})
    run.write_rows()
    changes = {"best_epoch": number, "best_score": 9000.0 + number} if best else {}
    run.commit((name, "metrics.csv"), epoch=number, **changes)


def opened(path, configuration=CONFIGURATION, **options):
    return RunFolder(path, configuration, "abc", **options)


def test_created_then_resumed_with_what_was_committed(tmp_path):
    path = tmp_path / "runs" / "one"
    with opened(path) as run:
        assert not run.resumed
        epoch(run, 1)
        epoch(run, 2)
    with opened(path) as run:
        assert (run.state["epoch"], run.state["best_epoch"], run.state["best_score"]) == (2, 2, 9002.0)
        assert [row["epoch"] for row in run.rows] == [1, 2]
        assert run.verified(run.checkpoint_name(2)).read_text() == "weights 2"


def checkpoints(run):
    return sorted(path.name[6:11] for path in (run.path / "checkpoints").iterdir())


def test_the_last_two_checkpoints_and_the_best_stay_and_of_a_finished_run_the_last_and_the_best(tmp_path):
    with opened(tmp_path / "run") as run:
        for number, best in ((1, True), (2, True), (3, False), (4, False), (5, False)):
            epoch(run, number, best)
        assert checkpoints(run) == ["00002", "00004", "00005"]
        run.commit(finished=True)
        assert checkpoints(run) == ["00002", "00005"]


def test_another_configuration_is_refused_with_the_differing_keys(tmp_path):
    with opened(tmp_path / "run") as run:
        epoch(run, 1)
    with pytest.raises(UsageError, match="epochs: 3 there, 5 now") as error:
        opened(tmp_path / "run", CONFIGURATION | {"epochs": 5})
    assert "model" not in str(error.value).split("\n", 1)[1]


def test_of_an_ensemble_and_a_run_only_what_both_have_is_compared(tmp_path):
    """Each of a run's thirty options was shown as `None now`, and the one that says it, the model, stood among them."""
    opened(tmp_path / "run").close()
    ensemble = {"model": "average of squid, transit", "ensemble": {"how": "average"}, "seen": [12]}
    with pytest.raises(UsageError, match="squid, transit now") as error:
        opened(tmp_path / "run", ensemble)
    assert "None" not in str(error.value)


def test_other_data_is_refused(tmp_path):
    with opened(tmp_path / "run") as run:
        run.write_meta({}, {})
        epoch(run, 1)
    with pytest.raises(UsageError, match="data fingerprint: abc there, xyz now"):
        RunFolder(tmp_path / "run", CONFIGURATION, "xyz")


def test_overwrite_moves_the_earlier_run_aside(tmp_path):
    with opened(tmp_path / "run") as run:
        epoch(run, 1)
    with opened(tmp_path / "run", CONFIGURATION | {"epochs": 5}, overwrite=True) as run:
        assert not run.resumed
    aside = next(path for path in tmp_path.iterdir() if path.name != "run")
    assert (aside / "metrics.csv").is_file()


@pytest.mark.parametrize("folder", ["data", "."])
def test_overwrite_never_moves_what_is_no_run(tmp_path, folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "manifest.json").write_text("{}")
    with pytest.raises(UsageError, match="expected a new name, or a run folder"):
        opened(Path(folder), overwrite=True)
    assert (tmp_path / "data" / "manifest.json").is_file()


def test_overwrite_never_moves_a_run_that_another_process_trains(tmp_path):
    with opened(tmp_path / "run"):
        with pytest.raises(UsageError, match="another process"):
            opened(tmp_path / "run", overwrite=True)
        assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_missing_state_never_makes_a_trained_run_a_new_one(tmp_path):
    with opened(tmp_path / "run") as run:
        epoch(run, 1)
    (tmp_path / "run" / "state.json").unlink()
    with pytest.raises(DataError, match=r"state.json is gone"):
        opened(tmp_path / "run")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"epoch": "1"}'])
def test_a_damaged_state_is_one_sentence(tmp_path, content):
    with opened(tmp_path / "run") as run:
        epoch(run, 1)
    (tmp_path / "run" / "state.json").write_text(content)
    with pytest.raises(DataError, match=r"state.json: expected"):
        opened(tmp_path / "run")


@pytest.mark.parametrize("content", [None, b"", b"garbage\n1\n", b"\xff\x00", b"epoch,loss\n1,x\n"])
def test_a_lost_history_is_refused(tmp_path, content):
    with opened(tmp_path / "run") as run:
        epoch(run, 1)
        epoch(run, 2)
    path = tmp_path / "run" / "metrics.csv"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(DataError, match=r"metrics.csv: expected a row for each of the 2 epochs"):
        opened(tmp_path / "run")


def test_where_the_data_lie_is_no_difference(tmp_path):
    with opened(tmp_path / "run", CONFIGURATION | {"data": "/one"}) as run:
        epoch(run, 1)
    with opened(tmp_path / "run", CONFIGURATION | {"data": "/other"}) as run:
        assert run.resumed


def test_each_start_leaves_its_own_line_in_the_metadata(tmp_path):
    with opened(tmp_path / "run") as run:
        run.write_meta({"command": "one"}, {"commit": "a"})
        epoch(run, 1)
    with opened(tmp_path / "run") as run:
        run.write_meta({"command": "two"}, {"commit": "b"})
    meta = json.loads((tmp_path / "run" / "meta.json").read_text())
    assert meta["command"] == "one"
    assert meta["sessions"] == [{"from_epoch": 0, "commit": "a"}, {"from_epoch": 1, "commit": "b"}]


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(UsageError, match="expected a new name, or a run folder"):
        opened(tmp_path)
    with pytest.raises(UsageError, match="expected a new name, or a run folder"):
        opened(tmp_path / "thesis.tex")


def test_two_processes_never_train_in_one_folder(tmp_path):
    with opened(tmp_path / "run"), pytest.raises(UsageError, match="another process"):
        opened(tmp_path / "run")
    with opened(tmp_path / "run"):
        pass  # free again


def test_what_was_written_but_not_committed_does_not_count(tmp_path):
    """Killed between a checkpoint and the commit: the run goes on from the epoch before."""
    path = tmp_path / "run"
    with opened(path) as run:
        epoch(run, 1)
        shutil.copy(path / "state.json", tmp_path / "state.json")
        epoch(run, 2)
        (path / "checkpoints" / ".writing-x.weights.h5").write_text("half")
        shutil.copy(tmp_path / "state.json", path / "state.json")
    with opened(path) as run:
        assert run.state["epoch"] == 1
        assert [row["epoch"] for row in run.rows] == [1]
        assert not list((path / "checkpoints").glob(".writing-*"))


def test_a_changed_file_is_never_taken_for_the_saved_one(tmp_path):
    with opened(tmp_path / "run") as run:
        epoch(run, 1)
        (run.path / run.checkpoint_name(1)).write_text("other")
        with pytest.raises(DataError, match="not the file that this run saved"):
            run.verified(run.checkpoint_name(1))

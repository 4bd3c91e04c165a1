"""Run folders: create, resume, refuse, and survive being stopped at any write."""

import json
import shutil

import pytest

from ariel_tf.errors import DataError, UsageError
from ariel_tf.training.runs import RunFolder

CONFIGURATION = {"model": "baseline", "epochs": 3, "settings": {"first": 10}}


def epoch(run, number, best=True):
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


def test_only_the_last_and_the_best_checkpoint_stay(tmp_path):
    with opened(tmp_path / "run") as run:
        for number, best in ((1, True), (2, True), (3, False), (4, False)):
            epoch(run, number, best)
        assert sorted(p.name[6:11] for p in (run.path / "checkpoints").iterdir()) == ["00002", "00004"]


def test_another_configuration_is_refused_with_the_differing_keys(tmp_path):
    with opened(tmp_path / "run") as run:
        epoch(run, 1)
    with pytest.raises(UsageError, match="epochs: 3 there, 5 now") as error:
        opened(tmp_path / "run", CONFIGURATION | {"epochs": 5})
    assert "model" not in str(error.value).split("\n", 1)[1]


def test_other_data_is_refused(tmp_path):
    with opened(tmp_path / "run") as run:
        (run.path / "meta.json").write_text(json.dumps({"data_fingerprint": "abc"}))
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


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(UsageError, match="found something else"):
        opened(tmp_path)
    with pytest.raises(UsageError, match="found something else"):
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

"""Damaged results of a search: corrected or made again from the trials' run folders, or named; never dropped."""

import json
import re

import pytest
from support.search_folder import make_oracle, make_search, results

from ariel_tf.core.atomic_files import sha256
from ariel_tf.core.errors import DataError
from ariel_tf.core.sealed_json import CHECKSUM, write_sealed
from ariel_tf.runs.state import write_state
from tuning import outcomes, report
from tuning.outcomes import COMPLETED, FAILED, Outcome
from tuning.recovery import recover


@pytest.fixture
def run(tmp_path):
    return make_search(tmp_path)


def edit(path, **changes):
    """Change a JSON file as an editor would: its checksum stays, or is dropped as in files of earlier versions."""
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in values.items() if value is not ...}))


def test_sound_results_are_left_alone(run, capsys):
    before = {path: path.read_bytes() for path in run.rglob("*.json")}
    recover(run)
    assert {path: path.read_bytes() for path in before} == before
    assert "outcomes" not in capsys.readouterr().out


def test_an_unreadable_outcome_of_the_best_is_made_again_and_the_second_best_replaces_nothing(run, capsys):
    """It was dropped silently; best.json and best.keras became those of the second best, with exit code 0."""
    before = results(run)
    path = run / "outcomes/0001.json"
    path.write_text(path.read_text()[:50])
    recover(run)
    report.update(run)
    assert results(run) == before
    assert (run / "best.keras").read_bytes() == b"model 1"
    assert re.search(r"0001.json: was damaged; it was restored", capsys.readouterr().out)


@pytest.mark.parametrize("checksum", [None, ...], ids=["changed", "of an earlier version"])
@pytest.mark.parametrize(
    ("trial", "changes"),
    [
        (0, {"score": 99100.25}),
        (0, {"score": 9100.26}),
        (1, {"score": 1200.75}),
        (0, {"best_epoch": 1}),
        (0, {"values": {"learning_rate": 0.009}}),
        (0, {"status": FAILED}),
        (2, {"status": COMPLETED, "score": 9999.0}),
        (0, {"score": float("nan")}),
        (0, {"score": "9100.25"}),
        (0, {"score": None}),
        (0, {"epochs": "two"}),
        (0, {"trial": 1}),
        (0, {"run": "../../elsewhere"}),
        (0, {"values": 3}),
        (0, {"colour": "red"}),
    ],
    ids=str,
)
def test_one_digit_of_an_outcome_does_not_make_another_trial_the_best(run, trial, changes, checksum):
    """One digit of a score made the worst trial the best; NaN and text were tracebacks."""
    before = results(run)
    path = run / f"outcomes/{trial:04d}.json"
    if checksum is ...:
        changes = changes | {CHECKSUM: ...}
    edit(path, **changes)
    recover(run)
    assert results(run) == before


@pytest.mark.parametrize("place", ["outcomes/0000.json", "outcomes/0002.json", "oracle/trial_1/trial.json"])
def test_no_changed_byte_of_a_result_goes_unnoticed(run, place):
    """Of 60 changes to a trial.json 7 went unnoticed."""
    before, path = results(run), run / place
    content = path.read_bytes()
    for index in range(0, len(content), max(1, len(content) // 12)):
        path.write_bytes(content[:index] + bytes([content[index] ^ 1]) + content[index + 1 :])
        recover(run)
        assert results(run) == before, f"byte {index}"
        path.write_bytes(content)


@pytest.mark.parametrize("lost", [["outcomes/0001.json"], ["oracle/trial_1/trial.json"], ["oracle/trial_2/trial.json"]])
def test_a_removed_result_is_made_again(run, lost):
    before = results(run)
    for name in lost:
        (run / name).unlink()
    recover(run)
    assert results(run) == before


def test_a_trial_without_any_result_continues_in_its_run_folder(run):
    (run / "outcomes/0001.json").write_text("{")
    (run / "oracle/trial_1/trial.json").write_text("{")
    recover(run)
    outcome = outcomes.find(run, 1)
    assert (outcome.status, outcome.values, outcome.run) == (outcomes.RUNNING, {"learning_rate": 0.02}, "0001")
    trial = make_oracle(run).create_trial("one")
    assert (int(trial.trial_id), trial.hyperparameters.values) == (1, {"learning_rate": 0.02})


def test_a_trial_of_which_nothing_is_left_is_named(run):
    (run / "outcomes/0001.json").write_text("{")
    (run / "oracle/trial_1/trial.json").write_text("{")
    (run / "trials/0001/config.json").unlink()
    with pytest.raises(DataError, match=r"outcomes/0001.json: cannot be read, and neither can keras-tuner's record"):
        recover(run)


@pytest.mark.parametrize("name", ["best.keras", "config.json"])
def test_a_damaged_model_of_the_best_trial_never_replaces_the_good_copy(run, name):
    (run / "trials/0001" / name).write_text("{}")
    with pytest.raises(DataError, match=rf"trials/0001/{name}: not the file that"):
        recover(run)
    assert (run / "best.keras").read_bytes() == b"model 1"


def test_a_trial_that_was_killed_before_its_record_was_written_is_forgotten(run):
    """The search could never go on, and named a file, oracle.backup.json, that had never been there."""
    before = results(run)
    (run / "oracle/trial_3").mkdir()
    assert results(run) == before
    assert not (run / "oracle/trial_3").exists()


def test_a_trial_whose_record_and_outcome_are_gone_is_named_and_no_other_is_dropped(run):
    """Both copies of the oracle's state were taken for torn, and the search began again without any trial."""
    (run / "outcomes/0001.json").unlink()
    (run / "oracle/trial_1/trial.json").unlink()
    with pytest.raises(DataError, match=r"oracle/trial_1/trial\.json: cannot be read, and the trial has no outcome"):
        make_oracle(run)
    assert not list((run / "oracle").glob("*.torn"))


def test_a_result_that_is_recorded_again_after_a_kill_is_recorded_once(run):
    """keras-tuner took it for a second execution of the trial."""
    oracle = make_oracle(run)
    path = run / "oracle/trial_1/trial.json"
    before = path.read_text()
    oracle.update_trial("1", {"val_score": 9200.75}, step=1)
    oracle.trials["1"].status = "COMPLETED"
    oracle._save_trial(oracle.trials["1"])
    assert path.read_text() == before


def test_folders_and_files_with_other_names_are_left_alone(run):
    """A folder oracle/trial_x was a traceback."""
    before = results(run)
    (run / "oracle/trial_x").mkdir()
    (run / "outcomes/notes.json").write_text("mine")
    (run / "outcomes/000\u0661.json").write_text("mine")
    recover(run)
    assert results(run) == before


def test_a_trial_that_hyperband_continued_keeps_the_score_of_its_own_epochs(run):
    """Trial 3 continues trial 0 in its folder, from 2 epochs to 3; a damaged outcome of trial 0 still has 2."""
    folder, before = run / "trials/0000", outcomes.find(run, 0)
    with (folder / "metrics.csv").open("a") as file:
        file.write("3,9900.0,2.0\n")
    state = json.loads((folder / "state.json").read_text())
    state["files"]["metrics.csv"] = sha256(folder / "metrics.csv")
    write_state(folder, state | {"epoch": 3, "best_epoch": 3, "best_score": 9900.0})
    recover(run)
    assert outcomes.find(run, 0) == before
    record = run / "oracle/trial_0/trial.json"
    values = json.loads(record.read_text())
    del values[CHECKSUM]
    values["hyperparameters"]["values"] |= {"tuner/epochs": 2, "tuner/round": 0}
    write_sealed(record, values)
    (run / "outcomes/0000.json").write_text("")
    recover(run)
    again = outcomes.find(run, 0)
    assert (again.score, again.best_epoch, again.epochs) == (before.score, 2, 2)
    assert again.plan == {"tuner/epochs": 2, "tuner/round": 0}


def test_an_outcome_whose_run_folder_was_removed_is_kept(run):
    before = outcomes.read_all(run)
    for path in (run / "trials/0000").iterdir():
        if path.is_file():
            path.unlink()
    recover(run)
    assert outcomes.read_all(run) == before


def test_the_path_of_an_outcome_is_that_of_its_trial(tmp_path):
    (tmp_path / "outcomes").mkdir()
    outcomes.write(tmp_path, Outcome(3, FAILED, {}, "0003"))
    (tmp_path / "outcomes/0003.json").rename(tmp_path / "outcomes/0004.json")
    with pytest.raises(DataError, match=r"0004.json: expected the outcome of a trial"):
        outcomes.read_all(tmp_path)

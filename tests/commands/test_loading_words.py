"""Damaged, foreign and half-made runs cost a sentence, and never the other runs."""

import json
from pathlib import Path

import numpy as np
import pytest

import ariel_tf
from ariel_tf import evaluate, export, predict, report
from ariel_tf.core.atomic_files import sha256
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.manifest import Manifest, Shard
from ariel_tf.evaluation import leaderboard
from ariel_tf.evaluation.leaderboard import Leaderboard, ScoredRun
from ariel_tf.runs.history import best_row, read_history, require_scores
from ariel_tf.runs.predictor import Predictor
from ariel_tf.runs.state import read_state, write_state

pytestmark = pytest.mark.usefixtures("pretended_training")

DATA = "simulated:planets=12,spots=1,photons=2,seed=1"
SMALL = ["--model=baseline", "--data", DATA, "--epochs", "1", "--set", "first=8"]


def recommit(run, name, content=None):
    """Change a file of a run, and let its state.json take it for its own."""
    if content is not None:
        (run / name).write_bytes(content)
    state = read_state(run)
    state["files"][name] = sha256(run / name)
    write_state(run, state)


def test_fault_d_one_bad_run_does_not_end_a_report_of_a_folder(tiny_run, tmp_path, capsys):
    """One run of an unknown model, or one damaged state.json, ended `report FOLDER`."""
    sound, unknown, damaged = (tiny_run(*SMALL, into=tmp_path / name) for name in ("sound", "unknown", "damaged"))
    config = json.loads((unknown / "config.json").read_text()) | {"model": "unheard-of"}
    recommit(unknown, "config.json", json.dumps(config).encode())
    (damaged / "state.json").write_text("{")
    page = tmp_path / "page.html"
    with pytest.raises(DataError, match=r"left out of the report: .*damaged/state.json.*unknown/config.json.*unheard"):
        report.main([str(tmp_path), "--out", str(page), "--against", "none"])
    assert ">sound<" in page.read_text()
    capsys.readouterr()
    with pytest.raises(DataError, match=rf"left out of the leaderboard: {damaged}/state.json: expected JSON"):
        evaluate.main([str(tmp_path)])
    assert f"{sound}\n" in capsys.readouterr().out


def test_a_report_of_bad_runs_alone_is_one_sentence(tiny_run, tmp_path):
    run = tiny_run(*SMALL, into=tmp_path / "runs/bad")
    recommit(run, "best.keras", b"no model")
    with pytest.raises(DataError, match="no run here can be reported") as error:
        report.main([str(tmp_path / "runs"), "--out", str(tmp_path / "page.html")])
    assert len(error.value.faults) == 1
    assert "best.keras: expected a ZIP archive" in error.value.faults[0]


def test_fault_d_a_model_that_is_not_its_configuration_s_is_one_sentence(tiny_run, tmp_path):
    run = tiny_run(*SMALL, into=tmp_path / "run")
    config = json.loads((run / "config.json").read_text()) | {"channels": "own+white"}
    recommit(run, "config.json", json.dumps(config).encode())
    with pytest.raises(DataError, match=r"best.keras: expected a model of flux \[300, 2\] .* 1 radii, as its config"):
        Predictor.load(run)


def scored(path, wavelength, planet):
    return ScoredRun(Path(path), "baseline", wavelength, DATA, "f" * 64, (9,), 4, planet - 10, planet)


def test_fault_d_joint_and_one_model_a_wavelength_are_ranked_together():
    """They were two lists under one same heading, though their scores are of the same planets and wavelengths."""
    runs = [scored("a", "joint", 9000.0), scored("b", "0-54", 9100.0), scored("c", "12", 9200.0)]
    text = leaderboard.lines(Leaderboard(runs, [], []))
    headings = [line for line in text if line.endswith(":")]
    assert [heading.split(",")[0] for heading in headings] == ["all 55 wavelengths", "wavelength 12"]
    assert [line.split()[0] + line.split()[-1] for line in text if line.split()[-1] in "abc"] == ["1b", "2a", "1c"]


@pytest.mark.parametrize(
    "value", [{"test_planets": 1e400}, {"test": {"observation": 10**400, "planet": 1}}, {"test": []}]
)
def test_fault_d_odd_numbers_in_scores_leave_one_run_out(value, tiny_run, tmp_path):
    run = tiny_run(*SMALL, into=tmp_path / "run")
    scores = json.loads((run / "scores.json").read_text()) | value
    recommit(run, "scores.json", json.dumps(scores).encode())
    board = leaderboard.read(tmp_path)
    assert (board.runs, len(board.damaged)) == ([], 1)


def test_fault_d_predictions_and_exports_make_the_folder_of_their_file(tiny_run, tmp_path):
    run = tiny_run(*SMALL)
    out = tmp_path / "new/dir/x.csv"
    predict.main([str(run), "--data", DATA, "--folds", "9", "--out", str(out)])
    assert out.read_text().startswith("planet,spot,photon,radius_12\n")
    (tmp_path / "file").write_text("")
    for refuse in (
        lambda path: predict.refuse_path(path / "x.csv"),
        lambda path: export.refuse_path(path / "x.keras", "keras"),
    ):
        refuse(tmp_path / "a/b/c")
        with pytest.raises(UsageError, match=r"/file is not a folder"):
            refuse(tmp_path / "file/b")


def test_an_export_makes_its_folder(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "compare", lambda *_: 0.0)  # the test in another process
    export.main([str(tiny_run(*SMALL)), str(tmp_path / "new/dir/x.keras")])
    assert (tmp_path / "new/dir/x.keras").is_file()


@pytest.mark.parametrize("name", [["fold-0-00000.tfrecord"], {}, None, 7, "fold-0-00000.tfrecord\n", "../x"])
def test_fault_d_a_shard_s_name_of_another_type_is_one_sentence(name):
    """A list was a traceback: unhashable type."""
    shard = {"name": name, "fold": 0, "planets": [1], "rows": 1, "bytes": 1, "sha256": "0" * 64}
    page = {"schema": 1, "source": {}, "labelled": True, "fold_seed": 0, "fingerprint": "", "statistics_sha256": ""}
    page |= {"skipped": [], "dropped": [], "shards": [shard, shard]}
    with pytest.raises(DataError, match=r"data/manifest.json: .*shard"):
        Manifest.from_bytes(json.dumps(page).encode(), b"", "data")
    with pytest.raises(DataError, match=r"data/manifest.json: it lists no shard, or one twice"):
        Manifest.from_bytes(json.dumps(page | {"shards": []}).encode(), b"", "data")
    assert Shard(**shard).faults()


def test_fault_d_a_history_without_validation_scores_is_one_sentence(tiny_run, tmp_path):
    run = tiny_run(*SMALL, into=tmp_path / "run")
    recommit(run, "metrics.csv", b"epoch,loss\n1,0.5\n")
    rows = read_history(run, read_state(run))
    with pytest.raises(DataError, match=rf"^{run}/metrics.csv: expected a column val_score; restore it"):
        require_scores(run, rows)
    with pytest.raises(DataError, match=r"metrics.csv: expected a column val_score"):
        best_row([{"epoch": 1.0}])


@pytest.mark.parametrize(
    ("true", "predicted", "words"),
    [
        ([0.1, np.nan], [0.1, 0.2], r"true: expected finite numbers. Received: nan at \[1\]"),
        ([0.1, 0.2], [[0.1], [np.inf]], r"predicted: expected finite numbers. Received: inf at \[1, 0\]"),
        ([0.1, 0.2], [0.1, np.ma.masked], "predicted: expected values without a mask"),
        ([np.ma.masked_array([0.1, 0.2], [False, True])], [[0.1, 0.2]], "true: expected values without a mask"),
        ([[0.1]], [(np.ma.masked_array([0.1], [True]),)], "predicted: expected values without a mask"),
    ],
)
def test_fault_d_no_score_of_nan_or_of_masks_inside_lists(true, predicted, words):
    with pytest.raises(ValueError, match=words):
        ariel_tf.score(true, predicted)
    with pytest.raises(ValueError, match="weights: expected"):
        ariel_tf.score([0.1, 0.2], [0.1, 0.2], [1.0, np.nan])


def test_masks_inside_lists_are_not_predicted_from(tiny_run):
    trained = ariel_tf.load(tiny_run(*SMALL))
    flux = np.ma.masked_array(np.ones((55, 300)))
    flux[3, 7] = np.ma.masked
    with pytest.raises(DataError, match=r"flux \[0, 3, 7\] is masked"):
        trained.predict([flux])

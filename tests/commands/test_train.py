"""The front door: a whole training, resumed to the bit, stopped by Ctrl-C, refused with a sentence."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from support import pretended
from support.models import small_backbone
from support.pictures import is_drawn
from support.run_folders import ALWAYS, SELDOM, run, send_in_epoch, table

from ariel_tf import evaluate, plot, predict
from ariel_tf.core.errors import ArielError, DataError, NonFiniteError, Stopped, UsageError
from ariel_tf.data import dataset
from ariel_tf.data.sources.simulated import SimulatedSource
from ariel_tf.runs.state import read_state, write_state
from ariel_tf.training import one_model, schedule
from ariel_tf.training.callbacks import stopped_early
from pipelines import simulate

pytestmark = pytest.mark.usefixtures("own_folder")

ROOT = Path(__file__).parents[2]
DATA = "simulated:planets=20,spots=1,photons=3,seed=1"
SMALL = ["--model=baseline", "--data", DATA, "--set", "first=16", "--set", "second=8", "--batch-size", "7",
         "--head", "depth"]  # fmt: skip
# Everything that draws random numbers while it trains.
DRAWS = ["--set", "dropout=0.3", "--channels", "own+white", "--augment", "mix,noise,mirror"]
FOUR = [*SMALL, "--epochs", "4", "--star", "all", "--optimizer", "nadam"]


def weights(path):
    """Every array of a checkpoint: weights and optimiser state."""
    arrays = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return arrays


def test_a_run_from_nothing_leaves_all_that_it_says(capsys, draws, monkeypatch):
    traced = []
    step = keras.Model.train_step
    monkeypatch.setattr(keras.Model, "train_step", lambda *arguments: traced.append(1) or step(*arguments))
    run(*FOUR, "--run", "one")
    assert len(traced) == 1, "a step that makes the optimiser's variables is traced twice"
    printed = capsys.readouterr().out
    assert printed.count("epoch ") >= 4
    for name in ("config.json", "meta.json", "metrics.csv", "best.keras", "scores.json", "prediction.png", "README.md"):
        assert Path("one", name).stat().st_size > 0
    assert is_drawn("one/prediction.png")
    assert is_drawn("one/validation.png")
    rows = table("one/metrics.csv")
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    scores = json.loads(Path("one/scores.json").read_text())
    assert f"{scores['test']['planet']:.1f}" in printed
    assert scores["best_score"] == max(float(row["val_score"]) for row in rows)
    assert scores["best_epoch"] == 1 + np.argmax([float(row["val_score"]) for row in rows])
    meta = json.loads(Path("one/meta.json").read_text())
    assert meta["folds"]["test"] == {"folds": [9], "planets": 2, "observations": 6}
    assert "http" not in Path("one/meta.json").read_text()


def test_evaluate_and_predict_agree_with_the_training(tiny_run, capsys, pretended_training_here):
    tiny_run(*FOUR, into="one")
    scores = json.loads(Path("one/scores.json").read_text())["test"]
    evaluate.main(["one"])
    printed = capsys.readouterr().out
    assert f"{scores['planet']:9.1f}" in printed
    predict.main(["one", "--data", DATA, "--out", "radii.csv"])
    rows = [line.split(",") for line in Path("radii.csv").read_text().splitlines()]
    assert rows[0] == ["planet", "spot", "photon", "radius_12"]
    assert [tuple(map(int, row[:3])) for row in rows[1:]] == [(p, 1, i) for p in range(1, 21) for i in (1, 2, 3)]
    predict.main(["one", "--data", DATA, "--out", "medians.csv", "--combine", "median"])
    median = np.median([float(row[3]) for row in rows[1:4]])
    assert float(table("medians.csv")[0]["radius_12"]) == pytest.approx(median, abs=1e-9)
    with pytest.raises(UsageError, match="exists already"):
        predict.main(["one", "--data", DATA, "--out", "radii.csv"])


@pytest.mark.parametrize(
    "more",
    [
        ["--set", "schedule=plateau", *DRAWS],
        pytest.param(["--set", "schedule=cosine", *DRAWS], marks=pytest.mark.slow),
    ],
    ids=["plateau", "cosine"],
)
def test_a_stopped_and_resumed_run_is_the_unbroken_run_to_the_bit(more, monkeypatch, capsys):
    arguments = [*FOUR, *more]
    run(*arguments, "--run", "unbroken")
    with monkeypatch.context() as patch:
        send_in_epoch(patch, 3, signal.SIGTERM)
        with pytest.raises(Stopped, match="2 whole epochs") as stopped:
            run(*arguments, "--run", "stopped")
    check_stopped(stopped, 2, arguments, capsys)


def check_stopped(stopped, epochs, arguments, capsys):
    """A stopped run that holds so many epochs of four becomes the unbroken one."""
    assert stopped.value.exit_code == 143
    assert "python -m ariel_tf.train" in str(stopped.value)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    capsys.readouterr()
    run(*arguments, "--run", "stopped")
    assert f"resuming stopped after epoch {epochs}" in capsys.readouterr().out
    one, other = (weights(f"{name}/checkpoints/epoch-00004.weights.h5") for name in ("unbroken", "stopped"))
    assert one.keys() == other.keys()
    assert any("optimizer" in name for name in one), "the optimiser's state is part of the checkpoint"
    for name, values in one.items():
        np.testing.assert_array_equal(other[name], values, err_msg=name)
    unbroken, resumed = (json.loads(Path(name, "scores.json").read_text()) for name in ("unbroken", "stopped"))
    assert unbroken == resumed


@pytest.mark.parametrize("more", [[], ["--set", "learning_rate=0.05"]], ids=["still better", "better before"])
def test_a_signal_saves_the_epochs_since_the_last_save_and_the_one_at_hand(
    more, tiny_run, monkeypatch, capsys, pretended_training_here
):
    arguments = [*FOUR, *more]
    tiny_run(*arguments, into="unbroken")
    with monkeypatch.context() as patch:
        send_in_epoch(patch, 3, signal.SIGTERM, SELDOM)
        with pytest.raises(Stopped, match="3 whole epochs") as stopped:
            run(*arguments, "--run", "stopped")
    assert "Finishing and saving the current epoch" in capsys.readouterr().out
    check_stopped(stopped, 3, arguments, capsys)


def test_the_same_signal_again_stops_at_once_and_the_epochs_since_the_last_save_are_trained_again(
    tiny_run, monkeypatch, capsys, pretended_training_here
):
    tiny_run(*FOUR, into="unbroken")
    with monkeypatch.context() as patch:
        send_in_epoch(patch, 3, signal.SIGTERM, SELDOM)
        send_in_epoch(patch, 3, signal.SIGTERM, SELDOM)
        with pytest.raises(Stopped, match="1 whole epoch") as stopped:
            run(*FOUR, "--run", "stopped")
    check_stopped(stopped, 1, FOUR, capsys)


def test_the_best_epoch_between_two_saves_is_the_one_that_is_kept(monkeypatch, pretended_training_here):
    if pretended.active():
        monkeypatch.setattr(pretended, "score", lambda epoch, weights: 9000.0 - abs(epoch - 2))
    arguments = [*SMALL, "--epochs", "6", "--patience", "0", "--set", "learning_rate=0.1"]
    for name, share in (("each", ALWAYS), ("seldom", SELDOM)):
        monkeypatch.setattr(schedule, "SHARE", share)
        run(*arguments, "--run", name)
    states = [json.loads(Path(name, "state.json").read_text()) for name in ("each", "seldom")]
    assert 1 < states[0]["best_epoch"] == states[1]["best_epoch"] < 6
    assert f"checkpoints/epoch-{states[0]['best_epoch']:05d}.weights.h5" not in states[1]["files"]
    assert Path("each/scores.json").read_text() == Path("seldom/scores.json").read_text()
    Path("seldom/best.keras").write_bytes(b"torn")  # and there is no checkpoint to make it from
    with pytest.raises(DataError, match=r"seldom/best.keras: not the file that this run saved"):
        run(*arguments, "--run", "seldom")


@pytest.mark.slow
def test_a_pretrained_backbone_thaws_and_resumes_before_and_after_it(monkeypatch, capsys):
    monkeypatch.setattr(keras.applications, "MobileNet", small_backbone)
    small_backbone((32, 32, 3)).save_weights("photographs.weights.h5")
    arguments = ["--model", "image", "--wavelength", "joint", "--weights", "photographs.weights.h5", "--epochs", "4",
                 "--data", "simulated:planets=10,spots=2,photons=2", "--set", "size=32", "--set", "frozen_epochs=2",
                 "--set", "fine_rate=0.5"]  # fmt: skip
    for number in (2, 4):  # within the frozen epochs, and within those that follow
        with monkeypatch.context() as patch:
            send_in_epoch(patch, number, signal.SIGTERM)
            with pytest.raises(Stopped, match=f"{number - 1} whole epoch"):
                run(*arguments, "--run", "stopped")
    run(*arguments, "--run", "stopped")
    run(*arguments, "--run", "unbroken")
    rates = [float(row["learning_rate"]) for row in table("unbroken/metrics.csv")]
    assert rates == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4])
    assert Path("unbroken/scores.json").read_text() == Path("stopped/scores.json").read_text()
    one, other = (weights(f"{name}/checkpoints/epoch-00004.weights.h5") for name in ("unbroken", "stopped"))
    for name, values in one.items():
        np.testing.assert_array_equal(other[name], values, err_msg=name)
    Path("stopped/best.keras").write_bytes(b"torn")
    run(*arguments, "--run", "stopped")
    capsys.readouterr()
    evaluate.main(["stopped"])
    score = json.loads(Path("unbroken/scores.json").read_text())["test"]["observation"]
    assert f"{score:.1f}" in capsys.readouterr().out


def test_weights_that_are_not_there_are_refused():
    with pytest.raises(UsageError, match=r"--pretrained-weights: expected a file. Received: nothing.h5"):
        run("--model", "image", "--wavelength", "joint", "--weights", "nothing.h5")


@pytest.mark.slow
def test_rows_that_do_not_fit_in_memory_stream_and_resume_to_the_same_scores(monkeypatch):
    simulate.main(["data", "--planets=20", "--spots=1", "--photons=3", "--seed=1", "--jobs=1"])
    arguments = [*FOUR, "--data", "data"]
    monkeypatch.setattr(dataset, "fits_in_memory", lambda *_: False)
    run(*arguments, "--run", "unbroken")
    with monkeypatch.context() as patch:
        send_in_epoch(patch, 2, signal.SIGINT)
        with pytest.raises(Stopped, match=r"1 whole epoch\."):
            run(*arguments, "--run", "stopped")
    run(*arguments, "--run", "stopped")
    assert Path("unbroken/scores.json").read_text() == Path("stopped/scores.json").read_text()


def test_a_finished_run_is_only_told_again(tiny_run, capsys, pretended_training_here):
    options = [*SMALL, "--epochs", "1"]
    tiny_run(*options, into="one")
    path = tiny_run(*options)
    first = tiny_run.printed(*options).replace(str(path), "one").replace(f"--logdir {path.parent}", "--logdir .")
    before = Path("one/best.keras").stat().st_mtime_ns
    run(*SMALL, "--epochs", "1", "--run", "one")
    again = capsys.readouterr().out
    assert "training" not in again
    assert again.splitlines()[-5:] == first.splitlines()[-5:]
    assert Path("one/best.keras").stat().st_mtime_ns == before
    run(*SMALL, "--epochs", "1", "--run", "one", "--json")
    report = json.loads(capsys.readouterr().out)
    assert (report["run"], report["finished"]) == ("one", True)
    assert report["scores"] == json.loads(Path("one/scores.json").read_text())
    assert report["configuration"] == json.loads(Path("one/config.json").read_text())


def test_a_damaged_best_model_is_made_anew_from_its_checkpoint(monkeypatch, pretended_training_here):
    monkeypatch.setattr(schedule, "SHARE", ALWAYS)
    run(*SMALL, "--epochs", "2", "--run", "one")
    scores = Path("one/scores.json").read_text()
    write_state(Path("one"), read_state(Path("one")) | {"finished": False})  # killed before the last commit
    Path("one/best.keras").write_bytes(b"torn")
    run(*SMALL, "--epochs", "2", "--run", "one")
    assert Path("one/scores.json").read_text() == scores


def test_a_damaged_last_checkpoint_costs_only_the_epochs_since_the_one_before(
    tiny_run, monkeypatch, capsys, pretended_training_here
):
    """Only one checkpoint was kept: a damaged one lost all epochs."""
    tiny_run(*FOUR, into="unbroken")
    monkeypatch.setattr(schedule, "SHARE", ALWAYS)
    with monkeypatch.context() as patch:
        send_in_epoch(patch, 4, signal.SIGTERM)
        with pytest.raises(Stopped, match="3 whole epochs"):
            run(*FOUR, "--run", "stopped")
    Path("stopped/checkpoints/epoch-00003.weights.h5").write_bytes(b"torn")
    run(*FOUR, "--run", "stopped")
    printed = capsys.readouterr().out
    assert "epoch-00003.weights.h5 is damaged: resuming from epoch 2, which was saved before" in printed
    assert "resuming stopped after epoch 2" in printed
    one, other = (weights(f"{name}/checkpoints/epoch-00004.weights.h5") for name in ("unbroken", "stopped"))
    for name, values in one.items():
        np.testing.assert_array_equal(other[name], values, err_msg=name)
    assert Path("unbroken/scores.json").read_text() == Path("stopped/scores.json").read_text()


def test_early_stopping_counts_epochs_without_a_better_score(capsys):
    run(*SMALL, "--epochs", "60", "--patience", "2", "--set", "learning_rate=0.3", "--run", "one")
    rows = [float(row["val_score"]) for row in table("one/metrics.csv")]
    assert len(rows) < 60
    assert np.argmax(rows) == len(rows) - 3
    printed = capsys.readouterr().out
    assert stopped_early(1) == "stopped early: 1 epoch without a better validation score"
    assert "\nstopped early: 2 epochs without a better validation score\n" in printed
    assert "loss: mean squared error of the depth (Rp/Rs)^2, in units of its variance" in printed
    assert re.search(r"\nepoch  2/60 .* obs/s  at most \d+ s left", printed)


def test_a_nan_in_the_data_stops_the_training_and_keeps_the_epochs_before(monkeypatch):
    simulate = SimulatedSource._simulate

    def spoiled(self, recipe, number):
        planet = simulate(self, recipe, number)
        planet["flux"][:] = np.nan if self.folds[number] == 0 else planet["flux"]
        return planet

    monkeypatch.setattr(SimulatedSource, "_simulate", spoiled)
    with pytest.raises(NonFiniteError, match=r"(nan|not finite) after epoch 1; one holds 0 whole epochs"):
        run(*SMALL, "--epochs", "2", "--run", "one")
    assert not list(Path("one/checkpoints").glob("*.h5"))


def test_dry_run_writes_nothing(capsys):
    run(*SMALL, "--dry-run")
    printed = capsys.readouterr().out
    assert '"first": 16' in printed
    assert '"observations": 6' in printed
    run(*SMALL, "--dry-run", "--json")
    assert json.loads(capsys.readouterr().out)["dry_run"]
    assert os.listdir() == []


@pytest.fixture
def stopped_at_once(monkeypatch):
    """Every training is stopped before its first epoch."""

    def stop(*_):
        raise Stopped("stopped here")

    monkeypatch.setattr(one_model, "fit_and_score", stop)


def test_other_options_get_another_folder_and_the_same_options_the_same(stopped_at_once):
    for arguments in (["--seed", "1"], ["--seed", "2"], ["--seed", "1"]):
        with pytest.raises(Stopped):
            run(*SMALL, "--epochs", "1", *arguments)
    assert len(os.listdir("runs")) == 2


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (["--data", "nowhere"], DataError, "pipelines"),
        (["--data", "simulated:planets=9"], DataError, "with 10 planets or more"),
        (["--model=squid", "--set", "wdith=3", "--data", DATA], UsageError, "Did you mean width"),
        (["--model=baseline", "--set", "first=9999", "--data", DATA], UsageError, r"\[4, 4096\]"),
        (["--run", "file", "--data", DATA], UsageError, "a run folder with its config.json"),
        (["--model", "compressed", "--every", "2", "--data", DATA], UsageError, "--every"),
        (["--model", "compressed", "--augment", "noise", "--data", DATA], UsageError, "--augment"),
        (["--model", "transit", "--transform", "standardize", "--data", DATA], UsageError, "--transform"),
        (["--model", "segments", "--steps", "0:300:20", "--data", DATA], UsageError, "--set segments"),
        (["--config", "nowhere.json"], UsageError, "--config nowhere.json: expected a file"),
    ],
)
def test_bad_input_is_one_sentence(arguments, error, said):
    Path("file").write_text("text")
    with pytest.raises(error, match=said):
        run(*arguments)


def test_a_run_of_another_configuration_is_refused(tiny_run, pretended_training_here):
    tiny_run(*SMALL, "--epochs", "1", into="one")
    with pytest.raises(UsageError, match="epochs: 1 there, 2 now"):
        run(*SMALL, "--epochs", "2", "--run", "one")


def converted(folder, seed=1):
    simulate.main([folder, "--planets=20", "--spots=1", "--photons=3", f"--seed={seed}", "--jobs=1"])


def test_evaluate_says_what_the_folds_were_and_refuses_its_own_data_changed_since_the_training(
    capsys, pretended_training_here
):
    converted("data")
    run(*SMALL, "--epochs", "1", "--data", "data", "--run", "one")
    for arguments, said in (
        (["--data", "data"], "  test folds [9]"),
        (["--folds", "8,9"], "the best epoch chosen by [8]: no test score"),
        (["--folds", "all"], "trained on [0, 1, 2, 3, 4, 5, 6, 7]"),
        (["--data", "simulated:planets=10,spots=1,photons=1,seed=4"], "none of it is the data set"),
    ):
        capsys.readouterr()
        evaluate.main(["one", *arguments])
        assert said in capsys.readouterr().out
    shutil.rmtree("data")  # planets that were trained on could stand in the test folds now
    converted("data", seed=2)
    with pytest.raises(DataError, match="changed since one was trained on it"):
        evaluate.main(["one"])
    with pytest.raises(UsageError, match="data fingerprint"):
        run(*SMALL, "--epochs", "1", "--data", "data", "--run", "one")


def test_a_changed_configuration_never_renames_predictions(tiny_run, pretended_training_here):
    tiny_run(*SMALL, "--epochs", "1", into="one")
    config = json.loads(Path("one/config.json").read_text())
    Path("one/config.json").write_text(json.dumps(config | {"wavelength": 21}))
    with pytest.raises(DataError, match="damaged or changed"):
        predict.main(["one", "--data", DATA, "--out", "radii.csv"])


def test_a_finished_run_s_damaged_model_is_made_anew_by_its_command(tiny_run, pretended_training_here):
    tiny_run(*SMALL, "--epochs", "2", into="one")
    Path("one/best.keras").unlink()
    with pytest.raises(DataError, match="repeat the run's command"):
        evaluate.main(["one"])
    run(*SMALL, "--epochs", "2", "--run", "one")
    evaluate.main(["one"])


def test_the_command_to_go_on_never_starts_again(stopped_at_once):
    with pytest.raises(Stopped):
        run(*SMALL, "--epochs", "1", "--run", "one", "--overwrite")
    assert "--overwrite" not in json.loads(Path("one/meta.json").read_text())["command"]


def test_a_model_of_whole_planets_refuses_planets_of_another_size(pretended_training_here):
    small = ["--set", "second=8", "--set", "third=8"]
    run("--model", "compressed", *small, "--epochs", "1", "--data", DATA, "--run", "one")
    with pytest.raises(DataError, match=r"takes flux of 3x300x1 .* Received: 2x300x1"):
        evaluate.main(["one", "--data", "simulated:planets=3,spots=1,photons=2"])


def test_predictions_and_pictures_get_a_new_name_in_a_folder_that_exists():
    Path("old.png").write_text("")
    for out in ("nowhere/a.png", "old.png", "a.xyz", "a"):
        with pytest.raises(UsageError, match="--out"):
            plot.main(["--data", DATA, "--planet", "1", "--out", out])
    with pytest.raises(UsageError, match=r"old\.png is not a folder"):
        predict.main(["one", "--data", DATA, "--out", "old.png/new/a.csv"])


def test_plot_draws_an_observation_and_names_one_that_is_not_there(draws):
    plot.main(["--data", DATA, "--planet", "1", "--photon", "2", "--out", "a.png"])
    assert is_drawn("a.png")
    with pytest.raises(UsageError, match="holds no observation 0001_01_09"):
        plot.main(["--data", DATA, "--planet", "1", "--photon", "9", "--out", "b.png"])


def test_evaluate_refuses_what_is_no_run_and_a_damaged_model(tiny_run, pretended_training_here):
    with pytest.raises(UsageError, match="expected a run folder"):
        evaluate.main(["nowhere"])
    tiny_run(*SMALL, "--epochs", "1", into="one")
    Path("one/best.keras").write_bytes(b"torn")
    with pytest.raises(ArielError, match="damaged"):
        evaluate.main(["one"])


def test_tensorboard_holds_scalars_hyper_parameters_and_a_picture(tiny_run):
    tags = {}
    for path in (tiny_run(*SMALL, "--epochs", "2") / "tensorboard").rglob("events*"):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                tags.setdefault(path.parent.name, set()).add(value.tag)
    assert {"loss", "score", "learning_rate", "observations_per_second"} <= tags["train"]
    texts = {"configuration", "model card"}
    assert {"loss", "score", "validation", "test", "_hparams_/session_start_info", *texts} <= tags["validation"]
    assert "keras" in tags["train"]


def command(*arguments, cwd):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return [sys.executable, "-m", "ariel_tf.train", *arguments], {"cwd": cwd, "env": environment, "text": True}


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path, forked):
    arguments, options = command(*SMALL, "--epochs", "2000", "--patience", "0", "--run", "one", cwd=tmp_path)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(arguments, **options, **pipes) as process:
        for line in process.stdout:
            if line.startswith("epoch    2/2000"):
                process.send_signal(signal.SIGINT)
                break
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "To resume, repeat the command:\n  python -m ariel_tf.train" in errors
    assert "Traceback" not in errors
    assert json.loads((tmp_path / "one/state.json").read_text())["epoch"] >= 2


def test_a_mistake_reaches_the_user_as_one_line_and_exit_code_2(tmp_path):
    arguments, options = command("--wavelength", "55", cwd=tmp_path)
    answer = subprocess.run(arguments, capture_output=True, check=False, **options)
    assert answer.returncode == 2
    expected = "a whole number in 0-54, joint, or a list like 0-54 or 3,7"
    assert answer.stderr == f"error: --wavelength: expected {expected}. Received: 55\n"


def test_help_lists_groups_and_models_list(capsys):
    with pytest.raises(SystemExit):
        run("--help")
    printed = capsys.readouterr().out
    for group in ("what to train", "data", "what the model reads", "how it trains", "where it goes"):
        assert f"\n{group}:" in printed
    run("--list-models")
    assert "squid       Dense 30-125-250-125-30" in capsys.readouterr().out


def test_the_readme_gives_the_scores_that_train_says_it_gives():
    readme = (ROOT / "README.md").read_text()
    for model, score in one_model.EXPECTED.items():
        said = score.removeprefix("about ")
        assert said in readme or f"{int(said):,}" in readme, model

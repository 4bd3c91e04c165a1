"""One model for each of several wavelengths: together, one by one, stopped, resumed, scored."""

import re
import signal
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from support.run_folders import ALWAYS, SELDOM, loaded, run, table

from ariel_tf import evaluate, predict
from ariel_tf.core.errors import NonFiniteError, Stopped, UsageError
from ariel_tf.training import one_model, schedule
from ariel_tf.training.stacked import fit as stack_trainer
from ariel_tf.training.stacked import group, memory
from ariel_tf.training.stacked.layers import NotStackable
from ariel_tf.training.stacked.variables import StackedVariables

pytestmark = pytest.mark.usefixtures("own_folder")

DATA = "simulated:planets=20,spots=1,photons=3,seed=1"
SMALL = ["--model=baseline", "--data", DATA, "--set", "first=16", "--set", "second=8", "--batch-size", "7",
         "--head", "depth"]  # fmt: skip
THREE = [*SMALL, "--wavelength", "3,7,12", "--set", "dropout=0.2", "--optimizer", "nadam", "--channels", "own+white"]
FOUR = [*THREE, "--star", "all", "--epochs", "4"]
# Wavelengths stop at different epochs: a learning rate that overshoots, by which rounding grows, too.
EARLY = [*SMALL, "--wavelength", "3,7,12", "--epochs", "40", "--patience", "2", "--set", "learning_rate=0.01"]
ORDINARY = ("config.json", "meta.json", "metrics.csv", "best.keras", "scores.json", "prediction.png", "README.md")


def check_same_runs(one, other, tolerance=1e-4):
    """Run folders of one wavelength: the same but for rounding and time."""
    assert loaded(f"{one}/config.json") == loaded(f"{other}/config.json")
    first, second = table(f"{one}/metrics.csv"), table(f"{other}/metrics.csv")
    assert len(first) == len(second)
    assert list(first[0]) == list(second[0])
    for row, same in zip(first, second, strict=True):
        for name in ("epoch", "loss", "score", "val_loss", "val_score", "learning_rate"):
            assert float(row[name]) == pytest.approx(float(same[name]), rel=tolerance)
    scores, expected = loaded(f"{one}/scores.json"), loaded(f"{other}/scores.json")
    assert {name: scores[name] for name in ("epochs", "best_epoch")} == {
        name: expected[name] for name in ("epochs", "best_epoch")
    }
    assert scores["test"] == pytest.approx(expected["test"], abs=1e3 * tolerance)
    flux = 1 + 0.01 * np.random.default_rng(0).normal(size=(5, 300, 2)).astype(np.float32)
    flux[:, 120:176] -= 0.01
    models = [keras.models.load_model(f"{path}/best.keras", compile=False) for path in (one, other)]
    inputs = {tensor.name: tensor.shape for tensor in models[0].inputs}
    known = {"flux": flux[..., : inputs["flux"][-1]], "star": np.full((5, 6), 5, np.float32)}
    answers = [model({name: known[name] for name in inputs}, training=False).numpy() for model in models]
    np.testing.assert_allclose(*answers, rtol=tolerance, atol=tolerance / 100)


def test_a_stack_leaves_the_run_folders_that_trainings_alone_leave(tiny_run):
    printed = tiny_run.printed(*FOUR)
    assert f"training baseline, wavelengths 3,7,12 together, in {tiny_run(*FOUR)}\nloss: mean squared" in printed
    tiny_run(*FOUR, into="together")
    assert printed.count("epoch ") >= 4
    assert "3 of 3 training" in printed
    for wavelength in ("w03", "w07", "w12"):
        for name in (*ORDINARY, "state.json"):
            assert Path("together", wavelength, name).stat().st_size > 0
    run(*FOUR, "--wavelength", "7", "--run", "alone")
    check_same_runs("together/w07", "alone")
    assert set(loaded("together/w07/meta.json")) == set(loaded("alone/meta.json"))
    scores = loaded("together/scores.json")
    each = [loaded(f"together/w{name}/scores.json")["test"]["planet"] for name in ("03", "07", "12")]
    assert scores["test"]["planet"] == pytest.approx(np.mean(each))
    assert f"{np.mean(each):.1f}" in printed
    assert "3 of 55 wavelengths" in Path("together/README.md").read_text()


def test_evaluate_predict_and_train_know_a_wavelength_s_folder(tiny_run, capsys):
    tiny_run(*FOUR, into="one")
    score = loaded("one/w07/scores.json")["test"]["planet"]
    evaluate.main(["one/w07"])
    assert f"{score:9.1f}" in capsys.readouterr().out
    predict.main(["one/w07", "--data", DATA, "--out", "radii.csv"])
    assert Path("radii.csv").read_text().startswith("planet,spot,photon,radius_07\n")
    capsys.readouterr()
    alone = list(FOUR)
    alone[alone.index("3,7,12")] = "7"
    run(*alone, "--run", "one/w07")  # a finished run of one wavelength
    printed = capsys.readouterr().out
    assert "training" not in printed
    assert f"{score:.1f}" in printed
    run(*FOUR, "--run", "one")  # and of all
    again = capsys.readouterr().out
    assert "training" not in again
    assert "mean score, 3 of 55 wavelengths" in again
    with pytest.raises(UsageError, match=r"wavelength: 3,7,12 there, 3,7 now"):
        run(*SMALL, "--wavelength", "3,7", "--run", "one")


@pytest.mark.slow
def test_wavelengths_stop_early_each_at_its_own_epoch_and_keep_their_best(capsys):
    run(*EARLY, "--run", "together")
    printed = capsys.readouterr().out
    assert re.search(r"3 of 3 training  .* obs/s  at most .* left\n", printed)
    assert "\nstopped early: 2 epochs without a better validation score at any wavelength\n" in printed
    run(*EARLY, "--wavelength", "3,12", "--stack", "no", "--run", "alone")
    lasts = set()
    for wavelength in ("w03", "w07", "w12"):
        rows = [float(row["val_score"]) for row in table(f"together/{wavelength}/metrics.csv")]
        assert np.argmax(rows) == len(rows) - 3
        lasts.add(len(rows))
    for wavelength in ("w03", "w12"):
        check_same_runs(f"together/{wavelength}", f"alone/{wavelength}", tolerance=1e-3)
    assert len(lasts) > 1
    assert len(table("together/stack-w03-w12/metrics.csv")) == max(lasts)


def arrays(path):
    with h5py.File(path) as file:
        return {name: values[()] for name, values in file.items()}


# In the fast suite `tests/training/test_stacked.py` resumes a stack.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("share", "held"),
    [(ALWAYS, 2), (SELDOM, 3)],
    ids=["each epoch saved", "seldom saved"],
)
def test_a_stopped_and_resumed_stack_is_the_unbroken_one_to_the_bit(share, held, tiny_run, monkeypatch, capsys):
    tiny_run(*FOUR, into="unbroken")
    reseed = StackedVariables.reseed

    def stop_in_the_third_epoch(self, seed, epoch):
        reseed(self, seed, epoch)
        if epoch == 2:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(schedule, "SHARE", share)
        patch.setattr(StackedVariables, "reseed", stop_in_the_third_epoch)
        with pytest.raises(Stopped, match=rf"stopped: stopped/stack-w03-w12 holds {held} whole epochs") as told:
            run(*FOUR, "--run", "stopped")
    assert told.value.exit_code == 143
    assert not Path("stopped/w03").exists()
    write = group.write_alone

    def stop_after_the_first(*arguments):
        write(*arguments)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:  # and once more, while the run folders are written
        patch.setattr(group, "write_alone", stop_after_the_first)
        with pytest.raises(Stopped):
            run(*FOUR, "--run", "stopped")
    assert f"resuming stopped/stack-w03-w12 after epoch {held}" in capsys.readouterr().out
    assert [Path(f"stopped/{name}/state.json").exists() for name in ("w03", "w07")] == [True, False]
    before = Path("stopped/w03/best.keras").stat().st_mtime_ns
    run(*FOUR, "--run", "stopped")
    assert Path("stopped/w03/best.keras").stat().st_mtime_ns == before
    checkpoint = "stack-w03-w12/checkpoints/epoch-00004.weights.h5"
    unbroken, resumed = arrays(f"unbroken/{checkpoint}"), arrays(f"stopped/{checkpoint}")
    assert unbroken.keys() == resumed.keys()
    for name, values in unbroken.items():
        np.testing.assert_array_equal(resumed[name], values)
    for name in ("w03/scores.json", "w07/scores.json", "scores.json"):
        assert loaded(f"unbroken/{name}") == loaded(f"stopped/{name}")


def test_one_by_one_a_finished_wavelength_is_skipped_and_the_next_goes_on(monkeypatch, capsys, pretended_training_here):
    fit = one_model.fit_and_score

    def stop_at_the_second(run, *rest):
        if run.path.name == "w07":
            raise Stopped("stopped here")
        fit(run, *rest)

    arguments = [*SMALL, "--wavelength", "3,7", "--stack", "no", "--epochs", "1", "--run", "one"]
    with monkeypatch.context() as patch:
        patch.setattr(one_model, "fit_and_score", stop_at_the_second)
        with pytest.raises(Stopped):
            run(*arguments)
    before = Path("one/w03/best.keras").stat().st_mtime_ns
    capsys.readouterr()
    run(*arguments)
    printed = capsys.readouterr().out
    assert "training baseline, wavelength 7, in one/w07" in printed
    assert "wavelength 3," not in printed
    assert Path("one/w03/best.keras").stat().st_mtime_ns == before
    assert list(loaded("one/scores.json")["wavelengths"]) == ["03", "07"]


@pytest.mark.slow
def test_wavelengths_train_in_as_many_groups_as_memory_asks_for(monkeypatch, capsys, pretended_training_here):
    needed = memory.needed

    def free_for_two(*arguments):
        each = needed(*arguments)
        monkeypatch.setattr(memory, "available", lambda: int(2.5 * each / memory.SHARE))
        return each

    monkeypatch.setattr(memory, "needed", free_for_two)
    run(*SMALL, "--wavelength", "3,7,12", "--epochs", "1", "--run", "one")
    printed = capsys.readouterr().out
    assert re.search(
        r"3 wavelengths together need \S+ MB of memory, \S+ MB are free: 2 groups, one after another", printed
    )
    assert "training baseline, wavelengths 3 alone, then 7,12 together, in one" in printed
    assert loaded("one/state.json")["groups"] == [[3], [7, 12]]
    assert Path("one/stack-w07-w12").is_dir()
    assert list(loaded("one/scores.json")["wavelengths"]) == ["03", "07", "12"]


def test_too_little_memory_is_one_sentence_or_one_by_one(monkeypatch, capsys):
    monkeypatch.setattr(memory, "available", lambda: 1000)
    with pytest.raises(UsageError, match=r"two wavelengths of baseline together need .* MB of memory"):
        run(*SMALL, "--wavelength", "3,7", "--stack", "yes", "--run", "one")
    run(*SMALL, "--wavelength", "3,7", "--dry-run", "--run", "two")
    assert "one wavelength at a time: two wavelengths of baseline together need" in capsys.readouterr().out
    assert not Path("two").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--set", "clip_norm=1"], "clip_norm"),
        (["--set", "schedule=plateau"], "plateau"),
        (["--jit", "yes"], "--jit yes"),
        (["--precision", "mixed_float16"], "half precision"),
        pytest.param(["--precision", "mixed_bfloat16"], "half precision", marks=pytest.mark.slow),
    ],
)
def test_what_acts_on_all_weights_together_is_refused_and_by_itself_goes_one_by_one(more, said, capsys):
    with pytest.raises(UsageError, match=said):
        run(*SMALL, *more, "--wavelength", "3,7", "--stack", "yes")
    run(*SMALL, *more, "--wavelength", "3,7", "--dry-run")
    printed = capsys.readouterr().out
    assert "one wavelength at a time: " in printed
    assert "2 wavelengths one by one" in printed


def test_a_stack_that_its_own_check_refuses_goes_one_by_one_by_itself(monkeypatch, capsys, pretended_training_here):
    def refuse(*_):
        raise NotStackable("models answer apart")

    monkeypatch.setattr(group, "Stack", refuse)
    arguments = [*SMALL, "--wavelength", "3,7", "--epochs", "1", "--run", "one"]
    with pytest.raises(NotStackable):
        run(*arguments, "--stack", "yes")
    run(*arguments)
    assert "one wavelength at a time: models answer apart" in capsys.readouterr().out
    assert list(loaded("one/scores.json")["wavelengths"]) == ["03", "07"]


def test_a_recurrent_model_goes_one_by_one(capsys):
    run("--data", DATA, "--model", "lstm", "--set", "units=4", "--wavelength", "3,7", "--dry-run")
    assert "2 wavelengths one by one" in capsys.readouterr().out


def test_a_nan_at_one_wavelength_stops_the_stack_and_keeps_the_epochs_before(monkeypatch):
    train_epoch = stack_trainer._train_epoch

    def spoil(stack, work, epoch, stop):
        sums = train_epoch(stack, work, epoch, stop)
        if epoch == 1:
            spoiled = stack.variables.weights[0].numpy()
            spoiled[1, 0, 0] = np.nan
            stack.variables.weights[0].assign(spoiled)
        return sums

    monkeypatch.setattr(stack_trainer, "_train_epoch", spoil)
    with pytest.raises(NonFiniteError, match=r"wavelength 7: .* not finite after epoch 2; .* holds 1 whole epoch\."):
        run(*FOUR, "--run", "one")
    assert loaded("one/stack-w03-w12/state.json")["epoch"] == 1


def test_stack_without_a_list_is_refused():
    with pytest.raises(UsageError, match=r"--stack yes: expected a list of wavelengths with it"):
        run(*SMALL, "--wavelength", "3", "--stack", "yes")


def test_a_stack_writes_tensorboard_scalars_of_the_means(tiny_run):
    stack = tiny_run(*FOUR) / "stack-w03-w12"
    values = {}
    for path in Path(stack, "tensorboard/validation").glob("events*"):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                if value.tag == "score":
                    values[event.step] = float(tf.make_ndarray(value.tensor))
    rows = table(stack / "metrics.csv")
    assert len(rows) > 1
    scores = [values[epoch] for epoch in range(1, len(rows) + 1)]
    assert scores == pytest.approx([float(row["val_score"]) for row in rows], rel=1e-6)
    means = [np.mean([float(row[f"val_score_w{name}"]) for name in ("03", "07", "12")]) for row in rows]
    assert means == pytest.approx([float(row["val_score"]) for row in rows])


# Steps that overshoot, as these models' do at the usual rate on so few rows, let float32's rounding grow a hundredfold
# an epoch. In float64 the losses of stack and model alone agree to 1e-15 even so; here they take smaller steps.
GENTLE = ["--set", "learning_rate=0.0001"]
CASES = {
    "squid": ["--model", "squid", "--set", "width=0.2"],
    "compressed": ["--model", "compressed", "--set", "first=4", "--set", "second=16", "--set", "third=8"],
    "cnn": ["--model", "cnn", "--set", "first=8", "--set", "second=4", "--set", "dense=4"],
    "separable": ["--model", "cnn", "--set", "convolution=separable", "--set", "first=8", "--set", "second=4"],
    "dilated": ["--model", "dilated", "--set", "width=0.1"],
    "linear": ["--model", "linear", "--set", "units=8"],
    "segments": ["--model", "segments", "--set", "units=4", "--set", "first=8", "--set", "second=8"],
    "nadam": ["--model", "nadam", "--set", "second=8", "--set", "third=8", "--every", "2"],
    "all light curves": ["--channels", "all", "--set", "first=8", "--set", "second=8", *GENTLE],
    "cosine": ["--set", "first=8", "--set", "second=8", "--set", "schedule=cosine", "--loss", "huber"],
    "adamw and ariel": ["--set", "first=8", "--set", "second=8", "--optimizer", "adamw", "--loss", "ariel"],
    "stellar parameters": ["--set", "first=8", "--star", "all", "--clip-star", "yes", "--logg", "one-hot"],
    "transit": ["--model", "transit"],
    "sigmoid, min-max": ["--set", "first=8", "--set", "head_activation=sigmoid", "--transform", "min-max", *GENTLE],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_model_and_option_that_stacks_equals_its_trainings_alone(name):
    arguments = [
        "--model=baseline",
        *CASES[name],
        "--data",
        DATA,
        "--wavelength",
        "3,12",
        "--epochs",
        "2",
        "--batch-size",
        "7",
    ]
    run(*arguments, "--stack", "yes", "--run", "together")
    run(*arguments, "--stack", "no", "--run", "alone")
    for wavelength in ("w03", "w12"):
        first, second = (table(f"{folder}/{wavelength}/metrics.csv") for folder in ("together", "alone"))
        for row, same in zip(first, second, strict=True):
            for column in ("loss", "score", "val_loss", "val_score"):
                assert float(row[column]) == pytest.approx(float(same[column]), rel=1e-3)
        scores = [
            loaded(f"{folder}/{wavelength}/scores.json")["test"]["observation"] for folder in ("together", "alone")
        ]
        assert scores[0] == pytest.approx(scores[1], rel=1e-4)

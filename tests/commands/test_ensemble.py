"""Ensembles are run folders like any other, and never let a member see another's test planets."""

import functools
from pathlib import Path

import keras
import numpy as np
import pytest
from support.pictures import is_drawn
from support.run_folders import loaded

from ariel_tf import ensemble, evaluate, predict, train
from ariel_tf.core.errors import UsageError
from ariel_tf.data import dataset
from ariel_tf.data.selection import Selection, Signature
from ariel_tf.data.sources import open_source
from ariel_tf.ensembles import blend_weights
from ariel_tf.ensembles.run import member_lines, together
from ariel_tf.runs.predictor import Predictor

pytestmark = pytest.mark.usefixtures("pretended_training")

DATA = "simulated:planets=20,spots=1,photons=2,seed=1"
SMALL = ["--model=baseline", "--data", DATA, "--set", "first=8", "--set", "second=4", "--head", "depth",
         "--epochs", "1"]  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory, pretended_training):
    """Runs `a` and `b` of wavelength 12, of which a sees white light and the star too; `both` of 3 and 12."""
    folder = tmp_path_factory.mktemp("runs")
    train.main([*SMALL, "--channels", "own+white", "--star", "all", "--run", str(folder / "a")])
    train.main([*SMALL, "--seed", "5", "--run", str(folder / "b")])
    train.main([*SMALL, "--wavelength", "3,12", "--run", str(folder / "both")])
    return folder


def combine(how, runs, names, out, *more):
    ensemble.main([how, *(str(runs / name) for name in names), "--run", str(out), *more])
    return Predictor.load(out)


def collected(trained, folds=range(10)):
    return trained.predictions(open_source(DATA, trained.signature.inputs), folds).in_order()


def radii(runs, *names):
    """Of wavelength 12, in key order: [runs, rows]."""
    return np.stack([predicted(runs / name) for name in names])


@functools.cache
def predicted(path):
    one = Predictor.load(path)
    return collected(one).predicted[:, one.targets.index(12)]


@pytest.mark.parametrize("how", ["average", pytest.param("median", marks=pytest.mark.slow)])
def test_the_mean_and_the_median_are_those_of_the_members(runs, tiny_run, tmp_path, how):
    names = ["a", "b", tiny_run(*SMALL, "--seed", "9")]
    one = combine(how, runs, names, tmp_path / "out")
    assert one.signature == Signature((12,), (12,), white_light=True)
    expected = {"average": np.mean, "median": np.median}[how](radii(runs, *names), axis=0)
    np.testing.assert_allclose(collected(one).predicted[:, 0], expected, rtol=1e-6)


def test_an_ensemble_is_a_run_folder_like_any_other(runs, tmp_path, capsys, draws):
    combine("average", runs, "ab", tmp_path / "out")
    printed = capsys.readouterr().out
    for name in ("config.json", "meta.json", "best.keras", "scores.json", "prediction.png", "README.md", "state.json"):
        assert (tmp_path / "out" / name).stat().st_size > 0
    assert is_drawn(tmp_path / "out/prediction.png")
    scores = loaded(tmp_path / "out/scores.json")
    assert f"{scores['test']['planet']:.1f}" in printed
    assert [row["weight"] for row in scores["members"]] == [0.5, 0.5]
    for row, name in zip(scores["members"], "ab", strict=True):
        assert row["test"] == pytest.approx(loaded(runs / name / "scores.json")["test"]["planet"], abs=0.1)
    evaluate.main([str(tmp_path / "out")])
    assert f"{scores['test']['planet']:9.1f}" in capsys.readouterr().out
    predict.main([str(tmp_path / "out"), "--data", DATA, "--out", str(tmp_path / "radii.csv")])
    model = keras.models.load_model(tmp_path / "out/best.keras", compile=False)  # one model, none of our code
    assert {tensor.name: tensor.shape for tensor in model.inputs} == {"flux": (None, 300, 2), "star": (None, 6)}


def test_the_same_command_shows_it_again_and_another_is_refused(runs, tmp_path, capsys):
    combine("average", runs, "ab", tmp_path / "out")
    first = capsys.readouterr().out
    written = (tmp_path / "out/best.keras").stat().st_mtime_ns
    combine("average", runs, "ab", tmp_path / "out")
    assert capsys.readouterr().out == first
    assert (tmp_path / "out/best.keras").stat().st_mtime_ns == written
    with pytest.raises(UsageError, match="another configuration"):
        combine("median", runs, "ab", tmp_path / "out")


def test_runs_of_other_wavelengths_count_where_they_predict(runs, tmp_path):
    one = combine("average", runs, ["a", "both"], tmp_path / "out")
    assert one.targets == (3, 12)
    predicted = collected(one).predicted
    np.testing.assert_allclose(predicted[:, 1], radii(runs, "a", "both").mean(axis=0), rtol=1e-6)
    alone = collected(Predictor.load(runs / "both")).predicted[:, 0]
    np.testing.assert_allclose(predicted[:, 0], alone, rtol=1e-6)
    with pytest.raises(UsageError, match="different wavelengths"):
        combine("median", runs, ["a", "both"], tmp_path / "median")


@pytest.mark.parametrize("kind", [pytest.param("nnls", marks=pytest.mark.slow), "softmax"])
def test_weights_come_from_the_validation_planets(runs, tmp_path, kind):
    one = combine("weighted", runs, "ab", tmp_path / "out", "--weights", kind)
    parts = [collected(Predictor.load(runs / name), folds=(8,)) for name in "ab"]
    if kind == "nnls":
        expected = blend_weights.least_squares(parts[0].true, np.stack([part.predicted for part in parts]))
    else:
        expected = blend_weights.softmax([part.scores()["observation"] for part in parts])
    members = loaded(tmp_path / "out/scores.json")["members"]
    np.testing.assert_allclose([row["weight"] for row in members], expected, atol=1e-6)
    np.testing.assert_allclose(collected(one).predicted[:, 0], expected @ radii(runs, "a", "b"), rtol=2e-6)


def test_weights_of_least_squares_are_the_best_of_all_that_sum_to_one():
    rng = np.random.default_rng(3)
    true = rng.uniform(0.02, 0.2, (200, 2))
    predicted = np.stack([true + rng.normal(0, spread, true.shape) for spread in (0.01, 0.02, 0.05)])
    best = blend_weights.least_squares(true, predicted)

    def loss(w):
        return np.square(2 * true * (np.tensordot(w, predicted, 1) - true)).sum()

    assert best.sum() == pytest.approx(1)
    assert (best >= 0).all()
    others = rng.dirichlet([1, 1, 1], 2000)
    assert loss(best) <= min(map(loss, others))
    # independent errors: weights go as 1 / variance
    np.testing.assert_allclose(best, np.array([25, 6.25, 1]) / 32.25, atol=0.05)


def test_a_run_trained_on_another_s_test_planets_is_refused(runs, tmp_path):
    other = ["--test-folds", "7", "--validation-folds", "8", "--epochs", "1", "--run", str(tmp_path / "other")]
    train.main([*SMALL, *other])
    with pytest.raises(UsageError, match=r"was trained on folds \[\d\], which .* holds out as its test"):
        combine("average", runs, ["a", tmp_path / "other"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_k_folds_share_the_validation_out_and_hold_the_test_out(tmp_path, capsys):
    arguments = ["kfold", *SMALL, "--splits", "2", "--run", str(tmp_path / "out")]
    ensemble.main(arguments)
    printed = capsys.readouterr().out
    assert printed.count("training baseline") == 2
    members = [Predictor.load(tmp_path / f"out/members/k{index}") for index in range(2)]
    assert [one.folds.validation for one in members] == [(0, 2, 4, 6, 8), (1, 3, 5, 7)]
    assert all(one.folds.test == (9,) for one in members)
    one = Predictor.load(tmp_path / "out")
    assert one.folds == (tuple(range(9)), (), (9,))
    np.testing.assert_allclose(
        collected(one).predicted, np.mean([collected(member).predicted for member in members], axis=0), rtol=1e-6
    )
    # What stands for its validation score: every planet predicted by the member that did not train on it.
    held_out = [collected(member, member.folds.validation) for member in members]
    assert loaded(tmp_path / "out/scores.json")["best_score"] == pytest.approx(
        together(held_out).scores()["observation"], abs=0.01
    )
    ensemble.main(arguments)
    assert "training" not in capsys.readouterr().out


@pytest.mark.parametrize("wavelengths", [(12,), pytest.param((3, 12), marks=pytest.mark.slow)])
def test_bagging_draws_planets_with_replacement(tmp_path, wavelengths):
    text = ",".join(map(str, wavelengths))
    ensemble.main(["bagging", *SMALL, "--members", "2", "--wavelength", text, "--run", str(tmp_path / "out")])
    configs = [loaded(tmp_path / f"out/members/k{index}/config.json") for index in range(2)]
    assert [(config["bootstrap"], config["seed"]) for config in configs] == [("yes", 0), ("yes", 1)]
    assert Predictor.load(tmp_path / "out").targets == wavelengths
    source = open_source(DATA, (12,))
    choice = Selection(tuple(range(8)), Signature((12,), (12,)), bootstrap_seed=4)
    drawn = dataset.load(source, choice)["key"].numpy()
    planets, counts = np.unique(drawn[:, 0], return_counts=True)
    assert len(drawn) == 32
    assert len(planets) < 16
    assert set(counts % 2) == {0}, "a planet comes with all its observations"
    assert (dataset.load(source, choice)["key"].numpy() == drawn).all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["average", "{runs}/a", "--run", "out"], "two runs or more"),
        (["average", "{runs}/a", "{runs}/a", "--run", "out"], "named twice"),
        (["kfold", "--splits", "1", "--run", "out"], "--splits: expected 2 to 9"),
        (["bagging", "--members", "0", "--run", "out"], "--members: expected 2"),
        (["kfold", "--model", "squidd", "--run", "out"], "Did you mean squid"),
    ],
)
def test_bad_input_is_one_sentence(runs, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=said):
        ensemble.main([argument.format(runs=runs) for argument in arguments])
    assert not Path("out").exists()


def test_an_option_of_another_kind_of_ensemble_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        ensemble.main(["average", "a", "b", "--run", "out", "--splits", "2"])
    assert end.value.code == 2
    assert "unknown argument --splits" in capsys.readouterr().err


def test_the_table_of_members_says_which_scores_it_shows():
    """A member's 9,699 of planet medians stood beside the 9,580 of observations that its own training reported."""
    rows = [{"name": "runs/a", "validation": 9699.04, "test": -12.3, "weight": 0.75}, {"name": "b", "weight": 0.25}]
    head, first, second = member_lines(rows)
    assert head.split("  ")[-2].strip() == "validation (planet medians)"
    assert head.endswith("   test (planet medians)")
    assert first.split() == ["runs/a", "0.750", "9699.0", "-12.3"]
    assert second.split() == ["b", "0.250", "-", "-"]
    assert len(head) == len(first) == len(second)

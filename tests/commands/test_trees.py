"""Boosted trees as Keras operations are XGBoost's trees, in a run folder like any other."""

import json

import keras
import numpy as np
import pytest

from ariel_tf import ensemble, evaluate, predict, train, trees
from ariel_tf.config.hyperparameters import Settings
from ariel_tf.core.errors import UsageError
from ariel_tf.data.selection import Signature
from ariel_tf.data.sources import open_source
from ariel_tf.ensembles import boosted_trees
from ariel_tf.models import tree_ensemble
from ariel_tf.models.tree_ensemble import Tree
from ariel_tf.runs.predictor import Predictor

DATA = "simulated:planets=20,spots=1,photons=2,seed=1"
SMALL = ["--data", DATA, "--wavelength", "3,12", "--set", "rounds=12", "--set", "depth=3", "--set", "learning_rate=0.3"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("trees") / "run"
    trees.main([*SMALL, "--run", str(path)])
    return path


def test_a_tree_is_walked_as_by_hand():
    """Left at node 0 where feature 1 < .5; its left child splits feature 0 at 2."""
    tree = Tree(
        feature=np.array([1, 0, 0, 0, 0]),
        threshold=np.array([0.5, 2, 0, 0, 0], np.float32),
        left=np.array([1, 3, 2, 3, 4]),
        right=np.array([2, 4, 2, 3, 4]),
        value=np.array([0, 0, 0.04, 0.01, 0.09], np.float32),
    )
    assert tree_ensemble.depth_of(tree) == 2
    x = keras.Input((2,), name="flux")
    features = keras.Model({"flux": x}, x * 1.0)
    model = tree_ensemble.forest_model([[tree, tree], [tree]], features, [[0, 1], [1, 0]], np.ones(2), np.zeros(2))
    rows = np.array([[1, 0.4], [2, 0.4], [1, 0.5]], np.float32)
    # wavelength 0: leaves .01, .09, .04, twice each; wavelength 1 sees the columns the other way round
    first = np.sqrt([0.02, 0.18, 0.08])
    second = np.sqrt([0.04, 0.04, 0.04])  # feature 1 is now the first column, never below .5
    np.testing.assert_allclose(model({"flux": rows}).numpy(), np.stack([first, second], axis=1), rtol=1e-6)


@pytest.mark.parametrize("objective", ["squared", "absolute"])
def test_a_forest_of_keras_operations_answers_as_xgboost(tmp_path, objective):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 5)).astype(np.float32)
    radii = 0.05 + 0.02 * np.tanh(x[:, 0]) * (x[:, 2] > 0) + 0.001 * rng.normal(size=300)
    hp = Settings({"rounds": 60, "objective": objective})
    booster, scale, offset = boosted_trees.fit(hp, (x[:200], radii[:200]), (x[200:], radii[200:]))
    expected = boosted_trees.radii(booster.predict(boosted_trees.xgboost().DMatrix(x)), scale, offset)
    flux = keras.Input((5,), name="flux")
    features = keras.Model({"flux": flux}, flux * 1.0)
    one = tree_ensemble.forest_model(
        [boosted_trees.trees_of(booster)], features, [list(range(5))], np.array([scale]), np.array([offset])
    )
    np.testing.assert_allclose(one({"flux": x}).numpy()[:, 0], expected, rtol=1e-5)
    one.save(tmp_path / "forest.keras")
    again = keras.models.load_model(tmp_path / "forest.keras", compile=False)
    np.testing.assert_array_equal(again({"flux": x}).numpy(), one({"flux": x}).numpy())


def test_a_stopped_boosting_goes_on_after_the_last_forest(run, tmp_path, monkeypatch):
    boost, boosted = trees.fit_one, []

    def stopped(hp, options, trained, held, index):
        if index == 1:
            raise KeyboardInterrupt
        return boost(hp, options, trained, held, index)

    monkeypatch.setattr(trees, "fit_one", stopped)
    with pytest.raises(KeyboardInterrupt):
        trees.main([*SMALL, "--run", str(tmp_path / "run")])
    assert [path.name for path in (tmp_path / "run/trees").iterdir()] == ["w03.ubj"]
    monkeypatch.setattr(trees, "fit_one", lambda *given: boosted.append(given[-1]) or boost(*given))
    trees.main([*SMALL, "--run", str(tmp_path / "run")])
    assert boosted == [1]
    rows = {"flux": np.random.default_rng(0).normal(1, 0.01, (4, 300, 3)).astype(np.float32), "star": np.ones((4, 6))}
    answers = [np.asarray(Predictor.load(path)(rows)) for path in (tmp_path / "run", run)]
    np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize("overrides", [{}, {"l2": 100.0}, {"l1": 1.0}])
def test_no_allowed_penalty_forbids_every_split_on_labels_of_a_twentieth(overrides):
    """Past participants' penalties began at 1 on raw labels, which left a constant."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, 3)).astype(np.float32)
    radii = 0.05 + 0.02 * np.tanh(x[:, 0])
    booster, _, _ = boosted_trees.fit(Settings({"rounds": 20, **overrides}), (x, radii), (x, radii))
    assert max(len(tree.value) for tree in boosted_trees.trees_of(booster)) > 1
    assert booster.predict(boosted_trees.xgboost().DMatrix(x)).std() > 0.01


def test_trees_leave_a_run_folder_like_any_other(run, tmp_path, capsys, pretended_training_here):
    one = Predictor.load(run)
    assert one.signature == Signature((3, 12), (3, 12), white_light=True)
    source = open_source(DATA, one.signature.inputs)
    predictions = one.predictions(source, (9,))
    scores = json.loads((run / "scores.json").read_text())
    assert predictions.scores() == pytest.approx(scores["test"])
    # Independently: XGBoost reads what was saved and predicts from the features of the same rows.
    library = boosted_trees.xgboost()
    options = trees.Options(wavelength=(3, 12))
    features = tree_ensemble.feature_model(3, True)
    train_table, table = (trees.read_table(source, options, features, its) for its in (options.train_folds, (9,)))
    for index, wavelength in enumerate((3, 12)):
        booster = library.Booster(model_file=run / f"trees/w{wavelength:02d}.ubj")
        answers = booster.predict(library.DMatrix(table.features[:, tree_ensemble.columns_of(index, 2, True, True)]))
        depth = np.square(train_table.radii[:, index])
        expected = boosted_trees.radii(answers, depth.std(), depth.mean())
        np.testing.assert_allclose(predictions.predicted[:, index], np.maximum(expected, 1e-5), rtol=1e-4)
    evaluate.main([str(run)])
    predict.main([str(run), "--data", DATA, "--out", str(tmp_path / "radii.csv")])
    net = ["--model=baseline", "--data", DATA, "--epochs", "1", "--set", "first=8", "--set", "second=4"]
    train.main([*net, "--run", str(tmp_path / "net")])
    ensemble.main(["average", str(run), str(tmp_path / "net"), "--run", str(tmp_path / "both")])
    assert Predictor.load(tmp_path / "both").targets == (3, 12)
    capsys.readouterr()
    trees.main([*SMALL, "--run", str(run)])
    assert f"{scores['test']['planet']:9.1f}" in capsys.readouterr().out


def test_a_search_can_ask_how_good_settings_are():
    source, options = open_source(DATA, (12,)), trees.Options(wavelength=(12,))
    features = tree_ensemble.feature_model(2, True)
    trained, held = (trees.read_table(source, options, features, its) for its in ((0, 1, 2, 3, 4, 5, 6, 7), (8,)))
    few, more = (trees.validation_score(Settings({"rounds": n}), options, trained, held) for n in (10, 100))
    assert few < more < 10000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "dpeth=3"], "Did you mean depth"),
        (["--wavelength", "55"], "0-54"),
        (["--validation-folds", "9"], "share a fold"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, arguments, said):
    with pytest.raises(UsageError, match=said):
        trees.main(["--data", DATA, *arguments, "--run", str(tmp_path / "out")])

"""A registered model as a scikit-learn estimator, and a training started from Python."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator
from support.run_folders import loaded, table

import ariel_tf
from ariel_tf.core.errors import DataError, UsageError

SMALL = {"settings": {"first": 8, "second": 4}, "options": {"epochs": 2, "head": "depth", "batch_size": 16}}
pytestmark = pytest.mark.usefixtures("own_folder", "pretended_training")


@pytest.fixture(scope="module")
def arrays():
    """Flux [40, 55, 300], stars [40, 6], radii [40, 55] and planets [40] of 20 simulated planets."""
    planets = list(ariel_tf.open_data("simulated:planets=20,spots=1,photons=2,seed=1").planets())
    return (
        np.concatenate([planet.flux.transpose(1, 0, 2) for planet in planets]),
        np.repeat([planet.star for planet in planets], 2, axis=0),
        np.repeat([planet.radii for planet in planets], 2, axis=0),
        np.repeat([planet.number for planet in planets], 2),
    )


def test_it_fits_and_predicts_one_wavelength_whatever_the_shape_of_x(arrays):
    flux, star, radii, _ = arrays
    model = ariel_tf.ArielRegressor(**SMALL).fit(flux, radii[:, 12])
    predicted = model.predict(flux)
    assert predicted.shape == (40,)
    np.testing.assert_array_equal(model.predict(flux.reshape(40, -1)), predicted)
    assert model.predict(flux[:0]).shape == (0,)
    assert list(model.history_.index) == [1, 2]
    assert model.score(flux, radii[:, 12]) == ariel_tf.score(radii[:, 12], predicted)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(flux), predicted)
    with pytest.raises(ValueError, match="expects 16500"):
        model.predict(np.concatenate([flux.reshape(40, -1), star], axis=1))


def test_it_is_the_command_s_model_of_the_same_rows(arrays):
    """Weights do not depend on the door: rows, folds and seeds are those of a data set with the same planets."""
    flux, star, radii, _ = arrays
    x = np.concatenate([flux.reshape(40, -1), star], axis=1)
    options = SMALL["options"] | {"star": "all"}
    model = ariel_tf.ArielRegressor(settings=SMALL["settings"], options=options, run="kept").fit(x, radii[:, 12])
    np.testing.assert_array_equal(ariel_tf.load("kept").predict(flux, star)[:, 0], model.predict(x))
    meta = loaded("kept/meta.json")["folds"]
    assert sum(part["observations"] for part in meta.values()) == 40
    assert sum(part["planets"] for part in meta.values()) == 20, "rows with equal radii are one planet"


def test_a_star_that_the_model_reads_is_asked_for(arrays):
    flux, _, radii, _ = arrays
    model = ariel_tf.ArielRegressor(settings=SMALL["settings"], options={"star": "all"})
    with pytest.raises(UsageError, match="reads the star: expected 16506 columns"):
        model.fit(flux, radii[:, 12])


@pytest.mark.slow
def test_it_works_in_a_pipeline_with_groups(arrays):
    flux, _, radii, planets = arrays
    pipeline = make_pipeline(FunctionTransformer(lambda x: x.reshape(len(x), -1)), ariel_tf.ArielRegressor(**SMALL))
    scores = cross_val_score(pipeline, flux, radii[:, 12], groups=planets, cv=GroupKFold(2), error_score="raise")
    assert np.isfinite(scores).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x, y, p: (x[:, :54], y, p), r"X: expected \[n, 55, 300\]"),
        (lambda x, y, p: (x, y[:, None, None][:, [0, 0]], p), r"y: expected \[40, 1\] radii"),
        (lambda x, y, p: (x, y[:20], p), r"y: expected \[40, 1\] radii"),
        (lambda x, y, p: (x, y, p // 2), "y: expected the same in all rows of a planet"),
    ],
)
def test_other_shapes_are_a_value_error(arrays, change, said):
    flux, _, radii, planets = arrays
    x, y, groups = change(flux, radii[:, 12], planets)
    with pytest.raises(ValueError, match=said):
        ariel_tf.ArielRegressor(**SMALL).fit(x, y, planets=groups)


def test_flux_out_of_bounds_is_a_data_error(arrays):
    flux, _, radii, _ = arrays
    with pytest.raises(DataError) as error:
        ariel_tf.ArielRegressor(**SMALL).fit(flux * 1e6, radii[:, 12])
    assert "expected (-10.0, 10.0)" in error.value.faults[0] or "expected (" in error.value.faults[0]


def test_scikit_learn_s_checks_pass_but_for_those_that_feed_other_columns():
    """Its X have a few columns; a light curve has 16,500."""
    results = check_estimator(ariel_tf.ArielRegressor(), on_fail=None, on_skip=None)
    passed = {result["check_name"] for result in results if result["status"] == "passed"}
    assert passed >= {
        "check_estimator_cloneable", "check_valid_tag_types", "check_no_attributes_set_in_init", "check_complex_data",
        "check_do_not_raise_errors_in_init_or_set_params", "check_parameters_default_constructible",
        "check_estimators_unfitted", "check_estimator_sparse_array", "check_get_params_invariance", "check_set_params",
        "check_supervised_y_no_nan", "check_requires_y_none", "check_fit1d",
    }  # fmt: skip
    for result in results:
        if result["status"] == "failed":
            causes = [result["exception"], result["exception"].__cause__, result["exception"].__context__]
            assert any("X: expected [n, 55, 300]" in str(cause) for cause in causes), result["check_name"]


def test_clones_have_the_parameters_and_nothing_fitted():
    model = ariel_tf.ArielRegressor("squid", 3, seed=4)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "history_")


def test_a_training_from_python_is_that_of_the_command(tiny_run, pretended_training_here):
    data = "simulated:planets=20,spots=1,photons=2,seed=1"
    settings = {"first": 8, "second": 4}
    run = ariel_tf.train_model("baseline", [3, 12], data, "made", epochs=1, head="depth", settings=settings, stack="no")
    options = ["--data", data, "--wavelength", "3,12", "--epochs", "1", "--head", "depth", "--stack", "no"]
    other = tiny_run("--model=baseline", *options, "--set", "first=8", "--set", "second=4")
    assert run.path == Path("made")
    assert loaded("made/config.json") == loaded(other / "config.json")
    assert loaded("made/scores.json") == loaded(other / "scores.json")
    assert run.scores.loc["one observation", "score"] == loaded("made/scores.json")["test"]["observation"]
    flux = np.ones((2, 55, 300), np.float32)
    np.testing.assert_array_equal(run.predict(flux), ariel_tf.load(other).predict(flux))


def test_the_history_of_a_run_is_its_table(tiny_run, pretended_training_here):
    options = ["--data", "simulated:planets=20,spots=1,photons=2,seed=1", "--epochs", "2"]
    path = tiny_run("--model=baseline", *options, "--set", "first=8", "--set", "second=4", "--head", "depth")
    history = ariel_tf.train_model(
        "baseline", run=path, data=options[1], epochs=2, head="depth", settings={"first": 8, "second": 4}
    ).history
    rows = table(path / "metrics.csv")
    assert list(history.index) == [1, 2]
    assert history["val_score"].tolist() == [float(row["val_score"]) for row in rows]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epoch": 3}, "train_model: unknown option epoch. Did you mean epochs"),
        ({"jobs": 2}, "one of the command's"),
        ({"batch_size": "many"}, "--batch-size"),
        ({"model": "squidd"}, "Did you mean squid"),
    ],
)
def test_an_option_that_is_none_is_refused(options, said):
    with pytest.raises(UsageError, match=said):
        ariel_tf.train_model(**options)

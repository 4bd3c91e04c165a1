"""A predictor returns radii of data sets, arrays and planets; flux and stars that do not fit are refused."""

import re
from dataclasses import replace

import numpy as np
import pytest
from support.small_runs import DATA, collected, train_list_and_alone

from ariel_tf import open_data, train
from ariel_tf.challenge import WAVELENGTHS_UM
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.sources import open_source
from ariel_tf.physics.simulator import simulate_planet
from ariel_tf.planet import Planet
from ariel_tf.runs.prediction_input import rows_of
from ariel_tf.runs.predictor import Predictor
from ariel_tf.runs.uncertainty import Uncertainty

pytestmark = pytest.mark.usefixtures("pretended_training")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, pretended_training):
    """Folders `list` (wavelengths 12, 3, 7), `alone` (wavelength 20, own light curve only), `joint`."""
    folder = tmp_path_factory.mktemp("runs")
    train_list_and_alone(folder)
    joint = ["--model", "linear", "--wavelength", "joint", "--channels", "all", "--set", "units=8"]
    train.main(["--data", DATA, *joint, "--epochs", "1", "--run", str(folder / "joint")])
    return folder


@pytest.mark.parametrize("name", ["list", "alone", "joint"])
def test_light_curves_in_the_challenge_s_layout_give_what_the_data_set_gives(runs, name):
    trained, predictions = Predictor.load(runs / name), collected(runs / name)
    planet = simulate_planet(1, 5, 1, 2)
    expected = predictions.predicted[predictions.keys[:, 0] == 5]
    radii = trained.predict(planet.flux.transpose(1, 0, 2), np.tile(planet.star, (2, 1)))
    np.testing.assert_allclose(radii, expected, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(trained.predict(planet.flux[:, 1], planet.star), expected[1], rtol=2e-6, atol=2e-6)


def test_planets_are_predicted_as_their_arrays(runs):
    data = open_data(DATA)
    planet, other = data[5], data[2]
    trained = Predictor.load(runs / "list")
    table = trained.predict([planet, other])
    assert table.index.tolist() == [(5, 1, 1), (5, 1, 2), (2, 1, 1), (2, 1, 2)]
    assert table.columns.tolist() == [WAVELENGTHS_UM[target] for target in (3, 7, 12)]
    arrays = trained.predict(planet.flux.transpose(1, 0, 2), np.tile(planet.star, (2, 1)))
    np.testing.assert_array_equal(table.loc[5], arrays)
    np.testing.assert_array_equal(trained.predict(planet, as_frame=False), arrays)
    assert trained.predict(data.planets((2,))).index.names == ["planet", "spot", "photon"]
    assert len(trained.predict(data)) == 24
    assert trained.predict(iter(())).shape == (0, 3)
    with pytest.raises(UsageError, match="no star beside planets"):
        trained.predict(planet, planet.star)
    with pytest.raises(UsageError, match=r"expected planets, as `ariel_tf.open_data` yields. Received: int"):
        trained.predict(iter([5]))
    with pytest.raises(UsageError, match="expected flux as an array of numbers"):
        trained.predict(object())


@pytest.mark.parametrize(("row", "keys"), [("spot", [(3, 1, 0), (3, 2, 0)]), ("planet", [(3, 0, 0)])])
def test_a_row_of_several_observations_is_made_of_a_planet(row, keys):
    planet = simulate_planet(1, 3, 2, 2)
    count = 4 // len(keys)
    its_keys, flux, star = rows_of(planet, row, count)
    assert list(map(tuple, its_keys.tolist())) == keys
    np.testing.assert_array_equal(flux, planet.flux.transpose(1, 0, 2).reshape(len(keys), count, 55, 300))
    np.testing.assert_array_equal(star, np.tile(planet.star, (len(keys), 1)))
    with pytest.raises(DataError, match=f"is 10 observations of a {row}, and planet 0003.* has {count}"):
        rows_of(planet, row, 10)


def test_a_star_s_table_is_read_by_its_names(runs):
    """A table whose columns are in another order was read by position, and all its values were within bounds."""
    data, trained = open_data(DATA), Predictor.load(runs / "list")
    flux, star = data[5].flux[:, 0], data.to_pandas("stars").loc[[5]]
    expected = trained.predict(flux, data[5].star)
    for table in (star, star[star.columns[::-1]], star.rename(columns=lambda name: name.split()[0]), star.iloc[0]):
        np.testing.assert_array_equal(trained.predict(flux, table), expected)
    with pytest.raises(UsageError, match=r"expected a star with the columns star_temp, .*Received: \['temp"):
        trained.predict(flux, star.rename(columns={"star_temp (K)": "temp"}))


def test_one_star_is_that_of_all_rows_and_swapped_axes_are_named(runs):
    """`predict(flux, planet.star)` was refused for several observations of a planet, as star [1, 6]."""
    planet, trained = open_data(DATA)[5], Predictor.load(runs / "list")
    assert re.fullmatch(r"Predictor\('.*list'\): \S+, 3 wavelengths", repr(trained))
    flux = planet.flux.transpose(1, 0, 2)
    np.testing.assert_array_equal(trained.predict(flux, planet.star), trained.predict(planet, as_frame=False))
    assert trained.predict(flux[:0], planet.star).shape == (0, 3)
    with pytest.raises(UsageError, match=r"expected star \[2, 6\], or \[6\] for all rows. Received: \[1, 6\]"):
        trained.predict(flux, planet.star[None])
    with pytest.raises(UsageError, match=r"Received: \[55, 2, 300\]; a planet's flux is .*transpose\(1, 0, 2\)"):
        trained.predict(planet.flux, planet.star)
    for swapped in (flux.transpose(0, 2, 1), flux[0].T):
        with pytest.raises(UsageError, match=r"300, 55\]; wavelengths and minutes are swapped"):
            trained.predict(swapped, planet.star)


def test_a_planet_of_masked_values_is_refused():
    """The mask was dropped, and what was below it became the planet's flux."""
    flux = np.ma.masked_greater(np.ones((55, 1, 300)), 0.5)
    with pytest.raises(DataError, match="planet 1: flux has masked values"):
        Planet.from_observations(1, np.array([[1, 1]]), np.ones(6), flux)


def test_flux_that_does_not_fit_is_refused(runs):
    trained = Predictor.load(runs / "list")
    flux = np.ones((2, 55, 300))
    for arguments, said in [
        ((flux[:, 1:],), r"flux \[55, 300\]"),
        ((flux,), "needs star"),
        ((flux, np.ones(5)), r"star \[2, 6\]"),
    ]:
        with pytest.raises(UsageError, match=said):
            trained.predict(*arguments)
    flux[1, 3, 5] = np.nan
    with pytest.raises(DataError, match="flux of row 1 is not finite"):
        trained.predict(flux, np.ones((2, 6)))


def test_masked_values_and_other_units_are_refused(runs):
    """A mask was dropped (radii off by 1.07); magnitudes and counts were predicted from; no row was a traceback."""
    trained = Predictor.load(runs / "list")
    planet = next(open_source(DATA, range(55)).planets(range(10)))
    flux, star = planet.flux.transpose(1, 0, 2), np.tile(planet.star, (planet.flux.shape[1], 1))
    expected = trained.predict(flux, star)
    np.testing.assert_array_equal(trained.predict(np.ma.masked_array(flux), star), expected)
    np.testing.assert_array_equal(trained.predict(flux.tolist(), star.tolist()), expected)
    assert trained.predict(flux[:0], star[:0]).shape == (0, len(trained.targets))
    hidden = np.ma.masked_array(flux, mask=np.zeros(flux.shape, bool))
    hidden[0, 3, 150] = np.ma.masked
    cold = star.copy()
    cold[0, 0] = -1.0
    for arguments, said in (
        ((hidden, star), r"flux \[0, 3, 150\] is masked"),
        ((flux * 1e5, star), r"flux \[0, 0, 0\] is .*, expected \(-10, 10\)"),
        ((-2.5 * np.log10(np.maximum(flux, 1e-3)), star), "median flux of row 0 is .* not counts or magnitudes"),
        ((flux, cold), "star_temp of row 0 is -1"),
        ((flux, np.ma.masked_less(cold, 0)), r"star \[0, 0\] is masked"),
    ):
        with pytest.raises(DataError, match=said):
            trained.predict(*arguments)


def test_a_run_measures_planets_with_the_uncertainty_that_its_validation_planets_gave(runs):
    trained = Predictor.load(runs / "list")
    (planet,) = open_data("simulated:planets=1,spots=1,photons=3,seed=8")
    with pytest.raises(UsageError, match="5 validation planets or more"):  # it has one
        trained.measure(planet)
    known = Uncertainty(np.array([-5.0, -6.0, -7.0]), np.zeros(3), np.zeros(3), np.full(3, 0.5))
    table = replace(trained, spread=known).measure(planet)
    assert table.index.tolist() == [1]
    np.testing.assert_allclose(table["radius"].iloc[0], trained.predict(planet).median())
    np.testing.assert_allclose(table["sigma"].iloc[0], np.exp([-5, -6, -7]) * known.of_several(3))
    with pytest.raises(UsageError, match="no known correlation"):
        trained.covariance(table["sigma"])

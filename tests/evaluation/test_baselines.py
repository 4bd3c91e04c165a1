"""References beside a model: what they learn, what they know, and that none of it is the answer."""

import dataclasses

import numpy as np
import pytest

from ariel_tf.challenge import score
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.core.fields import parse_names
from ariel_tf.data.text.format import read_light_curve, read_params
from ariel_tf.evaluation import baselines, ridge_501
from ariel_tf.evaluation.baselines import NAMES, BaselineTrainer, PlanetBaselines, measure
from ariel_tf.physics import bayes_limit, references, transit_fit
from ariel_tf.physics.priors import Priors
from ariel_tf.physics.regression import Ridge
from ariel_tf.physics.simulator import simulate_planet
from ariel_tf.planet import Planet
from benchmarks import ridge_501 as benchmark

WAVELENGTHS = (2, 12, 40)
PLANETS = [simulate_planet(4, number, 1, 3) for number in range(50)]
ESTIMATORS = NAMES[:7]
TRAIN, TEST = PLANETS[:40], PLANETS[40:]


@pytest.fixture(scope="module")
def trainer():
    return BaselineTrainer(NAMES, TRAIN, WAVELENGTHS, 3 * len(TRAIN))


@pytest.fixture(scope="module")
def losses(trainer):
    return {one.name: one for one in measure(NAMES, trainer, reversed(TEST))}


def test_each_one_is_a_score_of_its_radii(trainer, losses):
    """Straight from the answers, planet by planet, by the challenge's formula."""
    true = np.stack([planet.radii[list(WAVELENGTHS)] for planet in TEST])
    for name in ESTIMATORS:
        answers = [PlanetBaselines(planet, trainer).radii(name) for planet in TEST]
        single, together = np.stack([one.single for one in answers]), np.stack([one.together for one in answers])
        assert losses[name].score("planet") == pytest.approx(score(true, together)), name
        rows = np.broadcast_to(true[:, None], single.shape)
        assert losses[name].score("observation") == pytest.approx(score(rows, single)), name
        assert losses[name].planets.tolist() == [planet.number for planet in TEST]


def test_they_stand_in_the_order_of_what_they_know(losses):
    scores = [losses[name].score("planet") for name in ("constant", "ridge", "transit-fit", "transit-fit+shape")]
    assert scores == sorted(scores)
    for kind in ("observation", "planet"):
        limits = [losses[name].score(kind) for name in ("photon-limit", "photon-limit+shape")]
        assert limits == sorted(limits)


def test_an_ideal_fit_meets_the_photon_limit(trainer):
    """No spots, limb darkening as the fit believes it, bright star: the mean loss of 300 noises is the limit's."""
    planet = TEST[0]
    rng = np.random.default_rng(2)
    clean = transit_fit.reconstructed(planet, planet.radii)
    scatter = np.full((300, 55), 2e-4, np.float32)
    flux = (clean[:, None] + 2e-4 * rng.standard_normal((55, 300, 300))).astype(np.float32)
    many = dataclasses.replace(planet, flux=flux, scatter=scatter, instances=np.ones((300, 2), np.int32))
    baselines_of = PlanetBaselines(many, trainer)
    fit, limit = baselines_of.losses("transit-fit")[0], baselines_of.losses("photon-limit")[0]
    np.testing.assert_allclose(fit, limit, rtol=0.15)
    together = baselines_of.losses("photon-limit")[1]
    np.testing.assert_allclose(together, limit / np.sqrt(300), rtol=1e-6)


def test_no_reference_looks_at_the_radii_of_a_planet_that_is_scored(trainer):
    """The limits alone may: they are told the truth, and answer no radius."""
    planet = TEST[1]
    other = dataclasses.replace(planet, radii=planet.radii[::-1] * 2)
    for name in ESTIMATORS:
        one, same = (PlanetBaselines(each, trainer).radii(name) for each in (planet, other))
        np.testing.assert_array_equal(one.single, same.single)
        np.testing.assert_array_equal(one.together, same.together)


def test_a_ridge_of_many_rows_learns_from_a_spread_of_them(monkeypatch):
    monkeypatch.setattr(baselines, "RIDGE_ROWS", 30)
    few = BaselineTrainer(("ridge",), TRAIN, (12,), 3 * len(TRAIN))
    kept = few.ridges["ridge"]
    bins = [references.folded_bins(planet.flux[12]) for planet in TRAIN]
    rows = np.concatenate(bins).astype(np.float32)[::4]  # 120 rows, every 4th of them in one count over planets
    radii = np.repeat([planet.radii[12] for planet in TRAIN], 3)[::4]
    plain = Ridge().fit(rows[None], radii[:, None])
    np.testing.assert_allclose(kept.predict(rows[None]), plain.predict(rows[None]))


def test_a_band_in_which_a_planet_cannot_be_seen_loses_its_whole_depth(trainer):
    """The limit does not claim that answering 0 is impossible: 2 y |0 - y|."""
    planet = TEST[2]
    blind = dataclasses.replace(planet, scatter=np.full_like(planet.scatter, 10.0))
    expected = 2e6 * planet.radii[list(WAVELENGTHS)] ** 2
    np.testing.assert_allclose(PlanetBaselines(blind, trainer).losses("photon-limit")[0], expected)


def test_a_row_of_ridge_501_is_a_spot_instance_of_501_features_by_hand():
    planet = simulate_planet(4, 1, 2, 3)
    rows, row = ridge_501.features(planet)
    assert rows.shape == (2, 501)
    assert row.tolist() == [0, 0, 0, 1, 1, 1]
    for spot in (0, 1):
        expected = []
        for step in range(102, 151, 6):  # counted from 1
            for wavelength in range(55):
                curves = planet.flux[wavelength, row == spot].astype(float)
                values = [
                    curve[step - 1 + off] for both in curves for curve in (both, both[::-1]) for off in range(-14, 15)
                ]
                mean = np.mean(np.power(values, -2)) ** -0.5
                expected.append(np.sqrt(1 - min(mean, 1)))
        np.testing.assert_allclose(rows[spot, :495], expected, rtol=1e-6)
        np.testing.assert_array_equal(rows[spot, 495:], planet.star)


def test_ridge_501_predicts_a_planet_by_the_mean_of_its_spots_and_in_closed_form():
    rng = np.random.default_rng(0)
    rows, radii = rng.normal(3, 2, (30, 501)), rng.uniform(0.01, 0.2, (30, 55))
    fitted = ridge_501.Ridge501().fit(rows, radii)
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    kernel = scaled @ scaled.T  # the dual form of a ridge
    dual = np.linalg.solve(kernel + 100 * np.eye(30), radii - radii.mean(axis=0))
    np.testing.assert_allclose(fitted.predict(rows), radii.mean(axis=0) + kernel @ dual, rtol=1e-6)
    planet = simulate_planet(4, 1, 2, 3)
    single, together = fitted.radii(planet, (2, 12))
    each = fitted.predict(ridge_501.features(planet)[0])[:, [2, 12]]
    np.testing.assert_allclose(single, each[[0, 0, 0, 1, 1, 1]])
    np.testing.assert_allclose(together, each.mean(axis=0))


def test_the_hackathon_s_figures_by_hand():
    true, predicted = np.array([[0.1, 0.2], [0.3, 0.2]]), np.array([[0.1, 0.22], [0.27, 0.2]])
    true[1, 1], predicted[1, 1] = 0.4, 0.4
    found = benchmark.figures(true, predicted)
    assert found["score"] == pytest.approx(1e4 - 1e6 * (2 * 0.2 * 0.02 + 2 * 0.3 * 0.03) / 4)
    # 1 - .03^2 / .02 of the first column, 1 - .02^2 / .02 of the second
    assert found["R2"] == pytest.approx((1 - 0.0009 / 0.02 + 1 - 0.0004 / 0.02) / 2)
    assert found["RMSE"] == pytest.approx(np.sqrt((0.0004 + 0.0009) / 4))
    assert found["RMSPE"] == pytest.approx(np.sqrt((0.1**2 + 0.1**2) / 4))
    assert (found["MAE"], found["median AE"]) == (pytest.approx(0.05 / 4), pytest.approx(0.01))


def test_a_planet_of_a_fold_is_predicted_from_the_other_folds():
    """Features that are the planet's number: a fold that taught itself would be predicted far better."""
    rng = np.random.default_rng(1)
    radii, folds = rng.uniform(0.05, 0.1, (20, 55)), np.arange(20) % 10
    rows = [rng.normal(size=(2, 501)) for _ in range(20)]
    found = benchmark.cross_validated(rows, radii, folds)
    expected = []
    for fold in range(10):
        train = [place for place in range(20) if folds[place] != fold]
        taught = np.concatenate([rows[one] for one in train]), np.repeat(radii[train], 2, axis=0)
        fitted = ridge_501.Ridge501().fit(*taught)
        held = [place for place in range(20) if folds[place] == fold]
        expected.append(score(radii[held], np.stack([fitted.predict(rows[one]).mean(axis=0) for one in held])))
    np.testing.assert_allclose(found["planet"]["score"], [np.mean(expected), np.std(expected)])


def test_names_are_checked_and_ordered():
    assert parse_names("--against", "ridge,constant", NAMES) == ("constant", "ridge")
    assert parse_names("--against", "all", NAMES) == NAMES
    assert parse_names("--against", "none", NAMES) == ()
    with pytest.raises(UsageError, match=r"Received: transit. Did you mean transit-fit\?"):
        parse_names("--against", "constant,transit", NAMES)


def test_an_unknown_orbit_is_named(trainer):
    planet = dataclasses.replace(TEST[0], orbit=np.full(2, np.nan))
    with pytest.raises(DataError, match=r"planet 0040: its orbit"):
        measure(("transit-fit",), trainer, [planet])


@pytest.fixture(scope="module")
def real_losses(real_data):
    """References taught by simulated planets, on the two real labelled planets' single files."""
    planets = []
    for file in sorted((real_data / "params_train").glob("*.txt")):
        star, flux = read_light_curve(real_data / "noisy_train" / file.name)
        orbit, radii = read_params(file)
        planets.append(Planet.from_observations(int(file.name[:4]), [[1, 1]], star, flux[:, None], orbit, radii))
    taught = [simulate_planet(0, number, 1, 1) for number in range(1, 201)]
    trainer = BaselineTrainer(NAMES, taught, range(55), len(taught))
    return {one.name: one.planet.mean(axis=1) for one in measure(NAMES, trainer, planets)}


def test_real_planets_are_fitted_as_well_as_simulated_ones(real_losses):
    """Mean loss over 55 wavelengths in ppm; their depths are 700 to 900 ppm."""
    assert (real_losses["transit-fit+shape"] < 150).all()
    assert (real_losses["transit-fit+shape"] < real_losses["transit-fit"]).all()
    assert (real_losses["transit-fit"] < 4 * real_losses["photon-limit"]).all()
    assert (real_losses["ridge+white"] < real_losses["constant"]).all()


def test_a_prior_over_spectra_of_one_planet_is_refused_in_a_sentence():
    trainer = BaselineTrainer(("transit-fit+shape",), TRAIN[:1], WAVELENGTHS, 3)
    with pytest.raises(DataError, match=r"two training planets or more\. Received: 1"):
        measure(("transit-fit+shape",), trainer, TEST[:1])


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_band_without_noise_is_left_out_of_fits_and_weights(trainer, losses, value):
    """One dead band took over the fit with a prior over spectra and the weighted score."""
    spoiled = []
    for planet in TEST:
        flux = planet.flux.copy()
        flux[12] = value
        spoiled.append(
            Planet.from_observations(planet.number, planet.instances, planet.star, flux, planet.orbit, planet.radii)
        )
    for one in measure(("ridge+white", "transit-fit", "transit-fit+shape", "photon-limit"), trainer, spoiled):
        assert (one.weights[:, WAVELENGTHS.index(12)] == 0).all()
        np.testing.assert_array_equal(np.delete(one.weights, 1, 1), np.delete(losses[one.name].weights, 1, 1))
        assert np.isfinite(one.planet).all()
        usual = losses[one.name].at(one.planets, (2, 40)).score("planet")
        assert one.at(one.planets, (2, 40)).score("planet") == pytest.approx(usual, abs=0.02 * (10_000 - usual))
        if one.name == "transit-fit+shape":
            assert one.score("planet") > losses["transit-fit"].score("planet")


def test_what_is_unknown_in_a_test_set_costs_something_and_known_it_costs_nothing(trainer):
    """Beside the limit of photon noise and spectra: more loss, and with every other prior tight the same."""
    planet = simulate_planet(3, 5, 2, 2)
    tight = Priors(limb_darkening_spread=1e-6, spot_fill_median=1e-9)
    errors = bayes_limit.standard_errors(planet, trainer.shape.precision)
    assert errors.shape == (5, 55)
    assert (errors[-1] < errors[0]).all()
    limits = {name: PlanetBaselines(planet, trainer).losses(name) for name in ("photon-limit+shape", "bayes-limit")}
    for with_all, without in zip(*limits.values(), strict=True):
        assert (with_all < without).all()
    known = bayes_limit.standard_errors(planet, trainer.shape.precision, tight)
    assert (known <= errors * (1 + 1e-9)).all()
    central = dataclasses.replace(planet, orbit=np.array([planet.orbit[0], 90.0]))  # no first-order change with impact
    bayes = bayes_limit.standard_errors(central, trainer.shape.precision, tight)[-1, WAVELENGTHS]
    photon = PlanetBaselines(central, trainer)._limit("photon-limit+shape")[1]
    np.testing.assert_allclose(bayes, photon, rtol=0.03)

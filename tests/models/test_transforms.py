"""What a model does to light curves and stellar parameters, against NumPy, SciPy and numbers worked by hand."""

import keras
import numpy as np
import pytest
import scipy.stats
from support.models import Sample, configured, statistics_of

from ariel_tf.challenge import N_STEPS, STAR_NAMES
from ariel_tf.config.choices import FUNCTIONS, RAMPS, TRANSFORMS
from ariel_tf.core.errors import UsageError
from ariel_tf.data.statistics import Statistics
from ariel_tf.models import builder, transforms, yeo_johnson
from ariel_tf.models.builder import build
from ariel_tf.physics.detector import RAMP

STEPS = ["0:300", "99:200", "0:300:3", "3,5,40,299"]


def seen(config, sample, power=None):
    """What a model of this configuration sees of a sample's flux, through the layers that a saved model holds."""
    raw = keras.Input((N_STEPS, 1))
    statistics = {**sample.statistics, "power": power}
    flux = builder._seen({"flux": raw}, config, statistics).flux
    # Keras 3.12 makes no model whose output is its input.
    return np.asarray(keras.Model(raw, keras.layers.Identity()(flux))(sample.inputs["flux"]))


@pytest.mark.parametrize("transform", [name for name in TRANSFORMS if name != "yeo-johnson"])
@pytest.mark.parametrize("steps", STEPS)
def test_transforms_equal_numpy(transform, steps):
    config = configured("baseline", transform=transform, steps=steps)
    sample = Sample(config)
    x = sample.inputs["flux"][:, list(config.time_steps)].astype(np.float64)
    expected = {
        "none": x,
        "baseline": (x - 1) / 0.04,
        "standardize": (x - x.mean(0)) / x.std(0),
        "max-abs": (x - x.mean(0)) / np.abs(x - x.mean(0)).max(0),
        "min-max": (x - x.min(0)) / (x.max(0) - x.min(0)),
    }[transform]
    np.testing.assert_allclose(seen(config, sample), expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("ramp", RAMPS)
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("steps", STEPS)
def test_ramp_and_function_equal_numpy(ramp, function, steps):
    config = configured("baseline", transform="none", ramp=ramp, function=function, steps=steps)
    sample = Sample(config)
    x = sample.inputs["flux"].astype(np.float64)
    if ramp == "one":
        x[:, : transforms.RAMP_STEPS] = 1
    elif ramp == "divide":
        x = x / RAMP[:, None]
    x = {"none": x, "log": np.log(x), "sqrt": np.sqrt(x), "square": x**2, "exp": np.exp(x)}[function]
    np.testing.assert_allclose(seen(config, sample), x[:, list(config.time_steps)], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_what_has_an_inverse_comes_back(transform, function):
    config = configured("baseline", transform=transform, ramp="divide", function=function, steps="20:290:3")
    sample = Sample(config)
    chosen = list(config.time_steps)
    shaped = np.asarray(transforms.shape_flux(sample.inputs["flux"], range(N_STEPS), "divide", function))
    sample.statistics["flux"] = statistics_of(shaped.astype(np.float64))
    power = yeo_johnson.fit((shaped - shaped.mean(0)) / shaped.std(0))
    there = seen(config, sample, power)
    its, its_power = (part.map(lambda values: values[chosen]) for part in (sample.statistics["flux"], power))
    back = transforms.invert_flux(there, config, its, its_power)
    np.testing.assert_allclose(back, sample.inputs["flux"][:, chosen], rtol=1e-4, atol=1e-5)


def test_a_ramp_set_to_1_has_no_inverse():
    config = configured("baseline", ramp="one")
    with pytest.raises(UsageError, match="--ramp one: has no inverse"):
        transforms.invert_flux(np.ones((1, 300, 1)), config, None)


def skewed(rows=4000):
    """Columns of known shape: normal; skewed to the right; to the left; constant."""
    rng = np.random.default_rng(1)
    normal = rng.standard_normal((4, rows))
    columns = np.stack([normal[0], np.exp(normal[1] / 2), -np.exp(normal[2]), np.ones(rows)], axis=1)
    spread = columns.std(0)
    return (columns - columns.mean(0)) / np.where(spread > 0, spread, 1)


def test_yeo_johnson_is_fitted_and_applied_as_scipy_does():
    z = skewed()
    power = yeo_johnson.fit(z)
    expected = [scipy.stats.yeojohnson_normmax(column) for column in z.T[:3]]
    np.testing.assert_allclose(power.exponent[:3], expected, atol=3e-3)
    assert power.exponent[3] == 1
    raw = keras.Input((4,))
    answer = keras.Model(raw, yeo_johnson.apply(raw, power.exponent))(z.astype(np.float32))
    for column in range(3):
        by_scipy = scipy.stats.yeojohnson(z[:, column], power.exponent[column])
        np.testing.assert_allclose(answer[:, column], by_scipy, rtol=2e-4, atol=2e-5)
    back = yeo_johnson.invert(answer, power.exponent)
    np.testing.assert_allclose(back, z, rtol=1e-3, atol=1e-4)


def test_yeo_johnson_at_its_two_limits_is_a_logarithm():
    raw = keras.Input((2,))
    model = keras.Model(raw, yeo_johnson.apply(raw, np.array([0.0, 2.0])))
    answer = model(np.array([[3.0, -3.0]], np.float32))
    np.testing.assert_allclose(answer, [[np.log(4), -np.log(4)]], rtol=1e-3)


def test_a_column_that_never_varies_becomes_zero():
    x = keras.Input((2,))
    model = keras.Model(x, transforms.affine(x, np.array([3.0, 0.0]), np.array([0.0, 2.0]), "affine"))
    np.testing.assert_allclose(model(np.array([[3.0, 4.0]])), [[0.0, 2.0]])


def test_stellar_parameters_are_taken_by_name():
    """Of raw star [6] the model sees the named columns only; the others do not change its answer."""
    config = configured("squid", star="star_k_mag")
    sample = Sample(config)
    model = build(config, sample.statistics).inference
    flux, star = sample.inputs["flux"], sample.inputs["star"]
    before = np.asarray(model({"flux": flux, "star": star}))
    moved = star.copy()
    moved[:, [i for i, name in enumerate(STAR_NAMES) if name != "star_k_mag"]] += 5
    np.testing.assert_array_equal(model({"flux": flux, "star": moved}), before)
    moved[:, STAR_NAMES.index("star_k_mag")] += 5
    assert np.abs(np.asarray(model({"flux": flux, "star": moved})) - before).max() > 0


def test_clipped_stars_and_one_hot_gravity_worked_by_hand():
    """Of radius 5 (cut to 1.8), gravity 4.0 and period 3: mean 0 and spread 1 leave them as they are."""
    plain = Statistics(1, *(np.full(6, value, float) for value in (0, 1, 0, 0)))
    config = configured("baseline", star="star_rad,star_logg,period", clip_star="yes", logg="one-hot")
    raw = keras.Input((6,))
    model = keras.Model(raw, transforms.transform_star(raw, config, plain))
    star = np.array([[5000, 4.0, 5.0, 1.0, 5.0, 3.0]])
    np.testing.assert_allclose(model(star), [[1.8, 3.0, 0, 1, 0, 0]])
    alone = configured("baseline", star="star_logg", logg="one-hot")
    model = keras.Model(raw, transforms.transform_star(raw, alone, plain))
    np.testing.assert_allclose(model(star), [[0, 1, 0, 0]])

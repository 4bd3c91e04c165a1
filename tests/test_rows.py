"""Statistics that take a pass: the same in any batches, of the training rows alone, stacked or not."""

import numpy as np
import pytest

from ariel_tf.data.sources import open_source
from ariel_tf.rows import Rows, StackedRows, passed
from ariel_tf.training.configuration import Configuration

DATA = "simulated:planets=20,spots=1,photons=2,seed=3"
SHAPED = {"ramp": "divide", "function": "log", "transform": "yeo-johnson"}


def configured(**options):
    return Configuration(model="squid", data=DATA, **{**SHAPED, **options}).resolved()


def test_statistics_of_shaped_flux_equal_numpy_in_any_batches():
    config = configured(ramp="one", function="square", transform="standardize")
    flux = np.random.default_rng(0).normal(1, 0.01, (50, 300, 2)).astype(np.float32)
    shaped = flux.astype(np.float64)
    shaped[:, :28] = 1
    for size in (7, 50):
        batches = [flux[start : start + size] for start in range(0, 50, size)]
        statistics = passed(batches, 50, config)["flux"]
        np.testing.assert_allclose(statistics.mean, (shaped**2).mean(0), rtol=1e-6)
        np.testing.assert_allclose(statistics.std, (shaped**2).std(0), rtol=1e-3, atol=1e-7)


def test_a_power_transform_is_the_same_in_any_batches(monkeypatch):
    config = configured()
    flux = np.random.default_rng(0).normal(1, 0.01, (50, 300, 1)).astype(np.float32)
    monkeypatch.setattr("ariel_tf.rows.FITTED_BYTES", 20 * flux[0].nbytes)  # a third of the rows
    whole, parts = (passed(batches, 50, config)["power"] for batches in ([flux], np.split(flux, [7, 8, 30])))
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=5e-3)


def test_statistics_are_of_training_planets_alone():
    config = configured()
    source = open_source(DATA, [12])
    elsewhere = Rows(source, config).statistics, Rows(source, configured(test_folds=(0,))).statistics
    assert not np.array_equal(elsewhere[0]["power"].exponent, elsewhere[1]["power"].exponent)
    assert not np.array_equal(elsewhere[0]["flux"].mean, elsewhere[1]["flux"].mean)


@pytest.mark.parametrize("channels", ["own", "own+white"])
def test_stacked_rows_have_the_statistics_of_each_alone(channels):
    configs = [configured(wavelength=wavelength, channels=channels) for wavelength in (3, 40)]
    source = open_source(DATA, [3, 40])
    stacked = StackedRows(source, configs)
    for config, its in zip(configs, stacked.statistics, strict=True):
        alone = Rows(source, config).statistics
        for name in ("flux", "power"):
            for part in ("mean", "std"):
                np.testing.assert_array_equal(getattr(alone[name], part), getattr(its[name], part))

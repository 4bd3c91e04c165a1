"""Rows held on a device: the same training, bit for bit, as with rows that the processor copies there."""

import dataclasses

import numpy as np
import pytest

from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.data.sources import open_source
from ariel_tf.models.builder import build
from ariel_tf.runs.folder import RunFolder
from ariel_tf.training import device_rows, fit
from ariel_tf.training.data import TrainingData

CPU = "/device:CPU:0"


def free(count):
    return lambda device: count


@pytest.fixture(scope="module")
def source():
    return open_source("simulated:planets=12,spots=2,photons=2", range(55))


def config_of(**options):
    given = {"model": "squid", "data": "simulated", "batch_size": 5, "epochs": 3} | options
    return TrainConfig(**given).resolve()


def trained(path, rows, config, held, epochs=3):
    built = build(config, rows.statistics, rows.steps)
    plan = fit.FitPlan.of(rows, config, rows.pairs(rows.validation()), epochs)
    assert plan.held is None  # no GPU here
    with RunFolder(path, config.as_json(), "") as run:
        run.write_meta({}, {})
        fit.fit(run, built, dataclasses.replace(plan, held=held), None, "")
    return [weight.numpy() for weight in built.training.variables], (path / "metrics.csv").read_text()


@pytest.mark.parametrize("options", [{}, {"model": "transit", "wavelength": Targets.parse("joint"), "batch_size": 16}])
def test_a_training_is_the_same_bit_for_bit(tmp_path, source, options):
    config = config_of(**options)
    rows = TrainingData(source, config)
    held = device_rows.hold(rows, CPU, free(1 << 40))
    expected, table = trained(tmp_path / "host", rows, config, None)
    received, shown = trained(tmp_path / "device", rows, config, held)
    for before, now in zip(expected, received, strict=True):
        np.testing.assert_array_equal(before, now)
    assert [row.split(",")[:4] for row in shown.splitlines()] == [row.split(",")[:4] for row in table.splitlines()]


def test_a_resumed_training_takes_the_rows_of_its_next_epoch(tmp_path, source):
    config = config_of()
    rows = TrainingData(source, config)
    held = device_rows.hold(rows, CPU, free(1 << 40))
    expected, _ = trained(tmp_path / "whole", rows, config, held)
    trained(tmp_path / "parts", rows, config, held, epochs=1)
    received, _ = trained(tmp_path / "parts", rows, config, held)
    for before, now in zip(expected, received, strict=True):
        np.testing.assert_array_equal(before, now)


def test_rows_that_a_step_takes_are_those_of_the_batch(source):
    config = config_of(model="segments")  # reads stars, too
    rows = TrainingData(source, config)
    held = device_rows.hold(rows, CPU, free(1 << 40))
    for places, (inputs, radius) in zip(held.places(1).take(3), rows.training(1).take(3), strict=True):
        taken, truth = held.training(places)
        assert taken.keys() == inputs.keys()
        for name in inputs:
            np.testing.assert_array_equal(taken[name], inputs[name])
        np.testing.assert_array_equal(truth, radius)


@pytest.mark.parametrize(
    ("options", "bytes_free", "why"),
    [({}, 1000, "too large"), ({"augment": "noise"}, 1 << 40, "augmented"), ({}, 1 << 40, "no device")],
)
def test_rows_stay_with_the_processor(source, options, bytes_free, why):
    rows = TrainingData(source, config_of(**options))
    assert device_rows.hold(rows, None if why == "no device" else CPU, free(bytes_free)) is None


def test_streamed_rows_stay_with_the_processor(source):
    assert device_rows.hold(TrainingData(source, config_of(), windows=True), CPU, free(1 << 40)) is None

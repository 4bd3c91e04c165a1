"""Planets without end: other ones in each epoch, the same ones in a resumed one, fixed ones to validate and test."""

import signal

import numpy as np
import pytest
from support.run_folders import loaded, send_in_epoch

from ariel_tf import train
from ariel_tf.core.errors import Stopped, UsageError
from ariel_tf.data import dataset, shuffling
from ariel_tf.data.selection import Selection, Signature
from ariel_tf.data.sources import open_source
from ariel_tf.data.sources.endless import EndlessRecipe
from ariel_tf.physics.light_curves import flux_of
from ariel_tf.physics.stream import Stream

DATA = "simulator:rows=48,seed=5,draws=4,planets=20,spots=1,photons=2"
SIGNATURE = Signature((12,), (12,), white_light=True)
TRAINING = Selection(tuple(range(8)), SIGNATURE)


@pytest.fixture(scope="module")
def source():
    return open_source(DATA, [12])


def epochs(source, first, last, batch=16):
    batches = shuffling.shuffled_stream(source, TRAINING, batch, 0, first, last)
    return list(batches.as_numpy_iterator())


def test_each_epoch_has_other_planets_and_a_resumed_one_the_same(source):
    both, second = epochs(source, 0, 2), epochs(source, 1, 2)
    assert [len(batch["key"]) for batch in both] == [16] * 6
    for one, same in zip(both[3:], second, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], same[name])
    first, other = ({tuple(radius) for batch in part for radius in batch["radius"]} for part in (both[:3], both[3:]))
    assert len(first) == len(other) == 12  # planets, each four times
    assert not first & other


def test_validation_and_test_planets_are_fixed_and_of_another_seed(source):
    folds = {fold: dataset.load(source, Selection((fold,), SIGNATURE)) for fold in (8, 9)}
    assert [len(rows["key"]) for rows in folds.values()] == [20, 20]
    again = dataset.load(open_source(DATA, [12]), Selection((9,), SIGNATURE))
    np.testing.assert_array_equal(again["flux"], folds[9]["flux"])
    radii = {tuple(radius) for rows in folds.values() for radius in rows["radius"].numpy()}
    assert len(radii) == 20
    assert not radii & {tuple(radius) for batch in epochs(source, 0, 1) for radius in batch["radius"]}


def test_planets_are_those_of_the_first_epoch(source):
    records = {int(key[0]): (flux, star) for batch in epochs(source, 0, 1)
               for key, flux, star in zip(batch["key"], batch["flux"], batch["star"], strict=True)}  # fmt: skip
    planets = {planet.number: planet for planet in source.planets(range(8))}
    assert sorted(planets) == sorted(records) == list(range(1, 49))
    for number, (flux, star) in records.items():
        np.testing.assert_array_equal(planets[number].flux[12, 0], flux[:, 0])
        np.testing.assert_allclose(planets[number].white[0], flux[:, 1], rtol=1e-6)
        np.testing.assert_allclose(planets[number].star, star, rtol=1e-6)
    assert {planet.number for planet in source.planets((8, 9))} == set(range(49, 69))


def test_statistics_are_those_of_the_first_rows(source):
    found = source.statistics(range(8))
    flux = np.stack([planet.flux[:, 0] for planet in source.planets(range(8))])
    np.testing.assert_allclose(found["flux"].mean, flux.mean(axis=0), rtol=1e-5)
    assert source.statistics((9,))["star"].count > 0
    with pytest.raises(UsageError, match="drawn anew"):
        source.statistics((7, 8))


def test_draws_of_a_row_differ_in_noise_alone_and_a_single_one_costs_nothing_new():
    stream = Stream(3, 2)
    rows = stream.planets(0)
    once = flux_of(rows, np.random.default_rng(0))
    same = flux_of(rows, np.random.default_rng(0), np.ones((2, 1)))
    np.testing.assert_array_equal(same[:, 0], once)
    quiet = flux_of(rows, np.random.default_rng(0), np.full((2, 3), 1e-9))
    np.testing.assert_allclose(quiet[:, 0], quiet[:, 2], atol=1e-6)
    drawn = stream.drawn(0, 3)
    assert drawn.flux.shape == (6, 300, 55)
    np.testing.assert_array_equal(drawn.radii[::3], drawn.radii[2::3])
    outside = drawn.flux[:, 270:]
    assert len(np.unique(outside.std(axis=(1, 2)))) == 6


def test_a_pool_has_the_noise_of_its_observations():
    noise = [Stream(3, 8, pool=pool).drawn(0, 2).flux[:, 260:].std() for pool in (1, 100)]
    assert noise[0] / noise[1] == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("setting", ["rows=5", "rows=2000001", "planets=9", "photons=x", "noise=3", "seed=-1"])
def test_settings_out_of_their_range_are_refused(setting):
    with pytest.raises(UsageError, match="expected settings among rows"):
        EndlessRecipe.parse(f"simulator:{setting}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--every", "2"], "other planets in each epoch"),
        (["--bootstrap", "yes"], "other planets in each epoch"),
        (["--planets", "5"], "draws planets without end"),
        (["--model", "compressed"], "other planets in each epoch"),
    ],
)
def test_what_needs_a_fixed_set_is_refused(arguments, said):
    with pytest.raises(UsageError, match=said):
        train.main(["--data", DATA, "--model=baseline", "--epochs", "1", "--run", "never", *arguments])


@pytest.mark.slow
def test_a_stopped_training_resumes_to_the_bit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["--data", DATA, "--model=baseline", "--set", "first=8", "--set", "second=4", "--batch-size", "16"]
    small += ["--epochs", "3"]
    with monkeypatch.context() as patch:
        send_in_epoch(patch, 2, signal.SIGTERM)
        with pytest.raises(Stopped):
            train.main([*small, "--run", "stopped"])
    train.main([*small, "--run", "stopped"])
    train.main([*small, "--run", "whole"])
    assert loaded("stopped/scores.json")["test"] == loaded("whole/scores.json")["test"]

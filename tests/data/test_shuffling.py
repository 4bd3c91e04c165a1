"""Shuffled batches: every row once an epoch, in an order that (seed, epoch) alone decides."""

import time

import numpy as np
import pytest
import tensorflow as tf
from support.small_data import ALL, RECIPE, chosen, collect, shuffled

from ariel_tf.data import dataset, shuffling
from ariel_tf.data.sources.simulated import SimulatedSource

each_way = pytest.mark.parametrize(
    ("kind", "streamed"),
    [
        pytest.param("simulated", False, id="simulated in memory"),
        pytest.param("simulated", True, id="simulated streamed", marks=pytest.mark.slow),
        pytest.param("on_disk", False, id="on disk in memory", marks=pytest.mark.slow),
        pytest.param("on_disk", True, id="on disk streamed"),
    ],
)


@each_way
def test_every_row_once_an_epoch_in_an_order_of_its_own(kind, streamed, request):
    source = request.getfixturevalue(kind)
    choice = chosen(0, 1, 2, 3)
    rows = source.observations(choice.folds)
    steps = -(-rows // 8)
    batches = list(shuffled(source, choice, 8, 3, 0, 3, streamed).as_numpy_iterator())
    assert len(batches) == 3 * steps
    assert {len(batch["key"]) for batch in batches[:steps]} == {8, rows % 8}
    epochs = [np.concatenate([b["key"] for b in batches[i * steps : (i + 1) * steps]]) for i in range(3)]
    in_order = dataset.load(source, choice)["key"].numpy()
    for keys in epochs:
        assert sorted(map(tuple, keys)) == list(map(tuple, in_order))
    assert (epochs[0] != epochs[1]).any()
    assert (epochs[0] != in_order).any()


@each_way
def test_a_resumed_epoch_is_the_unbroken_one(kind, streamed, request):
    source = request.getfixturevalue(kind)
    choice = chosen(0, 1, 2, 3)
    steps = -(-source.observations(choice.folds) // 8)
    unbroken = collect(shuffled(source, choice, 8, 3, 0, 3, streamed).skip(2 * steps))
    resumed = collect(shuffled(source, choice, 8, 3, 2, 3, streamed))
    for name, values in unbroken.items():
        np.testing.assert_array_equal(resumed[name], values)
    other_seed = collect(shuffled(source, choice, 8, 4, 2, 3, streamed))
    assert (other_seed["key"] != resumed["key"]).any()


def test_planets_of_other_folds_never_appear(on_disk):
    keys = collect(shuffled(on_disk, chosen(1, 2), 4, 0, 0, 1))["key"]
    assert {on_disk.folds[planet] for planet in keys[:, 0]} == {1, 2}


def test_windows_of_a_stream_have_orders_of_their_own(simulated):
    """Windows of equal size once shared a permutation."""
    choice, order = chosen(*ALL), tf.constant([3, 0])
    read = np.concatenate([rows["key"] for rows in dataset.observations(simulated, choice, order).as_numpy_iterator()])
    place = {tuple(key): index for index, key in enumerate(read)}
    keys = collect(shuffling.shuffled_stream(simulated, choice, 8, 3, 0, 1, memory=24 * 2400))["key"]
    first, second = ([place[tuple(key)] for key in keys[start : start + 24]] for start in (0, 24))
    assert sorted(first) == list(range(24))
    assert sorted(second) == list(range(24, 48))
    assert first != [index - 24 for index in second]


def test_the_next_window_is_read_while_one_is_used(simulated, monkeypatch):
    """Training once stood still while a window was put together, and again at the start of each epoch."""
    choice, parsed = chosen(*ALL), []
    real = SimulatedSource.records

    def counted(number):
        parsed.append(number)
        return number

    def records_of(*arguments):
        def count(planet):
            number = tf.numpy_function(counted, [planet["planet"]], tf.int32)
            return planet | {"planet": tf.ensure_shape(number, [])}

        return real(*arguments).map(count)

    monkeypatch.setattr(SimulatedSource, "records", records_of)
    batches = iter(shuffling.shuffled_stream(simulated, choice, 3, 3, 0, 2, memory=1 << 20))  # a window an epoch
    next(batches)
    deadline = time.monotonic() + 10
    while len(parsed) < 2 * RECIPE.planets and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(parsed) == 2 * RECIPE.planets

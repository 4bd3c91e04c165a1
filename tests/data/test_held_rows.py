"""Rows that NumPy assembles from planets in memory equal those that tf.data reads from their records."""

import numpy as np
import pytest

from ariel_tf.data import dataset
from ariel_tf.data.selection import Selection, Signature
from ariel_tf.data.sources import open_source
from ariel_tf.data.sources.base import Source

WAVELENGTHS = (3, 12, 40)
TRAIN = tuple(range(8))
SIGNATURES = {
    "one": Signature((12,), (12,)),
    "some and white": Signature((40, 3), WAVELENGTHS, white_light=True),
}


@pytest.fixture(scope="module")
def simulated() -> Source:
    return open_source("simulated:planets=23,spots=2,photons=3,seed=1", WAVELENGTHS)


def assert_equal_batches(source, selection, size):
    held = source.held(selection)
    made = list(dataset.observations(source, selection).rebatch(size).as_numpy_iterator())
    for part in (slice(None), slice(1, 3)):
        for rows, expected in zip(held.in_order(size, part), made[part], strict=True):
            assert rows.keys() == expected.keys()
            for name, values in expected.items():
                assert rows[name].dtype == values.dtype
                np.testing.assert_array_equal(rows[name], values, err_msg=name)


@pytest.mark.parametrize("signature", SIGNATURES.values(), ids=SIGNATURES)
def test_rows_of_simulated_planets_are_those_of_their_records(simulated, signature):
    assert_equal_batches(simulated, Selection((0, 8, 9), signature), 7)
    cut = simulated.subset(TRAIN, 5, signature)
    assert_equal_batches(cut, Selection((*TRAIN, 8), signature), 7)


def test_so_are_those_of_the_fixed_planets_of_an_endless_source():
    source = open_source("simulator:rows=48,seed=5,draws=4,planets=10,spots=2,photons=2", WAVELENGTHS)
    signature = SIGNATURES["some and white"]
    assert_equal_batches(source, Selection((8,), signature), 7)
    assert source.held(Selection((7, 8), signature)) is None, "rows of the training folds are drawn in each epoch"

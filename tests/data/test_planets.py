"""Whole planets: those of the folds asked for, each once, the same from memory and from disk."""

import numpy as np
import pytest

from ariel_tf.core.errors import DataError
from ariel_tf.data.integrity import read_planets
from ariel_tf.data.sources import open_source
from ariel_tf.physics.simulator import simulate_planet
from ariel_tf.planet import Planet
from pipelines import simulate


class Fake:
    """A source of planets in two folds that yields what it is told to."""

    description, folds = "fake", {1: 0, 2: 0, 3: 1}

    def __init__(self, numbers):
        self.numbers = numbers

    def planets(self, folds):
        return (simulate_planet(5, number, 1, 1) for number in self.numbers)


def test_planets_in_memory_and_on_disk_are_those_of_the_simulator(tmp_path):
    folder = tmp_path / "data"
    simulate.main([str(folder), "--planets=12", "--spots=1", "--photons=2", "--seed=5", "--jobs=1"])
    disk = open_source(str(folder), ())
    memory = open_source("simulated:planets=12,spots=1,photons=2,seed=5", ())
    for source in (disk, memory):
        planets = list(read_planets(source, (2, 9)))
        assert {planet.number for planet in planets} == {n for n, fold in source.folds.items() if fold in (2, 9)}
        for planet in planets:
            expected = simulate_planet(5, planet.number, 1, 2)
            for name in Planet.__dataclass_fields__:
                np.testing.assert_array_equal(getattr(planet, name), getattr(expected, name), err_msg=name)


def test_a_damaged_shard_is_named(tmp_path):
    folder = tmp_path / "data"
    simulate.main([str(folder), "--planets=12", "--spots=1", "--photons=2", "--seed=5", "--jobs=1"])
    shard = next(folder.glob("fold-2-*"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(DataError) as error:
        list(read_planets(open_source(str(folder), ()), (2,)))
    assert shard.name in " ".join(error.value.faults)


@pytest.mark.parametrize(
    ("numbers", "fault"), [([1, 1], "0001 occurs twice"), ([1, 3], "0003 occurs twice or is of another"), ([1], "0002")]
)
def test_other_planets_than_announced_are_refused(numbers, fault):
    with pytest.raises(DataError, match=fault):
        list(read_planets(Fake(numbers), (0,)))

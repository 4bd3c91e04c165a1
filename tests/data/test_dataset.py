"""Rows of sources: every row once, with its key; damaged data are refused."""

import shutil
import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from support.small_data import ALL, RECIPE, WAVELENGTHS, chosen, shuffled

from ariel_tf.core import resources
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data import arrays, dataset, tables
from ariel_tf.data.manifest import Manifest
from ariel_tf.data.selection import Selection, Signature
from ariel_tf.data.sources import open_source
from ariel_tf.data.sources.simulated import Recipe, SimulatedSource
from ariel_tf.data.sources.tfrecord import TFRecordSource
from ariel_tf.physics.simulator import simulate_planet


def test_both_sources_yield_the_same(simulated, on_disk):
    assert simulated.folds == on_disk.folds
    assert simulated.observations((2, 3)) == on_disk.observations((2, 3))
    for quantity, statistics in on_disk.statistics((0, 4)).items():
        np.testing.assert_allclose(simulated.statistics((0, 4))[quantity].std, statistics.std, rtol=1e-9)
    choice = chosen(0, 4, 7)
    one, other = dataset.load(simulated, choice), dataset.load(on_disk, choice)
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)


def test_rows_are_the_planets_observations(simulated):
    table = {name: values.numpy() for name, values in dataset.load(simulated, chosen(*ALL)).items()}
    assert table["flux"].shape == (69, 300, 2)
    row = int(np.flatnonzero((table["key"] == [7, 1, 2]).all(axis=1))[0])
    planet = simulate_planet(RECIPE.seed, 7, RECIPE.spots, RECIPE.photons)
    np.testing.assert_array_equal(table["flux"][row], planet.flux[list(WAVELENGTHS), 1].T)
    np.testing.assert_array_equal(table["radius"][row], planet.radii[list(WAVELENGTHS)].astype(np.float32))
    np.testing.assert_array_equal(table["star"][row], planet.star.astype(np.float32))
    np.testing.assert_array_equal(table["scatter"][row], planet.scatter[1, list(WAVELENGTHS)])


def test_evaluation_gives_every_row_once_at_any_batch_size(on_disk):
    for batch_size in (1, 5, 1000):
        batches = list(dataset.evaluation_batches(on_disk, chosen(*ALL), batch_size))
        keys = np.concatenate([batch["key"] for batch in batches])
        assert len({tuple(key) for key in keys}) == len(keys) == on_disk.observations(ALL)


@pytest.fixture
def damaged(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    return copy


def refusals(data, choice):
    """What each way of reading says: loaded, evaluated, streamed."""
    source = TFRecordSource(data)
    for way in (dataset.load, lambda *chosen: list(dataset.evaluation_batches(*chosen))):
        with pytest.raises(DataError) as refused:
            way(source, choice)
        yield refused.value
    with pytest.raises(dataset.UNREADABLE) as unreadable:
        list(shuffled(source, choice, 8, 0, 0, 1, streamed=True))
    yield dataset.damaged(source, unreadable.value)


def test_a_shard_copied_over_another_of_equal_size_is_refused(damaged):
    """It would bring planets of the training folds into the test."""
    copied, name = damaged / "fold-0-00000.tfrecord", "fold-9-00000.tfrecord"
    number = next(shard.planets[0] for shard in Manifest.read(damaged).shards if shard.name == copied.name)
    assert copied.stat().st_size == (damaged / name).stat().st_size
    shutil.copy(copied, damaged / name)
    for refusal in refusals(damaged, chosen(9)):
        assert f"planet {number:04d} is not of the requested folds" in str(refusal)
        assert refusal.faults == [f"{damaged / name}: its bytes are not those that were written"]


def test_a_shard_read_twice_is_refused(damaged):
    names = sorted(path.name for path in damaged.glob("fold-0-*"))[:2]
    first, second = (damaged / name for name in names)
    size = second.stat().st_size
    content = first.read_bytes()[:size]
    second.write_bytes(content + bytes(size - len(content)))
    number = next(shard.planets[0] for shard in Manifest.read(damaged).shards if shard.name == names[0])
    for refusal in refusals(damaged, chosen(0)):
        assert f"planet {number:04d} occurs twice" in str(refusal)
        assert refusal.faults == [f"{second}: its bytes are not those that were written"]


def test_records_of_another_schema_are_one_sentence(damaged):
    shard = damaged / "fold-1-00000.tfrecord"
    size = shard.stat().st_size
    example = tf.train.Example()
    example.features.feature["x"].bytes_list.value.append(b"")
    room = size - 16 - len(example.SerializeToString())
    example.features.feature["x"].bytes_list.value[0] = bytes(room - 10)  # the longer lengths take ten bytes more
    with tf.io.TFRecordWriter(str(shard)) as writer:
        writer.write(example.SerializeToString())
    assert shard.stat().st_size == size
    for refusal in refusals(damaged, chosen(1)):
        assert str(refusal) == f"{damaged}: a record could not be read; copy or make it anew."
        assert refusal.faults == [f"{shard}: its bytes are not those that were written"]


class Changed:
    """A source whose planets arrive in another way than announced."""

    def __init__(self, source, change):
        self._source, self._change = source, change

    def __getattr__(self, name):
        return getattr(self._source, name)

    def records(self, *arguments, **more):
        return self._change(self._source.records(*arguments, **more))

    def held(self, selection):
        return None  # all rows are made of these records


def test_planets_that_come_twice_or_not_at_all_are_named(simulated):
    first, second, *_ = sorted(number for number, fold in simulated.folds.items() if fold in (0, 4))
    twice = Changed(simulated, lambda planets: planets.skip(1).concatenate(planets.skip(1).take(1)))
    with pytest.raises(DataError, match=f"planet {second:04d} occurs twice"):
        dataset.load(twice, chosen(0, 4))
    absent = Changed(simulated, lambda planets: planets.skip(1))
    with pytest.raises(DataError, match=f"not received: {first:04d}"):
        dataset.load(absent, chosen(0, 4))


def test_an_observation_that_comes_twice_is_named(simulated):
    def change(planets):
        return planets.map(lambda planet: planet | {"instances": tf.gather(planet["instances"], [0, 1, 1])})

    with pytest.raises(DataError, match=r"observation \d{4}_01_02 occurs twice"):
        dataset.load(Changed(simulated, change), chosen(3))


def test_an_error_of_the_model_is_not_laid_to_the_data(on_disk):
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        tf.reshape(tf.zeros(6), [4])
    assert dataset.damaged(on_disk, caught.value) is caught.value


def test_loaded_rows_are_held_once(on_disk, monkeypatch):
    made = []
    monkeypatch.setattr(arrays, "empty", lambda *what, real=arrays.empty: made.append(real(*what)) or made[-1])
    everything = tuple(range(55))
    tracemalloc.start()
    table = dataset.load(on_disk, Selection.of(ALL, everything))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert any(np.shares_memory(np.asarray(memoryview(table["flux"])), array) for array in made)
    assert peak < 1.5 * table["flux"].numpy().nbytes


def test_simulated_planets_are_held_once():
    def peak(action):
        tracemalloc.start()
        result = action()
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found, result

    largest = max(peak(lambda number=number: simulate_planet(0, number, 2, 4))[0] for number in range(1, 51))
    whole, source = peak(lambda: SimulatedSource(Recipe(planets=50, spots=2, photons=4), range(55)))
    assert whole < 1.3 * sum(values.numpy().nbytes for values in source._table.values()) + largest


def test_more_simulated_planets_than_memory_holds_are_refused(monkeypatch):
    monkeypatch.setattr(resources, "free_memory", lambda: 10 << 20)
    with pytest.raises(UsageError, match=r"take 10\.6 MB.*10\.5 MB are free.*pipelines\.simulate DATA --planets 80 "):
        SimulatedSource(Recipe(planets=80, spots=1, photons=2), range(54))


@given(st.permutations(range(12)))
def test_rows_are_reordered_in_place(order):
    values = np.arange(24).reshape(12, 2)
    expected = values[order]
    tables.reorder(values, np.array(order))
    np.testing.assert_array_equal(values, expected)


def test_memory_counts_all_that_a_row_holds(simulated):
    choice = chosen(0)
    rows = dataset.load(simulated, choice)
    held = sum(values.numpy().nbytes for values in rows.values())
    assert dataset.fits_in_memory(simulated, choice, held)
    assert not dataset.fits_in_memory(simulated, choice, held - 1)


def test_a_flipped_bit_is_one_sentence(damaged):
    shard = next(damaged.glob("fold-1-*"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    for refusal in refusals(damaged, chosen(1)):
        assert str(refusal) == f"{damaged}: a record could not be read; copy or make it anew."
        assert refusal.faults == [f"{shard}: its bytes are not those that were written"]


def test_a_shard_cut_short_or_gone_is_refused_when_opened(damaged):
    cut, gone = sorted(damaged.glob("fold-2-*"))[0], sorted(damaged.glob("fold-3-*"))[0]
    cut.write_bytes(cut.read_bytes()[:-100])
    gone.unlink()
    with pytest.raises(DataError) as error:
        TFRecordSource(damaged)
    assert [cut.name in error.value.faults[0], gone.name in error.value.faults[1]] == [True, True]


def test_a_shard_cut_between_two_records_is_refused_when_read(damaged):
    """TensorFlow reads such a shard as a success with fewer records."""
    source = TFRecordSource(damaged)
    shard = next(shard for shard in source.manifest.shards if len(shard.planets) == 2)
    path = damaged / shard.name
    first = next(iter(tf.data.TFRecordDataset(str(path)).as_numpy_iterator()))
    path.write_bytes(path.read_bytes()[: len(first) + 16])  # 8 length + 4 + 4 checksums
    with pytest.raises(DataError):
        dataset.load(source, chosen(shard.fold))
    with pytest.raises(DataError):
        list(dataset.evaluation_batches(source, chosen(shard.fold)))


def test_a_folder_without_manifest_says_what_makes_one(tmp_path):
    with pytest.raises(DataError, match="pipelines"):
        open_source(str(tmp_path), [12])


@pytest.mark.parametrize("text", ["planets=0", "planet=3", "planets", "planets=x", "seed=-1", "planets=1,,spots=0"])
def test_a_mistyped_simulation_is_one_sentence(text):
    with pytest.raises(UsageError, match=r"simulated:planets=40,seed=7.*Received"):
        open_source(f"simulated:{text}", [12])


def test_a_simulation_describes_itself():
    recipe = Recipe.parse("simulated:planets=40,seed=7")
    assert recipe == Recipe(planets=40, seed=7)
    assert Recipe.parse(str(recipe)) == recipe


def test_folds_without_a_planet_are_refused(simulated):
    with pytest.raises(DataError, match="no observation"):
        dataset.load(simulated, chosen())


def test_white_light_is_the_last_channel(simulated, on_disk):
    for source in (simulated, on_disk):
        table = dataset.load(source, chosen(3, white_light=True))
        planet = simulate_planet(RECIPE.seed, int(table["key"][0, 0]), RECIPE.spots, RECIPE.photons)
        np.testing.assert_array_equal(table["flux"][0, :, 2], planet.white[0])
        np.testing.assert_array_equal(table["flux"][0, :, 0], planet.flux[40, 0])


def test_a_target_among_more_channels_keeps_its_own_radius(simulated):
    table = dataset.load(simulated, Selection((3,), Signature((12,), (40, 12))))
    planet = simulate_planet(RECIPE.seed, int(table["key"][0, 0]), RECIPE.spots, RECIPE.photons)
    assert table["radius"].shape[1] == table["scatter"].shape[1] == 1
    assert table["radius"][0, 0] == np.float32(planet.radii[12])
    assert table["scatter"][0, 0] == planet.scatter[0, 12]


def test_every_nth_observation_counts_over_all_planets_in_key_order(simulated, on_disk):
    whole = dataset.load(simulated, chosen(*ALL))["key"].numpy()
    for source in (simulated, on_disk):
        np.testing.assert_array_equal(dataset.load(source, chosen(*ALL, stride=7))["key"].numpy(), whole[::7])


@pytest.mark.parametrize("unit", ["planet", "spot"])
def test_a_row_of_several_observations_holds_them_in_key_order(on_disk, unit):
    singles = dataset.load(on_disk, chosen(0, 1))
    rows = dataset.load(on_disk, chosen(0, 1, row=unit))
    assert rows["flux"].shape == (len(singles["key"]) // 3, 3, 300, 2)
    np.testing.assert_array_equal(rows["flux"].numpy().reshape(-1, 300, 2), singles["flux"])
    np.testing.assert_array_equal(rows["radius"], singles["radius"][::3])
    assert rows["key"][0].numpy().tolist() == [singles["key"][0, 0], 1 if unit == "spot" else 0, 0]
    np.testing.assert_allclose(rows["scatter"][0], singles["scatter"][:3].numpy().mean(axis=0), rtol=1e-6)


def test_planets_with_another_number_of_observations_are_named():
    key = np.array([(1, 1, 1), (1, 1, 2), (2, 1, 1), (3, 1, 1), (3, 1, 2)])
    table = {"key": key, **{name: np.zeros((5, 1)) for name in ("star", "radius", "scatter", "flux")}}
    with pytest.raises(DataError, match=r"most have 2.*0002 \(1\)"):
        dataset.grouped(table, "planet")


def test_statistics_are_those_of_the_rows(simulated):
    choice = chosen(0, 5, white_light=True)
    table = {name: values.numpy().astype(np.float64) for name, values in dataset.load(simulated, choice).items()}
    statistics = dataset.statistics(simulated, choice, None)
    np.testing.assert_allclose(statistics["flux"].mean, table["flux"].mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(statistics["flux"].std, table["flux"].std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(statistics["radius"].mean, table["radius"].mean(axis=0), rtol=1e-6)
    whole = dataset.statistics(
        simulated, chosen(0, 5, row="planet"), dataset.load(simulated, chosen(0, 5, row="planet"))
    )
    assert whole["flux"].mean.shape == (3, 300, 2)


@pytest.mark.parametrize("dtype", [tf.float32, tf.int64, tf.bfloat16])
def test_a_tensor_shares_the_memory_of_an_array(dtype):
    values = arrays.empty((5, 3), np.dtype(dtype.as_numpy_dtype))
    values[...] = np.arange(15).reshape(5, 3)
    tensor = arrays.as_tensor(values)
    values[2, 1] = 100
    assert tensor.dtype == dtype
    np.testing.assert_array_equal(tensor.numpy(), values)
    np.testing.assert_array_equal(arrays.as_tensor(values[1:, :2]).numpy(), values[1:, :2])

"""Sources and batches: every row once an epoch, with its key, in an order that (seed, epoch) alone decides."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from ariel_tf.data import dataset, records
from ariel_tf.data.dataset import Choice
from ariel_tf.data.folds import assign_folds
from ariel_tf.data.manifest import Manifest, Shard
from ariel_tf.data.sources import open_source
from ariel_tf.data.sources.simulated import Recipe, SimulatedSource
from ariel_tf.data.sources.tfrecord import TFRecordSource
from ariel_tf.data.sums import Sums
from ariel_tf.errors import DataError, UsageError
from ariel_tf.files import sha256
from ariel_tf.physics.simulator import simulate_planet

RECIPE = Recipe(planets=23, spots=1, photons=3, seed=5)
WAVELENGTHS = (40, 12)
ALL = tuple(range(10))


def chosen(*folds, **more):
    return Choice(folds, WAVELENGTHS, WAVELENGTHS, **more)


def shuffled(source, choice, batch_size, seed, first_epoch, epochs, streamed=False):
    """Training batches, either way, with a global seed as a model's builder leaves it."""
    keras.utils.set_random_seed(1)
    order = (batch_size, seed, first_epoch, epochs)
    if streamed:
        return dataset.shuffled_stream(source, choice, *order, memory=20_000)
    return dataset.shuffled_table(dataset.load(source, choice), *order)


@pytest.fixture(scope="module")
def simulated():
    return SimulatedSource(RECIPE, [12, 40], quiet=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same planets as shards of two planets each."""
    path = tmp_path_factory.mktemp("data")
    folds = assign_folds(range(1, RECIPE.planets + 1), RECIPE.seed)
    sums, shards = Sums(), []
    for fold in ALL:
        members = [planet for planet, its_fold in folds.items() if its_fold == fold]
        for start in range(0, len(members), 2):
            numbers = members[start : start + 2]
            name = f"fold-{fold}-{start // 2:05d}.tfrecord"
            with tf.io.TFRecordWriter(str(path / name)) as writer:
                for number in numbers:
                    planet = simulate_planet(RECIPE.seed, number, RECIPE.spots, RECIPE.photons)
                    sums.add(planet, fold)
                    writer.write(records.encode(planet))
            size = (path / name).stat().st_size
            shards.append(Shard(name, fold, numbers, 3 * len(numbers), size, sha256(path / name)))
    Manifest({"kind": "test"}, True, RECIPE.seed, shards, sums).write(path)
    return path


@pytest.fixture
def on_disk(folder):
    return TFRecordSource(folder)


def collect(batches):
    batches = list(batches.as_numpy_iterator())
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def test_both_sources_yield_the_same(simulated, on_disk):
    assert simulated.planets == on_disk.planets
    assert simulated.rows((2, 3)) == on_disk.rows((2, 3))
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


@pytest.mark.parametrize("streamed", [False, True], ids=["in memory", "streamed"])
@pytest.mark.parametrize("kind", ["simulated", "on_disk"])
def test_every_row_once_an_epoch_in_an_order_of_its_own(kind, streamed, request):
    source = request.getfixturevalue(kind)
    choice = chosen(0, 1, 2, 3)
    rows = source.rows(choice.folds)
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


@pytest.mark.parametrize("streamed", [False, True], ids=["in memory", "streamed"])
@pytest.mark.parametrize("kind", ["simulated", "on_disk"])
def test_a_resumed_epoch_is_the_unbroken_one(kind, streamed, request):
    source = request.getfixturevalue(kind)
    choice = chosen(0, 1, 2, 3)
    steps = -(-source.rows(choice.folds) // 8)
    unbroken = collect(shuffled(source, choice, 8, 3, 0, 3, streamed).skip(2 * steps))
    resumed = collect(shuffled(source, choice, 8, 3, 2, 3, streamed))
    for name, values in unbroken.items():
        np.testing.assert_array_equal(resumed[name], values)
    other_seed = collect(shuffled(source, choice, 8, 4, 2, 3, streamed))
    assert (other_seed["key"] != resumed["key"]).any()


def test_planets_of_other_folds_never_appear(on_disk):
    keys = collect(shuffled(on_disk, chosen(1, 2), 4, 0, 0, 1))["key"]
    assert {on_disk.planets[planet] for planet in keys[:, 0]} == {1, 2}


def test_evaluation_gives_every_row_once_at_any_batch_size(on_disk):
    for batch_size in (1, 5, 1000):
        batches = list(dataset.evaluation_batches(on_disk, chosen(*ALL), batch_size))
        keys = np.concatenate([batch["key"] for batch in batches])
        assert len({tuple(key) for key in keys}) == len(keys) == on_disk.rows(ALL)


@pytest.fixture
def damaged(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    return copy


def test_a_flipped_bit_is_one_sentence(damaged):
    shard = next(damaged.glob("fold-1-*"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match="could not be read"):
        dataset.load(TFRecordSource(damaged), chosen(1))
    with pytest.raises(DataError, match="could not be read"):
        list(dataset.evaluation_batches(TFRecordSource(damaged), chosen(1)))


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
        table = dataset.load(source, chosen(3, white=True))
        planet = simulate_planet(RECIPE.seed, int(table["key"][0, 0]), RECIPE.spots, RECIPE.photons)
        np.testing.assert_array_equal(table["flux"][0, :, 2], planet.white[0])
        np.testing.assert_array_equal(table["flux"][0, :, 0], planet.flux[40, 0])


def test_a_target_among_more_channels_keeps_its_own_radius(simulated):
    table = dataset.load(simulated, Choice((3,), (12,), (40, 12)))
    planet = simulate_planet(RECIPE.seed, int(table["key"][0, 0]), RECIPE.spots, RECIPE.photons)
    assert table["radius"].shape[1] == table["scatter"].shape[1] == 1
    assert table["radius"][0, 0] == np.float32(planet.radii[12])
    assert table["scatter"][0, 0] == planet.scatter[0, 12]


def test_every_nth_observation_counts_over_all_planets_in_key_order(simulated, on_disk):
    whole = dataset.load(simulated, chosen(*ALL))["key"].numpy()
    for source in (simulated, on_disk):
        np.testing.assert_array_equal(dataset.load(source, chosen(*ALL, every=7))["key"].numpy(), whole[::7])


@pytest.mark.parametrize("unit", ["planet", "spot"])
def test_a_row_of_several_observations_holds_them_in_key_order(on_disk, unit):
    singles = dataset.load(on_disk, chosen(0, 1))
    rows = dataset.load(on_disk, chosen(0, 1, unit=unit))
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
    choice = chosen(0, 5, white=True)
    table = {name: values.numpy().astype(np.float64) for name, values in dataset.load(simulated, choice).items()}
    statistics = dataset.statistics(simulated, choice, None)
    np.testing.assert_allclose(statistics["flux"].mean, table["flux"].mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(statistics["flux"].std, table["flux"].std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(statistics["radius"].mean, table["radius"].mean(axis=0), rtol=1e-6)
    whole = dataset.statistics(
        simulated, chosen(0, 5, unit="planet"), dataset.load(simulated, chosen(0, 5, unit="planet"))
    )
    assert whole["flux"].mean.shape == (3, 300, 2)

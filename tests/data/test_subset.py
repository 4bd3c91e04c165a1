"""`--planets N`: a model learns from N of the training planets alone, whatever they come from."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from support.run_folders import loaded, run, table

from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data import dataset, shuffling
from ariel_tf.data.folds import assign_folds, first_planets
from ariel_tf.data.selection import Selection, Signature
from ariel_tf.data.sources import open_source
from ariel_tf.data.statistics import Moments
from pipelines import simulate
from tuning import search

TRAIN, WAVELENGTHS = tuple(range(8)), (3, 12)
MADE = ["--planets=21", "--spots=1", "--photons=3", "--seed=1"]
DATA = "simulated:planets=21,spots=1,photons=3,seed=1"
SMALL = ["--model=baseline", "--data", DATA, "--epochs", "1", "--batch-size", "7", "--set", "first=8", "--set",
         "second=8"]  # fmt: skip

pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """The simulated planets as a data set."""
    folder = tmp_path_factory.mktemp("kept") / "data"
    simulate.main([str(folder), *MADE, "--format", "tfrecord", "--jobs", "1"])
    return str(folder)


def test_fewer_planets_are_among_more_and_no_seed_chooses_them():
    chosen = [first_planets(range(1, 101), count) for count in (5, 20, 100)]
    assert [len(some) for some in chosen] == [5, 20, 100]
    assert chosen[0] < chosen[1] < chosen[2]
    assert first_planets(reversed(range(1, 101)), 5) == chosen[0]
    folds = assign_folds(range(1, 101), seed=0)
    assert len({folds[planet] for planet in chosen[1]}) > 4, "they come from all folds"


def check_kept(source, count):
    """Rows, records and statistics of a cut source are those of the planets that it keeps."""
    there = [planet for planet, fold in source.folds.items() if fold in TRAIN]
    cut = source.subset(TRAIN, count, Signature(WAVELENGTHS, WAVELENGTHS, white_light=True))
    kept = first_planets(there, count)
    assert {planet for planet, fold in cut.folds.items() if fold in TRAIN} == kept
    whole = list(source.records(Selection.of(TRAIN, WAVELENGTHS, white_light=True)).as_numpy_iterator())
    expected = [planet for planet in whole if planet["planet"] in kept]
    for order in (None, tf.constant([1, 2])):
        found = cut.records(Selection.of(TRAIN, WAVELENGTHS, white_light=True), order).as_numpy_iterator()
        assert sorted(planet["planet"] for planet in found) == sorted(kept)
    for folds in (TRAIN, (0, 3)):
        rows = [len(planet["instances"]) for planet in expected if source.folds[int(planet["planet"])] in folds]
        assert cut.observations(folds) == sum(rows)
    assert cut.observations((8, 9)) == source.observations((8, 9))
    assert cut.observations(range(10)) == cut.observations(TRAIN) + source.observations((8, 9))
    choice = Selection(TRAIN, Signature((12,), WAVELENGTHS))
    loaded_rows = dataset.load(cut, choice)
    assert sorted(set(loaded_rows["key"][:, 0].numpy())) == sorted(kept)
    streamed = list(shuffling.shuffled_stream(cut, choice, 4, 0, 0, 1).as_numpy_iterator())
    keys = np.concatenate([batch["key"] for batch in streamed])
    np.testing.assert_array_equal(keys[np.lexsort(keys.T[::-1])], loaded_rows["key"])
    ours = cut.statistics(TRAIN)
    flux = Moments.of(np.concatenate([planet["flux"] for planet in expected], axis=1), axis=1)
    white = Moments.of(np.concatenate([planet["white"] for planet in expected]))
    star, radii = (Moments.of(np.stack([planet[name] for planet in expected])) for name in ("star", "radii"))
    for mine, theirs in (
        (ours["flux"].map(lambda values: values[list(WAVELENGTHS)]), flux),
        (ours["white"], white),
        (ours["star"], star),
        (ours["radius"].map(lambda values: values[list(WAVELENGTHS)]), radii),
    ):
        assert mine.count == theirs.count
        for part in ("mean", "std", "min", "max"):
            np.testing.assert_allclose(
                getattr(mine, part), getattr(theirs.statistics(), part), rtol=1e-6, atol=1e-9, err_msg=part
            )
    np.testing.assert_array_equal(cut.statistics((8,))["flux"].mean, source.statistics((8,))["flux"].mean)


def test_a_data_set_and_simulated_planets_keep_the_same_ones(shards):
    for description in (shards, DATA):
        check_kept(open_source(description, WAVELENGTHS), 7)


def test_so_does_bigquery(uploaded):
    check_kept(open_source(uploaded, WAVELENGTHS), 7)


def test_all_planets_are_the_source_itself_and_more_are_refused():
    source = open_source(DATA, WAVELENGTHS)
    count = sum(fold in TRAIN for fold in source.folds.values())
    signature = Signature(WAVELENGTHS, WAVELENGTHS)
    assert source.subset(TRAIN, 0, signature) is source
    assert source.subset(TRAIN, count, signature) is source
    with pytest.raises(UsageError, match=rf"no more than the {count} planets in the training folds.* Received: 500"):
        run(*SMALL, "--planets", "500")
    with pytest.raises(UsageError, match=r"--planets: expected a whole number, 0 or more\. Received: few"):
        run(*SMALL, "--planets", "few")


def facts(path):
    return loaded(f"{path}/meta.json")["folds"]


def same(one, other, rel=1e-5):
    for row, its in zip(table(f"{one}/metrics.csv"), table(f"{other}/metrics.csv"), strict=True):
        for name in ("loss", "score", "val_loss", "val_score"):
            assert float(row[name]) == pytest.approx(float(its[name]), rel=rel)


def test_a_training_on_some_is_another_scored_on_the_same_test_planets():
    run(*SMALL, "--run", "all")
    run(*SMALL, "--planets", "7", "--run", "some")
    assert facts("some")["train"] == {"folds": list(TRAIN), "planets": 7, "observations": 21}
    assert facts("some")["test"] == facts("all")["test"]
    assert table("some/metrics.csv")[-1]["val_score"] != table("all/metrics.csv")[-1]["val_score"]


def test_a_training_on_some_streams_with_a_transform_that_takes_a_pass_over_them(shards, monkeypatch):
    monkeypatch.setattr(dataset, "fits_in_memory", lambda *_: False)
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    run(*SMALL, "--planets", "7", "--data", shards, "--function", "log", "--run", "streamed")
    assert facts("streamed")["train"] == {"folds": list(TRAIN), "planets": 7, "observations": 21}


@pytest.mark.slow
def test_a_stack_on_some_is_each_alone_on_them(shards):
    listed = [*SMALL, "--data", shards, "--planets", "7", "--channels", "own+white", "--star", "all"]
    run(*listed, "--wavelength", "3,12", "--stack", "yes", "--run", "stack")
    run(*listed, "--wavelength", "12", "--run", "alone")
    same("stack/w12", "alone", rel=1e-3)
    assert facts("stack/w12") == facts("alone") == facts("stack")
    assert facts("stack")["train"]["planets"] == 7


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("linear", ["--wavelength", "joint", "--set", "units=8", "--channels", "all"]),
        ("compressed", ["--set", "first=4", "--set", "second=8", "--set", "third=8"]),
    ],
)
def test_joint_models_and_rows_of_a_planet_take_some_too(model, options, pretended_training_here):
    run("--data", DATA, "--model", model, *options, "--planets", "7", "--epochs", "1", "--run", "some")
    assert facts("some")["train"]["planets"] == 7
    assert loaded("some/config.json")["planets"] == 7


def test_a_damaged_shard_is_told_by_name(shards, tmp_path):
    broken = shutil.copytree(shards, tmp_path / "broken")
    path = sorted(broken.glob("fold-2*.tfrecord"))[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError) as error:
        run(*SMALL, "--data", str(broken), "--planets", "7", "--run", "some")
    assert path.name in str(error.value.faults)


@pytest.mark.slow
def test_a_search_tries_numbers_of_planets(pretended_training_here):
    """Trials of one number share what they read; those of another don't."""
    searched = ["--model=baseline", "--data", DATA, "--epochs", "1", "--fix", "first=8", "--fix", "second=8",
                "--algorithm", "random"]  # fmt: skip
    search.main([*searched, "--search", "planets=4|9,learning_rate", "--trials", "3", "--run", "found"])
    rows = table("found/trials.csv")
    assert {row["planets"] for row in rows} == {"4", "9"}
    for row in rows:
        assert facts(f"found/trials/{int(row['trial']):04d}")["train"]["planets"] == int(row["planets"])
    with pytest.raises(UsageError, match=r"--search planets: expected values with it, like planets=100\|200\|400"):
        search.main([*searched, "--search", "planets", "--run", "other"])
    for values in ("4|500", "4:500"):
        with pytest.raises(UsageError, match=r"--planets: expected no more than the 17 .* Received: 500"):
            search.main([*searched, "--search", f"planets={values}", "--run", "other"])

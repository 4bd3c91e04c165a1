"""Download, check and partial sets of a data set in BigQuery, and snapshots of what was read."""

import filecmp
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from ariel_tf import evaluate, train
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.bigquery.connection import Connection
from ariel_tf.data.bigquery.streams import ArrowReader
from ariel_tf.data.dataset import load
from ariel_tf.data.folds import assign_folds
from ariel_tf.data.manifest import Manifest
from ariel_tf.data.selection import Selection
from ariel_tf.data.sources import open_source
from pipelines import check, download, partial_set, upload


def assert_same_files(one, other):
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    assert filecmp.cmpfiles(one, other, names, shallow=False) == (names, [], [])


def test_a_download_is_byte_for_byte_what_was_uploaded(uploaded, bigquery_shards, tmp_path, capsys):
    download.main([uploaded, str(tmp_path / "out")])
    assert_same_files(tmp_path / "out", bigquery_shards / "train")
    assert "21 planets, 42 observations, with targets" in capsys.readouterr().out
    download.main([uploaded, str(tmp_path / "out"), "--overwrite"])
    assert_same_files(tmp_path / "out", bigquery_shards / "train")


def test_a_repeated_download_says_complete_already(uploaded, bigquery_shards, tmp_path, capsys):
    """One that was killed as its last step ended cannot know it; another data set in the folder is still refused."""
    download.main([uploaded, str(tmp_path)])
    download.main([uploaded, str(tmp_path)])
    assert "complete already" in capsys.readouterr().out
    assert_same_files(tmp_path, bigquery_shards / "train")
    other = shutil.copytree(bigquery_shards / "test", tmp_path / "other")
    with pytest.raises(UsageError, match="already holds a data set: use another folder, or --overwrite"):
        download.main([uploaded, str(other)])


def test_a_download_that_was_killed_while_it_cleaned_up_finishes_cleaning(
    uploaded, bigquery_shards, tmp_path, monkeypatch
):
    monkeypatch.setattr(download, "clean", lambda folder, manifest: None)
    download.main([uploaded, str(tmp_path)])
    assert (tmp_path / "unfinished.json").is_file()
    monkeypatch.undo()
    download.main([uploaded, str(tmp_path)])
    assert_same_files(tmp_path, bigquery_shards / "train")


def test_a_repeated_upload_says_complete_already(uploaded, bigquery_shards, capsys):
    upload.main([str(bigquery_shards / "train"), "--project", "proj", "--dataset", "train"])
    assert "complete already" in capsys.readouterr().out


def test_a_download_goes_on_where_it_was_stopped(uploaded, bigquery_shards, tmp_path, monkeypatch):
    written, write = [], download.write_shard

    def stop_at_the_third(source, shard, folder, progress):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(shard.name)
        return write(source, shard, folder, progress)

    monkeypatch.setattr(download, "write_shard", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        download.main([uploaded, str(tmp_path)])
    with pytest.raises(DataError, match="holds an unfinished data set"):
        Manifest.read(tmp_path)
    first = list(written)
    written[:] = ["these", "two", "count no more"]
    download.main([uploaded, str(tmp_path)])
    assert not {*first} & {*written}
    assert_same_files(tmp_path, bigquery_shards / "train")


def test_a_changed_value_is_found(emulator, bigquery_shards, place, tmp_path, capsys):
    upload.main([str(bigquery_shards / "train"), "--project", "proj", "--dataset", place.dataset])
    check.main([str(place)])
    assert "sound: 42 observations" in capsys.readouterr().out
    Connection(place).query(f"UPDATE `{place.table('stars')}` SET star_temp = star_temp + 1 WHERE planet = 7")
    Connection(place).query(f"UPDATE `{place.table('scatter')}` SET value = -1 WHERE planet = 8 AND wavelength = 3")
    with pytest.raises(DataError, match="faults; upload the data set anew, with --overwrite") as caught:
        check.main([str(place)])
    faults = "\n".join(caught.value.faults)
    shards = Manifest.read(bigquery_shards / "train").shards
    for planet in (7, 8):
        name = next(shard.name for shard in shards if planet in shard.planets)
        assert f"{place}/{name}: its sha256 is not the one in manifest.json" in faults
    assert "0008_01_01: scatter is -1.0 at wavelength 3, expected more than 0" in faults
    with pytest.raises(DataError, match="is not what was uploaded, byte for byte"):
        download.main([str(place), str(tmp_path / "out")])
    assert not (tmp_path / "out" / "manifest.json").exists()


def keys(source, folds=range(10)):
    found = [
        (int(planet["planet"]), *map(int, instance))
        for planet in source.records(Selection.of(folds, [0])).as_numpy_iterator()
        for instance in planet["instances"]
    ]
    return sorted(found)


@pytest.mark.slow
def test_every_fifth_observation(uploaded, capsys):
    command = ["--project", "proj", "--dataset", "train", "--every", "5"]
    partial_set.main(command)
    assert "bigquery://proj/train_every5: 9 planets, 9 observations of 42" in capsys.readouterr().out
    whole, partial = open_source(uploaded, [0, 30]), open_source("bigquery://proj/train_every5", [0, 30])
    assert keys(partial) == keys(whole)[::5]
    assert partial.folds.items() <= whole.folds.items()
    check.main(["bigquery://proj/train_every5"])
    # The same rows as training takes of the whole set.
    expected = load(whole, replace(Selection.of(range(10), (30,)), stride=5))
    received = load(partial, Selection.of(range(10), (30,)))
    for name in expected:
        np.testing.assert_array_equal(expected[name], received[name])
    partial_set.main(command)
    assert open_source("bigquery://proj/train_every5", [0]).fingerprint == partial.fingerprint
    with pytest.raises(UsageError, match="bigquery://proj/train_every5 holds another data set"):
        partial_set.main([*command[:-1], "7", "--into", "train_every5"])


def test_fewer_planets_keep_their_folds_and_observations(uploaded):
    for count in ("4", "8"):
        partial_set.main(["--project", "proj", "--dataset", "train", "--planets", count])
    four, eight = (open_source(f"bigquery://proj/train_planets{count}", [0]) for count in (4, 8))
    assert [len(four.folds), len(eight.folds)] == [4, 8]
    assert four.folds.items() <= eight.folds.items() <= assign_folds(range(1, 22), 0).items()
    assert four.observations(range(10)) == 8
    check.main(["bigquery://proj/train_planets4"])


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ([], "expected --every N, --planets N or both"),
        (["--every", "2", "--into", "train"], "expected another dataset"),
    ],
)
def test_partial_sets_that_make_no_sense(options, fault):
    with pytest.raises(UsageError, match=fault):
        partial_set.main(["--project", "proj", "--dataset", "train", *options])


def planets_of(source, order=None):
    seed = None if order is None else tf.constant(order)
    return list(source.records(Selection.of([0, 3, 5], [7, 2], white_light=True), seed).as_numpy_iterator())


def test_a_snapshot_is_read_from_the_second_epoch_on(uploaded, tmp_path, monkeypatch):
    expected, shuffled = planets_of(open_source(uploaded, [2, 7])), planets_of(open_source(uploaded, [2, 7]), (1, 2))
    source = open_source(f"{uploaded}?cache={tmp_path}", [2, 7])
    assert source.description == uploaded
    epochs = source.records(
        Selection.of([0, 3, 5], [7, 2], white_light=True), tf.constant((1, 2))
    )  # one pipeline, iterated twice
    first, again = planets_of(source), list(epochs.as_numpy_iterator())
    monkeypatch.setattr(ArrowReader, "read", lambda *_: pytest.fail("read from BigQuery again"))
    second = list(epochs.as_numpy_iterator())
    for one, other in ((first, expected), (planets_of(source), expected), (again, shuffled), (second, shuffled)):
        assert len(one) == len(other) > 4
        for ours, theirs in zip(one, other, strict=True):
            for name in theirs:
                np.testing.assert_array_equal(ours[name], theirs[name])
    assert not list(tmp_path.rglob(".writing-*"))


def test_a_snapshot_that_was_cut_is_an_error(uploaded, tmp_path):
    source = open_source(f"{uploaded}?cache={tmp_path}", [2, 7])
    planets_of(source)
    path = next(tmp_path.rglob("fold-3-00000.tfrecord"))
    length = int.from_bytes(path.read_bytes()[:8], "little") + 16
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(tf.errors.OpError):
        planets_of(source)
    assert source.faults() == [f"{path}: expected 2 planets, found 1; remove the file"]
    path.unlink()
    assert len(planets_of(source)) == 7


def test_a_stopped_epoch_leaves_no_half_snapshot(uploaded, tmp_path):
    source = open_source(f"{uploaded}?cache={tmp_path}", [2])
    records = iter(source.records(Selection.of(range(10), [2])))
    next(records)
    del records
    for path in tmp_path.rglob("fold-*"):
        assert len(list(tf.data.TFRecordDataset(str(path)))) in (2, 3)


def test_training_from_bigquery_is_training_from_shards(uploaded, bigquery_shards, tmp_path, capsys):
    options = ["--epochs", "2", "--model", "baseline", "--set", "first=8", "--set", "second=4"]
    train.main(["--data", uploaded, "--cache", str(tmp_path / "cache"), *options, "--run", str(tmp_path / "one")])
    train.main(["--data", str(bigquery_shards / "train"), *options, "--run", str(tmp_path / "other")])
    rows = [
        [line.split(",")[:5] for line in (tmp_path / run / "metrics.csv").read_text().splitlines()]
        for run in ("one", "other")
    ]
    assert rows[0] == rows[1]
    assert f'"data": "{uploaded}"' in (tmp_path / "one" / "config.json").read_text()
    scores = [(tmp_path / run / "scores.json").read_bytes() for run in ("one", "other")]
    assert scores[0] == scores[1]
    capsys.readouterr()
    with pytest.raises(UsageError, match="names data on another machine"):
        evaluate.main([str(tmp_path / "one")])
    evaluate.main([str(tmp_path / "one"), "--data", uploaded])
    printed = capsys.readouterr().out
    assert f"observations of {uploaded}" in printed
    assert "test folds [9]" in printed


def test_the_dry_run_of_a_training_reads_nothing(uploaded, monkeypatch, capsys):
    read = ArrowReader.read

    def refuse_light_curves(self, table, *rest):
        assert table == "manifest"
        return read(self, table, *rest)

    monkeypatch.setattr(ArrowReader, "read", refuse_light_curves)
    train.main(["--data", uploaded, "--wavelength", "12", "--dry-run", "--price", "999000"])
    printed = capsys.readouterr().out
    assert "MB scanned" in printed
    assert "at 999000 a TiB" in printed
    download.main([uploaded, "nowhere", "--dry-run"])
    assert f"{uploaded}: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "times"),
    [
        ([], "20 times"),
        (["--model", "compressed"], "once"),
        (["--model", "image", "--wavelength", "joint"], "once"),
        (["--bootstrap", "yes"], "once"),
        (["--every", "2"], "once"),
        (["--wavelength", "3,12"], "20 times"),
    ],
)
def test_the_price_of_rows_that_are_held_in_memory_is_that_of_one_pass(uploaded, capsys, options, times):
    """Rows that combine, skip or repeat observations never stream, however large they are."""
    command = ["--data", uploaded, "--wavelength", "12", "--epochs", "20", "--dry-run", "--price", "1", "--memory", "0"]
    train.main([*command, *options])
    printed = capsys.readouterr().out
    assert re.search(rf"train .* observations, .*, read {times}", printed)


def test_the_price_of_a_list_is_decided_by_the_rows_of_one_wavelength(uploaded, capsys):
    """Rows of one wavelength fit and those of both do not: each is trained in memory, and read once."""
    rows = open_source(uploaded, [3]).observations(range(8))
    train.main(
        ["--data", uploaded, "--wavelength", "3,12", "--epochs", "20", "--dry-run", "--memory", str(2500 * rows)]
    )
    assert re.search(r"train .* observations, .*, read once", capsys.readouterr().out)

"""NumPy arrays beside the shards: the same rows, in the same order, each verified when it is read."""

import json
import shutil
import struct

import numpy as np
import pytest
import tensorflow as tf

from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.core.sealed_json import sealed
from ariel_tf.data import array_files, dataset, shuffling
from ariel_tf.data.selection import Selection, Signature
from ariel_tf.data.sources.tfrecord import TFRecordSource
from ariel_tf.data.writer import DatasetWriter
from pipelines import arrays

PLANETS, OBSERVATIONS = range(1, 22), 3
TRAIN = tuple(range(8))
JOINT = tuple(range(55))
SIGNATURES = {
    "one": Signature((12,), (12,)),
    "one and white": Signature((12,), (12,), white_light=True),
    "some": Signature((12, 3), (40, 12, 3)),
    "joint": Signature(JOINT, JOINT),
    "joint and white": Signature((7,), JOINT, white_light=True),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory, make_planet):
    """A data set of shards alone."""
    folder = tmp_path_factory.mktemp("plain") / "data"
    folder.mkdir()
    with DatasetWriter(
        folder, dict.fromkeys(PLANETS, OBSERVATIONS), labelled=True, fold_seed=0, shard_bytes=400_000
    ) as writer:
        for number in writer.pending:
            writer.add(number, make_planet(number, OBSERVATIONS))
        writer.finish({"kind": "test"})
    return folder


@pytest.fixture(scope="module")
def with_arrays(plain):
    """The same with arrays beside them."""
    folder = shutil.copytree(plain, plain.parent / "with_arrays")
    arrays.main([str(folder)])
    return folder


@pytest.fixture
def copied(with_arrays, tmp_path):
    return shutil.copytree(with_arrays, tmp_path / "data")


def change(path, where=-1):
    """Flip a bit of a file's last bytes."""
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(content)


def collect(batches):
    batches = list(batches)
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


@pytest.mark.parametrize("name", SIGNATURES)
def test_arrays_hold_the_rows_of_the_shards(plain, with_arrays, name, monkeypatch):
    selection = Selection((0, 3, 8), SIGNATURES[name])
    shards, mapped = TFRecordSource(plain), TFRecordSource(with_arrays)
    assert shards.fingerprint == mapped.fingerprint
    expected = collect(dataset.evaluation_batches(shards, selection, 4))
    monkeypatch.setattr(mapped, "records", None)  # no shard is read
    for found in (
        collect(dataset.evaluation_batches(mapped, selection, 4)),
        mapped.mapped(selection).read(mapped.mapped(selection).index),
    ):
        assert found.keys() == expected.keys()
        for key, values in expected.items():
            np.testing.assert_array_equal(found[key], values, err_msg=key)
            assert np.asarray(found[key]).dtype == values.dtype
    loaded = dataset.load(mapped, selection)
    for key, values in dataset.load(shards, selection).items():
        np.testing.assert_array_equal(loaded[key], values, err_msg=key)


@pytest.mark.parametrize("name", ["one and white", "joint"])
def test_mapped_rows_are_shuffled_as_rows_in_memory(plain, with_arrays, name):
    selection, order = Selection(TRAIN, SIGNATURES[name]), (7, 5, 1, 3)
    expected = shuffling.shuffled_table(dataset.load(TFRecordSource(plain), selection), *order)
    received = shuffling.shuffled_mapped(TFRecordSource(with_arrays).mapped(selection), *order)
    pairs = list(zip(expected.as_numpy_iterator(), received.as_numpy_iterator(), strict=True))
    assert len(pairs) == 2 * -(-len(TFRecordSource(plain).keys(TRAIN)) // 7)
    for one, other in pairs:
        for key, values in one.items():
            np.testing.assert_array_equal(other[key], values, err_msg=key)


def test_fewer_planets_and_parts_of_a_data_set_have_their_rows_only(with_arrays):
    source, signature = TFRecordSource(with_arrays), SIGNATURES["one"]
    few = source.subset(TRAIN, 5, signature)
    rows = few.mapped(Selection(TRAIN, signature))
    assert set(rows.key[:, 0]) == {planet for planet, fold in few.folds.items() if fold in TRAIN}
    parts = [source.shard(TRAIN, index, 2).mapped(Selection(TRAIN, signature)) for index in range(2)]
    keys = np.concatenate([part.key for part in parts])
    np.testing.assert_array_equal(keys[np.lexsort(keys.T[::-1])], source.keys(TRAIN))


def test_one_layout_serves_what_it_can(plain, tmp_path):
    data = shutil.copytree(plain, tmp_path / "data")
    arrays.main([str(data), "--layout", "rows"])
    source = TFRecordSource(data)
    assert source.mapped(Selection(TRAIN, SIGNATURES["one"])) is None
    whole = source.mapped(Selection(TRAIN, SIGNATURES["joint"]))
    arrays.main([str(data), "--layout", "columns"])
    assert not (data / "arrays" / "rows.npy").exists()
    stacked = TFRecordSource(data).mapped(Selection(TRAIN, SIGNATURES["joint"]))
    one, other = (rows.read(rows.index)["flux"] for rows in (whole, stacked))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("name", "signature"), [("flux-12.npy", "one"), ("rows.npy", "joint")])
def test_a_changed_light_curve_is_one_sentence(copied, name, signature):
    change(copied / "arrays" / name)
    source, selection = TFRecordSource(copied), Selection(tuple(range(10)), SIGNATURES[signature])
    last = source.mapped(selection).key[-1, 0]
    with pytest.raises(DataError, match=f"planet {last:04d} in the folder arrays is not as it was written") as error:
        dataset.load(source, selection)
    assert error.value.faults == [f"{copied / 'arrays' / name}: planet {last:04d} is not as it was written"]


def test_a_changed_light_curve_is_found_while_a_model_trains(copied):
    change(copied / "arrays" / "rows.npy")
    source, selection = TFRecordSource(copied), Selection(tuple(range(10)), SIGNATURES["joint"])
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        list(shuffling.shuffled_mapped(source.mapped(selection), 7, 0, 0, 1))
    last = source.mapped(selection).key[-1, 0]
    refusal = dataset.damaged(source, error.value)
    assert f"planet {last:04d} in the folder arrays is not as it was written" in str(refusal)
    assert len(refusal.faults) == 1


@pytest.mark.parametrize("name", ["key.npy", "radius.npy", "sums.npy"])
def test_a_changed_small_file_is_refused_when_opened(copied, name):
    change(copied / "arrays" / name)
    with pytest.raises(DataError, match=rf"{name} has another content.*pipelines\.arrays"):
        TFRecordSource(copied).mapped(Selection(TRAIN, SIGNATURES["one"]))


def test_a_file_cut_short_or_gone_is_refused_when_opened(copied):
    """A mapped file that ends too early would end the process without a sentence."""
    path = copied / "arrays" / "flux-12.npy"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match=r"flux-12\.npy has \d+ bytes"):
        TFRecordSource(copied).mapped(Selection(TRAIN, SIGNATURES["one"]))
    path.unlink()
    with pytest.raises(DataError, match=r"flux-12\.npy"):
        TFRecordSource(copied).mapped(Selection(TRAIN, SIGNATURES["one"]))


@pytest.mark.parametrize("header", [b"{'descr': (", b"{'descr': '<f4', 'shape': (1\\\n", b"\0"])
def test_a_damaged_header_is_refused_when_opened(copied, header):
    path = copied / "arrays" / "flux-12.npy"
    content = bytearray(path.read_bytes())
    (length,) = struct.unpack("<H", content[8:10])
    content[10 : 10 + length] = header.ljust(length)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"arrays: is damaged"):
        TFRecordSource(copied).mapped(Selection(TRAIN, SIGNATURES["one"]))


def rewrite(page, changes):
    """Write a page anew with other values, as a program would."""
    values = {key: value for key, value in json.loads(page.read_text()).items() if key != array_files.PAGE_SUM}
    page.write_text(json.dumps(sealed(values | changes, array_files.PAGE_SUM)))


@pytest.mark.parametrize("changes", [{"rows": "x"}, {"layouts": ["other"]}, {"schema": 3}, {"files": []}, {"rows": 5}])
def test_a_page_that_makes_no_sense_is_one_sentence(copied, changes):
    rewrite(copied / "arrays" / "arrays.json", changes)
    with pytest.raises(DataError, match=r"arrays: is damaged"):
        TFRecordSource(copied).mapped(Selection(TRAIN, SIGNATURES["one"]))


def test_a_changed_page_is_refused_and_one_without_a_checksum_of_its_own(copied):
    """A digit of a fingerprint or of a file's size that changed on the disk was taken as it was."""
    page = copied / "arrays" / "arrays.json"
    written = json.loads(page.read_text())
    own = {key: value for key, value in written.items() if key != array_files.PAGE_SUM}
    assert list(written)[-1] == array_files.PAGE_SUM
    page.write_text(json.dumps(written | {"fingerprint": "f" + written["fingerprint"][1:].replace("0", "1")}))
    with pytest.raises(DataError, match=r"arrays: is damaged \(arrays\.json has another content\)"):
        TFRecordSource(copied).mapped(Selection(TRAIN, SIGNATURES["one"]))
    page.write_text(json.dumps(own))
    with pytest.raises(DataError, match=r"arrays: is damaged"):
        TFRecordSource(copied).mapped(Selection(TRAIN, SIGNATURES["one"]))


def test_arrays_of_an_earlier_version_are_not_used_and_made_anew(copied, capsys):
    page = copied / "arrays" / "arrays.json"
    own = {key: value for key, value in json.loads(page.read_text()).items() if key != array_files.PAGE_SUM}
    page.write_text(json.dumps(own | {"schema": 1}))
    assert TFRecordSource(copied).mapped(Selection(TRAIN, SIGNATURES["one"])) is None
    assert "is of an earlier version, whose checksums are weaker" in capsys.readouterr().out
    arrays.main([str(copied)])
    assert TFRecordSource(copied).mapped(Selection(TRAIN, SIGNATURES["one"])) is not None


@pytest.mark.parametrize(("name", "signature"), [("flux-12.npy", "one"), ("rows.npy", "joint")])
@pytest.mark.parametrize("size", [4, 64, 400])
def test_words_that_changed_places_are_found(copied, name, signature, size):
    """The sum of a row's words is the same."""
    path = copied / "arrays" / name
    content = path.read_bytes()
    first = len(content) - 1200  # within the last row
    second = first + 600
    one, other = content[first : first + size], content[second : second + size]
    path.write_bytes(content[:first] + other + content[first + size : second] + one + content[second + size :])
    assert one != other
    assert TFRecordSource(copied).faults() != []
    with pytest.raises(DataError, match="in the folder arrays is not as it was written"):
        dataset.load(TFRecordSource(copied), Selection(tuple(range(10)), SIGNATURES[signature]))


def test_arrays_of_another_data_set_are_not_used(copied, capsys):
    rewrite(copied / "arrays" / "arrays.json", {"fingerprint": "other"})
    assert TFRecordSource(copied).mapped(Selection(TRAIN, SIGNATURES["one"])) is None
    assert "is of another data set, and is not used" in capsys.readouterr().out


def test_arrays_are_made_once_and_anew_where_they_are_damaged(copied, capsys):
    arrays.main([str(copied)])
    assert "complete already" in capsys.readouterr().out
    change(copied / "arrays" / "flux-12.npy")
    arrays.main([str(copied), "--overwrite"])
    assert TFRecordSource(copied).faults() == []
    assert not (copied / array_files.WRITING).exists()


def test_what_the_disk_lacks_is_said_before_anything_is_written(plain, monkeypatch):
    monkeypatch.setattr(array_files.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(UsageError, match=r"arrays need 8\.\d MB, and 0\.0 MB are free"):
        arrays.main([str(plain)])
    assert not (plain / array_files.WRITING).exists()


def test_a_damaged_shard_leaves_no_arrays(plain, tmp_path):
    data = shutil.copytree(plain, tmp_path / "data")
    change(sorted(data.glob("fold-*"))[-1], -40)
    with pytest.raises(DataError):
        arrays.main([str(data)])
    assert sorted(path.name for path in data.iterdir()) == sorted(path.name for path in plain.iterdir())

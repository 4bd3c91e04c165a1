"""Checking a data set: each kind of damage is found, named, and listed beside the others."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ariel_tf.core.errors import DataError
from ariel_tf.data.folds import assign_folds
from ariel_tf.data.manifest import Manifest, Shard, Sums
from ariel_tf.data.shards import BYTES_A_ROW, OpenShard, PlannedShard
from ariel_tf.data.writer import DatasetWriter
from ariel_tf.planet import Planet
from pipelines import check

NUMBERS = range(1, 22)


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("template") / "data"


@pytest.fixture
def data(template, tmp_path, make_planet) -> Path:
    """A sound data set of 21 planets: two a shard, but three planets and two shards in one fold."""
    if not template.exists():
        shard_bytes = int(2.5 * 2 * BYTES_A_ROW)
        with DatasetWriter(
            template, dict.fromkeys(NUMBERS, 2), labelled=True, fold_seed=0, shard_bytes=shard_bytes
        ) as w:
            for number in w.pending:
                w.add(number, make_planet(number))
            w.finish({"kind": "test"})
    return Path(shutil.copytree(template, tmp_path / "data"))


def faults(data: Path) -> list[str]:
    with pytest.raises(DataError, match=f"{data}: .* faults?; copy the damaged files anew") as caught:
        check.main([str(data)])
    assert caught.value.exit_code == 3
    return [fault.replace(f"{data}/", "") for fault in caught.value.faults]


def change(data: Path, **changes) -> Manifest:
    """Another manifest, sound as JSON goes."""
    manifest = dataclasses.replace(Manifest.read(data), **changes)
    manifest.write(data)
    return manifest


def test_a_sound_data_set_gives_a_table(data, capsys):
    check.main([str(data)])
    printed = capsys.readouterr().out
    assert [line.split() for line in printed.splitlines()[:2]] == [
        ["fold", "planets", "observations", "shards", "MB"],
        ["0", "3", "6", "2", "0.4"],
    ]
    assert "all" in printed
    assert "21" in printed
    assert "sound: 42 observations" in printed


def test_what_was_found_as_json(data, capsys):
    check.main([str(data), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["sound"], found["labelled"], found["planets"], found["observations"]) == (True, True, 21, 42)
    assert (found["folds"]["0"], found["dead_bands"]) == ({"planets": 3, "observations": 6}, [])
    next(data.glob("fold-2-*")).unlink()
    with pytest.raises(DataError):
        check.main([str(data), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["sound"], found["exit_code"]) == (False, 3)
    assert "found no file" in found["faults"][0]


def test_without_manifest(tmp_path):
    with pytest.raises(
        DataError, match=r"make one with `python -m pipelines\.convert` or `python -m pipelines\.simulate`"
    ):
        check.main([str(tmp_path)])


def test_a_shard_cut_within_a_record(data):
    path = data / "fold-3-00000.tfrecord"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1000])
    planets = next(shard.planets for shard in Manifest.read(data).shards if shard.name == path.name)
    assert faults(data) == [
        f"{path.name}: expected {size} bytes, found {size - 1000}",
        f"{path.name}: its sha256 is not the one in manifest.json; its bytes were changed",
        f"{path.name}: record 1 is damaged or cut, and so are all after it",
        f"{path.name}: expected 2 planets ({planets[0]:04d}, {planets[1]:04d}), found 1 planet ({planets[0]:04d})",
        f"{path.name}: expected 4 observations, found 2",
    ]


def test_a_shard_cut_at_a_record_boundary(data):
    path = data / "fold-3-00000.tfrecord"
    length = int.from_bytes(path.read_bytes()[:8], "little") + 16
    path.write_bytes(path.read_bytes()[:length])  # which TensorFlow reads without complaint
    found = faults(data)
    assert found[0].endswith(f"expected {2 * length} bytes, found {length}")
    assert found[-1] == f"{path.name}: expected 4 observations, found 2"


@pytest.mark.parametrize("where", [0, 9, 20, 100_000, -3])
def test_one_flipped_bit(data, where):
    path = data / "fold-5-00000.tfrecord"
    content = bytearray(path.read_bytes())
    content[where] ^= 16
    path.write_bytes(content)
    found = faults(data)
    assert found[0] == f"{path.name}: its sha256 is not the one in manifest.json; its bytes were changed"
    assert "is damaged or cut" in found[1]


def test_faults_of_several_shards_are_listed_together(data):
    (data / "fold-1-00000.tfrecord").unlink()
    (data / "fold-2-00000.tfrecord").write_bytes(b"")
    found = faults(data)
    assert found[0] == "fold-1-00000.tfrecord: expected 2 planets, found no file"
    assert found[1].startswith("fold-2-00000.tfrecord: expected ")
    assert found[-1] == "fold-2-00000.tfrecord: expected 4 observations, found 0"


def test_sums_that_are_not_the_shards(data, make_planet):
    sums = Manifest.read(data).sums
    sums.add(make_planet(99), 4)
    change(data, sums=sums)
    assert faults(data) == ["statistics.npz: its sums are not those of the shards"]


def test_folds_of_another_seed(data):
    change(data, fold_seed=1)
    expected, now = assign_folds(NUMBERS, 1), assign_folds(NUMBERS, 0)
    found = faults(data)
    assert len(found) == sum(expected[number] != now[number] for number in NUMBERS)
    assert all("but seed 1 puts it into fold" in fault for fault in found)


def rewrite(data: Path, name: str, planets: list[Planet]) -> Manifest:
    """Replace a shard and all that the manifest says of its bytes."""
    manifest = Manifest.read(data)
    old = next(shard for shard in manifest.shards if shard.name == name)
    shard = OpenShard(data, PlannedShard(name, old.fold, old.planets))
    for planet in planets:
        shard.add(planet)
    new: Shard | None = shard.close()
    assert new is not None
    return change(data, shards=[new if shard.name == name else shard for shard in manifest.shards])


def test_a_planet_in_two_folds_and_twice(data, make_planet):
    three, four = (next(s.planets for s in Manifest.read(data).shards if s.fold == fold) for fold in (3, 4))
    rewrite(data, "fold-3-00000.tfrecord", [make_planet(number) for number in [*three, three[0], four[0]]])
    found = faults(data)
    twice = f"manifest.json: planet {three[0]:04d} is in fold-3-00000.tfrecord and fold-3-00000.tfrecord"
    assert twice in found
    assert (
        f"manifest.json: planet {four[0]:04d} is in fold-3-00000.tfrecord and fold-4-00000.tfrecord, and in two "
        "folds, 3 and 4"
    ) in found
    assert f"manifest.json: planet {four[0]:04d} is in fold 3, but seed 0 puts it into fold 4" in found


def test_values_outside_their_bounds(data, make_planet):
    planets = next(shard.planets for shard in Manifest.read(data).shards if shard.fold == 6)
    one, two = (make_planet(number) for number in planets)
    one.flux[54, 1, 299] = np.nan
    one.radii[3] = 1.5
    two.star[0] = -1
    two.instances[1] = two.instances[0]
    rewrite(data, "fold-6-00000.tfrecord", [one, two])
    found = faults(data)
    place = "fold-6-00000.tfrecord: record"
    assert found[:4] == [
        f"{place} 0: {one.number:04d}_01_02: flux is nan at wavelength 54, step 299, expected (-10.0, 10.0)",
        f"{place} 0: planet {one.number:04d}: relative radius is 1.5 at wavelength 3, expected (0, 1]",
        f"{place} 1: planet {two.number:04d}: an observation (spot, photon) occurs twice",
        f"{place} 1: planet {two.number:04d}: star_temp is -1.0, expected (0.0, 100000.0) K",
    ]


def test_a_planet_without_target_among_labelled_ones(data, make_planet):
    planets = next(shard.planets for shard in Manifest.read(data).shards if shard.fold == 6)
    rewrite(data, "fold-6-00000.tfrecord", [make_planet(planets[0]), make_planet(planets[1], labelled=False)])
    assert faults(data)[0] == f"fold-6-00000.tfrecord: record 1: planet {planets[1]:04d}: expected a target"


def test_records_of_another_schema(data):
    import tensorflow as tf

    path = data / "fold-6-00000.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(tf.train.Example().SerializeToString())
    assert any("record 0: expected one planet number in the record, received 0" in fault for fault in faults(data))


def test_a_stranger_among_the_shards_is_a_note(data, capsys):
    (data / "fold-0-00077.tfrecord").touch()
    check.main([str(data)])
    assert "note: 1 shard is not listed in manifest.json and never read: fold-0-00077" in capsys.readouterr().out


def test_dropped_planets_keep_the_folds_of_the_others(data):
    manifest = Manifest.read(data)
    gone = manifest.shards[0]
    sums = Sums()
    sums.moments = {key: value for key, value in manifest.sums.moments.items() if key[0] != gone.fold}
    left = [shard for shard in manifest.shards if shard.fold != gone.fold]
    dropped = [number for shard in manifest.shards if shard.fold == gone.fold for number in shard.planets]
    change(data, shards=left, sums=sums, dropped=dropped)
    check.main([str(data)])

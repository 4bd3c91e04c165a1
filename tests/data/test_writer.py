"""Writing data sets: what goes where, and that no interruption changes a byte."""

import json
import os
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ariel_tf.core.errors import ArielError, DataError, UsageError
from ariel_tf.data.folds import assign_folds
from ariel_tf.data.manifest import STATE_NAME, Manifest
from ariel_tf.data.records import decode
from ariel_tf.data.shards import BYTES_A_ROW, plan_shards, read_records
from ariel_tf.data.writer import DatasetWriter

ROWS = dict.fromkeys(range(1, 24), 1)
ONE_PLANET = BYTES_A_ROW  # a shard for each of these planets


def writer(folder, **changes) -> DatasetWriter:
    options = {"labelled": True, "fold_seed": 0, "shard_bytes": ONE_PLANET} | changes
    return DatasetWriter(folder, options.pop("rows", ROWS), **options)


def write(folder, make_planet, **changes) -> Manifest:
    with writer(folder, **changes) as open_writer:
        for number in open_writer.pending:
            open_writer.add(number, make_planet(number, 1))
        return open_writer.finish({"kind": "test"})


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return tmp_path_factory.mktemp("unbroken")


@pytest.fixture
def expected(unbroken, make_planet) -> dict[str, bytes]:
    """The files of a run that nothing stopped."""
    if not any(unbroken.iterdir()):
        write(unbroken, make_planet)
    return contents(unbroken)


@given(
    st.dictionaries(st.integers(1, 9999), st.integers(1, 100), min_size=1, max_size=60),
    st.integers(0, 3),
    st.integers(1, 10**8),
)
def test_the_plan_holds_every_planet_once_in_its_fold(rows, seed, shard_bytes):
    plan = plan_shards(rows, seed, shard_bytes)
    assert sorted(planet for shard in plan for planet in shard.planets) == sorted(rows)
    folds = assign_folds(rows, seed)
    assert all(folds[planet] == shard.fold for shard in plan for planet in shard.planets)
    assert [shard.name for shard in plan] == sorted({shard.name for shard in plan})
    assert all(shard.planets == sorted(shard.planets) and shard.planets for shard in plan)


def test_shards_at_full_size_hold_128_to_256_megabytes():
    plan = plan_shards(dict.fromkeys(range(1256), 100), 0)
    sizes = [100 * BYTES_A_ROW * len(shard.planets) for shard in plan]
    assert 128e6 < min(sizes) <= max(sizes) < 256e6


def test_a_data_set_reads_back_as_it_was_written(tmp_path, make_planet, expected, unbroken):
    manifest = Manifest.read(unbroken)
    assert manifest.planets == assign_folds(ROWS, 0)
    assert manifest.rows == len(ROWS)
    assert len(manifest.shards) == len(ROWS)
    for shard in manifest.shards:
        planets = [decode(record) for record in read_records(unbroken / shard.name)]
        assert [planet.number for planet in planets] == shard.planets
        assert all(planet.flux.tobytes() == make_planet(planet.number, 1).flux.tobytes() for planet in planets)
    assert set(expected) == {"manifest.json", "statistics.npz", *(shard.name for shard in manifest.shards)}


@pytest.mark.parametrize("call", ["os.replace", "os.fsync"])
def test_an_interrupted_run_goes_on_to_the_same_bytes_wherever_it_stopped(
    tmp_path, make_planet, monkeypatch, expected, call
):
    """Stops a little later each time: before and after every rename, between a shard and its commit."""
    real = getattr(os, call.removeprefix("os."))
    for stop_at in range(1, 60, 3):
        calls = 0

        def stop(*arguments, stop_at=stop_at):
            nonlocal calls
            calls += 1
            if calls == stop_at:
                raise KeyboardInterrupt
            return real(*arguments)

        monkeypatch.setattr(call, stop)
        try:
            write(tmp_path, make_planet)
        except KeyboardInterrupt:
            assert not (tmp_path / "manifest.json").exists()
        else:
            break
    monkeypatch.undo()
    if not (tmp_path / "manifest.json").exists():
        write(tmp_path, make_planet)
    assert contents(tmp_path) == expected


def stop_after(folder, make_planet, planets: int, **changes) -> None:
    with writer(folder, **changes) as open_writer:
        for number in open_writer.pending[:planets]:
            open_writer.add(number, make_planet(number, 1))


def test_a_continued_run_takes_only_what_is_missing_and_distrusts_damage(tmp_path, make_planet, expected):
    stop_after(tmp_path, make_planet, 5)
    shards = sorted(tmp_path.glob("*.tfrecord"))
    assert len(shards) == 5
    shards[1].write_bytes(shards[1].read_bytes().replace(b"\0\0", b"\0\1", 1))
    (tmp_path / f"{shards[2].name}.json").write_text("{")
    (tmp_path / f"{shards[3].name}.npz").unlink()
    with writer(tmp_path) as open_writer:
        assert len(open_writer.pending) == len(ROWS) - 2
    write(tmp_path, make_planet)
    assert contents(tmp_path) == expected


def test_a_killed_run_leaves_no_half_written_shard_behind(tmp_path, make_planet, expected):
    stop_after(tmp_path, make_planet, 2)
    (tmp_path / ".writing-fold-0-00002.tfrecord").write_bytes(b"half")
    write(tmp_path, make_planet)
    assert contents(tmp_path) == expected


def test_a_shard_whose_input_changed_is_made_anew(tmp_path, make_planet):
    first = plan_shards(ROWS, 0, ONE_PLANET)[0].planets[0]
    stop_after(tmp_path, make_planet, 2, inputs={first: "old"})
    with writer(tmp_path, inputs={first: "new"}) as open_writer:
        assert first in open_writer.pending
        assert len(open_writer.pending) == len(ROWS) - 1


@pytest.mark.parametrize(
    "changes", [{"fold_seed": 1}, {"shard_bytes": 10**9}, {"settings": {"seed": 1}}, {"rows": {1: 1, 2: 1}}]
)
def test_an_unfinished_run_of_other_settings_is_refused_unless_overwritten(tmp_path, make_planet, changes):
    stop_after(tmp_path, make_planet, 2)
    with (
        pytest.raises(UsageError, match=r"unfinished data set of other files or settings.*--overwrite"),
        writer(tmp_path, **changes),
    ):
        pass
    with writer(tmp_path, **changes, overwrite=True) as open_writer:
        assert len(open_writer.pending) == len(changes.get("rows", ROWS))


def test_a_finished_data_set_is_refused_unless_overwritten_and_other_files_stay(tmp_path, make_planet, expected):
    write(tmp_path, make_planet, fold_seed=3)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="already holds a data set"):
        write(tmp_path, make_planet)
    write(tmp_path, make_planet, overwrite=True)
    assert contents(tmp_path) == {**expected, "notes.txt": b"mine"}


def test_a_data_set_stays_until_the_one_that_overwrites_it_is_complete(tmp_path, make_planet):
    """Wherever the run stops: one of the two is there and sound, or, while they change places, no manifest."""
    old = write(tmp_path / "old", make_planet, fold_seed=3, rows={1: 1, 9: 1, 7: 1})
    new = {"rows": {1: 1, 2: 1, 7: 1}, "overwrite": True}
    write(tmp_path / "new", make_planet, **new)
    expected = contents(tmp_path / "new")
    real, places = os.replace, []
    for stop_at in range(1, 90):
        folder = tmp_path / str(stop_at)
        shutil.copytree(tmp_path / "old", folder)
        calls = 0

        def stop(*arguments, stop_at=stop_at):
            nonlocal calls
            calls += 1
            if calls == stop_at:
                raise KeyboardInterrupt
            return real(*arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("os.replace", stop)
            try:
                write(folder, make_planet, **new)
            except KeyboardInterrupt:
                if (folder / "manifest.json").exists():
                    assert Manifest.read(folder).fingerprint == old.fingerprint
                    assert all((folder / shard.name).stat().st_size == shard.bytes for shard in old.shards)
                places.append((folder / "manifest.json").exists())
            else:
                break
        if (folder / ".replacing/manifest.json").exists():  # complete: nothing is left to do but to change places
            with pytest.raises(UsageError, match="already holds a data set"):
                write(folder, make_planet, rows=new["rows"])
        else:
            write(folder, make_planet, **new)
        assert contents(folder) == expected
        shutil.rmtree(folder)
    assert set(places) == {True, False}
    assert contents(folder) == expected


def test_faulty_planets_overwrite_nothing(tmp_path, make_planet, expected):
    write(tmp_path, make_planet)
    with writer(tmp_path, overwrite=True, fold_seed=1) as open_writer:
        for number in open_writer.pending:
            open_writer.add(number, None, faults=["is empty"])
        with pytest.raises(DataError):
            open_writer.finish({})
    assert {name: (tmp_path / name).read_bytes() for name in expected} == expected
    Manifest.read(tmp_path)


def test_an_interrupted_overwriting_goes_on(tmp_path, make_planet, expected):
    write(tmp_path, make_planet, fold_seed=3)
    stop_after(tmp_path, make_planet, 5, overwrite=True)
    with writer(tmp_path, overwrite=True) as open_writer:
        assert len(open_writer.pending) == len(ROWS) - 5
    write(tmp_path, make_planet, overwrite=True)
    assert contents(tmp_path) == expected


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["manifest.json", "unfinished.json", "statistics.npz"])
@pytest.mark.parametrize("content", [b'{"name": "a browser extension"}', b"\xff{"])
def test_files_of_another_program_are_never_removed(tmp_path, make_planet, name, content, overwrite):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=rf"{name} is not a file of one of our data sets: move it away"):
        write(tmp_path, make_planet, overwrite=overwrite)
    assert contents(tmp_path) == {name: content}


def test_shards_without_a_manifest_are_not_taken_over(tmp_path, make_planet):
    write(tmp_path, make_planet)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(UsageError, match="shards without a manifest"):
        write(tmp_path, make_planet)


def test_two_writers_do_not_share_a_folder(tmp_path):
    with writer(tmp_path), pytest.raises(UsageError, match="another process"), writer(tmp_path):
        pass
    with writer(tmp_path):  # free again
        pass


def test_a_damaged_state_file_is_another_run(tmp_path, make_planet):
    stop_after(tmp_path, make_planet, 1)
    (tmp_path / STATE_NAME).write_bytes(b"\xff{")
    with pytest.raises(UsageError, match="unfinished"):
        write(tmp_path, make_planet)


def test_unsound_planets_are_never_written_and_the_good_shards_are_kept(tmp_path, make_planet):
    with writer(tmp_path) as open_writer:
        bad, unlabelled = open_writer.pending[1:3]
        for number in open_writer.pending:
            planet = make_planet(number, 1, labelled=number != unlabelled)
            if number == bad:
                planet.flux[3, 0, 4] = float("nan")
            open_writer.add(number, planet)
        with pytest.raises(DataError) as caught:
            open_writer.finish({})
    assert caught.value.faults == [
        f"{bad:04d}_01_01: flux is nan at wavelength 3, step 4, expected (-10.0, 10.0)",
        f"planet {unlabelled:04d}: expected a target",
    ]
    assert not (tmp_path / "manifest.json").exists()
    with writer(tmp_path) as open_writer:
        assert open_writer.pending == [bad, unlabelled]


def test_planets_left_out_are_on_record(tmp_path, make_planet):
    with writer(tmp_path) as open_writer:
        gone = open_writer.pending[0]
        for number in open_writer.pending:
            skipped = [{"file": "a.txt", "fault": "is empty"}] if number == gone else []
            open_writer.add(number, None if number == gone else make_planet(number, 1), skipped)
        manifest = open_writer.finish({})
    assert manifest.dropped == [gone]
    assert manifest.skipped == [{"file": "a.txt", "fault": "is empty"}]
    assert Manifest.read(tmp_path).planets.keys() == ROWS.keys() - {gone}


def test_a_shard_from_which_something_was_left_out_is_kept_only_by_a_run_that_may_leave_out(tmp_path, make_planet):
    with writer(tmp_path, skip_bad=True) as open_writer:
        first = open_writer.pending[0]
        open_writer.add(first, make_planet(first, 1), [{"file": "a.txt", "fault": "is empty"}])
    with writer(tmp_path, skip_bad=True) as open_writer:
        assert first not in open_writer.pending
    with writer(tmp_path) as open_writer:
        assert first in open_writer.pending


def test_planets_must_come_in_the_planned_order(tmp_path, make_planet):
    with writer(tmp_path) as open_writer:
        number = open_writer.pending[1]
        with pytest.raises(ValueError, match=f"Received: {number}"):
            open_writer.add(number, make_planet(number, 1))


def test_too_little_space_is_said_before_the_first_byte(tmp_path, monkeypatch):
    usage = shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ArielError, match=r"MB are needed, only 0\.0 MB are free"), writer(tmp_path):
        pass


def test_a_full_disk_is_an_os_error_and_leaves_no_partial_file(tmp_path, make_planet):
    with writer(tmp_path, rows={1: 3}) as open_writer:
        # A device that is always full stands in for the disk.
        (tmp_path / ".writing-fold-0-00000.tfrecord").symlink_to("/dev/full")
        with pytest.raises(OSError, match="No space left"):
            open_writer.add(1, make_planet(1, 3))
    assert [path.name for path in tmp_path.iterdir()] == [STATE_NAME]


def test_an_unfinished_data_set_says_so_to_its_reader(tmp_path):
    with writer(tmp_path):
        pass
    with pytest.raises(DataError, match="unfinished data set; finish it with the command that began it"):
        Manifest.read(tmp_path)


def test_the_state_is_readable(tmp_path):
    with writer(tmp_path):
        assert json.loads((tmp_path / STATE_NAME).read_text())["planets"]["1"] == 1

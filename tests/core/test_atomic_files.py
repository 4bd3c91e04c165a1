"""Atomic writes: a final name holds the old bytes or all the new ones."""

import errno
import os
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from ariel_tf.core import atomic_files
from ariel_tf.core.errors import DataError, UsageError


def fail_after_writing_half(path):
    path.write_text("half")
    raise OSError("no space")


def test_a_failed_write_leaves_the_old_file_and_no_leftover(tmp_path):
    path = tmp_path / "state.json"
    atomic_files.write_json(path, {"epoch": 1})
    with pytest.raises(OSError, match="no space"), atomic_files.replacing(path) as temporary:
        fail_after_writing_half(temporary)
    assert atomic_files.read_json(path) == {"epoch": 1}
    assert os.listdir(tmp_path) == ["state.json"]


def test_a_full_disk_at_the_flush_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "state.json"
    atomic_files.write_json(path, 1)

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space") as error:
        atomic_files.write_json(path, 2)
    assert error.value.filename == str(path)
    assert atomic_files.read_json(path) == 1
    assert os.listdir(tmp_path) == ["state.json"]


def test_suffixes_are_kept_since_writers_choose_their_format_by_them(tmp_path):
    with atomic_files.replacing(tmp_path / "epoch-00001.weights.h5") as temporary:
        assert temporary.name.endswith(".weights.h5")


def test_what_is_not_json_names_the_file(tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(b"\xff{")
    with pytest.raises(DataError, match=r"config\.json"):
        atomic_files.read_json(path)


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    (tmp_path / ".writing-abc.keras").write_text("half")
    (tmp_path / "best.keras").write_text("whole")
    atomic_files.remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == ["best.keras"]


def test_a_folder_that_does_not_exist_is_named_by_the_final_path(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        atomic_files.write_text(tmp_path / "nowhere" / "a.csv", "")
    assert error.value.filename == str(tmp_path / "nowhere" / "a.csv")


def test_json_of_another_kind_names_the_file(tmp_path):
    atomic_files.write_json(tmp_path / "state.json", [])
    with pytest.raises(DataError, match=r"state.json: expected a JSON dict, received a list"):
        atomic_files.read_json(tmp_path / "state.json", dict)


def test_a_disk_that_is_full_inside_hdf5_is_one_sentence_that_names_the_file(tmp_path, capfd):
    """HDF5 raised a paragraph, some of it as RuntimeError, and printed "Exception ignored" tracebacks."""

    def write(path):
        with atomic_files.replacing_by_library(path) as temporary:
            temporary.unlink()
            temporary.symlink_to("/dev/full")  # a device that is always full stands in for the disk
            file = h5py.File(temporary, "w")
            file["weights"] = np.zeros(10**6)
            file.close()

    path = tmp_path / "epoch-00001.weights.h5"
    with pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device: '[^ ]*'$") as caught:
        write(path)
    assert caught.value.filename == str(path)
    assert os.listdir(tmp_path) == []
    assert capfd.readouterr().err == ""


def test_an_error_that_is_not_the_disk_s_stays_as_it_is(tmp_path):
    with pytest.raises(RuntimeError, match="a bug"), atomic_files.replacing_by_library(tmp_path / "a.keras"):
        raise RuntimeError("a bug")


def test_a_name_that_is_not_utf_8_survives_json_and_can_be_written_as_text(tmp_path):
    name = os.fsdecode(b"noisy_\xe9")
    atomic_files.write_json(tmp_path / "manifest.json", {"light_curves": name})
    assert atomic_files.read_json(tmp_path / "manifest.json") == {"light_curves": name}
    (tmp_path / "manifest.json").read_bytes().decode("utf-8")
    atomic_files.write_text(tmp_path / "README.md", name)
    assert (tmp_path / "README.md").read_text() == "noisy_\\udce9"


def test_a_path_that_is_not_utf_8_is_refused_with_its_bytes_escaped():
    with pytest.raises(UsageError, match=r"out_\\xe9: expected a path in UTF-8"):
        atomic_files.require_utf8(os.fsdecode(b"out_\xe9"))
    atomic_files.require_utf8("Größe")


def test_the_next_writer_removes_what_a_killed_one_left_and_not_what_is_being_written(tmp_path):
    """Temporary files of a killed `predict` stayed in the user's folder."""
    (tmp_path / ".writing-abcdefgh.csv").write_text("half")
    (tmp_path / ".writing-mine.csv").write_text("named by hand")
    with atomic_files.replacing(tmp_path / "a.csv") as temporary:
        atomic_files.write_text(tmp_path / "b.csv", "b")
        temporary.write_text("a")
    assert sorted(os.listdir(tmp_path)) == [".writing-mine.csv", "a.csv", "b.csv"]
    assert (tmp_path / "a.csv").read_text() == "a"


def test_a_temporary_file_that_is_taken_for_a_leftover_before_it_is_locked_is_made_anew(tmp_path, monkeypatch):
    made, real = [], atomic_files.tempfile.mkstemp

    def mkstemp(**options):
        handle, name = real(**options)
        made.append(name)
        if len(made) == 1:
            os.unlink(name)
        return handle, name

    monkeypatch.setattr(atomic_files.tempfile, "mkstemp", mkstemp)
    atomic_files.write_text(tmp_path / "a.csv", "a")
    assert len(made) == 2
    assert os.listdir(tmp_path) == ["a.csv"]


def test_hdf5_which_locks_its_files_itself_writes_into_a_replaced_file(tmp_path):
    with atomic_files.replacing_by_library(tmp_path / "a.h5") as temporary, h5py.File(temporary, "w") as file:
        file["weights"] = np.arange(3)
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert file["weights"][2] == 2


def test_hdf5_writes_into_memory_and_the_disk_sees_one_write(tmp_path, monkeypatch):
    """A disk that refused a write in the middle of a checkpoint ended the process by a segmentation fault."""
    path = tmp_path / "epoch-00001.weights.h5"
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with atomic_files.replacing_by_hdf5(path) as buffer:
        model.save_weights(buffer)
        assert os.listdir(tmp_path) == []
    written = [weight.numpy() for weight in model.weights]
    model.set_weights([np.zeros(weight.shape) for weight in model.weights])
    model.load_weights(path)
    assert all((weight.numpy() == expected).all() for weight, expected in zip(model.weights, written, strict=True))

    def refuse(self, content):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(OSError, match="Input/output error") as caught, atomic_files.replacing_by_hdf5(path) as buffer:
        model.save_weights(buffer)
    assert caught.value.filename == str(path)
    assert os.listdir(tmp_path) == [path.name]


def test_a_temporary_file_that_cannot_be_removed_costs_nothing(tmp_path, monkeypatch):
    """The commit was made, and the command failed before it had removed the checkpoints that no longer count."""

    def refuse(self, missing_ok=False):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(self))

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    atomic_files.write_json(tmp_path / "state.json", 1)
    assert atomic_files.read_json(tmp_path / "state.json") == 1

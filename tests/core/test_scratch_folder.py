"""A result is replaced in one step, and what a killed process left beside it goes."""

import os
from pathlib import Path

import pytest

from ariel_tf.core import scratch_folder as module
from ariel_tf.core.errors import UsageError
from ariel_tf.core.scratch_folder import publish, scratch_folder

PREFIX = ".exporting-"


def make(path: Path, content: str) -> None:
    path.mkdir()
    (path / "saved_model.pb").write_text(content)


def replace(out: Path, content: str) -> None:
    with scratch_folder(out, PREFIX) as scratch:
        make(scratch / out.name, content)
        publish(scratch / out.name, out)


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_folder_is_replaced_and_nothing_is_left(tmp_path, monkeypatch, exchanges):
    if not exchanges:
        monkeypatch.setattr(module, "_exchange", lambda one, other: False)
    for content in ("old", "new"):
        replace(tmp_path / "model", content)
        assert (tmp_path / "model/saved_model.pb").read_text() == content
        assert os.listdir(tmp_path) == ["model"]


def test_the_old_model_or_the_new_one_is_there_at_every_step(tmp_path, monkeypatch):
    """--overwrite removed the old model before the new one had its name."""
    out = tmp_path / "model"
    replace(out, "old")
    seen, real = [], os.fsync

    def look(handle):
        seen.append((out / "saved_model.pb").read_text())
        real(handle)

    monkeypatch.setattr(os, "fsync", look)
    replace(out, "new")
    assert {*seen} == {"old", "new"}


def test_litter_of_killed_exports_goes_and_a_model_that_was_moved_aside_comes_back(tmp_path):
    """.exporting-* stayed for ever."""
    make(tmp_path / ".exporting-abc", "half")
    (tmp_path / ".exporting-model/replaced").mkdir(parents=True)
    make(tmp_path / ".exporting-model/replaced/model", "old")
    with scratch_folder(tmp_path / "model", PREFIX):
        assert sorted(os.listdir(tmp_path)) == [".exporting-model", "model"]
    assert (tmp_path / "model/saved_model.pb").read_text() == "old"
    assert os.listdir(tmp_path) == ["model"]


def test_a_result_that_another_process_is_making_is_refused_and_others_are_left_alone(tmp_path):
    with scratch_folder(tmp_path / "a", PREFIX) as scratch:
        with (
            pytest.raises(UsageError, match="a: another process is writing it"),
            scratch_folder(tmp_path / "a", PREFIX),
        ):
            pass
        with scratch_folder(tmp_path / "b", PREFIX):
            assert scratch.is_dir()


def test_a_folder_that_the_disk_refuses_to_remove_is_tried_again_and_then_reported(tmp_path, monkeypatch, capsys):
    """A file of the replaced model stayed beside the new one, and nothing said so."""
    removals, real = [], module.shutil.rmtree

    def refuse(folder, ignore_errors=False):
        removals.append(folder)
        if len(removals) == refused:
            real(folder)

    for refused in (2, 3):
        removals.clear()
        with monkeypatch.context() as patch:
            patch.setattr(module.shutil, "rmtree", refuse)
            with scratch_folder(tmp_path / "out", ".exporting-"):
                pass
        assert len(removals) == 2
        assert (tmp_path / ".exporting-out").exists() == (refused == 3)
    assert capsys.readouterr().err.count("out could not be removed; the next command") == 1

"""Which folders are text files, and where their targets are."""

from pathlib import Path

import pytest

from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.sources import open_source
from ariel_tf.data.text.folders import text_folders


def laid_out(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_targets_are_beside_light_curves_for_training_only(tmp_path):
    laid_out(tmp_path, "noisy_train/0001_01_01.txt", "noisy_test/0002_01_01.txt.gz", "params_train/0001_01_01.txt")
    assert text_folders(tmp_path / "noisy_train") == (tmp_path / "noisy_train", tmp_path / "params_train", False)
    assert text_folders(tmp_path / "noisy_test") == (tmp_path / "noisy_test", None, False)
    with pytest.raises(UsageError, match="holds noisy_train and noisy_test; name one of the two"):
        text_folders(tmp_path)


def test_a_folder_above_both_kinds_is_both(tmp_path):
    laid_out(tmp_path, "noisy_train/a/0001_01_01.txt", "params_train/0001_01_01.txt")
    assert text_folders(tmp_path) == (tmp_path / "noisy_train", tmp_path / "params_train", True)


def test_light_curves_by_another_name_have_no_targets(tmp_path):
    laid_out(tmp_path, "mine/deep/0001_01_01.txt", "params_train/0001_01_01.txt")
    assert text_folders(tmp_path / "mine") == (tmp_path / "mine", None, False)


@pytest.mark.parametrize("file", ["manifest.json", "notes.txt", "fold-0-00000.tfrecord", "__MACOSX/0001_01_01.txt"])
def test_another_folder_is_no_folder_of_text_files(tmp_path, file):
    laid_out(tmp_path, file)
    assert text_folders(tmp_path) is None
    assert text_folders(tmp_path / "nowhere") is None
    with pytest.raises(DataError, match=r"manifest\.json"):
        open_source(str(tmp_path), range(55))


def test_a_data_set_with_its_text_files_beside_it_is_a_data_set(tmp_path):
    laid_out(tmp_path, "manifest.json", "noisy_train/0001_01_01.txt", "params_train/0001_01_01.txt")
    assert text_folders(tmp_path) is None

"""Detect folders of challenge text files, and find their light curves and targets; no TensorFlow."""

from pathlib import Path
from typing import NamedTuple

from ariel_tf.challenge import parse_name
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.manifest import MANIFEST_NAME
from ariel_tf.data.text.discovery import files_in

TRAIN, TEST, PARAMS = "noisy_train", "noisy_test", "params_train"


class TextFolders(NamedTuple):
    """Folders of one set of text files.

    Attributes:
        light_curves: files with stellar parameters and flux.
        params: files of the targets; None if there are none.
        named: whether the user named a folder above both, rather than the light curves alone.
    """

    light_curves: Path
    params: Path | None
    named: bool


def text_folders(folder: Path) -> TextFolders | None:
    """Return the text files in a folder given as data; None for a data set of shards, and for any other folder.

    Targets are in `params_train`: beside the light curves if their folder is called `noisy_train`, or in the same
    parent folder.

    Raises:
        UsageError: the folder contains light curves for training and for a test.
    """
    if not folder.is_dir() or (folder / MANIFEST_NAME).is_file():
        return None
    sets = [name for name in (TRAIN, TEST) if (folder / name).is_dir()]
    if len(sets) == 2:
        raise UsageError(f"{folder}: holds {TRAIN} and {TEST}; name one of the two, like {folder / TRAIN}")
    if sets:
        light_curves, above = folder / sets[0], folder
    elif _holds_text(folder):
        light_curves, above = folder, folder.absolute().parent
    else:
        return None
    params = above / PARAMS
    labelled = light_curves.absolute().name == TRAIN and params.is_dir()
    return TextFolders(light_curves, params if labelled else None, named=bool(sets))


def _holds_text(folder: Path) -> bool:
    """Whether any file in a folder or its subfolders is called AAAA_BB_CC.txt."""
    for entry in files_in(folder):
        try:
            parse_name(entry.name.removesuffix(".gz"))
        except DataError:
            continue
        if entry.name.endswith((".txt", ".txt.gz")):
            return True
    return False

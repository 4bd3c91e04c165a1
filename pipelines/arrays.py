"""Write the light curves of a data set as NumPy arrays beside the shards, which are read much faster.

    python -m pipelines.arrays DATA                       DATA/arrays, twice the size of the shards
    python -m pipelines.arrays DATA --layout columns      for models of one wavelength only, the size of the shards
    python -m pipelines.arrays DATA --layout rows         for joint models only, the size of the shards

Trainings, evaluations and predictions of DATA then map these files into memory (`ariel_tf.data.array_files`), and
shuffle all rows of a training perfectly whatever their number. The folder DATA/arrays can be removed at any time.
"""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from ariel_tf.core import cli
from ariel_tf.core.errors import DataError, run_command
from ariel_tf.core.resources import format_bytes
from ariel_tf.core.schema import Schema, option
from ariel_tf.core.tf_startup import import_tensorflow
from ariel_tf.data import array_files, dataset_folder
from ariel_tf.data.folds import N_FOLDS
from ariel_tf.data.manifest import Manifest
from pipelines import common

CHOICES = {"columns": (array_files.COLUMNS,), "rows": (array_files.ROWS,), "both": array_files.LAYOUTS}


class Options(Schema):
    """Options of `python -m pipelines.arrays`."""

    data: Path = option(..., "folder written by convert or simulate", metavar="DATA", positional=True)
    layout: str = option(
        "both", "a file for each wavelength, one file of whole observations, or both", choices=tuple(CHOICES)
    )
    overwrite: bool = cli.overwrite("replace existing arrays", group="options")


def write_arrays(options: Options) -> None:
    """Read the shards once and write the arrays.

    Raises:
        UsageError: no space on the disk, or another process writes there.
        DataError: not a data set, or a damaged one.
    """
    data, layouts = options.data, CHOICES[options.layout]
    manifest = Manifest.read(data)
    import_tensorflow()
    from ariel_tf.data.integrity import read_planets
    from ariel_tf.data.sources.tfrecord import TFRecordSource

    handle = dataset_folder.lock(data)
    try:
        if not options.overwrite and set(layouts) <= _layouts_there(data, manifest):
            print(f"{data / array_files.FOLDER}: complete already")
            return
        writer = array_files.ArrayWriter(data, manifest.fingerprint, manifest.rows, layouts)
        try:
            with common.Progress(manifest.rows, "observation") as progress:
                for planet in read_planets(TFRecordSource(data), range(N_FOLDS)):
                    writer.add(planet)
                    progress(len(planet.instances))
            writer.finish()
        except BaseException:
            writer.abandon()
            raise
    finally:
        os.close(handle)
    size = array_files.needed_bytes(manifest.rows, layouts)
    print(f"{data / array_files.FOLDER}: {common.format_count(manifest.rows, 'observation')}, {format_bytes(size)}")
    print(progress.summary)


def _layouts_there(data: Path, manifest: Manifest) -> set[str]:
    """Return the layouts of valid arrays of this data set."""
    with contextlib.suppress(DataError):
        found = array_files.open_arrays(data, manifest.fingerprint)
        return set(found.layouts) if found else set()
    return set()


def parser() -> cli.Parser:
    return cli.Parser("pipelines.arrays", __doc__, Options, examples=["DATA", "DATA --layout columns"])


def main(arguments: Sequence[str] | None = None) -> None:
    options = Options.from_flags(parser().parse_args(arguments))
    with common.stopping("stopped; nothing was written: start again"):
        write_arrays(options)


if __name__ == "__main__":
    run_command(main)

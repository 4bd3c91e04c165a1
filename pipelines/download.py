"""Download a data set from BigQuery as shards, byte for byte those that were uploaded.

    python -m pipelines.download bigquery://PROJECT/DATASET OUT

Every shard's sha256 is compared with the manifest's. Repeat the command to resume after an interruption. Tables of the
classic layout (`--layout classic`) never were shards; they become a data set of the same planets and folds.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.core import cli
from ariel_tf.core.atomic_files import replacing, require_utf8, sha256
from ariel_tf.core.errors import ArielError, DataError, run_command
from ariel_tf.core.schema import Schema, option
from ariel_tf.core.tf_startup import import_tensorflow
from ariel_tf.data.bigquery.address import Address, add_flags
from ariel_tf.data.bigquery.cost import print_cost
from ariel_tf.data.dataset_folder import claim, clean, complete_already, install, lock
from ariel_tf.data.manifest import MANIFEST_NAME, STATISTICS_NAME, Manifest, Shard
from pipelines import common

WAVELENGTHS = range(N_WAVELENGTHS)
COMPLETE = "complete already"


def write_shard(source: Any, shard: Shard, folder: Path, progress: Callable[[int], None] = lambda _: None) -> Shard:
    """Write one shard of an open `BigQuerySource`; it replaces a file of that name only when it is complete.

    Returns:
        what was written; its sha256 shows whether it equals the upload.
    """
    from ariel_tf.data.shards import OpenShard, PlannedShard

    written = OpenShard(folder, PlannedShard(shard.name, shard.fold, shard.planets))
    try:
        for planet in source.planets_of([shard], WAVELENGTHS, white=True):
            written.add(planet)
            progress(len(planet.instances))
        closed = written.close()
    except BaseException:
        written.abandon()
        raise
    assert closed is not None  # a shard has planets
    return closed


def download_shards(source: Any, out: Path, overwrite: bool) -> tuple[Manifest, str]:
    """Write the shards of a data set as it was uploaded.

    Raises:
        UsageError: `out` contains another data set.
        DataError: a shard differs from the upload.
    """
    manifest, files = source.uploaded.manifest, source.uploaded.files
    state = {"schema": manifest.schema, "labelled": manifest.labelled, "fold_seed": manifest.fold_seed}
    if not overwrite and complete_already(out, lambda found: found.fingerprint == manifest.fingerprint):
        return manifest, COMPLETE
    handle = lock(out)
    try:
        work = claim(out, state | {"fingerprint": manifest.fingerprint}, overwrite)
        done = [shard for shard in manifest.shards if _is_there(work, shard)]
        _check_space(work, [shard for shard in manifest.shards if shard not in done])
        with common.Progress(manifest.rows, "observation", sum(shard.rows for shard in done)) as progress:
            for shard in manifest.shards:
                if shard not in done and write_shard(source, shard, work, progress) != shard:
                    raise DataError(
                        f"{source.description}: {shard.name} is not what was uploaded, byte for byte; "
                        f"`python -m pipelines.check {source.description}` reports what is wrong"
                    )
        for name in (STATISTICS_NAME, MANIFEST_NAME):  # the manifest last, since it makes the folder a data set
            with replacing(work / name) as temporary:
                temporary.write_bytes(files[name])
        if work == out:
            clean(out, manifest)
        else:
            install(out)
    finally:
        os.close(handle)
    return manifest, progress.summary


def _is_there(folder: Path, shard: Shard) -> bool:
    path = folder / shard.name
    return path.is_file() and path.stat().st_size == shard.bytes and sha256(path) == shard.sha256


def _check_space(folder: Path, shards: Sequence[Shard]) -> None:
    needed, free = sum(shard.bytes for shard in shards), shutil.disk_usage(folder).free
    if needed > free:
        raise ArielError(f"{folder}: {needed / 1e6:.1f} MB are needed, only {free / 1e6:.1f} MB are free")


def convert_classic(source: Any, out: Path, overwrite: bool) -> tuple[Manifest, str]:
    """Write tables of the classic layout as a data set."""
    from ariel_tf.data.writer import DatasetWriter

    layout = source.layout
    settings = {"address": source.description, "fingerprint": source.fingerprint}
    options = {"labelled": layout.labelled, "fold_seed": layout.fold_seed, "settings": settings, "overwrite": overwrite}
    writer = DatasetWriter(out, layout.observations, **options)
    kind = {"kind": "BigQuery", **settings}
    if not overwrite and complete_already(out, lambda found: writer.wrote(found, kind)):
        return Manifest.read(out), COMPLETE
    with writer:
        left = {*writer.pending}
        parts = [part for part in layout.parts if left & {*part.planets}]
        done = sum(layout.observations.values()) - sum(part.rows for part in parts)
        with common.Progress(done + sum(part.rows for part in parts), "observation", done) as progress:
            for planet in source.planets_of(parts, WAVELENGTHS, white=True):
                writer.add(planet.number, planet)
                progress(len(planet.instances))
        return writer.finish(kind), progress.summary


class Options(Schema):
    """Options of `python -m pipelines.download`."""

    data: str = option(..., "bigquery://PROJECT/DATASET", metavar="DATA", positional=True)
    out: Path = option(..., "folder to write into, created if necessary", metavar="OUT", positional=True)
    overwrite: bool = cli.overwrite("remove an existing data set", group="options")
    dry_run: bool = cli.dry_run("print how many bytes a download scans and what it costs, and stop", group="options")
    price: float | None = cli.price()


def parser() -> cli.Parser:
    examples = ["bigquery://PROJECT/DATASET DATA", "bigquery://PROJECT/DATASET DATA --dry-run --price 1.1"]
    made = cli.Parser("pipelines.download", __doc__, Options, examples=examples)
    add_flags(made, ("layout", "endpoint", "storage", "reader"))
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    given = parser().parse_args(arguments)
    options = Options.from_flags(given)
    address = Address.parse(options.data).with_options(given)
    import_tensorflow(start_devices=False)
    from ariel_tf.data.sources.bigquery import BigQuerySource

    require_utf8(options.out)
    source = BigQuerySource(address, WAVELENGTHS)
    if options.dry_run:
        print_cost(source, options.price)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    download = convert_classic if address.layout == "classic" else download_shards
    with common.stopping("stopped; repeat the command to download the missing shards"):
        manifest, summary = download(source, options.out, options.overwrite)
    common.report_dataset(options.out, manifest, summary)


if __name__ == "__main__":
    run_command(main)

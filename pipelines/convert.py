"""Convert challenge text files to a data set of TFRecord shards with a manifest.

    python -m pipelines.convert --light-curves noisy_train --params params_train --out DATA
    python -m pipelines.convert --light-curves noisy_test --out TEST

    folders ── find_files ──▶ key: path ── group ──▶ one task a planet ── read_planet, in --jobs processes ──▶ Planet
                                                                                                          │
                                              DATA/fold-*.tfrecord, manifest.json ◀── DatasetWriter (here) ┘

After any interruption the same command resumes. A bad file does not stop the reading: all faults are listed at the end
and no data set is written (exit code 3), unless --skip-bad skips the bad files and records them in the manifest.
"""

import contextlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ariel_tf.core import cli
from ariel_tf.core.errors import DataError, UsageError, run_command
from ariel_tf.core.schema import option
from ariel_tf.core.tf_startup import import_tensorflow
from ariel_tf.data.dataset_folder import complete_already
from ariel_tf.data.manifest import MANIFEST_NAME
from ariel_tf.data.text.discovery import FoundFiles, PlanetFiles, find_files, group
from ariel_tf.data.text.planet import read_planet
from pipelines import common

if TYPE_CHECKING:
    from ariel_tf.data.writer import DatasetWriter


class Options(common.DatasetOptions):
    """What `python -m pipelines.convert` takes."""

    light_curves: Path = cli.light_curves(..., "folder of challenge text files, noisy_train or noisy_test")
    params: Path | None = option(None, "folder of their targets, params_train; leave out for a test set", metavar="DIR")
    out: Path = cli.out("folder of the data set to write", "DATA")
    skip_bad: bool = option(False, "skip bad files and record them in the manifest")


def convert(options: Options) -> None:
    """Find, read, write; see the module's docstring."""
    light_curves = find_files(_folder(options.light_curves, "--light-curves", options.out))
    params = None
    if options.params is not None:
        params = find_files(_folder(options.params, "--params", options.out))
    tasks, faults = group(light_curves, params)
    faults = light_curves.faults + (params.faults if params else []) + faults
    if not tasks:
        what = "light curves with targets" if params else "light curves"
        raise DataError(f"{options.light_curves}: expected {what} AAAA_BB_CC.txt, found none", list(map(str, faults)))

    import_tensorflow(start_devices=False)  # only here: it takes seconds
    from ariel_tf.data.writer import DatasetWriter

    writer = DatasetWriter(
        options.out,
        rows={task.number: len(task.light_curves) for task in tasks},
        labelled=params is not None,
        fold_seed=options.fold_seed,
        shard_bytes=options.shard_bytes,
        inputs=_inputs(light_curves, params),
        skip_bad=options.skip_bad,
        overwrite=options.overwrite,
    )
    source = {"kind": "challenge text files", "light_curves": str(options.light_curves)}
    source["params"] = str(options.params) if params else "none"
    changed = max(light_curves.changed, params.changed if params else 0)
    if not options.overwrite and (options.skip_bad or not faults):
        manifest_path = options.out / MANIFEST_NAME
        if complete_already(
            options.out, lambda found: changed < manifest_path.stat().st_mtime_ns and writer.wrote(found, source)
        ):
            print(f"{options.out}: complete already")
            return
    with writer:
        summary = _read_all(tasks, writer, options)
        all_faults = [*map(str, faults), *writer.faults]
        if writer.faults or (faults and not options.skip_bad):
            found = "1 fault was" if len(all_faults) == 1 else f"{len(all_faults)} faults were"
            raise DataError(
                f"{found} found, so no data set was written: mend or remove these files, or add --skip-bad",
                all_faults,
            )
        manifest = writer.finish(source, [fault.entry() for fault in faults])
    common.report_dataset(options.out, manifest, summary)


def _inputs(*folders: FoundFiles | None) -> dict[int, str]:
    """For each planet the names, sizes and times of its files: what a continued run must find unchanged."""
    stamps: dict[int, list[tuple]] = {}
    for found in folders:
        for key, stamp in sorted(found.stamps.items()) if found else ():
            stamps.setdefault(key.planet, []).append((key.name, *stamp))
    return {number: repr(stamp) for number, stamp in stamps.items()}


def _read_all(tasks: list[PlanetFiles], writer: "DatasetWriter", options: Options) -> str:
    """Read every planet that the writer still wants, and give it each."""
    total = sum(len(task.light_curves) for task in tasks)
    by_number = {task.number: task for task in tasks}
    pending = [by_number[number] for number in writer.pending]
    done = total - sum(len(task.light_curves) for task in pending)
    read = partial(read_planet, skip_bad=options.skip_bad)
    results = common.in_order(read, pending, options.jobs)
    with common.Progress(total, "observation", done) as progress, contextlib.closing(results):
        for result in results:
            skipped = [fault.entry() for fault in result.faults] if options.skip_bad else []
            refused = [] if options.skip_bad else list(map(str, result.faults))
            writer.add(result.number, result.planet, skipped, refused)
            progress(result.files)
    return progress.summary


def _folder(path: Path, option: str, out: Path) -> Path:
    if not path.is_dir():
        raise UsageError(f"{option}: expected a folder of challenge text files, found none at {path}")
    if out.resolve().is_relative_to(path.resolve()):
        raise UsageError(f"--out {out} lies inside {option} {path}: choose a folder beside it")
    return path


def parser() -> cli.Parser:
    examples = [
        "--light-curves noisy_train --params params_train --out DATA",
        "--light-curves noisy_test --out TEST --skip-bad --jobs 8",
    ]
    return cli.Parser("pipelines.convert", __doc__, Options, examples=examples)


def main(arguments: Sequence[str] | None = None) -> None:
    options = Options.from_flags(parser().parse_args(arguments))
    with common.stopping("stopped; the same command goes on after the shards that are complete"):
        convert(options)


if __name__ == "__main__":
    run_command(main)

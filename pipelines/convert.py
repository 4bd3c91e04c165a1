"""Convert challenge text files, or ESA Datalabs pickles, to a data set of TFRecord shards with a manifest.

    python -m pipelines.convert --light-curves noisy_train --params params_train --out DATA
    python -m pipelines.convert --light-curves noisy_test --out TEST
    python -m pipelines.convert --pickle ADC21esac_train.pkl --out DATA

    folders ── find_files ──▶ key: path ── group ──┐
    pickles ── read_release ──▶ key: place in file ┴▶ one task a planet ── read_planet, in --jobs processes ──▶ Planet
                                                                                                          │
                                              DATA/fold-*.tfrecord, manifest.json ◀── DatasetWriter (here) ┘

After any interruption the same command resumes. A bad file does not stop the reading: all faults are listed at the end
and no data set is written (exit code 3), unless --skip-bad skips the bad files and records them in the manifest.
Several machines that share the folders convert a part each (--part 3/8); --finish then writes the manifest.
Pickles are never unpickled (`ariel_tf.data.pickles.machine`): no code of the file runs, and its arrays stay in it.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ariel_tf.core import cli
from ariel_tf.core.errors import DataError, UsageError, run_command
from ariel_tf.core.schema import option
from ariel_tf.core.tf_startup import import_tensorflow
from ariel_tf.data.dataset_folder import complete_already
from ariel_tf.data.manifest import MANIFEST_NAME
from ariel_tf.data.pickles import planet as pickles_planet
from ariel_tf.data.pickles.releases import read_release
from ariel_tf.data.text.discovery import Fault, FoundFiles, find_files, group, no_folder, refuse_other_kind
from ariel_tf.data.text.planet import PlanetRead, read_planet
from pipelines import common

if TYPE_CHECKING:
    from ariel_tf.data.writer import DatasetWriter


class Options(common.PartOptions):
    """Options of `python -m pipelines.convert`."""

    light_curves: Path | None = cli.light_curves(None, "folder of challenge text files, noisy_train or noisy_test")
    params: Path | None = option(None, "folder of their targets, params_train; leave out for a test set", metavar="DIR")
    pickle: tuple[Path, ...] = option(
        (), "pickles of ESA Datalabs, all of one set: ADC21esac_train.pkl, or train_X_data.pkl train_X_params.pkl ...",
        metavar="FILE", nargs="+"
    )  # fmt: skip
    out: Path = cli.out("folder of the data set to write", "DATA")
    skip_bad: bool = option(False, "skip bad files and record them in the manifest")


@dataclass(frozen=True)
class Planets:
    """Planets to convert, none of which is read yet.

    Attributes:
        tasks: one per planet, each with a number and its light curves by key.
        read: function from a task to its result; runs in worker processes.
        labelled: whether there are targets.
        faults: faults found before light curves are read.
        stamps: for each planet a text that must be unchanged when a run is resumed.
        changed: time of the last change of any of the files, in ns.
        source: for the manifest.
        what: description of the files or observations that can be left out.
    """

    tasks: Sequence[Any]
    read: Callable[[Any], PlanetRead]
    labelled: bool
    faults: list[Fault]
    stamps: dict[int, str]
    changed: int
    source: dict[str, str]
    what: str


def text_planets(options: Options) -> Planets:
    """Return the planets in folders of text files."""
    if options.light_curves is None:
        raise UsageError("expected --light-curves, a folder of challenge text files, or --pickle.")
    light_curves = find_files(_folder(options.light_curves, "--light-curves", options.out))
    refuse_other_kind(options.light_curves, light_curves, params=False)
    params = None
    if options.params is not None:
        params = find_files(_folder(options.params, "--params", options.out))
        refuse_other_kind(options.params, params, params=True)
    tasks, faults = group(light_curves, params)
    faults = light_curves.faults + (params.faults if params else []) + faults
    if not tasks:
        found = "expected light curves AAAA_BB_CC.txt, found none."
        if params and light_curves.paths:
            found = f"no planet has a file in --params {options.params}; leave --params out for a test set."
        raise DataError(f"{options.light_curves}: {found}", list(map(str, faults)))
    source = {"kind": "challenge text files", "light_curves": str(options.light_curves)}
    source["params"] = str(options.params) if params else "none"
    changed = max(light_curves.changed, params.changed if params else 0)
    read = partial(read_planet, skip_bad=options.skip_bad)
    stamps = _stamps(light_curves, params)
    return Planets(tasks, read, params is not None, faults, stamps, changed, source, "files")


def pickled_planets(options: Options) -> Planets:
    """Return the planets in pickles."""
    if options.light_curves is not None or options.params is not None:
        raise UsageError("--pickle: expected without --light-curves and --params.")
    for path in options.pickle:
        if not path.is_file():
            raise UsageError(f"--pickle: expected a file, found none at {path}")
    with common.Progress(sum(path.stat().st_size for path in options.pickle), "byte") as progress:
        release = read_release(options.pickle, progress)
    names = ", ".join(map(str, options.pickle))
    if not release.tasks:
        raise DataError(f"{names}: expected light curves, found none", list(map(str, release.faults)))
    status = [path.stat() for path in options.pickle]
    stamp = repr([(str(path), one.st_size, one.st_mtime_ns) for path, one in zip(options.pickle, status, strict=True)])
    read = partial(pickles_planet.read_planet, skip_bad=options.skip_bad)
    source = {"kind": "pickles of ESA Datalabs", "files": names}
    stamps = {task.number: stamp for task in release.tasks}
    changed = max(one.st_mtime_ns for one in status)
    return Planets(release.tasks, read, release.labelled, release.faults, stamps, changed, source, "observations")


def planets_of(options: Options) -> Planets:
    """Return the planets that the options name.

    Raises:
        UsageError: neither folders nor pickles are given, or both.
        DataError: there are no planets.
    """
    return pickled_planets(options) if options.pickle else text_planets(options)


def convert(options: Options) -> None:
    """Find, read, write; see the module's docstring."""
    planets = planets_of(options)
    import_tensorflow(start_devices=False)  # only here: it takes seconds
    from ariel_tf.data.writer import DatasetWriter

    writer = DatasetWriter(
        options.out,
        rows={task.number: len(task.light_curves) for task in planets.tasks},
        labelled=planets.labelled,
        fold_seed=options.fold_seed,
        shard_bytes=options.shard_bytes,
        inputs=planets.stamps,
        skip_bad=options.skip_bad,
        overwrite=options.overwrite,
        part=options.which,
    )
    if not options.overwrite and (options.skip_bad or not planets.faults):
        manifest_path = options.out / MANIFEST_NAME
        if complete_already(
            options.out,
            lambda found: planets.changed < manifest_path.stat().st_mtime_ns and writer.wrote(found, planets.source),
        ):
            print(f"{options.out}: complete already")
            return
    with writer:
        common.refuse_missing(writer, options)
        summary = _read_all(planets, writer, options)
        all_faults = [*map(str, planets.faults), *writer.faults]
        if writer.faults or (planets.faults and not options.skip_bad):
            found = "1 fault was" if len(all_faults) == 1 else f"{len(all_faults)} faults were"
            raise DataError(
                f"{found} found, so the data set is unfinished: mend these {planets.what} and repeat the command, or "
                "add --skip-bad to leave them out",
                all_faults,
            )
        if writer.part:
            common.report_part(writer, summary)
            return
        manifest = writer.finish(planets.source, [fault.entry() for fault in planets.faults])
    common.report_dataset(options.out, manifest, summary)


def _stamps(*folders: FoundFiles | None) -> dict[int, str]:
    """Return for each planet the names, sizes and times of its files."""
    stamps: dict[int, list[tuple]] = {}
    for found in folders:
        for key, stamp in sorted(found.stamps.items()) if found else ():
            stamps.setdefault(key.planet, []).append((key.name, *stamp))
    return {number: repr(stamp) for number, stamp in stamps.items()}


def _read_all(planets: Planets, writer: "DatasetWriter", options: Options) -> str:
    """Read every pending planet and pass it to the writer; return the summary of the progress."""
    by_number = {task.number: task for task in planets.tasks}
    pending = [by_number[number] for number in writer.pending]
    done = writer.own_rows - sum(len(task.light_curves) for task in pending)
    results = common.in_order(planets.read, pending, options.jobs)
    with common.Progress(writer.own_rows, "observation", done) as progress, contextlib.closing(results):
        for result in results:
            skipped = [fault.entry() for fault in result.faults] if options.skip_bad else []
            refused = [] if options.skip_bad else list(map(str, result.faults))
            writer.add(result.number, result.planet, skipped, refused)
            progress(result.files)
    return progress.summary


def _folder(path: Path, option: str, out: Path) -> Path:
    if not path.is_dir():
        raise UsageError(f"{option} {path}: {no_folder(path)}.")
    if out.resolve().is_relative_to(path.resolve()):
        raise UsageError(f"--out {out} is inside {option} {path}: choose a folder beside it")
    return path


def parser() -> cli.Parser:
    examples = [
        "--light-curves noisy_train --params params_train --out DATA",
        "--light-curves noisy_test --out TEST --skip-bad --jobs 8",
        "--pickle ADC21esac_train.pkl --out DATA",
        "--light-curves noisy_train --params params_train --out DATA --part 3/8",
    ]
    return cli.Parser("pipelines.convert", __doc__, Options, examples=examples)


def main(arguments: Sequence[str] | None = None) -> None:
    options = Options.from_flags(parser().parse_args(arguments))
    with common.stopping("stopped; repeat the command to resume after the last complete shard"):
        convert(options)


if __name__ == "__main__":
    run_command(main)

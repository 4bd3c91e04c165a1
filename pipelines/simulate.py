"""Simulate planets as a data set of TFRecord shards, as challenge text files, or both.

    python -m pipelines.simulate DATA --planets 40 --spots 2 --photons 2 --seed 7
    python -m pipelines.simulate DATA --planets 40 --test-planets 10 --format both
    python -m pipelines.simulate DATA --planets 40 --prior impact_high=0.7 --prior extended_share=0

    tfrecord   OUT/fold-*.tfrecord, OUT/manifest.json     and of the test planets, without targets, OUT/test/...
    text       OUT/noisy_train/*.txt, OUT/params_train/*.txt        and of the test planets OUT/noisy_test/*.txt

The same seed gives the same bytes, with any number of processes and after any interruption. Test planets have the
numbers after the training planets', and simulating them as training planets gives their targets.
"""

import contextlib
import dataclasses
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ariel_tf.challenge import Key
from ariel_tf.core import cli
from ariel_tf.core.atomic_files import read_json, remove_leftovers, sha256, write_json
from ariel_tf.core.checksum_files import FOLDER_SUMS, write_sums
from ariel_tf.core.errors import UsageError, run_command
from ariel_tf.core.schema import option
from ariel_tf.core.tf_startup import import_tensorflow
from ariel_tf.data.dataset_folder import complete_already
from ariel_tf.data.manifest import Manifest
from ariel_tf.data.text.format import write_light_curve, write_params
from ariel_tf.physics import simulator
from ariel_tf.physics.priors import Priors
from ariel_tf.planet import Planet
from pipelines import common

if TYPE_CHECKING:
    from ariel_tf.data.writer import DatasetWriter

MAX_PLANETS = 9999  # largest number that the AAAA of a file's name can hold
TEXT_STATE = "simulation.json"


class Options(common.PartOptions):
    """Options of `python -m pipelines.simulate`."""

    out: Path = option(..., "folder to write into, created if necessary", metavar="OUT", positional=True)
    planets: int = option(40, "number of training planets", low=1, metavar="N")
    test_planets: int = option(0, "number of test planets, without targets", low=0, metavar="N")
    spots: int = option(2, "spot instances of each planet", low=1, high=99, metavar="N")
    photons: int = option(2, "photon-noise instances of each spot instance", low=1, high=99, metavar="N")
    seed: int = option(0, "random seed of the population and the noise", low=0, metavar="N")
    prior: tuple[str, ...] = option(
        (), "change a parameter of the population, from ariel_tf/physics/priors.py; repeatable", append=True,
        metavar="NAME=NUMBER"
    )  # fmt: skip
    format: str = option("tfrecord", "format of the files", choices=("tfrecord", "text", "both"))

    @property
    def priors(self) -> Priors:
        """Return the population of --prior."""
        return Priors.parse(self.prior)


def make_planet(number: int, seed: int, spots: int, photons: int, priors: Priors, labelled: bool) -> Planet:
    """Return one simulated planet; a test planet without its orbit and radii."""
    planet = simulator.simulate_planet(seed, number, spots, photons, priors)
    if labelled:
        return planet
    return dataclasses.replace(planet, orbit=planet.orbit * np.nan, radii=planet.radii * np.nan)


@dataclass(frozen=True)
class Part:
    """The training or the test planets of a simulation, and their destination."""

    numbers: range
    labelled: bool
    shards: Path
    light_curves: Path
    params: Path | None


def parts(options: Options) -> list[Part]:
    """Return training planets 1 to N, then the test planets."""
    out, last = options.out, options.planets
    train = Part(range(1, last + 1), True, out, out / "noisy_train", out / "params_train")
    test = Part(range(last + 1, last + options.test_planets + 1), False, out / "test", out / "noisy_test", None)
    return [part for part in (train, test) if part.numbers]


def open_writer(part: Part, options: Options) -> "DatasetWriter":
    """Return the writer of one part's shards; entering it claims their folder."""
    import_tensorflow(start_devices=False)  # only here, since it takes seconds
    from ariel_tf.data.writer import DatasetWriter

    return DatasetWriter(
        part.shards,
        dict.fromkeys(part.numbers, options.spots * options.photons),
        labelled=part.labelled,
        fold_seed=options.fold_seed,
        shard_bytes=options.shard_bytes,
        settings=settings_of(options),
        overwrite=options.overwrite,
        part=options.which,
    )


def is_finished(part: Part, options: Options) -> bool:
    """Whether an earlier run has completed this part."""

    def is_same(manifest: Manifest) -> bool:
        return (
            manifest.source == source_of(options)
            and manifest.planets.keys() == set(part.numbers)
            and (manifest.labelled, manifest.fold_seed) == (part.labelled, options.fold_seed)
        )

    return complete_already(part.shards, is_same)


def simulate_shards(part: Part, writer: "DatasetWriter", options: Options) -> None:
    """Write one part as a data set of TFRecord shards, in the folder that its writer holds."""
    common.refuse_missing(writer, options)
    rows, pending = options.spots * options.photons, writer.pending
    planets = common.in_order(maker(part, options), pending, options.jobs)
    done = writer.own_rows - len(pending) * rows
    with common.Progress(writer.own_rows, "observation", done) as progress, contextlib.closing(planets):
        for planet in planets:
            writer.add(planet.number, planet)
            progress(rows)
    if writer.part:
        return common.report_part(writer, progress.summary)
    return common.report_dataset(part.shards, writer.finish(source_of(options)), progress.summary)


def simulate_text(part: Part, options: Options) -> dict[str, str]:
    """Write one part as challenge text files, in worker processes: each file is written by one worker.

    Returns:
        SHA-256 by file name, relative to the folder of all parts.
    """
    for folder in (part.light_curves, part.params):
        if folder is not None:
            folder.mkdir(exist_ok=True)
    rows = options.spots * options.photons
    keys = [
        [Key(number, spot + 1, photon + 1) for spot in range(options.spots) for photon in range(options.photons)]
        for number in part.numbers
    ]
    write = partial(write_planet, make=maker(part, options), light_curves=part.light_curves, params=part.params)
    written = common.in_order(write, keys, options.jobs)
    sums: dict[str, str] = {}
    with common.Progress(len(keys) * rows, "observation") as progress, contextlib.closing(written):
        for its in written:
            sums |= its
            progress(rows)
    made = f"{common.format_count(len(keys), 'planet')}, {common.format_count(len(keys) * rows, 'observation')}"
    print(f"{part.light_curves}: {made}, as text; {progress.summary}")
    light_curves = f"--light-curves {shlex.quote(str(part.light_curves))}"
    if part.params:
        print(f"next: python -m pipelines.convert {light_curves} --params {shlex.quote(str(part.params))} --out data")
    else:
        print(f"next: python -m ariel_tf.predict {light_curves} --out submission.txt")
    return sums


def write_planet(
    keys: Sequence[Key], make: Callable[[int], Planet], light_curves: Path, params: Path | None
) -> dict[str, str]:
    """Write the text files of all observations of one planet, unless an interrupted run has written them all.

    A file has its name only when it is complete, so an existing one need not be written again.

    Returns:
        SHA-256 by file name, relative to the folder of all parts; empty if an earlier run has written those of all.
    """
    folders = [folder for folder in (light_curves, params) if folder is not None]
    paths = [folder / f"{key.name}.txt" for folder in folders for key in keys]
    if all(path.exists() for path in paths):
        known = (light_curves.parent / FOLDER_SUMS).exists()
        return {} if known else {f"{path.parent.name}/{path.name}": sha256(path) for path in paths}
    planet, sums = make(keys[0].planet), {}
    for row, key in enumerate(planet.keys):
        name = f"{key.name}.txt"
        sums[f"{light_curves.name}/{name}"] = write_light_curve(light_curves / name, planet.star, planet.flux[:, row])
        if params is not None:
            sums[f"{params.name}/{name}"] = write_params(params / name, planet.orbit, planet.radii)
    return sums


def maker(part: Part, options: Options) -> Callable[[int], Planet]:
    settings = {name: getattr(options, name) for name in ("seed", "spots", "photons", "priors")}
    return partial(make_planet, **settings, labelled=part.labelled)


def check_priors(options: Options) -> None:
    """Simulate one planet of a population of --prior, so that impossible parameters are refused immediately."""
    if options.priors.changes():
        try:
            with np.errstate(all="raise", under="ignore"):
                simulator.draw_system(options.seed, 1, options.priors)
        except (ValueError, FloatingPointError) as error:
            given = ", ".join(options.prior)
            raise UsageError(f"--prior: these numbers make no planet ({error}). Received: {given}") from error


def settings_of(options: Options) -> dict[str, Any]:
    names = ("seed", "spots", "photons")
    settings = {"simulator_version": simulator.VERSION} | {name: getattr(options, name) for name in names}
    changes = options.priors.changes()
    return settings | {"priors": changes} if changes else settings


def source_of(options: Options) -> dict[str, Any]:
    return {"kind": "simulated", **settings_of(options)}


def _text_files(options: Options) -> list[Path]:
    """Return the text files in OUT; refuse those of another simulation, unless --overwrite."""
    state = options.out / TEXT_STATE
    files = [path for folder in _text_folders(options) for path in folder.glob("[0-9]*_[0-9]*_[0-9]*.txt")]
    if files and not options.overwrite and not (state.is_file() and read_json(state) == _text_settings(options)):
        raise UsageError(
            f"{options.out} holds text files of other planets or settings: use another folder, or --overwrite"
        )
    return files


def _text_folders(options: Options) -> list[Path]:
    """Return the existing folders of text files."""
    folders = (options.out / name for name in ("noisy_train", "params_train", "noisy_test"))
    return [folder for folder in folders if folder.is_dir()]


def _text_settings(options: Options) -> dict[str, Any]:
    return settings_of(options) | {"planets": options.planets, "test_planets": options.test_planets}


def _claim_text_folder(options: Options, files: Sequence[Path]) -> None:
    """Remove all text files from OUT except those of the same simulation."""
    if options.overwrite or not files:
        (options.out / FOLDER_SUMS).unlink(missing_ok=True)
    for path in files if options.overwrite else ():
        path.unlink()
    options.out.mkdir(parents=True, exist_ok=True)
    remove_leftovers(options.out)
    write_json(options.out / TEXT_STATE, _text_settings(options))


def simulate(options: Options) -> None:
    """Simulate and write; see the module's docstring."""
    text = options.format in ("text", "both")
    if text and (options.part or options.finish):
        raise UsageError("--part and --finish: expected --format tfrecord; text files are written by one machine.")
    total = options.planets + options.test_planets
    if text and total > MAX_PLANETS:
        raise UsageError(
            f"--format {options.format}: expected {MAX_PLANETS} planets at most, the numbers that a file's name can "
            f"hold; --format tfrecord holds more. Received: {total}"
        )
    files = _text_files(options) if text else []
    with contextlib.ExitStack() as stack:
        # Every folder is claimed, or refused, before the first planet is simulated.
        writers = []
        for part in parts(options) if options.format in ("tfrecord", "both") else ():
            if not options.overwrite and is_finished(part, options):
                print(f"{part.shards}: complete already")
            else:
                writers.append((part, stack.enter_context(open_writer(part, options))))
        if text:
            _claim_text_folder(options, files)
            sums: dict[str, str] = {}
            for part in parts(options):
                sums |= simulate_text(part, options)
            if not (options.out / FOLDER_SUMS).exists():
                write_sums(options.out, sums)
        for part, writer in writers:
            simulate_shards(part, writer, options)


def parser() -> cli.Parser:
    examples = [
        "DATA --planets 1000 --spots 4",
        "DATA --planets 40 --test-planets 10 --format both",
        "DATA --prior impact_high=0.7 --prior extended_share=0",
    ]
    return cli.Parser("pipelines.simulate", __doc__, Options, examples=examples)


def main(arguments: Sequence[str] | None = None) -> None:
    options = Options.from_flags(parser().parse_args(arguments))
    check_priors(options)
    with common.stopping("stopped; repeat the command to write the missing files"):
        simulate(options)


if __name__ == "__main__":
    run_command(main)

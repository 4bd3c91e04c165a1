"""From the command line to `SearchOptions`; no TensorFlow, so that `--help` and mistakes take no time."""

import argparse
import dataclasses
import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ariel_tf.config import train_options as flags
from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import Configuration
from ariel_tf.core.devices import DEVICES_HELP, parse_devices
from ariel_tf.core.errors import UsageError
from ariel_tf.training import cluster
from ariel_tf.training import job as training_job
from tuning import wandb_log
from tuning.space import Space, parse_search, read_space

ALGORITHMS = ("random", "bayesian", "hyperband")
ALONE = "worker0"


@dataclass(frozen=True)
class SearchOptions:
    """What is searched and how.

    Attributes:
        space: what is searched.
        algorithm: one of `ALGORITHMS`.
        trials: at most.
        arguments: of the command, which the user repeats to resume.
        path: run folder; None for one named after the search.
        overwrite: move an earlier search aside.
        first: chosen values to try first, from searches before this one.
        jobs: number of worker processes on this machine.
        chief, worker: HOST:PORT, or None.
        worker_name: name of this worker.
        devices: devices of each trial, as `devices.parse_devices` reads them.
        track: one of `wandb_log.SERVICES`.
        each: wavelengths to search for one after another; empty for that of the space alone.
        brief: print two lines at the end; for one search of many.
        dry_run: print what would be searched.
    """

    space: Space
    algorithm: str
    trials: int
    arguments: tuple[str, ...]
    path: Path | None
    overwrite: bool = False
    first: tuple[Mapping[str, Any], ...] = ()
    jobs: int = 1
    chief: str | None = None
    worker: str | None = None
    worker_name: str = ALONE
    devices: str = "auto"
    track: str = "none"
    each: tuple[int, ...] = ()
    brief: bool = False
    dry_run: bool = False

    @property
    def command(self) -> str:
        return shlex.join(["python", "-m", "tuning.search", *self.arguments])


def parse_options(arguments: Sequence[str]) -> SearchOptions:
    """Parse a command line.

    Raises:
        UsageError: options that do not fit, or not together.
    """
    options = parser().parse_args(arguments)
    space = space_from(options)
    targets = space.base.wavelength
    check_list(options, targets)
    each = targets.chosen if targets.is_list else ()
    if each:
        space = dataclasses.replace(space, base=space.base.for_each_wavelength()[each[0]])
    if sum(map(bool, (options.jobs > 1, options.chief, options.worker))) > 1:
        raise UsageError("--jobs, --chief and --worker: expected one of them.")
    if cluster.task()[1] > 1:
        raise UsageError("TF_CONFIG: a trial trains on one host; --chief and --worker spread a search over several.")
    parse_devices(options.devices)
    wandb_log.check(options.track)
    if (options.chief or options.worker) and not options.run:
        raise UsageError("--chief and --worker: expected --run with them, a folder that all of them see.")
    return SearchOptions(
        space=space,
        algorithm=options.algorithm,
        trials=options.trials,
        arguments=tuple(argument for argument in arguments if argument != "--overwrite"),
        path=options.run,
        overwrite=options.overwrite,
        jobs=options.jobs,
        chief=options.chief,
        worker=options.worker,
        worker_name=options.worker_name or platform.node() or ALONE,
        devices="cpu" if options.chief else options.devices,
        track=options.track,
        each=each,
        dry_run=options.dry_run,
    )


def check_list(options: argparse.Namespace, targets: Targets) -> None:
    """Refuse a list of wavelengths without `--each`, and `--each` without one."""
    if not options.each:
        if targets.is_list:
            raise UsageError(
                f"--wavelength {targets}: a search is for one wavelength, or for each of a list with --each."
            )
        return
    if options.chief or options.worker:
        raise UsageError("--each: --jobs spreads it over this machine; --chief and --worker take one wavelength.")
    if not targets.is_list:
        raise UsageError("--each: expected a list of wavelengths with it, like --wavelength all or 0-54/8:3.")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m tuning.search",
        description="Search for a model's best settings. All options of a training apply to every trial.",
    )
    group = made.add_argument_group("search")
    group.add_argument(
        "--algorithm", choices=ALGORITHMS, default="bayesian", help="who decides what to try (default: bayesian)"
    )
    group.add_argument(
        "--trials", type=whole_number, default=50, metavar="N", help="number of trials, at most (default: 50)"
    )
    group.add_argument(
        "--search",
        metavar="NAMES",
        help="what to search, separated by commas: NAME, NAME=LOW:HIGH or 'NAME=A|B|C' (with quotes); an option of the "
        "training or a setting of the model (default: the model's own settings and learning_rate)",
    )
    group.add_argument(
        "--fix", action="append", default=[], metavar="NAME=VALUE", help="hold a setting or an option at one value"
    )
    group.add_argument("--space", type=Path, metavar="FILE", help="names and ranges in JSON; see docs/search.md")
    flags.add_options(made)
    where = made.add_argument_group("where it runs")
    where.add_argument("--devices", default="auto", metavar="DEVICES", help=f"{DEVICES_HELP} (default: auto)")
    many = made.add_argument_group("many processes")
    many.add_argument(
        "--jobs",
        type=whole_number,
        default=1,
        metavar="N",
        help="train N trials at a time on this machine (default: 1)",
    )
    many.add_argument(
        "--each",
        action="store_true",
        help="search for each wavelength of a list, like --wavelength all; what the first ones find seeds the others",
    )
    many.add_argument(
        "--chief", type=address, metavar="HOST:PORT", help="decide what to try, and serve workers at this address"
    )
    many.add_argument(
        "--worker", type=address, metavar="HOST:PORT", help="train what the chief at this address decides"
    )
    many.add_argument(
        "--worker-name",
        metavar="NAME",
        help="name of a worker; started again under it, it resumes its trial (default: the machine's)",
    )
    folder = made.add_argument_group("where it goes")
    folder.add_argument(
        "--run",
        type=Path,
        metavar="RUN",
        help="folder of the search (default: runs/search-MODEL-wNN-HASH of the options)",
    )
    folder.add_argument(
        "--track",
        choices=wandb_log.SERVICES,
        default="none",
        help="also log trials to a tracking service; offline (default: none)",
    )
    folder.add_argument("--overwrite", action="store_true", help="move a search that is already there aside")
    folder.add_argument("--dry-run", action="store_true", help="show what would be searched; train nothing")
    return made


def whole_number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--trials and --jobs: expected a whole number, 1 or more. Received: {text}")
    return int(text)


def address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise UsageError(f"--chief and --worker: expected HOST:PORT, like 10.0.0.5:7000. Received: {text}")
    return text


def space_from(options: argparse.Namespace) -> Space:
    """What is searched, over the configuration that the other options give.

    Raises:
        UsageError: names that are searched and fixed at once, or values that do not fit.
    """
    given = (read_space(options.space) if options.space else {}) | (
        parse_search(options.search or "") if options.search else {}
    )
    known = {item.name for item in fields(Configuration) if "help" in item.metadata}
    fixed = {}
    for name, value in flags.parse_settings(options.fix).items():
        if name.replace("-", "_") in known:
            setattr(options, name.replace("-", "_"), value)
        else:
            options.set.append(f"{name}={value}")
        fixed[name.replace("-", "_")] = value
    base = training_job.with_data(flags.from_arguments(options))
    for name in fixed:
        if name in given:
            raise UsageError(f"--fix {name}: it is also named to be searched; leave one of them out.")
    names = {*flags.parse_settings(options.set)} - {*given}
    return Space(base, given, frozenset(names))


def without_jobs(arguments: Sequence[str]) -> list[str]:
    """A worker's arguments: those of its chief without --jobs, --each and --run."""
    known = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    known.add_argument("--jobs")
    known.add_argument("--each", action="store_true")
    known.add_argument("--run")
    return known.parse_known_args(list(arguments))[1]

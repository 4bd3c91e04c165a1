"""What a search was asked to do: flags to a `Plan`; no TensorFlow, so `--help` and mistakes answer at once."""

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
class Plan:
    """What a search was asked to do.

    Attributes:
        space: what is searched.
        algorithm: of `ALGORITHMS`.
        trials: at most.
        arguments: of the command, which the user repeats to go on.
        path: of the search; None for one named after it.
        overwrite: move an earlier search aside.
        first: chosen values to try first, of searches before this one.
        jobs: processes on this machine.
        chief, worker: HOST:PORT, or None.
        worker_name: of a worker.
        devices: each trial trains on, as of `devices.parse`.
        track: of `track.SERVICES`.
        brief: say little at the end; this is one search of many.
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
    brief: bool = False
    track: str = "none"

    @property
    def command(self) -> str:
        return shlex.join(["python", "-m", "tuning.search", *self.arguments])


def plan_from(arguments: Sequence[str]) -> tuple[Plan, tuple[int, ...], bool]:
    """The plan, the wavelengths of `--each` or nothing, and whether it is only to be shown.

    Raises:
        UsageError: options that do not fit, or not together.
    """
    options = parser().parse_args(arguments)
    space = space_from(options)
    targets = space.base.wavelength
    check_list(options, targets)
    several = targets.chosen if targets.is_list else ()
    if several:
        first = space.base.for_each_wavelength()[several[0]]
        space = dataclasses.replace(space, base=first)
    if sum(map(bool, (options.jobs > 1, options.chief, options.worker))) > 1:
        raise UsageError("--jobs, --chief and --worker: expected one of them.")
    if cluster.task()[1] > 1:
        raise UsageError("TF_CONFIG: a trial trains on one host; --chief and --worker spread a search over several.")
    parse_devices(options.devices)
    wandb_log.check(options.track)
    if (options.chief or options.worker) and not options.run:
        raise UsageError("--chief and --worker: expected --run with them, a folder that all of them see.")
    plan = Plan(
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
    )
    return plan, several, options.dry_run


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
        description="Search for a model's best settings. All options of a training stand for every trial.",
    )
    group = made.add_argument_group("how it searches")
    group.add_argument(
        "--algorithm", choices=ALGORITHMS, default="bayesian", help="who decides what to try (default: bayesian)"
    )
    group.add_argument("--trials", type=whole_number, default=50, metavar="N", help="at most (default: 50)")
    group.add_argument(
        "--search",
        metavar="NAMES",
        help="what to choose, with commas: NAME, NAME=LOW:HIGH or NAME=A|B|C; an option of the training or a setting "
        "of the model (default: the model's own settings and learning_rate)",
    )
    group.add_argument(
        "--fix", action="append", default=[], metavar="NAME=VALUE", help="keep a setting or an option out of the search"
    )
    group.add_argument("--space", type=Path, metavar="FILE", help="names and ranges in JSON, as docs/search.md tells")
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
    many.add_argument("--chief", type=address, metavar="HOST:PORT", help="decide, and wait for workers there")
    many.add_argument("--worker", type=address, metavar="HOST:PORT", help="train what the chief there decides")
    many.add_argument(
        "--worker-name", metavar="NAME", help="of a worker; started again under it, it goes on (default: the machine's)"
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
        help="also tell a tracking service; offline (default: none)",
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

"""`SearchOptions` from the command line; no TensorFlow, so that `--help` and error messages appear immediately."""

import argparse
import dataclasses
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ariel_tf.config import train_config
from ariel_tf.config.choices import parse_settings
from ariel_tf.config.run_options import require_tracker
from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core import cli
from ariel_tf.core.devices import DEFAULT_DEVICES, Devices
from ariel_tf.core.errors import UsageError
from ariel_tf.core.schema import Schema, option
from ariel_tf.training import cluster
from ariel_tf.training.opening import locate_data
from tuning import wandb_log
from tuning.space import Space, parse_search, read_space

ALGORITHMS = ("random", "bayesian", "hyperband")
ALONE = "worker0"
HOW, PROCESSES = "how it searches", "several processes"
DESCRIPTION = "Search for the best settings of a model. The options of a training apply to every trial."


@dataclass(frozen=True)
class SearchOptions:
    """What is searched and how.

    Attributes:
        space: the search space.
        algorithm: one of `ALGORITHMS`.
        trials: maximum number of trials.
        arguments: arguments of the command, without --overwrite.
        command: command that resumes the search.
        path: run folder; None for one named after the search.
        overwrite: whether to move an earlier search aside.
        first: values to try first, from earlier searches.
        jobs: number of worker processes on this machine.
        chief, worker: HOST:PORT, or None.
        worker_name: name of this worker.
        devices: devices that each trial trains on.
        track: one of `wandb_log.SERVICES`.
        each: wavelengths to search for one after another; empty for the wavelength of the space only.
        brief: whether to print only two lines at the end, for one search of many.
        dry_run: whether to print what would be searched and stop.
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
    devices: Devices = DEFAULT_DEVICES
    track: str = "none"
    each: tuple[int, ...] = ()
    brief: bool = False
    dry_run: bool = False
    command: str = ""


class Flags(Schema):
    """Options of `python -m tuning.search` in addition to the configuration."""

    algorithm: str = option("bayesian", "algorithm that selects the next trial", group=HOW, choices=ALGORITHMS)
    trials: int = option(50, "maximum number of trials", group=HOW, low=1, metavar="N")
    search: str | None = option(
        None,
        "what to search, separated by commas: NAME, NAME=LOW:HIGH or 'NAME=A|B|C' (with quotes); an option of the "
        "training or a setting of the model",
        group=HOW,
        metavar="NAMES",
        shown="the model's own settings and learning_rate",
    )
    fix: tuple[str, ...] = option(
        (), "fix a setting or an option at one value", group=HOW, append=True, metavar="NAME=VALUE"
    )
    space: Path | None = option(
        None, "JSON file of names and ranges, described in docs/search.md", group=HOW, metavar="FILE"
    )
    devices: Devices = cli.devices()
    jobs: int = cli.jobs("number of trials trained in parallel on this machine", group=PROCESSES)
    each: bool = option(
        False,
        "search for each wavelength of a list, like --wavelength all; the results of the first ones seed the others",
        group=PROCESSES,
    )
    chief: str | None = cli.host_and_port("select the trials to run, and serve workers at this address", PROCESSES)
    worker: str | None = cli.host_and_port("train the trials that the chief at this address selects", PROCESSES)
    worker_name: str | None = option(
        None, "name of a worker; restarted under the same name it resumes its trial", group=PROCESSES, metavar="NAME",
        shown="the host name"
    )  # fmt: skip
    run: Path | None = cli.run_folder("folder of the search", shown="runs/search-MODEL-wNN-HASH of the options")
    track: str = option(
        "none", "also log to a tracking service, offline", group=cli.WHERE_IT_GOES, choices=wandb_log.SERVICES
    )
    overwrite: bool = cli.overwrite("move an existing search aside and start again")
    dry_run: bool = cli.dry_run("print what would be searched; train nothing")


EXAMPLES = (
    "--model baseline --wavelength 12 --trials 20 --run runs/search",
    "--model squid --search 'learning_rate=1e-4:1e-2,batch_size=16|32' --jobs 2",
    "--wavelength all --each --run runs/searches",
)


def parser() -> cli.Parser:
    made = cli.Parser("tuning.search", DESCRIPTION, examples=EXAMPLES)
    made.add_schema(Flags)
    train_config.add_flags(made)
    return made


def parse_options(arguments: Sequence[str]) -> SearchOptions:
    """Parse a command line.

    Raises:
        UsageError: options that do not fit, or not together.
    """
    given = parser().parse_args(arguments)
    options = Flags.from_flags(given)
    space = space_from(options, given)
    targets = space.base.wavelength
    check_list(options, targets)
    each = targets.chosen if targets.is_list else ()
    if each:
        space = dataclasses.replace(space, base=space.base.for_each_wavelength()[each[0]])
    if sum(map(bool, (options.jobs > 1, options.chief, options.worker))) > 1:
        raise UsageError("--jobs, --chief and --worker: expected one of them.")
    if cluster.task()[1] > 1:
        raise UsageError("TF_CONFIG: a trial trains on one host; --chief and --worker spread a search over several.")
    require_tracker(options.track)
    if (options.chief or options.worker) and not options.run:
        raise UsageError("--chief and --worker: expected --run with them, a folder that all of them can access.")
    return SearchOptions(
        space=space,
        algorithm=options.algorithm,
        trials=options.trials,
        command=cli.repeated("tuning.search", arguments),
        arguments=tuple(argument for argument in arguments if argument != "--overwrite"),
        path=options.run,
        overwrite=options.overwrite,
        jobs=options.jobs,
        chief=options.chief,
        worker=options.worker,
        worker_name=options.worker_name or platform.node() or ALONE,
        devices=Devices("cpu") if options.chief else options.devices,
        track=options.track,
        each=each,
        dry_run=options.dry_run,
    )


def check_list(options: Flags, targets: Targets) -> None:
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


def space_from(options: Flags, given: argparse.Namespace) -> Space:
    """Return the search space over the configuration that the other options give.

    Raises:
        UsageError: names that are both searched and fixed, or invalid values.
    """
    ranges = (read_space(options.space) if options.space else {}) | (
        parse_search(options.search or "") if options.search else {}
    )
    known = TrainConfig.flags()
    fixed = {}
    for name, value in parse_settings(options.fix).items():
        if name.replace("-", "_") in known:
            setattr(given, name.replace("-", "_"), value)
        else:
            given.settings = [*getattr(given, "settings", []), f"{name}={value}"]
        fixed[name.replace("-", "_")] = value
    base = locate_data(TrainConfig.from_flags(given))
    for name in fixed:
        if name in ranges:
            raise UsageError(f"--fix {name}: it is also named to be searched; leave one of them out.")
    names = {*parse_settings(getattr(given, "settings", []))} - {*ranges}
    return Space(base, ranges, frozenset(names))


def without_jobs(arguments: Sequence[str]) -> list[str]:
    """Return a worker's arguments: those of its chief without --jobs, --each and --run."""
    known = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    known.add_argument("--jobs")
    known.add_argument("--each", action="store_true")
    known.add_argument("--run")
    return known.parse_known_args(list(arguments))[1]

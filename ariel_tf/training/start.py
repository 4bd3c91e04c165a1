"""Start a training: of one model, of one for each wavelength of a list, or by several processes that share a list."""

import sys
from pathlib import Path

from ariel_tf.config.run_options import RunOptions, require_tracker
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core import processes
from ariel_tf.core.errors import UsageError
from ariel_tf.runs.folder import move_aside
from ariel_tf.training import cluster
from ariel_tf.training.one_model import train_one
from ariel_tf.training.opening import open_job


def train(config: TrainConfig, options: RunOptions) -> Path | None:
    """Train, or resume, to the end.

    Args:
        config: resolved configuration with named data.
        options: run options.

    Returns:
        The run folder; None if other processes trained.

    Raises:
        ArielError: an error that the user can mend, in one sentence.
    """
    if config.wavelength.is_list and options.jobs > 1 and processes.job_number() is None and not options.dry_run:
        train_by_processes(options)
        return None
    job = open_job(config, options)
    if config.wavelength.is_list:
        from ariel_tf.training import per_wavelength

        return per_wavelength.train(job)
    return train_one(job)


def train_by_processes(options: RunOptions) -> None:
    """Train a list of wavelengths by several processes on this machine."""
    if options.overwrite:
        if options.run is None:
            raise UsageError("--overwrite: with --jobs, expected --run with it, the run to move aside.")
        if (options.run / "config.json").is_file():
            move_aside(options.run)
    command = [sys.executable, "-m", "ariel_tf.train", *options.arguments]
    processes.Jobs(command, options.jobs, options.devices).run()


def check(config: TrainConfig, options: RunOptions) -> None:
    """Refuse options that require a list of wavelengths, or that this list does not accept, and missing packages.

    Raises:
        UsageError: names the option.
    """
    require_tracker(options.track)
    if config.wavelength.is_list:
        if options.jobs > 1 and cluster.task()[1] > 1:
            raise UsageError("--jobs: expected none with TF_CONFIG, whose workers train one wavelength after another.")
        for flag, given in (("--profile", options.profile), ("--histograms", options.histograms)):
            if given:
                raise UsageError(
                    f"{flag}: expected one model with it, like --wavelength 12, not a list of wavelengths."
                )
        return
    for flag, value, usual in (("--stack", options.stack, "auto"), ("--jobs", options.jobs, 1)):
        if value != usual:
            raise UsageError(f"{flag} {value}: expected a list of wavelengths with it, like --wavelength 0-54.")

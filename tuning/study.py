"""One search: its space, its oracle, its trials and their outcomes, in a run folder that can be resumed.

RUN/trials.csv, best.json, best.keras, history.png, parallel.png, values.png, README.md
    trials/0000 ...    one run folder each
    outcomes/          the result of each trial
    oracle/            keras-tuner's state
    logs/              output of the trainings
"""

import dataclasses
import hashlib
import json
import sys
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from keras_tuner import HyperParameters
from keras_tuner.engine.trial import TrialStatus

from ariel_tf.config.targets import Targets
from ariel_tf.core import messages, processes
from ariel_tf.core.atomic_files import read_json
from ariel_tf.core.errors import ArielError, UsageError
from ariel_tf.data.sources import Source, open_source
from ariel_tf.runs.folder import RunFolder
from ariel_tf.training.opening import check_folds
from ariel_tf.training.strategy import check_batch, strategy_of
from tuning import outcomes, report, workers
from tuning.connection import CHIEF_SILENCE
from tuning.hyperparameters import format_range, highest, reveal, wavelengths_read
from tuning.local_workers import LocalWorkers
from tuning.options import ALONE, SearchOptions, without_jobs
from tuning.oracles import make_oracle
from tuning.outcomes import COMPLETED, Outcome
from tuning.recovery import recover
from tuning.safe_oracle import OBJECTIVE, SafeOracle
from tuning.trial import TrialRunner
from tuning.wandb_log import tracker


class NothingCompleted(ArielError):
    """Every trial failed."""


class Study:
    """One search on an open data source.

    Args:
        options: options of the search, for one wavelength.
        source: open for every wavelength that a trial may read.
        hyperparameters: the space, from `hyperparameters.reveal`.

    Attributes:
        configuration: values of the base and the search space; a folder with another search is refused.
        path: the run folder.

    Raises:
        UsageError: the search includes more training planets than the source has.
        DataError: the source cannot be trained on.
    """

    def __init__(self, options: SearchOptions, source: Source, hyperparameters: HyperParameters):
        self.options, self.source, self.hyperparameters = options, source, hyperparameters
        self.base = options.space.base
        check_folds(source, self.base.folds)
        if planets := highest(hyperparameters, "planets"):
            source.subset(self.base.train_folds, int(planets), self.base.signature)  # refuses more than there are
        self.configuration = self._describe()
        self.path = options.path or default_path(self.configuration, source.fingerprint)

    @classmethod
    def open(cls, options: SearchOptions) -> Self:
        """Return the study of these options, with its data.

        Raises:
            ArielError: an option, a setting or the data do not fit.
        """
        base = options.space.base
        check_batch(strategy_of(options.devices), base.batch_size)
        hyperparameters = reveal(options.space)  # before the data are read, to find a mistyped setting
        return cls(options, open_source(base.data, wavelengths_read(base, hyperparameters)), hyperparameters)

    def _describe(self) -> dict[str, Any]:
        space = {one.name: format_range(one) for one in self.hyperparameters.space}
        first = {"first": [dict(values) for values in self.options.first]} if self.options.first else {}
        about = {"data": self.source.description, "algorithm": self.options.algorithm, "space": space}
        return self.base.as_json() | about | first

    def print_plan(self) -> None:
        """`--dry-run`: print what would be searched; nothing is written."""
        print(json.dumps(self.configuration, indent=2))
        print(f"would search in {self.path}, {self.options.trials} trials at most; nothing was written")

    def run(self) -> list[Outcome]:
        """Search, or resume, to the end.

        Returns:
            The trials.

        Raises:
            NothingCompleted: every trial failed.
            ArielError: an error that the user can mend, in one sentence.
        """
        options, path = self.options, self.path
        with RunFolder(path, self.configuration, self.source.fingerprint, options.overwrite) as run:
            run.commit(trials=options.trials)
            names = ", ".join(self.configuration["space"])
            messages.info(f"searching {names} of {self.base.model}, {self.base.what}, in {path}")
            oracle = self.oracle()
            self._run_trials(oracle)
            if (tried := len(oracle.trials)) < options.trials:
                messages.info(
                    f"the search space is exhausted after {tried} of {options.trials} trials: no new combination of "
                    "values was found; give --search wider ranges to continue."
                )
            self._train_best_to_its_end(oracle)
            lines = report.finish(path, self.configuration, options.command)
            print("\n".join(lines[:2] if options.brief else lines), flush=True)
            found = outcomes.read_all(path)
            if not outcomes.best(found):
                raise NothingCompleted(f"{path}: no trial was completed.")
            run.commit(finished=True)
            return found

    @cached_property
    def runner(self) -> TrialRunner:
        options = self.options
        on_end = tracker(options.track, self.path)
        return TrialRunner(self.source, options.space, self.path, options.command, options.devices, on_end=on_end)

    def oracle(self) -> SafeOracle:
        """Return keras-tuner's oracle of this search, in the state where it was left."""
        defaults = {one.name: one.default for one in self.hyperparameters.space}
        first = (defaults, *self.options.first)  # so the best is never worse on validation than without a search
        draws = self.base.seed + 1000 * self.base.signature.targets[0]  # different ones at each wavelength of --each
        oracle = make_oracle(
            self.options.algorithm, self.hyperparameters, self.options.trials, self.base.epochs, draws, first
        )
        for name in ("outcomes", "logs", "trials", "oracle"):
            (self.path / name).mkdir(exist_ok=True)
        recover(self.path)
        oracle.place(self.path)
        return oracle

    def _run_trials(self, oracle: SafeOracle) -> None:
        """Run the trials that the oracle selects, in this process or by workers, until it has no more."""
        options = self.options
        reporter = report.ProgressReporter(self.path, options.trials)
        if options.jobs > 1:
            share = processes.share_machine(options.jobs, options.devices)
            local = LocalWorkers(options.jobs, self._worker_command(), self.path / "logs", share)
            workers.supervise(oracle, local, reporter.update)
        elif options.chief:
            messages.info(f"waiting for workers: this command with --worker {options.chief} instead of --chief")
            workers.serve(oracle, options.chief, reporter.update)
        else:
            self.runner.on_start = reporter.update
            run_trials(self.runner, oracle, ALONE, lambda outcome: reporter.update())

    def _worker_command(self) -> list[str]:
        command = [sys.executable, "-m", "tuning.search", *without_jobs(self.options.arguments), "--run"]
        command.append(str(self.path))
        if self.options.devices.kind != "cpu":
            command += ["--devices", "auto"]  # the GPU in the worker's environment
        return [*command, "--wavelength", str(self.base.wavelength)]  # of --each, this one

    def work(self) -> None:
        """Run the trials that a chief selects.

        Raises:
            UsageError: the chief's search differs, or is not in this folder.
        """
        options = self.options
        assert options.worker is not None
        processes.stop_with_parent()
        self._check_chief()
        oracle = make_oracle(options.algorithm, self.hyperparameters, options.trials, self.base.epochs, self.base.seed)
        client = workers.connect(options.worker, options.worker_name, oracle)
        run_trials(
            self.runner,
            client,
            options.worker_name,
            lambda outcome: messages.info(f"trial {outcome.trial} {outcome.status}"),
        )

    def _check_chief(self) -> None:
        """Wait for the chief's run folder, and compare its search with this one."""
        path, about = self.path, self.configuration
        deadline = time.monotonic() + CHIEF_SILENCE
        while not (path / "config.json").is_file():
            if time.monotonic() > deadline:
                raise UsageError(
                    f"--run {path}: expected the folder of the chief's search, on a disk that both can access."
                )
            time.sleep(1)
        chief = read_json(path / "config.json", dict)
        names = sorted({*chief, *about} - {"data", "first"})
        differing = next((name for name in names if chief.get(name) != about.get(name)), None)
        if differing:
            raise UsageError(
                f"--run {path}: the chief searches with another {differing}, {chief.get(differing)}; give a "
                f"worker the same options. Received: {about.get(differing)}"
            )

    def _train_best_to_its_end(self, oracle: SafeOracle) -> None:
        """Train the best of Hyperband's trials to the end, if it was a short one."""
        epochs = self.base.epochs
        while True:
            best = outcomes.best(outcomes.read_all(self.path))
            if best is None or best.plan.get("tuner/epochs", epochs) >= epochs:
                return
            messages.info(f"training trial {best.trial}, the best, to its end: {best.epochs} of {epochs} epochs so far")
            trial = next(trial for name, trial in oracle.trials.items() if int(name) == best.trial)
            longer = dataclasses.replace(best, plan=best.plan | {"tuner/epochs": epochs})
            if self.runner.run(trial, longer).status != COMPLETED:
                outcomes.write(self.path, longer)  # unchanged so far


def default_path(configuration: dict[str, Any], fingerprint: str) -> Path:
    """Return runs/search-MODEL-wNN-HASH: equal options and data give the same folder, others a different one."""
    digest = hashlib.sha256(json.dumps([configuration, fingerprint], sort_keys=True).encode()).hexdigest()
    wavelengths = Targets.of_run(configuration["wavelength"]).folder_name
    return Path("runs") / f"search-{configuration['model']}-{wavelengths}-{digest[:8]}"


def run_trials(runner: TrialRunner, oracle: Any, name: str, on_end: Callable[[Outcome], Any]) -> None:
    """Run trials until the oracle, here or at a chief, has no more.

    Args:
        runner: runs one trial.
        oracle: keras-tuner's, or its client.
        name: of this worker; after a restart under the same name it resumes its trial.
        on_end: function called with each outcome.
    """
    while True:
        trial = oracle.create_trial(name)
        if trial.status == TrialStatus.STOPPED:
            return
        if trial.status == TrialStatus.IDLE:
            time.sleep(0.5)
            continue
        outcome = runner.run(trial)
        if outcome.status == COMPLETED:
            oracle.update_trial(trial.trial_id, {OBJECTIVE: outcome.score}, step=outcome.best_epoch)
            trial.status = TrialStatus.COMPLETED
        else:
            trial.status, trial.message = TrialStatus.FAILED, outcome.reason
        oracle.end_trial(trial)
        on_end(outcome)

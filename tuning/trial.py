"""One trial: an ordinary training in its own run folder; no trial reads the test folds.

    RUN/trials/0007/     run folder: checkpoints, best.keras, metrics of each epoch, TensorBoard
        logs/0007.txt    output of the training

An interrupted trial resumes after its last epoch. An error makes the trial a failed one, with its reason, and the
search continues; a requested stop and a refusal of the system (no space, no permission) end the search, and the same
command resumes the trial.
"""

import contextlib
import dataclasses
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from ariel_tf.config.run_options import RunOptions
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.devices import DEFAULT_DEVICES, Devices
from ariel_tf.core.errors import ArielError, DataError, Stopped, UsageError
from ariel_tf.core.printable import printable
from ariel_tf.data import dataset
from ariel_tf.data.selection import Selection
from ariel_tf.data.sources import Source
from ariel_tf.runs.folder import RunFolder
from ariel_tf.runs.history import read_history
from ariel_tf.runs.lock import Busy
from ariel_tf.runs.metadata import collect
from ariel_tf.runs.state import has_state, read_state
from ariel_tf.training import fit
from ariel_tf.training.data import TrainingData
from ariel_tf.training.job import TrainingJob
from ariel_tf.training.strategy import check_batch
from ariel_tf.training.tensorboard import TensorBoardLog
from tuning import outcomes
from tuning.hyperparameters import SearchSettings
from tuning.outcomes import COMPLETED, FAILED, RUNNING, Outcome, name_of
from tuning.space import Space

# A trial fails once its process has died this many times without finishing another epoch.
DEATHS = 3
# Seconds that a trial waits for its previous process, which may only have been slow to respond.
BUSY_WAIT = 600.0


class RowCache:
    """`dataset.load` with a cache: trials that read the same rows share them.

    Args:
        capacity: bytes of the cache; the least recently used rows are dropped first.
    """

    def __init__(self, capacity: int = dataset.MEMORY_BYTES):
        self.capacity = capacity
        self._kept: dict[Any, Mapping[str, Any]] = {}

    def load(self, source: Source, selection: Selection) -> Mapping[str, Any]:
        key = (source.fingerprint, frozenset(source.folds), selection)
        table = self._kept.pop(key, None)
        if table is None:
            table = dataset.load(source, selection)
        self._kept[key] = table  # last in the order now
        while len(self._kept) > 1 and sum(map(_bytes, self._kept.values())) > self.capacity:
            del self._kept[next(iter(self._kept))]
        return table


def _bytes(table: Mapping[str, Any]) -> int:
    return sum(values.dtype.size * int(values.shape.num_elements()) for values in table.values())


@dataclasses.dataclass
class TrialRunner:
    """Runs the trials of a search, with the resources that they share.

    Attributes:
        source: open for every wavelength that a trial may read.
        space: the search space, over the base.
        path: folder of the search.
        command: command that the user repeats to resume.
        devices: devices that each trial trains on.
        cache: rows in memory.
        subsets: the source with fewer training planets, by their number and the signature.
        on_start: called when a trial has begun.
        on_end: called with the outcome of a trial and the rows of its epochs.
    """

    source: Source
    space: Space
    path: Path
    command: str
    devices: Devices = DEFAULT_DEVICES
    cache: RowCache = dataclasses.field(default_factory=RowCache)
    subsets: dict[Any, Source] = dataclasses.field(default_factory=dict)
    on_start: Callable[[], Any] = lambda: None
    on_end: Callable[[Outcome, Sequence[Mapping[str, Any]]], Any] = lambda outcome, rows: None

    def run(self, trial: Any, outcome: Outcome | None = None) -> Outcome:
        """Train a trial to its end and write its outcome.

        Args:
            trial: keras-tuner's trial; values of new settings are added to its hyperparameters.
            outcome: outcome of the trial so far, with the epochs to train now; None for the one that is stored.

        Raises:
            Stopped, KeyboardInterrupt: a signal was received; the trial is resumed next time.
            OSError: the system refused an operation, which is no fault of the trial; it is resumed next time, too.
        """
        outcome = outcome or self._begin(trial)
        self.on_start()
        started = time.perf_counter()
        try:
            if len(outcome.starts) > DEATHS and len(set(outcome.starts[-DEATHS:])) == 1:
                raise UsageError(f"its process died {DEATHS} times after {outcome.starts[-1]} epochs.")
            state, values = self._train(trial, outcome)
            ended = {"status": COMPLETED, "values": values, "score": state["best_score"]}
        except (Stopped, OSError):
            raise
        except ArielError as error:
            ended = {"status": FAILED, "reason": str(error).splitlines()[0]}
        except Exception as error:  # noqa: BLE001  (recorded with its traceback; the search continues)
            with self.log(outcome).open("a", encoding="utf-8") as log:
                log.write(printable(traceback.format_exc()))
            first = (str(error).splitlines() or [""])[0]
            ended = {"status": FAILED, "reason": printable(f"{type(error).__name__}: {first}")}
        finally:
            keras.utils.clear_session()
        progress = self._progress(outcome)
        seconds = outcome.seconds + time.perf_counter() - started
        outcome = dataclasses.replace(outcome, **progress, **ended, seconds=seconds)
        outcomes.write(self.path, outcome)
        rows: list[dict[str, float]] = []
        with contextlib.suppress(DataError):  # a damaged history is the reason for the failure
            rows = read_history(self.folder(outcome))
        self.on_end(outcome, rows)
        return outcome

    def _begin(self, trial: Any) -> Outcome:
        values = {n: v for n, v in trial.hyperparameters.values.items() if not n.startswith("tuner/")}
        plan = {n: v for n, v in trial.hyperparameters.values.items() if n.startswith("tuner/")}
        number = int(trial.trial_id)
        past = plan.get("tuner/trial_id")
        before = outcomes.find(self.path, int(past)) if past is not None else None
        fresh = Outcome(number, RUNNING, values, before.run if before else name_of(number), plan=plan)
        outcome = outcomes.find(self.path, number) or fresh
        if outcome.status != COMPLETED:
            epochs = self._progress(outcome).get("epochs", 0)
            outcome = dataclasses.replace(outcome, status=RUNNING, starts=(*outcome.starts, epochs), reason="")
            outcomes.write(self.path, outcome)
        return outcome

    def _progress(self, outcome: Outcome) -> dict[str, Any]:
        """Return epochs and best epoch of a trial's run folder; nothing if it has none."""
        path = self.folder(outcome)
        if not has_state(path):
            return {}
        state = read_state(path)
        return {"epochs": state["epoch"], "best_epoch": state["best_epoch"]}

    def folder(self, outcome: Outcome) -> Path:
        return self.path / "trials" / outcome.run

    def log(self, outcome: Outcome) -> Path:
        return self.path / "logs" / f"{name_of(outcome.trial)}.txt"

    def _train(self, trial: Any, outcome: Outcome) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the state of the run folder after the training, and all chosen values."""
        config = self.space.configuration(outcome.values, self.space.base.seed + int(outcome.run))
        source = self._subset(config)
        rows = TrainingData(source, config, self.cache.load)
        settings = SearchSettings(self.space, trial.hyperparameters, config.settings)
        job = TrainingJob(config, source, RunOptions(devices=self.devices, command=self.command))
        check_batch(job.strategy, config.batch_size, rows.count)
        built = job.build(rows.statistics, rows.steps, settings)
        job = job.built_with(built.settings, self.folder(outcome))
        values = {name: value for name, value in trial.hyperparameters.values.items() if name not in outcome.plan}
        with self.open_folder(job) as run:
            run.write_meta(job.facts(), collect(job.strategy))
            searched = {name: job.identity.get(name, built.settings.get(name)) for name in values}
            plan = fit.FitPlan.of(rows, config, rows.pairs(rows.validation()), outcome.plan.get("tuner/epochs"))
            log_path = self.log(outcome)
            log_path.parent.mkdir(exist_ok=True)
            with (
                contextlib.closing(TensorBoardLog(run, {"settings": searched})) as log,
                log_path.open("a", encoding="utf-8") as text,
                contextlib.redirect_stdout(text),
            ):
                fit.fit(run, built, plan, log, self.command)
            return run.state, searched

    def _subset(self, config: TrainConfig) -> Source:
        """Return the source with the training planets of a trial; trials with the same planets share its pass."""
        what = (config.train_folds, config.planets, config.signature)
        if what not in self.subsets:
            self.subsets[what] = self.source.subset(*what)
        return self.subsets[what]

    def open_folder(self, job: TrainingJob) -> RunFolder:
        """Open the trial's run folder, once its previous process has released it."""
        path, deadline = job.path, time.monotonic() + BUSY_WAIT
        path.parent.mkdir(exist_ok=True)
        while True:
            try:
                return RunFolder(path, job.identity, self.source.fingerprint)
            except Busy:
                if time.monotonic() > deadline:
                    raise
            time.sleep(1)

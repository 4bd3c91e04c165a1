"""keras-tuner's oracles, made robust: atomic files, a backup, and recovery of their state from the trials.

Stock oracles write `oracle.json` in place, and a truncated file prevents the next start; a process that dies between
two of its files leaves a trial that nobody runs. Here each file is replaced atomically, the previous one is kept, and
the state is reconciled with the trials' own files, which are sufficient without any oracle file. Trials that earlier
searches found good can be tried first.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from ariel_tf.core import messages
from ariel_tf.core.atomic_files import remove_leftovers, replacing
from ariel_tf.core.errors import DataError
from ariel_tf.core.sealed_json import read_sealed, write_sealed
from tuning import outcomes
from tuning.hyperparameters import fits
from tuning.outcomes import Outcome
from tuning.recovery import TRIAL_FOLDER, checked_record
from tuning.space import rounded

OBJECTIVE = "val_score"
ENDED = (TrialStatus.COMPLETED, TrialStatus.FAILED)


class SafeOracle(keras_tuner.Oracle):
    """Common part of the three searches, placed before keras-tuner's own class.

    Attributes:
        first: values to try before any others.
    """

    first: Sequence[Mapping[str, Any]] = ()
    # State of the random numbers after the draw of the last trial that has a record.
    _drawn = 0
    # keras-tuner's attributes, which it does not declare.
    trials: dict[str, Trial]
    ongoing_trials: dict[str, Trial]
    tuner_ids: set[str]
    start_order: list[str]
    end_order: list[str]
    _run_times: dict[str, int]
    _seed_state: int

    def place(self, run: Path) -> None:
        """Store its files in RUN/oracle, and continue from existing ones."""
        self.run = run
        self.verbose = 0
        self._set_project_dir(str(run), "oracle")
        folder = run / "oracle"
        if folder.is_dir():
            remove_leftovers(folder)
            self.remove_unborn_trials()
        self.trials = self.read_trials()
        for name in ("oracle.json", "oracle.backup.json"):
            try:
                self.set_state_from(folder / name)
                break
            except DataError as error:
                messages.info(f"{error} Taking the copy before it, or the trials' own files.")
                shutil.copyfile(folder / name, folder / f"{name}.torn")
        self.reconcile()
        self.save()

    def set_state_from(self, path: Path) -> None:
        """Load a saved state except for the trials; does nothing if there is none.

        Raises:
            DataError: it is truncated.
        """
        if not path.is_file():
            return
        state = read_sealed(path)
        lost = {name for name, trial in state.get("ongoing_trials", {}).items() if trial not in self.trials}
        try:
            ongoing = {name: trial for name, trial in state["ongoing_trials"].items() if name not in lost}
            self.set_state(state | {"ongoing_trials": ongoing})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{path}: expected the state of a search, received other JSON.") from error

    def remove_unborn_trials(self) -> None:
        """Remove the folders of trials whose record was never written: no worker was given them."""
        for folder in (self.run / "oracle").glob("trial_*"):
            number = TRIAL_FOLDER.fullmatch(folder.name)
            if number is None or (folder / "trial.json").exists() or outcomes.find(self.run, int(number[1])):
                continue
            if not (self.run / "trials" / outcomes.name_of(int(number[1]))).exists():
                shutil.rmtree(folder)

    def read_trials(self) -> dict[str, Trial]:
        """Return every trial, from keras-tuner's record of it or, if that is damaged or missing, from its outcome."""
        folders = [path.name for path in (self.run / "oracle").glob("trial_*") if TRIAL_FOLDER.fullmatch(path.name)]
        names = {int(name[6:]): name[6:] for name in folders}
        digits = len(str(self.max_trials))  # keras-tuner's names
        names = {number: f"{number:0{digits}d}" for number in outcomes.numbers(self.run)} | names
        return {names[number]: self.read_trial(names[number]) for number in sorted(names)}

    def read_trial(self, name: str) -> Trial:
        """Return a trial as recorded, unless its outcome differs."""
        outcome = outcomes.find(self.run, int(name))
        try:
            record = checked_record(self.run / "oracle" / f"trial_{name}" / "trial.json")
            trial, drawn = Trial.from_state(record), int(record.get("seed_state", 0))
        except (DataError, OSError, KeyError, TypeError, ValueError, AttributeError):
            return self.from_outcome(name, outcome)
        self._drawn = max(self._drawn, drawn)
        return self.from_outcome(name, outcome) if outcome and differs(trial, outcome) else trial

    def from_outcome(self, name: str, outcome: Outcome | None) -> Trial:
        """Return a trial whose record is damaged.

        Raises:
            DataError: it has no outcome either.
        """
        if outcome is None:
            raise DataError(
                f"{self.run}/oracle/trial_{name}/trial.json: cannot be read, and the trial has no outcome; restore it, "
                "or start again with --overwrite."
            )
        hp = self.hyperparameters.copy()
        hp.values = outcome.values | outcome.plan
        trial = Trial(hp, name, TrialStatus.RUNNING)
        if outcome.status == outcomes.FAILED:
            trial.status, trial.message = TrialStatus.FAILED, outcome.reason
        elif outcome.status == outcomes.COMPLETED:
            trial.status = TrialStatus.COMPLETED
            trial.metrics.register(OBJECTIVE, direction="max")
            trial.metrics.update(OBJECTIVE, outcome.score, step=outcome.best_epoch)
            self.score_trial(trial)
        return trial

    def reconcile(self) -> None:
        """Make the state consistent with the trials: all known, finished ones ended, the others scheduled again."""
        ended = {name for name, trial in self.trials.items() if trial.status in ENDED}
        self.start_order = list(dict.fromkeys([*(n for n in self.start_order if n in self.trials), *self.trials]))
        self.end_order = list(dict.fromkeys([*(n for n in self.end_order if n in ended), *sorted(ended)]))
        self._retry_queue = [name for name in reversed(self.start_order) if name not in ended]  # in reverse order
        self.ongoing_trials = {}
        self.tuner_ids = set()
        # A state that was saved before the last trials lacks what they drew, and that they ended.
        self._seed_state = max(self._seed_state, self._drawn)
        for name in ended:
            self._run_times[name] = max(self._run_times[name], 1)
        for trial in self.trials.values():
            self.update_space(trial.hyperparameters)
            self._record_values(trial)

    def save(self) -> None:
        folder = Path(self._project_dir)
        path = folder / "oracle.json"
        if path.is_file():
            with replacing(folder / "oracle.backup.json") as copy:
                shutil.copyfile(path, copy)
        write_sealed(path, self.get_state())

    def _save_trial(self, trial: Trial) -> None:
        path = Path(self._get_trial_dir(trial.trial_id)) / "trial.json"
        write_sealed(path, trial.get_state() | {"seed_state": self._seed_state})

    def _random_values(self) -> dict[str, Any] | None:
        """Return the next untried one of `first`, then keras-tuner's choice; None when everything was tried."""
        tried = [trial.hyperparameters.values for trial in self.trials.values()]
        for wanted in self.first:
            values = self.completed(wanted)
            if not any(all(one.get(name) == value for name, value in values.items()) for one in tried):
                return values
        for _ in range(self._max_collisions):
            values = super()._random_values()
            if values is None:
                return None
            values = self.tidy(values)
            if not self._duplicate(values):  # keras-tuner checked before they were rounded
                return values
        return None

    def tidy(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return values in the form that trainings accept: a few digits, within their ranges.

        At the upper end of a range keras-tuner returns one more than the largest whole number.
        """
        highest = {hp.name: hp.max_value for hp in self.hyperparameters.space if hasattr(hp, "max_value")}
        return {
            name: min(rounded(value), highest[name]) if name in highest else value for name, value in values.items()
        }

    def completed(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Return values for the whole space: the requested ones, if the space has them, and defaults."""
        return {
            hp.name: wanted[hp.name] if hp.name in wanted and fits(hp, wanted[hp.name]) else hp.default
            for hp in self.hyperparameters.space
        }

    @keras_tuner.synchronized
    def create_trial(self, tuner_id: str) -> Trial:
        trial = super().create_trial(tuner_id)
        if trial.status == TrialStatus.STOPPED and (self.ongoing_trials or self._retry_queue):
            # Another worker must exist to take over if one of these dies.
            trial.status = TrialStatus.IDLE
            self.tuner_ids.add(tuner_id)  # the chief runs until it is notified that all trials are done
        return trial

    @keras_tuner.synchronized
    def update_trial(self, trial_id: str, metrics: Mapping[str, float], step: int = 0) -> Any:
        """As keras-tuner's; a result that was recorded before the process ended is replaced, not added to."""
        trial = self.trials[trial_id]
        trial.metrics = Trial(trial.hyperparameters).metrics  # empty
        return super().update_trial(trial_id, metrics, step)

    @keras_tuner.synchronized
    def hand_on(self, tuner_id: str) -> None:
        """Let another worker run the trial of a lost worker."""
        trial = self.ongoing_trials.pop(tuner_id, None)
        self.tuner_ids.discard(tuner_id)
        if trial is not None and trial.trial_id not in self._retry_queue:
            self._retry_queue.append(trial.trial_id)
            self.save()


def differs(trial: Trial, outcome: Outcome) -> bool:
    """Whether keras-tuner's record of a finished trial has another result or other values than its outcome."""
    if trial.status not in ENDED:
        return False
    if (trial.status == TrialStatus.COMPLETED) != (outcome.status == outcomes.COMPLETED):
        return True
    values = trial.hyperparameters.values
    # The best of Hyperband's trials is trained to its end without the oracle.
    longer = outcome.plan.get("tuner/epochs") != values.get("tuner/epochs")
    if outcome.status == outcomes.COMPLETED and not longer and trial.score != outcome.score:
        return True
    return any(rounded(values[name]) != rounded(value) for name, value in outcome.values.items() if name in values)

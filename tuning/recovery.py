"""Before a search is resumed: compare the result of each trial with the trial's run folder.

    trials/0007/           saved by the training: a row of metrics.csv for each epoch, the configuration, checksums
    outcomes/0007.json     the result of the trial: its values, best score, epochs
    oracle/trial_7/        keras-tuner's record of the trial: its values, score, status

The run folder is the source: an outcome that differs from it is corrected, and an unreadable one is restored from the
run folder and keras-tuner's record. If it cannot be restored, an error names the file: a search never drops a trial
silently, and never selects the wrong one as the best.
"""

import dataclasses
import re
from pathlib import Path
from typing import Any

from ariel_tf.core import messages
from ariel_tf.core.atomic_files import read_json, sha256
from ariel_tf.core.errors import DataError
from ariel_tf.core.sealed_json import read_sealed
from ariel_tf.runs.history import VALIDATION_SCORE, best_row, read_history
from ariel_tf.runs.lock import is_locked
from ariel_tf.runs.state import read_state
from tuning import outcomes
from tuning.outcomes import COMPLETED, FAILED, RUNNING, Outcome, name_of
from tuning.space import rounded

TRIAL_FOLDER = re.compile(r"trial_([0-9]{1,9})")
STATUS = {"COMPLETED": COMPLETED, "FAILED": FAILED, "INVALID": FAILED}


def recover(run: Path) -> None:
    """Correct the outcomes of a search's trials, and restore unreadable ones.

    Args:
        run: folder of the search, which no other process uses.

    Raises:
        DataError: an outcome that cannot be restored, or a damaged run folder.
    """
    records = read_records(run)
    for number in sorted({*outcomes.numbers(run), *records}):
        path, damaged, outcome = outcomes.path_of(run, number), False, None
        try:
            outcome = outcomes.find(run, number)
        except DataError:
            damaged = True
        record = records.get(number)
        status = STATUS.get(record["status"]) if record else None  # None: not ended
        if outcome is None:
            if damaged or status:
                outcomes.write(run, rebuilt(run, number, record))
                messages.info(f"{path}: {'was damaged' if damaged else 'was missing'}; it was restored.")
        elif status and status != outcome.status:
            outcomes.write(run, rebuilt(run, number, record))
            messages.info(f"{path}: the trial was {status}, not {outcome.status}; it was restored.")
        elif outcome.status == COMPLETED:
            correct = corrected(run, outcome)
            if correct != outcome:
                outcomes.write(run, correct)
                messages.info(f"{path}: differed from {folder_of(run, outcome)}; it was corrected.")
    _check_best(run)


def read_records(run: Path) -> dict[int, dict[str, Any] | None]:
    """Return keras-tuner's record of each trial by number; None for a damaged one."""
    found: dict[int, dict[str, Any] | None] = {}
    for folder in (run / "oracle").glob("trial_*"):
        if match := TRIAL_FOLDER.fullmatch(folder.name):
            try:
                found[int(match[1])] = checked_record(folder / "trial.json")
            except (DataError, OSError):
                found[int(match[1])] = None
    return found


def checked_record(path: Path) -> dict[str, Any]:
    """Return keras-tuner's record of one trial.

    Raises:
        DataError: it is damaged.
    """
    record = read_sealed(path)
    try:
        values, status, score = record["hyperparameters"]["values"], record["status"], record["score"]
        good = isinstance(values, dict) and (status != "COMPLETED" or outcomes.is_score(score))
        good = good and status in (*STATUS, "RUNNING", "IDLE", "STOPPED")
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: expected keras-tuner's record of a trial, received other JSON.") from error
    if not good:
        raise DataError(f"{path}: expected keras-tuner's record of a trial, received other JSON.")
    return record


def folder_of(run: Path, outcome: Outcome) -> Path:
    return run / "trials" / outcome.run


def rebuilt(run: Path, number: int, record: dict[str, Any] | None) -> Outcome:
    """Restore an unreadable outcome from the run folder and keras-tuner's record.

    Without a record the trial is scheduled again: it continues in its run folder, which already has its epochs.

    Raises:
        DataError: neither exists.
    """
    path, search = outcomes.path_of(run, number), read_json(run / "config.json", dict)
    if record is None:
        config = run / "trials" / name_of(number) / "config.json"
        if not config.is_file() or search.get("algorithm") == "hyperband":  # its rounds are only in the record
            raise DataError(
                f"{path}: cannot be read, and neither can keras-tuner's record of the trial below {run / 'oracle'}; "
                "restore one of them, or start again with --overwrite."
            )
        resolved = read_json(config, dict)
        known = {**resolved, **resolved.get("settings", {})}
        values = {name: known[name] for name in search.get("space", {}) if name in known}
        return Outcome(number, RUNNING, values, name_of(number))
    chosen = record["hyperparameters"]["values"]
    plan = {name: value for name, value in chosen.items() if name.startswith("tuner/")}
    values = {name: rounded(value) for name, value in chosen.items() if name not in plan}
    past = plan.get("tuner/trial_id")
    before = outcomes.find(run, int(past)) if past is not None else None
    outcome = Outcome(number, STATUS.get(record["status"], RUNNING), values, before.run if before else name_of(number))
    outcome = dataclasses.replace(outcome, plan=plan)
    if outcome.status == FAILED:
        return dataclasses.replace(outcome, reason=record.get("message") or "it failed.")
    if outcome.status == RUNNING:
        return outcome
    step = int(record.get("best_step") or 0)
    seconds = sum(row.get("seconds", 0.0) for row in read_history(folder_of(run, outcome)))
    epochs = _epochs(run, outcome)
    return corrected(
        run,
        dataclasses.replace(
            outcome, score=float(record["score"]), best_epoch=step, epochs=max(step, epochs), seconds=seconds
        ),
    )


def _epochs(run: Path, outcome: Outcome) -> int:
    """Return the epochs of a trial: those of its run folder, unless a later trial continued there."""
    folder = folder_of(run, outcome)
    saved = read_state(folder)["epoch"] if (folder / "state.json").is_file() else 0
    return min(saved, outcome.plan.get("tuner/epochs", saved))


def corrected(run: Path, outcome: Outcome) -> Outcome:
    """Return a completed outcome corrected by the trial's run folder; unchanged if that folder was removed.

    Raises:
        DataError: the run folder is damaged.
    """
    folder = folder_of(run, outcome)
    if not (folder / "config.json").is_file() or is_locked(folder):  # a worker is continuing another trial there
        return outcome
    rows = read_history(folder, read_state(folder))
    resolved = read_json(folder / "config.json", dict)
    known = {**resolved, **resolved.get("settings", {})}
    outcome = dataclasses.replace(
        outcome, values={name: known.get(name, value) for name, value in outcome.values.items()}
    )
    if not rows:
        raise DataError(f"{folder}: expected the epochs of a trial that was completed; restore it.")
    # A later trial of Hyperband may have continued in this folder: the outcome counts the first of its epochs.
    results = [_result(rows, epochs) for epochs in (outcome.epochs, _epochs(run, outcome)) if epochs]
    received = {"score": outcome.score, "best_epoch": outcome.best_epoch}
    result = next((one for one in results if one | received == one), results[-1])
    return dataclasses.replace(outcome, **result)


def _result(rows: list[dict[str, float]], epochs: int) -> dict[str, Any]:
    """Return score, best epoch and number of the first epochs of a trial."""
    best = best_row(rows[:epochs])
    return {"score": best[VALIDATION_SCORE], "best_epoch": int(best["epoch"]), "epochs": min(epochs, len(rows))}


def _check_best(run: Path) -> None:
    """Refuse a best trial whose model or configuration differs from what the trial saved."""
    best = outcomes.best(outcomes.read_all(run))
    folder = folder_of(run, best) if best else run
    if best is None or not (folder / "state.json").is_file() or is_locked(folder):
        return
    for name, digest in read_state(folder)["files"].items():
        path = folder / name
        if name in ("config.json", "best.keras") and (not path.is_file() or sha256(path) != digest):
            raise DataError(f"{path}: not the file that the best trial saved; restore it.")

"""The result of each trial in a small file, from which the table, the best trial and a lost oracle are restored.

    RUN/outcomes/0007.json    status, values, score, best epoch, epochs, seconds, reason, run folder

The file is written when a trial starts and again when it ends, each time atomically; no TensorFlow.
"""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from ariel_tf.core.atomic_files import write_text
from ariel_tf.core.errors import DataError
from ariel_tf.core.sealed_json import read_sealed, write_sealed

RUNNING, COMPLETED, FAILED = "running", "completed", "failed"


@dataclass(frozen=True)
class Outcome:
    """One trial.

    Attributes:
        trial: number, from 0.
        status: running, completed or failed.
        values: values that the search chose.
        run: name of its run folder under RUN/trials; a trial that Hyperband promotes continues in the first one's.
        score: the best validation score, once completed.
        best_epoch, epochs: from the run folder.
        seconds: training time in all processes that ran it.
        reason: reason for its failure.
        starts: number of finished epochs at each start by a process.
        plan: Hyperband's values: rounds, epochs, the trial that it continues.
    """

    trial: int
    status: str
    values: dict[str, Any]
    run: str
    score: float | None = None
    best_epoch: int = 0
    epochs: int = 0
    seconds: float = 0.0
    reason: str = ""
    starts: tuple[int, ...] = ()
    plan: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read an outcome's file.

        Raises:
            DataError: it is damaged.
        """
        values = read_sealed(path)
        try:
            outcome = cls(**values | {"starts": tuple(values.get("starts", ()))})
        except TypeError as error:
            raise DataError(f"{path}: expected the outcome of a trial, received other JSON.") from error
        if not outcome._is_sound() or path_of(path.parents[1], outcome.trial) != path:
            raise DataError(f"{path}: expected the outcome of a trial, received other values.")
        return outcome

    def _is_sound(self) -> bool:
        """Whether every field has its type and is within its bounds."""
        whole = (self.trial, self.best_epoch, self.epochs, *self.starts)
        return (
            all(type(number) is int and 0 <= number < 2**31 for number in whole)
            and self.status in (RUNNING, COMPLETED, FAILED)
            and isinstance(self.values, dict)
            and isinstance(self.plan, dict)
            and isinstance(self.run, str)
            and self.run.isdecimal()
            and isinstance(self.reason, str)
            and is_score(self.seconds)
            and self.best_epoch <= self.epochs
            and (is_score(self.score) if self.status == COMPLETED else self.score is None or is_score(self.score))
        )


def is_score(value: Any) -> bool:
    """Whether a value is a finite number."""
    return type(value) in (int, float) and abs(value) < 1e300


def name_of(trial: int) -> str:
    return f"{trial:04d}"


def path_of(run: Path, trial: int) -> Path:
    return run / "outcomes" / f"{name_of(trial)}.json"


def write(run: Path, outcome: Outcome) -> None:
    write_sealed(path_of(run, outcome.trial), asdict(outcome))


def find(run: Path, trial: int) -> Outcome | None:
    """Return the outcome of a trial; None if it has none yet.

    Raises:
        DataError: its file is damaged.
    """
    path = path_of(run, trial)
    return Outcome.read(path) if path.is_file() else None


def numbers(run: Path) -> list[int]:
    """Return the numbers of the trials that have an outcome, ascending."""
    return sorted(int(path.stem) for path in (run / "outcomes").glob("*.json") if re.fullmatch("[0-9]{4,9}", path.stem))


def read_all(run: Path) -> list[Outcome]:
    """Return the outcomes of all trials, ascending.

    Raises:
        DataError: one of the files is damaged.
    """
    return [outcome for number in numbers(run) if (outcome := find(run, number))]


def best(outcomes: Iterable[Outcome]) -> Outcome | None:
    """Return the completed trial with the highest score; of equal ones that trained longest, then the earliest."""
    scored = [outcome for outcome in outcomes if outcome.status == COMPLETED and outcome.score is not None]
    return max(scored, key=lambda outcome: (outcome.score, outcome.epochs, -outcome.trial), default=None)


def format_values(values: dict[str, Any]) -> str:
    """Return the chosen values on one line."""
    return " ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items()
    )


def write_table(run: Path, outcomes: list[Outcome], space: Iterable[str]) -> None:
    """Write `trials.csv` as a whole: one row per trial, one column per value; first those of the space, in order."""
    values = list(dict.fromkeys([*space, *(name for outcome in outcomes for name in outcome.values)]))
    own = ["trial", "status", "score", "best_epoch", "epochs", "seconds", "run"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*own, *values, "reason"])
    for outcome in outcomes:
        row = asdict(outcome) | {"seconds": round(outcome.seconds, 1)}
        writer.writerow(
            [*(row[name] for name in own), *(outcome.values.get(name, "") for name in values), outcome.reason]
        )
    write_text(run / "trials.csv", text.getvalue())

"""What became of each trial: one small file a trial, from which the table, the best and a lost oracle are made.

    RUN/outcomes/0007.json    status, chosen values, score, best epoch, epochs, seconds, reason, where it trained

The file is written when a trial starts and again when it ends, each time whole; no TensorFlow.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from ariel_tf.core.atomic_files import read_json, write_json, write_text
from ariel_tf.core.errors import DataError

RUNNING, COMPLETED, FAILED = "running", "completed", "failed"


@dataclass(frozen=True)
class Outcome:
    """One trial.

    Attributes:
        trial: number, from 0.
        status: running, completed or failed.
        values: what the search chose.
        run: name of its run folder under RUN/trials; a trial that Hyperband promotes goes on in that of the first.
        score: the best validation score, once completed.
        best_epoch, epochs: as of the run folder.
        seconds: spent in this process and those before it.
        reason: why it failed.
        starts: epochs that were done each time that a process took it up.
        plan: what Hyperband wants of it: rounds, epochs, the trial that it goes on from.
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
        values = read_json(path, dict)
        try:
            return cls(**values | {"starts": tuple(values.get("starts", ()))})
        except TypeError as error:
            raise DataError(f"{path}: expected the outcome of a trial, received other JSON.") from error


def name_of(trial: int) -> str:
    return f"{trial:04d}"


def path_of(run: Path, trial: int) -> Path:
    return run / "outcomes" / f"{name_of(trial)}.json"


def write(run: Path, outcome: Outcome) -> None:
    write_json(path_of(run, outcome.trial), asdict(outcome))


def find(run: Path, trial: int) -> Outcome | None:
    """The outcome of a trial; nothing where its file is absent or torn."""
    path = path_of(run, trial)
    try:
        return Outcome.read(path) if path.is_file() else None
    except DataError:
        return None


def read_all(run: Path) -> list[Outcome]:
    """Every trial whose file can be read, ascending."""
    numbers = sorted(int(path.stem) for path in (run / "outcomes").glob("*.json") if path.stem.isdecimal())
    return [outcome for number in numbers if (outcome := find(run, number))]


def best(outcomes: Iterable[Outcome]) -> Outcome | None:
    """The completed trial of the highest score; of equals the one that was trained longest, then the earliest."""
    scored = [outcome for outcome in outcomes if outcome.status == COMPLETED and outcome.score is not None]
    return max(scored, key=lambda outcome: (outcome.score, outcome.epochs, -outcome.trial), default=None)


def format_values(values: dict[str, Any]) -> str:
    """Chosen values on one line."""
    return " ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items()
    )


def write_table(run: Path, outcomes: list[Outcome], space: Iterable[str]) -> None:
    """`trials.csv`, whole each time: a row a trial, a column a value; those of the space first, in its order."""
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

"""Log trials to a tracking service: `--track wandb` (extra `wandb`), offline by default.

RUN/wandb contains the runs; `wandb sync RUN/wandb/offline-run-*` sends them, and WANDB_MODE=online sends them
immediately. A trial is logged when it ends, from its own files: a service that is unavailable never costs a trial.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ariel_tf.core import messages
from tuning.outcomes import FAILED, Outcome, name_of

SERVICES = ("none", "wandb")


def tracker(service: str, run: Path) -> Callable[[Outcome, Sequence[Mapping[str, Any]]], None]:
    """Return a function to call with the outcome of each trial and the rows of its epochs."""
    if service == "none":
        return lambda outcome, rows: None

    def log_trial(outcome: Outcome, rows: Sequence[Mapping[str, Any]]) -> None:
        try:
            to_wandb(run, outcome, rows)
        except Exception as error:  # noqa: BLE001  (printed; the search continues)
            messages.info(f"wandb did not receive trial {outcome.trial}: {type(error).__name__}: {error}")

    return log_trial


def to_wandb(run: Path, outcome: Outcome, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one wandb run per trial: values as configuration, an entry for each epoch, the score as summary."""
    import wandb

    search = hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:8]
    log = wandb.init(
        project="ariel_tf",
        group=run.name,
        name=name_of(outcome.trial),
        id=f"{search}-{name_of(outcome.trial)}",
        dir=str(run),
        config=dict(outcome.values),
        mode=os.environ.get("WANDB_MODE", "offline"),
        settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
    )
    for row in rows:
        log.log({name: value for name, value in row.items() if name != "epoch"}, step=int(row["epoch"]))
    log.summary.update({"status": outcome.status, "reason": outcome.reason, "best_epoch": outcome.best_epoch})
    if outcome.score is not None:
        log.summary["best_val_score"] = outcome.score
    log.finish(exit_code=1 if outcome.status == FAILED else 0)
    _remove_links(run / "wandb")


def _remove_links(folder: Path) -> None:
    """Remove wandb's links to its logs elsewhere: a run folder that contains a link out of it is refused."""
    for path in folder.rglob("*"):
        if path.is_symlink():
            path.unlink(missing_ok=True)

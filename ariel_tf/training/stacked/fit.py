"""Train a stack to each wavelength's best epoch, in a run folder of the stack.

The folder is an ordinary `RunFolder`: `metrics.csv` has the means over wavelengths and each wavelength's
own loss and scores, the checkpoint holds weights, best weights and optimiser, `state.json` is the commit.
Best epochs and early stops are derived from `metrics.csv` alone. A wavelength that has stopped is trained further with
the others, without effect: its best weights remain those of its best epoch.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
from tqdm import tqdm

from ariel_tf.core import messages
from ariel_tf.core.atomic_files import replacing_by_hdf5
from ariel_tf.core.errors import NonFiniteError
from ariel_tf.core.resources import TimeLeft
from ariel_tf.runs.folder import RunFolder
from ariel_tf.training import callbacks, heartbeat
from ariel_tf.training.schedule import CheckpointSchedule
from ariel_tf.training.stacked.stack import Stack, Sums
from ariel_tf.training.stacked.tables import MappedTable, Table

MEASURED = ("loss", "score", "val_loss", "val_score")


@dataclass(frozen=True)
class StackPlan:
    """Data and length of the training.

    Attributes:
        table: training rows.
        validation: validation rows, finite.
        order: function from an epoch to the order of its rows, int32 [rows].
        batch_size: rows per step.
        epochs: maximum number of epochs.
        patience: epochs without a better validation score before a wavelength stops; 0 for no early stop.
        seed: random seed of layers.
    """

    table: Table | MappedTable
    validation: Table | MappedTable
    order: Callable[[int], Any]
    batch_size: int
    epochs: int
    patience: int
    seed: int

    @property
    def steps(self) -> int:
        return -(-self.table.rows // self.batch_size)


class Progress(NamedTuple):
    """State of each wavelength's training: arrays [W]; epochs count from 1, and are 0 before the first."""

    best_epoch: np.ndarray
    best_score: np.ndarray
    last_epoch: np.ndarray
    training: np.ndarray


def progress(scores: np.ndarray, patience: int) -> Progress:
    """Determine best epochs and early stops, by the same rule as for a single model.

    Args:
        scores: validation scores [epochs, W].
        patience: 0 for no early stop.
    """
    wavelengths = scores.shape[1]
    best_epoch, last_epoch = np.zeros(wavelengths, int), np.zeros(wavelengths, int)
    best_score, training = np.full(wavelengths, -np.inf), np.ones(wavelengths, bool)
    for epoch, row in enumerate(scores, 1):
        better = training & (row > best_score)
        best_score, best_epoch = np.where(better, row, best_score), np.where(better, epoch, best_epoch)
        last_epoch = np.where(training, epoch, last_epoch)
        if patience:
            training = training & (epoch - best_epoch < patience)
    return Progress(best_epoch, best_score, last_epoch, training)


def column(name: str, wavelength: int) -> str:
    """Return the name of a wavelength's column of the stack's `metrics.csv`."""
    return f"{name}_w{wavelength:02d}"


def progress_of(run: RunFolder, wavelengths: Sequence[int], patience: int) -> Progress:
    scores = [[row[column("val_score", wavelength)] for wavelength in wavelengths] for row in run.rows]
    return progress(np.array(scores).reshape(-1, len(wavelengths)), patience)


def rows_of(run: RunFolder, wavelength: int, last_epoch: int) -> list[dict[str, Any]]:
    """Return one wavelength's rows of metrics, as if it had been trained alone."""
    kept = ("learning_rate", "observations_per_second", "seconds")
    return [
        {"epoch": row["epoch"]}
        | {name: row[column(name, wavelength)] for name in MEASURED}
        | {name: row[name] for name in kept}
        for row in run.rows[:last_epoch]
    ]


def fit(
    run: RunFolder,
    stack: Stack,
    wavelengths: Sequence[int],
    plan: StackPlan,
    logs: Sequence[keras.callbacks.Callback],
    command: str,
) -> Progress:
    """Train from the run folder's last epoch until every wavelength has stopped or all epochs are done.

    Args:
        run: run to resume from and to commit epochs to.
        stack: stack of the models of these wavelengths, in their order.
        plan: data and length of the training.
        logs: logs of the means after each epoch; empty if another process writes them.
        command: command that the user repeats to resume.

    Raises:
        Stopped: Ctrl-C or SIGTERM; every whole epoch is saved, unless the signal was repeated.
        NonFiniteError: a wavelength's loss or weights became NaN or infinite; epochs saved before are kept.
        DataError: a checkpoint differs from the one that was saved.
    """
    epoch = run.fall_back()
    if epoch:
        stack.variables.load(run.verified(run.checkpoint_name(epoch)))
        if run.is_chief:
            messages.info(f"resuming {run.path} after epoch {epoch}")
    now, pace = progress_of(run, wavelengths, plan.patience), CheckpointSchedule()
    left = TimeLeft(epoch)
    with callbacks.StopOnSignal(run, command) as stop:
        while epoch < plan.epochs and now.training.any():
            started = time.perf_counter()
            stack.variables.reseed(plan.seed, epoch)
            training = _train_epoch(stack, plan, epoch, stop)
            seconds = time.perf_counter() - started
            validation = stack.test(plan.validation, 4 * plan.batch_size)
            stop.check()
            _refuse_non_finite(run, stack, wavelengths, now.training, training, validation)
            epoch += 1
            rate = stack.variables.learning_rate
            run.rows.append(_row(epoch, wavelengths, (*training, *validation), rate, plan.table.rows, seconds))
            now = progress_of(run, wavelengths, plan.patience)
            stack.variables.keep_best(now.best_epoch == epoch)
            if epoch == plan.epochs or not now.training.any() or stop.received or pace.due():
                with pace.saving():
                    _save(run, stack, epoch)
            heartbeat.advance(run.state["epoch"])
            if run.is_chief:
                _tell(run, now, plan.epochs, left(epoch, plan.epochs if now.training.any() else epoch))
            for each in logs:
                each.on_epoch_end(epoch - 1)
            stop.check(epoch_ended=True)
    if run.is_chief and plan.patience and epoch < plan.epochs:
        messages.info(f"{callbacks.stopped_early(plan.patience)} at any wavelength")
    return now


def _train_epoch(stack: Stack, plan: StackPlan, epoch: int, stop: callbacks.StopOnSignal) -> Sums:
    total = np.zeros(())
    with tqdm(
        total=plan.steps, desc=f"epoch {epoch + 1}", unit=" steps", leave=False, disable=not sys.stderr.isatty()
    ) as bar:
        for table, order, first, last in plan.table.calls(plan.order(epoch), plan.batch_size):
            total = total + stack.train(table, order, plan.batch_size, first, last)
            heartbeat.advance()
            stop.check()
            bar.update(last - first)
    return stack.sums(total, plan.table.rows)


def _refuse_non_finite(
    run: RunFolder, stack: Stack, wavelengths: Sequence[int], training_now: np.ndarray, training: Sums, validation: Sums
) -> None:
    """Raise, before anything of an epoch is saved, if it produced NaN or infinity at a wavelength in training."""
    sound = stack.variables.finite()
    for values in (*training, *validation):
        sound &= np.isfinite(values)
    bad = np.flatnonzero(training_now & ~sound)
    if len(bad):
        raise NonFiniteError(
            f"wavelength {wavelengths[bad[0]]}: its loss or a weight is not finite after epoch {len(run.rows) + 1}; "
            f"{run.describe()}. Try a smaller --set learning_rate=..., or check the data."
        )


def _row(
    epoch: int, wavelengths: Sequence[int], measured: Sequence[np.ndarray], rate: float, rows: int, seconds: float
) -> dict[str, float]:
    values = dict(zip(MEASURED, measured, strict=True))
    return {
        "epoch": epoch,
        **{name: float(value.mean()) for name, value in values.items()},
        "learning_rate": rate,
        "observations_per_second": rows / seconds,
        "seconds": seconds,
        **{
            column(name, wavelength): float(value)
            for name in MEASURED
            for wavelength, value in zip(wavelengths, values[name], strict=True)
        },
    }


def _save(run: RunFolder, stack: Stack, epoch: int) -> None:
    name = run.checkpoint_name(epoch)
    if run.is_chief:
        with replacing_by_hdf5(run.path / name) as buffer:
            stack.variables.save(buffer)
    run.write_rows()
    run.commit((name, "metrics.csv"), epoch=epoch)


def _tell(run: RunFolder, now: Progress, epochs: int, time_left: str) -> None:
    """Print one line per epoch: means over wavelengths, mean of the best scores, number of improvements, time left."""
    row = run.rows[-1]
    better, left, total = (now.best_epoch == row["epoch"]).sum(), now.training.sum(), len(now.training)
    messages.info(
        f"epoch {row['epoch']:{len(str(epochs))}d}/{epochs}  loss {row['loss']:.4g}  score {row['score']:8.1f}  "
        f"val_loss {row['val_loss']:.4g}  val_score {row['val_score']:8.1f}  best {now.best_score.mean():8.1f}  "
        f"{better} better, {left} of {total} training  {row['observations_per_second']:,.0f} obs/s"
        f"{f'  {time_left}' * bool(time_left)}"
    )

"""Actions around each epoch: reseeding, refusing non-finite losses, saving, printing, stopping.

`fit` calls them in the order of its list of callbacks: an epoch is checked before it is saved, and its row is saved
before it is printed. Validation scores come from `fit` itself.
"""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Self

import keras
import numpy as np
from tqdm import tqdm

from ariel_tf.core import messages
from ariel_tf.core.atomic_files import replacing_by_hdf5, replacing_by_library
from ariel_tf.core.errors import NonFiniteError, Stopped
from ariel_tf.core.resources import TimeLeft
from ariel_tf.core.signals import StopRequest, graceful_stop
from ariel_tf.models.builder import copy_of
from ariel_tf.runs.folder import RunFolder
from ariel_tf.training import cluster, heartbeat
from ariel_tf.training.schedule import CheckpointSchedule

TRAIN, VALIDATION = "score", "val_score"


class Reseed(keras.callbacks.Callback):
    """Set each random layer's generator from (seed, epoch), so that a resumed run draws the same numbers."""

    def __init__(self, seed: int):
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for index, layer in enumerate(self.model._flatten_layers()):
            generator = getattr(layer, "seed_generator", None)
            if generator is not None:
                generator.state.assign(random_state(self.seed, epoch, index).astype(generator.state.dtype))


def random_state(seed: int, epoch: int, layer: int) -> np.ndarray:
    """Return the state with which the generator of a model's layer number `layer` starts an epoch: uint32 [2]."""
    return np.random.SeedSequence([seed, epoch, layer]).generate_state(2, np.uint32)


class ReduceOnPlateau(keras.callbacks.Callback):
    """Lower the learning rate when the validation score stops improving; depends only on the run's rows, so it resumes.

    Args:
        run: run whose rows are used.
        initial: learning rate of the first epoch.
    """

    def __init__(self, run: RunFolder, initial: float):
        super().__init__()
        self.run, self.initial = run, initial

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        scores = [row[VALIDATION] for row in self.run.rows]
        self.model.optimizer.learning_rate = plateau_rate(self.initial, scores)


def plateau_rate(initial: float, scores: Sequence[float], wait: int = 5, factor: float = 0.3) -> float:
    """Return the learning rate after these scores: times `factor` after each `wait` epochs without an improvement.

    >>> round(plateau_rate(0.01, [1, 2, 2, 2, 1, 0, 1]), 6)  # five epochs in a row no better than 2
    0.003
    """
    best, since, rate = -np.inf, 0, initial
    for score in scores:
        if score > best:
            best, since = score, 0
        else:
            since += 1
        if since == wait:
            rate, since = rate * factor, 0
    return rate


class RefuseNonFinite(keras.callbacks.Callback):
    """Stop at the end of an epoch that produced NaN or infinity, before anything of it is saved.

    The loss alone is not sufficient: a ReLU can turn a NaN into 0, so NaN weights may give a finite loss.
    """

    def __init__(self, run: RunFolder):
        super().__init__()
        self.run = run

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        bad = [f"{name} is {value}" for name, value in (logs or {}).items() if not np.isfinite(value)]
        bad += [f"{v.path} is not finite" for v in self.model.trainable_variables if not is_finite(v)]
        if bad:
            raise NonFiniteError(
                f"{bad[0]} after epoch {epoch + 1}; {self.run.describe()}. "
                "Try a smaller --set learning_rate=..., or check the data."
            )


def is_finite(variable: keras.Variable) -> bool:
    """Whether all values of a variable are finite; computed on its device, without a copy."""
    return bool(keras.ops.all(keras.ops.isfinite(variable)))


def best_epoch(run: RunFolder) -> int:
    """Return the epoch of the best validation score, saved or not: the first of several; counted from 1."""
    return int(max(run.rows, key=lambda row: row[VALIDATION])["epoch"])


def stopped_early(patience: int) -> str:
    """Return why a training ended before its last epoch."""
    return f"stopped early: {patience} epoch{'s' * (patience != 1)} without a better validation score"


class SaveEpoch(keras.callbacks.Callback):
    """Add a metrics row after each epoch, save after the first, the last and whenever due, and stop early.

    A save consists of the last epoch's checkpoint, the best model so far, the rows, and the commit. A resumed training
    repeats the epochs since then, with the same numbers. The best epoch's weights are held in memory until they are
    saved.

    Args:
        run: run to save to.
        inference: model to save as best.keras.
        stop: stop request; an epoch is saved when it is received.
        patience: epochs without a better validation score before training stops; 0 never stops.
        rows: observations per epoch, for the rate.
        since: epochs before patience starts to count.
    """

    def __init__(
        self, run: RunFolder, inference: keras.Model, stop: "StopOnSignal", patience: int, rows: int, since: int = 0
    ):
        super().__init__()
        self.run, self.inference, self.stop, self.observations = run, inference, stop, rows
        self.patience, self.since = patience, since
        self.pace = CheckpointSchedule()
        self.held: list[np.ndarray] = []
        self.holder: keras.Model | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.started = time.perf_counter()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:  # validation follows the epoch's last step
        self.seconds = time.perf_counter() - self.started

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        epoch += 1
        self.run.rows.append(
            {
                "epoch": epoch,
                **{name: float(value) for name, value in (logs or {}).items()},
                # To NumPy first: under a strategy it is a variable that float() does not accept.
                "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
                "observations_per_second": self.observations / self.seconds,
                "seconds": self.seconds,
            }
        )
        best = best_epoch(self.run)
        enough = bool(self.patience) and epoch - max(best, self.since) >= self.patience
        if enough or epoch == self.params["epochs"] or self.stop.received or self.pace.due():
            with self.pace.saving():
                self._save(epoch, best)
        elif best == epoch and self.run.is_chief:
            self.held = [weight.numpy() for weight in self.inference.weights]  # copies
        if enough:
            self.model.stop_training = True

    def _save(self, epoch: int, best: int) -> None:
        run = self.run
        files = [run.checkpoint_name(epoch), "metrics.csv"]
        if run.is_chief:
            with replacing_by_hdf5(run.path / files[0]) as buffer:
                self.model.save_weights(buffer)
        run.write_rows()
        if best > run.state["best_epoch"]:
            if run.is_chief:
                save_model(self.inference if best == epoch else self._of_held(), run)
            files.append("best.keras")
        self.held = []
        run.commit(tuple(files), epoch=epoch, best_epoch=best, best_score=run.rows[best - 1][VALIDATION])

    def _of_held(self) -> keras.Model:
        """Return a copy of the model with the stored weights, since the trained model has changed further."""
        if self.holder is None:
            self.holder = copy_of(self.inference)
        self.holder.set_weights(self.held)
        return self.holder


def save_model(inference: keras.Model, run: RunFolder) -> None:
    with replacing_by_library(run.path / "best.keras") as path:
        inference.save(path)


class PrintEpoch(keras.callbacks.Callback):
    """Print one line per epoch on stdout, and a bar within the epoch only if stderr is a terminal."""

    def __init__(self, run: RunFolder, epochs: int, steps: int):
        super().__init__()
        self.run, self.epochs, self.steps = run, epochs, steps
        self.left = TimeLeft(len(run.rows))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        hidden = not sys.stderr.isatty()
        self.bar = tqdm(total=self.steps, desc=f"epoch {epoch + 1}", unit=" steps", leave=False, disable=hidden)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.bar.update(batch + 1 - self.bar.n)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.bar.close()
        row = self.run.rows[-1]
        best = "  best" if best_epoch(self.run) == row["epoch"] else ""
        width = len(str(self.epochs))
        left = self.left(int(row["epoch"]), self.epochs)
        messages.info(
            f"epoch {row['epoch']:{width}d}/{self.epochs}  loss {row['loss']:.4g}  score {row[TRAIN]:8.1f}  "
            f"val_loss {row['val_loss']:.4g}  val_score {row[VALIDATION]:8.1f}  "
            f"{row['observations_per_second']:,.0f} obs/s{f'  {left}' * bool(left)}{best}"
        )


class StopOnSignal(keras.callbacks.Callback):
    """End the training on a stop signal, between two steps and never during a save.

    The current epoch is abandoned if the run folder contains every epoch before it; otherwise it is finished and saved
    with them, unless the same signal is received again. Used as a context manager around the training.
    """

    def __init__(self, run: RunFolder, command: str):
        super().__init__()
        self.run, self.command = run, command
        self.request, self.announced = StopRequest(), False
        self._block = graceful_stop()

    @property
    def received(self) -> int:
        """The signal that was received; 0 for none."""
        return self.request.number

    def __enter__(self) -> Self:
        self.request = self._block.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: Any) -> None:
        self._block.__exit__(kind, error, traceback)
        if self.received and cluster.is_loss(error):  # another worker that received the signal too may have ended first
            self._stop()

    def _stop(self) -> NoReturn:
        raise Stopped(
            f"stopped: {self.run.describe()}. To resume, repeat the command:\n  {self.command}", self.received
        )

    def check(self, epoch_ended: bool = False) -> None:
        """Raise `Stopped` if a signal was received and no unsaved epoch would be lost, neither ours nor the chief's."""
        if self.received and (self.request.repeated or (not self.run.behind and (self.run.is_chief or epoch_ended))):
            self._stop()
        if self.received and not self.announced:
            self.announced = True
            if self.run.is_chief:
                messages.info("Finishing and saving the current epoch. Press Ctrl-C again to stop immediately.")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.check()

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.check()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.check(epoch_ended=True)


class ShowLife(keras.callbacks.Callback):
    """Report to a supervisor, if there is one, that steps continue and how many epochs are saved."""

    def __init__(self, run: RunFolder):
        super().__init__()
        self.run = run

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        heartbeat.advance()

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        heartbeat.advance()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        heartbeat.advance(self.run.state["epoch"])


class EveryFewEpochs(keras.callbacks.Callback):
    """Call `action(epoch)` after epochs 1, 2, 4, 8, then every 10th: plots take time, and change less and less."""

    def __init__(self, action: Callable[[int], Any]):
        super().__init__()
        self.action = action

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch + 1 in (1, 2, 4, 8) or (epoch + 1) % 10 == 0:
            self.action(epoch + 1)

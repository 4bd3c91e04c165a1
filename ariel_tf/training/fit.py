"""From a built model and batches to the best epoch's model in a run folder, through Keras's own `fit`."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from ariel_tf.core.errors import DataError
from ariel_tf.models.builder import Built
from ariel_tf.runs.folder import RunFolder
from ariel_tf.training import callbacks, distribute
from ariel_tf.training.tensorboard import TensorBoardLog


@dataclass(frozen=True)
class Work:
    """What there is to do.

    Attributes:
        batches: from the number of finished epochs to the dataset (inputs, radius) of the epochs left.
        steps: of an epoch.
        rows: observations of an epoch.
        validation: dataset (inputs, radius), finite, its batches counted.
        epochs: at most.
        patience: epochs without a better validation score before stopping; 0 for no early stop.
        seed: of random layers.
        shared: whether `batches` are this host's shares already.
    """

    batches: Callable[[int], Any]
    steps: int
    rows: int
    validation: Any
    epochs: int
    patience: int
    seed: int
    shared: bool = False


def fit(
    run: RunFolder, built: Built, work: Work, log: TensorBoardLog | None, command: str, look: Callable[[int], None]
) -> None:
    """Train from the run folder's last epoch to the end.

    Args:
        run: resumed from, and committed to as epochs end.
        built: the compiled model, in the scope of the strategy to train it under.
        work: the data and how long.
        log: TensorBoard's; None where another process writes it.
        command: what the user repeats to go on after a stop.
        look: called with the epoch every few epochs, for pictures.

    Raises:
        Stopped: Ctrl-C or SIGTERM; every whole epoch is saved, unless it came twice.
        NonFiniteError: a loss became NaN or infinite; what was saved before is kept.
        DataError: a checkpoint that is not the one that was saved.
    """
    first = run.state["epoch"]
    if first:
        restore(run, built, first)
        if log:
            print(f"resuming {run.path} after epoch {first}", flush=True)
    told = [callbacks.TellEpoch(run, work.epochs, work.steps), log, callbacks.EveryFewEpochs(look)] if log else []
    with callbacks.StopOnSignal(run, command) as stop:
        watching = [*told, callbacks.ShowLife(run), stop]
        for last in stages(built, first, work.epochs):
            # A backbone that no longer gains while it is frozen may still do so once it is not.
            patience = work.patience if last == work.epochs else 0
            if not patience or first - max(run.state["best_epoch"], frozen(built)) < patience:
                save = callbacks.SaveEpoch(run, built.inference, stop, patience, work.rows, frozen(built))
                _fit_stage(run, built, dataclasses.replace(work, epochs=last), first, [save, *watching])
            first = last


def frozen(built: Built) -> int:
    """How many epochs are trained with a frozen backbone."""
    return built.thaw.epoch if built.thaw else 0


def stages(built: Built, first: int, epochs: int) -> list[int]:
    """Where the parts of the training end that are fitted one after another: two around a backbone's thawing."""
    return sorted({end for end in (min(frozen(built), epochs), epochs) if end > first})


def _fit_stage(run: RunFolder, built: Built, work: Work, first: int, watching: list[Any]) -> None:
    """One call of Keras's `fit`, from epoch `first` to `work.epochs`."""
    strategy = built.training.distribute_strategy
    _thaw(built, first)
    distribute.prepare(built.training, work.validation)
    scheduled = []
    if built.settings["schedule"] == "plateau":
        fraction = built.thaw.fine_rate if built.thaw and built.thaw.thawed else 1.0
        scheduled = [callbacks.ReduceOnPlateau(run, fraction * built.settings["learning_rate"])]
    built.training.fit(
        distribute.distribute_dataset(strategy, work.batches(first), work.shared),
        initial_epoch=first,
        epochs=work.epochs,
        steps_per_epoch=work.steps,
        # One iterator serves all epochs' validation, so it must not end.
        validation_data=distribute.distribute_dataset(strategy, work.validation.repeat()),
        validation_steps=int(work.validation.cardinality()),
        shuffle=False,  # the batches already are
        verbose=0,
        callbacks=[
            callbacks.Reseed(work.seed),
            *scheduled,
            callbacks.RefuseNonFinite(run),
            *watching,
        ],
    )


def _thaw(built: Built, epoch: int) -> None:
    """A backbone as it is trained in this epoch, counted from 0."""
    if built.thaw:
        with built.training.distribute_strategy.scope():
            built.thaw.set(epoch >= built.thaw.epoch)


def restore(run: RunFolder, built: Built, epoch: int) -> None:
    """Weights and optimiser as after `epoch` epochs."""
    path, model = run.verified(run.checkpoint_name(epoch)), built.training
    _thaw(built, epoch - 1)
    with model.distribute_strategy.scope():
        model.optimizer.build(model.trainable_variables)
    try:
        model.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        raise DataError(f"{path}: does not fit the model ({str(error).splitlines()[0]}).") from error


def best_model(run: RunFolder, built: Built) -> keras.Model:
    """The best epoch's inference model; `best.keras` is made anew from its checkpoint if it was damaged.

    Raises:
        DataError: it was damaged, and its epoch's checkpoint is not there.
    """
    if not run.is_sound("best.keras"):
        if run.checkpoint_name(run.state["best_epoch"]) not in run.state["files"]:
            run.verified("best.keras")  # raises: there is nothing to make it from
        restore(run, built, run.state["best_epoch"])
        callbacks.save_model(built.inference, run)
        run.commit(("best.keras",))
    return keras.models.load_model(run.path / "best.keras", compile=False)

"""From a built model and batches to the best epoch's model in a run folder, through Keras's own `fit`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from ariel_tf.errors import DataError
from ariel_tf.models.builder import Built
from ariel_tf.training import callbacks, distribute
from ariel_tf.training.runs import RunFolder
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
        run: resumed from, and committed to after each epoch.
        built: the compiled model, in the scope of the strategy to train it under.
        work: the data and how long.
        log: TensorBoard's; None where another process writes it.
        command: what the user repeats to go on after a stop.
        look: called with the epoch every few epochs, for pictures.

    Raises:
        Stopped: Ctrl-C or SIGTERM; every whole epoch is saved.
        NonFiniteError: a loss became NaN or infinite; the epochs before are saved.
        DataError: a checkpoint that is not the one that was saved.
    """
    first = run.state["epoch"]
    strategy = built.training.distribute_strategy
    distribute.prepare(built.training, work.validation)
    if first:
        restore(run, built.training, first)
        if log:
            print(f"resuming {run.path} after epoch {first}", flush=True)
    patience_left = not work.patience or first - run.state["best_epoch"] < work.patience
    if first >= work.epochs or not patience_left:
        return
    plateau = built.settings["schedule"] == "plateau"
    told = [callbacks.TellEpoch(run, work.epochs, work.steps), log, callbacks.EveryFewEpochs(look)] if log else []
    scheduled = [callbacks.ReduceOnPlateau(run, built.settings["learning_rate"])] if plateau else []
    with callbacks.StopOnSignal(run, command) as stop:
        built.training.fit(
            distribute.deal(strategy, work.batches(first), work.shared),
            initial_epoch=first,
            epochs=work.epochs,
            steps_per_epoch=work.steps,
            # One iterator serves all epochs' validation, so it must not end.
            validation_data=distribute.deal(strategy, work.validation.repeat()),
            validation_steps=int(work.validation.cardinality()),
            shuffle=False,  # the batches already are
            verbose=0,
            callbacks=[
                callbacks.Reseed(work.seed),
                *scheduled,
                callbacks.RefuseNonFinite(run),
                callbacks.SaveEpoch(run, built.inference, work.patience, work.rows),
                *told,
                callbacks.ShowLife(),
                stop,
            ],
        )


def restore(run: RunFolder, model: keras.Model, epoch: int) -> None:
    """Weights and optimiser as after `epoch`."""
    path = run.verified(run.checkpoint_name(epoch))
    with model.distribute_strategy.scope():
        model.optimizer.build(model.trainable_variables)
    try:
        model.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        raise DataError(f"{path}: does not fit the model ({str(error).splitlines()[0]}).") from error


def best_model(run: RunFolder, built: Built) -> keras.Model:
    """The best epoch's inference model; `best.keras` is made anew from its checkpoint if it was damaged."""
    if not run.is_sound("best.keras"):
        restore(run, built.training, run.state["best_epoch"])
        callbacks.save_model(built.inference, run)
        run.commit(("best.keras",))
    return keras.models.load_model(run.path / "best.keras", compile=False)

"""Train a built model with Keras's own `fit`, and save the best epoch's model in a run folder."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import keras

from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core import messages
from ariel_tf.core.errors import DataError
from ariel_tf.models.builder import Built
from ariel_tf.runs.folder import RunFolder
from ariel_tf.runs.history import require_scores
from ariel_tf.runs.model_file import check_weights_file, load_model
from ariel_tf.training import callbacks, distribute, fused_update, heartbeat, numbered_rows
from ariel_tf.training.data import TrainingData
from ariel_tf.training.numbered_rows import NumberedRows
from ariel_tf.training.steps import StepsTogether, test_function
from ariel_tf.training.tensorboard import Profile, TensorBoardLog


def _rows_in_batches(model: keras.Model, each: Callable[[], None]) -> None:
    """Take no rows by their numbers."""


@dataclass(frozen=True)
class FitPlan:
    """The data of `fit`, and the length of the training.

    Attributes:
        batches: function from the number of finished epochs to the dataset (inputs, radius) of the remaining ones.
        steps: batches per epoch.
        rows: observations per epoch.
        validation: dataset (inputs, radius), finite, with a known number of batches.
        epochs: maximum number of epochs.
        patience: epochs without a better validation score before stopping; 0 for no early stop.
        seed: random seed of layers.
        shared: whether `batches` are already this host's shares.
        fused: whether the weights are updated in one pass.
        numbered: function (model, function to call after each batch) -> the same rows, taken by their numbers, or None.
    """

    batches: Callable[[int], Any]
    steps: int
    rows: int
    validation: Any
    epochs: int
    patience: int
    seed: int
    shared: bool = False
    fused: bool = True
    numbered: Callable[[keras.Model, Callable[[], None]], NumberedRows | None] = _rows_in_batches

    @classmethod
    def of(cls, rows: TrainingData, config: TrainConfig, validation: Any, epochs: int | None = None) -> Self:
        """Return the plan of a training.

        Args:
            rows: rows of the training.
            config: resolved configuration.
            validation: dataset (inputs, radius) of the validation rows.
            epochs: maximum number of epochs; None for that of the configuration.
        """
        return cls(
            batches=rows.training,
            steps=rows.steps,
            rows=rows.count,
            validation=validation,
            epochs=epochs or config.epochs,
            patience=config.patience,
            seed=config.seed,
            shared=rows.part is not None,
            fused=config.fused == "yes",
            numbered=functools.partial(numbered_rows.hold, rows, device=numbered_rows.gpu()),
        )


def fit(
    run: RunFolder,
    built: Built,
    plan: FitPlan,
    log: TensorBoardLog | None,
    command: str,
    more: Sequence[keras.callbacks.Callback] = (),
) -> None:
    """Train from the run folder's last epoch to the end.

    Args:
        run: run to resume from and to commit epochs to.
        built: compiled model, in the scope of its strategy.
        plan: data and length of the training.
        log: TensorBoard log; None if another process writes it.
        command: command that the user repeats to resume.
        more: further callbacks.

    Raises:
        Stopped: Ctrl-C or SIGTERM; every whole epoch is saved, unless the signal was repeated.
        NonFiniteError: a loss became NaN or infinite; epochs saved before are kept.
        DataError: a checkpoint differs from the one that was saved.
    """
    first = run.fall_back()
    if first:
        restore(run, built, first)
        if "best.keras" not in run.state["files"] and run.state["best_epoch"] == first:
            if run.is_chief:
                callbacks.save_model(built.inference, run)
            run.commit(("best.keras",))
        if log:
            messages.info(f"resuming {run.path} after epoch {first}")
    reports = [callbacks.PrintEpoch(run, plan.epochs, plan.steps), log] if log else []
    with callbacks.StopOnSignal(run, command) as stop:
        watching = [*reports, *more, callbacks.ShowLife(run), stop]
        numbered = _numbered(built.training, plan, stop) if first < plan.epochs else None
        for last in stages(built, first, plan.epochs):
            # A backbone whose score stops improving while it is frozen may still improve once it is not.
            patience = plan.patience if last == plan.epochs else 0
            if not patience or first - max(run.state["best_epoch"], frozen(built)) < patience:
                save = callbacks.SaveEpoch(run, built.inference, stop, patience, plan.rows, frozen(built))
                _fit_stage(run, built, dataclasses.replace(plan, epochs=last), first, [save, *watching], numbered)
            first = last
    if log and plan.patience and run.state["epoch"] < plan.epochs:
        messages.info(callbacks.stopped_early(plan.patience))


def frozen(built: Built) -> int:
    """Return the number of epochs with a frozen backbone."""
    return built.fine_tuning.epoch if built.fine_tuning else 0


def stages(built: Built, first: int, epochs: int) -> list[int]:
    """Return the last epoch of each part that is fitted separately: two parts around the unfreezing of a backbone."""
    return sorted({end for end in (min(frozen(built), epochs), epochs) if end > first})


def _numbered(model: keras.Model, plan: FitPlan, stop: callbacks.StopOnSignal) -> NumberedRows | None:
    """Return the rows that steps take by their numbers; a signal ends the computation of features."""

    def each() -> None:
        stop.check()
        heartbeat.advance()

    return plan.numbered(model, each) if _is_single(model) else None


def _fit_stage(
    run: RunFolder, built: Built, plan: FitPlan, first: int, watching: list[Any], numbered: NumberedRows | None
) -> None:
    """Call Keras's `fit` once, from epoch `first` to `plan.epochs`."""
    _set_fine_tuning(built, first)
    if plan.fused:
        fused_update.fuse(built.training.optimizer)
    distribute.prepare(built.training, plan.validation)
    distribute.build_optimizer(built.training)
    scheduled = []
    if built.settings["schedule"] == "plateau":
        fraction = built.fine_tuning.fine_rate if built.fine_tuning and built.fine_tuning.unfrozen else 1.0
        scheduled = [callbacks.ReduceOnPlateau(run, fraction * built.settings["learning_rate"])]
    together = steps_together(built.training, plan.steps, watching, numbered)
    watching = [*scheduled, callbacks.RefuseNonFinite(run), *together, *watching]
    try:
        _keras_fit(built.training, plan, first, watching, numbered)
    finally:
        built.training.train_function = built.training.test_function = None  # those of another `fit` are Keras's own


def _keras_fit(
    model: keras.Model, plan: FitPlan, first: int, watching: list[Any], numbered: NumberedRows | None
) -> None:
    strategy = model.distribute_strategy
    if numbered is None:
        batches, validation = plan.batches(first), plan.validation
    else:
        batches, validation = numbered.places(first), numbered.validation_places
        model.test_function = test_function(model, numbered)
    model.fit(
        distribute.distribute_dataset(strategy, batches, plan.shared),
        initial_epoch=first,
        epochs=plan.epochs,
        steps_per_epoch=plan.steps,
        # One iterator serves the validation of all epochs, so it must not end.
        validation_data=distribute.distribute_dataset(strategy, validation.repeat()),
        validation_steps=int(validation.cardinality()),
        shuffle=False,  # the batches are already shuffled
        verbose=0,
        callbacks=[callbacks.Reseed(plan.seed), *watching],
    )


def _is_single(model: keras.Model) -> bool:
    """Whether a model is trained on one device, compiled."""
    return model.distribute_strategy.num_replicas_in_sync == 1 and not model.run_eagerly


def steps_together(
    model: keras.Model, steps: int, watching: Sequence[Any], numbered: NumberedRows | None = None
) -> list[StepsTogether]:
    """Return the callback that runs several training steps per call, for `fit`; empty if Keras takes the steps.

    Args:
        model: model to train.
        steps: number of steps per epoch.
        watching: the other callbacks.
        numbered: rows that steps take by their numbers.
    """
    model.train_function = None  # of an earlier part
    counted = any(isinstance(one, Profile) for one in watching)  # a profile counts calls as steps
    if not _is_single(model) or (counted and numbered is None):
        return []
    model.train_function = StepsTogether(model, steps, numbered, *([1] if counted else []))
    return [model.train_function]


def _set_fine_tuning(built: Built, epoch: int) -> None:
    """Freeze or unfreeze a backbone as in this epoch, counted from 0."""
    if built.fine_tuning:
        with built.training.distribute_strategy.scope():
            built.fine_tuning.set(epoch >= built.fine_tuning.epoch)


def restore(run: RunFolder, built: Built, epoch: int) -> None:
    """Restore weights and optimiser as after `epoch` epochs."""
    path, model = run.verified(run.checkpoint_name(epoch)), built.training
    _set_fine_tuning(built, epoch - 1)
    distribute.build_optimizer(model)
    check_weights_file(path)
    require_scores(run.path, run.rows)
    try:
        model.load_weights(path)
    except (ValueError, TypeError, OSError, KeyError, RuntimeError) as error:
        raise DataError(f"{path}: does not fit the model ({str(error).splitlines()[0]}).") from error


def best_model(run: RunFolder, built: Built) -> keras.Model:
    """Return the best epoch's inference model; `best.keras` is written again from its checkpoint if it was damaged.

    Raises:
        DataError: it was damaged, and its epoch's checkpoint is missing.
    """
    if not run.is_sound("best.keras"):
        if run.checkpoint_name(run.state["best_epoch"]) not in run.state["files"]:
            run.verified("best.keras")  # raises, since there is nothing to restore it from
        restore(run, built, run.state["best_epoch"])
        callbacks.save_model(built.inference, run)
        run.commit(("best.keras",))
    return load_model(run.path / "best.keras")

"""From a built model and batches to the best epoch's model in a run folder, through Keras's own `fit`."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import keras

from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.errors import DataError
from ariel_tf.models.builder import Built
from ariel_tf.runs.folder import RunFolder
from ariel_tf.runs.history import require_scores
from ariel_tf.runs.model_file import check_weights_file, load_model
from ariel_tf.training import callbacks, distribute, fused_update
from ariel_tf.training.data import TrainingData
from ariel_tf.training.steps import StepsTogether
from ariel_tf.training.tensorboard import Profile, TensorBoardLog


@dataclass(frozen=True)
class FitPlan:
    """What `fit` trains on, and for how long.

    Attributes:
        batches: from the number of finished epochs to the dataset (inputs, radius) of the epochs left.
        steps: batches of an epoch.
        rows: observations of an epoch.
        validation: dataset (inputs, radius), finite, its batches counted.
        epochs: at most.
        patience: epochs without a better validation score before stopping; 0 for no early stop.
        seed: of random layers.
        shared: whether `batches` are this host's shares already.
        fused: whether the weights are updated in one pass.
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

    @classmethod
    def of(cls, rows: TrainingData, config: TrainConfig, validation: Any, epochs: int | None = None) -> Self:
        """The plan of a training.

        Args:
            rows: of the training.
            config: resolved.
            validation: dataset (inputs, radius) of the validation rows.
            epochs: at most; None for those of the configuration.
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
        run: resumed from, and committed to as epochs end.
        built: the compiled model, in the scope of the strategy to train it under.
        plan: batches, and for how long.
        log: TensorBoard's; None where another process writes it.
        command: what the user repeats to go on after a stop.
        more: callbacks that watch the training.

    Raises:
        Stopped: Ctrl-C or SIGTERM; every whole epoch is saved, unless it came twice.
        NonFiniteError: a loss became NaN or infinite; what was saved before is kept.
        DataError: a checkpoint that is not the one that was saved.
    """
    first = run.fall_back()
    if first:
        restore(run, built, first)
        if "best.keras" not in run.state["files"] and run.state["best_epoch"] == first:
            if run.is_chief:
                callbacks.save_model(built.inference, run)
            run.commit(("best.keras",))
        if log:
            print(f"resuming {run.path} after epoch {first}", flush=True)
    reports = [callbacks.PrintEpoch(run, plan.epochs, plan.steps), log] if log else []
    with callbacks.StopOnSignal(run, command) as stop:
        watching = [*reports, *more, callbacks.ShowLife(run), stop]
        for last in stages(built, first, plan.epochs):
            # A backbone that no longer gains while it is frozen may still do so once it is not.
            patience = plan.patience if last == plan.epochs else 0
            if not patience or first - max(run.state["best_epoch"], frozen(built)) < patience:
                save = callbacks.SaveEpoch(run, built.inference, stop, patience, plan.rows, frozen(built))
                _fit_stage(run, built, dataclasses.replace(plan, epochs=last), first, [save, *watching])
            first = last
    if log and plan.patience and run.state["epoch"] < plan.epochs:
        print(f"stopped early: {plan.patience} epochs without a better validation score", flush=True)


def frozen(built: Built) -> int:
    """How many epochs are trained with a frozen backbone."""
    return built.fine_tuning.epoch if built.fine_tuning else 0


def stages(built: Built, first: int, epochs: int) -> list[int]:
    """The last epoch of each part that is fitted by itself: two parts around the unfreezing of a backbone."""
    return sorted({end for end in (min(frozen(built), epochs), epochs) if end > first})


def _fit_stage(run: RunFolder, built: Built, plan: FitPlan, first: int, watching: list[Any]) -> None:
    """One call of Keras's `fit`, from epoch `first` to `plan.epochs`."""
    strategy = built.training.distribute_strategy
    _set_fine_tuning(built, first)
    if plan.fused:
        fused_update.fuse(built.training.optimizer)
    distribute.prepare(built.training, plan.validation)
    distribute.build_optimizer(built.training)
    scheduled = []
    if built.settings["schedule"] == "plateau":
        fraction = built.fine_tuning.fine_rate if built.fine_tuning and built.fine_tuning.unfrozen else 1.0
        scheduled = [callbacks.ReduceOnPlateau(run, fraction * built.settings["learning_rate"])]
    together = steps_together(built.training, plan.steps, watching)
    built.training.fit(
        distribute.distribute_dataset(strategy, plan.batches(first), plan.shared),
        initial_epoch=first,
        epochs=plan.epochs,
        steps_per_epoch=plan.steps,
        # One iterator serves all epochs' validation, so it must not end.
        validation_data=distribute.distribute_dataset(strategy, plan.validation.repeat()),
        validation_steps=int(plan.validation.cardinality()),
        shuffle=False,  # the batches already are
        verbose=0,
        callbacks=[
            callbacks.Reseed(plan.seed),
            *scheduled,
            callbacks.RefuseNonFinite(run),
            *together,
            *watching,
        ],
    )


def steps_together(model: keras.Model, steps: int, watching: Sequence[Any]) -> list[StepsTogether]:
    """What takes several training steps in one call, to be given to `fit`; empty where each step is one call.

    Args:
        model: that is trained.
        steps: of an epoch.
        watching: the callbacks.
    """
    model.train_function = None  # of an earlier part
    alone = model.distribute_strategy.num_replicas_in_sync == 1 and not model.run_eagerly
    if not alone or any(isinstance(one, Profile) for one in watching):  # a profile counts steps
        return []
    model.train_function = StepsTogether(model, steps)
    return [model.train_function]


def _set_fine_tuning(built: Built, epoch: int) -> None:
    """A backbone as it is trained in this epoch, counted from 0."""
    if built.fine_tuning:
        with built.training.distribute_strategy.scope():
            built.fine_tuning.set(epoch >= built.fine_tuning.epoch)


def restore(run: RunFolder, built: Built, epoch: int) -> None:
    """Weights and optimiser as after `epoch` epochs."""
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
    return load_model(run.path / "best.keras")

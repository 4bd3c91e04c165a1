"""One group of a run of several wavelengths, trained together as a stack, and each one's run folder from it."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import Configuration
from ariel_tf.core.figures import draw_or_warn
from ariel_tf.data.sources import Source
from ariel_tf.evaluation.prediction_figures import draw_predictions
from ariel_tf.models.builder import build
from ariel_tf.runs import work_queue
from ariel_tf.runs.folder import RunFolder
from ariel_tf.runs.metadata import collect
from ariel_tf.runs.predictions import Predictions
from ariel_tf.runs.work_queue import folder_of
from ariel_tf.training import callbacks, cluster, distribute
from ariel_tf.training import job as training_job
from ariel_tf.training.stacked import fit
from ariel_tf.training.stacked.data import StackedData
from ariel_tf.training.stacked.stack import Stack
from ariel_tf.training.tensorboard import TensorBoardLog


@dataclasses.dataclass(frozen=True)
class Job:
    """What stays the same over a whole run.

    Attributes:
        source: open for every wavelength that is seen.
        configs: of each wavelength to train here, resolved, ascending.
        every: wavelength of the run, of which those may be a slice.
        resolved: of the run: the first wavelength's values, with the list instead of its number.
        stack: auto, yes or no.
        command: what the user repeats to go on after a stop.
        path: of the run.
        devices: as of `devices.parse`.
        jobs: how many share this machine.
    """

    source: Source
    configs: dict[int, Configuration]
    every: tuple[int, ...]
    resolved: dict[str, Any]
    stack: str
    command: str
    path: Path
    devices: str
    jobs: int

    @property
    def strategy(self) -> Any:
        return distribute.strategy_of(self.devices)

    def resolved_for(self, members: Sequence[int]) -> dict[str, Any]:
        """The configuration of one wavelength, as its own training would write it, or of a group."""
        targets = Targets.one(members[0]) if len(members) == 1 else Targets.each(members)
        return self.resolved | {"wavelength": targets.as_json()}


def train_together(job: Job, group: Sequence[int], damaged: Sequence[int] = ()) -> None:
    """Train a group as a stack, then write each wavelength's run folder, and the models of damaged ones."""
    configs = [job.configs[wavelength] for wavelength in group]
    config, rows = configs[0], StackedData(job.source, configs)
    work = fit.StackWork(
        table=rows.train,
        validation=rows.validation,
        order=rows.order,
        batch_size=config.batch_size,
        epochs=config.epochs,
        patience=config.patience,
        seed=config.seed,
    )
    steps = work.steps * config.epochs
    with job.strategy.scope():
        built = [build(one, statistics, steps) for one, statistics in zip(configs, rows.statistics, strict=True)]
    stack = Stack([one.training for one in built], rows.validation.take(np.arange(min(4, rows.validation.rows))))
    path = work_queue.stack_of(job.path, group)
    with cluster.run_folder(job.strategy, path, job.resolved_for(group), job.source.fingerprint) as run:
        facts = training_job.data_facts(job.source, config.folds) | {"command": job.command}
        run.write_meta(facts, collect(job.strategy))
        log = TensorBoardLog(run, run.configuration) if run.is_chief else None
        with contextlib.closing(log) if log else contextlib.nullcontext():
            now = fit.fit(run, stack, group, work, log, job.command)
        cluster.check_weights(job.strategy, (variable.numpy() for variable in stack.weights))
        if not run.is_chief:
            return
        stack.take_out_best()
        with callbacks.StopOnSignal(run, job.command) as stop:
            for index, batches in enumerate(rows.test()):
                write_alone(job, run, group[index], now, index, built[index], batches, rows, facts)
                if group[index] in damaged:
                    write_model(job, group[index], built[index])
                stop.check()
        run.commit(finished=True)


def write_alone(job: Job, stack_run: RunFolder, wavelength: int, now, index, built, batches, rows, facts) -> None:
    """The run folder of one wavelength of a stack, as its own training would have left it."""
    config = job.configs[wavelength]
    with RunFolder(folder_of(job.path, wavelength), job.resolved_for([wavelength]), job.source.fingerprint) as run:
        if run.state["finished"]:
            return
        run.write_meta(facts, collect(job.strategy))
        last = int(now.last_epoch[index])
        run.rows = fit.rows_of(stack_run, wavelength, last)
        run.write_rows()
        callbacks.save_model(built.inference, run)
        best = {"best_epoch": int(now.best_epoch[index]), "best_score": float(now.best_score[index])}
        run.commit(("metrics.csv", "best.keras"), epoch=last, **best)
        predictions = Predictions.collect(built.inference, batches)
        draw_or_warn(draw_predictions, predictions, f"{config.model}: test planets", run.path / "prediction.png")
        constant = predictions.replaced(rows.statistics[index]["radius"].mean)
        training_job.finish(run, predictions, constant, training_job.data_facts(job.source, config.folds), job.command)


def write_model(job: Job, wavelength: int, built) -> None:
    with RunFolder(folder_of(job.path, wavelength), job.resolved_for([wavelength]), job.source.fingerprint) as run:
        callbacks.save_model(built.inference, run)
        run.commit(("best.keras",))

"""Train one group of a run of several wavelengths as a stack, and write each wavelength's run folder from it."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ariel_tf.models.builder import Built
from ariel_tf.runs import work_queue
from ariel_tf.runs.committed import read_scores
from ariel_tf.runs.folder import RunFolder
from ariel_tf.runs.metadata import collect
from ariel_tf.runs.predictions import Predictions
from ariel_tf.runs.work_queue import folder_of
from ariel_tf.training import callbacks, cluster
from ariel_tf.training.job import TrainingJob, run_folder
from ariel_tf.training.one_model import Found, finish
from ariel_tf.training.stacked import fit
from ariel_tf.training.stacked.data import StackedData
from ariel_tf.training.stacked.fit import Progress
from ariel_tf.training.stacked.stack import Stack
from ariel_tf.training.tensorboard import TensorBoardLog, hyper_parameters
from ariel_tf.training.trackers import TrackedMeans, summary, tracked


def train_together(job: TrainingJob, group: Sequence[int], damaged: Sequence[int] = ()) -> None:
    """Train a group as a stack, then write each wavelength's run folder, and the damaged models.

    Args:
        job: job of the run.
        group: wavelengths, ascending.
        damaged: finished wavelengths whose model is written again.
    """
    members = [job.only([wavelength], folder_of(job.path, wavelength)) for wavelength in group]
    config = members[0].config
    rows = StackedData(job.source, [one.config for one in members], job.options.memory_bytes)
    built = [one.build(its, rows.steps) for one, its in zip(members, rows.statistics, strict=True)]
    with rows.reading():
        sample = rows.validation.take(np.arange(min(4, rows.validation.rows)))
        stack = Stack([one.training for one in built], sample, config.fused == "yes", config.batch_size)
        rows.prepare(stack.prepared)
    plan = fit.StackPlan(
        table=rows.train,
        validation=rows.validation,
        order=rows.order,
        batch_size=config.batch_size,
        epochs=config.epochs,
        patience=config.patience,
        seed=config.seed,
    )
    with run_folder(job.only(group, work_queue.stack_folder(job.path, group))) as run:
        run.write_meta(job.facts(), collect(job.strategy))
        log = TensorBoardLog(run, run.configuration) if run.is_chief else None
        with (
            contextlib.closing(log) if log else contextlib.nullcontext(),
            tracked(job.options.track, run, hyper_parameters(run.configuration)) as tracking,
        ):
            logs = [one for one in (log, tracking and TrackedMeans(tracking)) if one]
            with rows.reading():
                now = fit.fit(run, stack, group, plan, logs, job.options.command)
        del plan
        rows.drop_tables()
        cluster.check_weights(job.strategy, (variable.numpy() for variable in stack.variables.weights))
        if not run.is_chief:
            return
        stack.variables.take_out_best()
        with callbacks.StopOnSignal(run, job.options.command) as stop:
            held_out = zip(rows.batches("test"), rows.batches("validation"), strict=True)
            for index, (test, validation) in enumerate(held_out):
                mean = rows.statistics[index]["radius"].mean
                write_alone(Part(members[index], built[index], index, mean, test, validation), run, now)
                if group[index] in damaged:
                    write_model(members[index], built[index])
                stop.check()
        run.commit(finished=True)


@dataclass(frozen=True)
class Part:
    """One wavelength of a trained stack.

    Attributes:
        job: job of the wavelength.
        built: its model, with the weights of its best epoch.
        index: its position in the stack.
        mean: mean radius of its training planets, [1].
        test, validation: batches of its test and validation rows.
    """

    job: TrainingJob
    built: Built
    index: int
    mean: Any
    test: Any
    validation: Any


def write_alone(part: Part, stack_run: RunFolder, now: Progress) -> None:
    """Write the run folder of one wavelength of a stack, as its own training would have.

    Args:
        part: part of the stack.
        stack_run: run folder of the stack.
        now: state at the end of the stack's training, from `stacked.fit.fit`.
    """
    job, model = part.job, part.built.inference
    (wavelength,) = job.config.wavelength.chosen
    with RunFolder(job.path, job.identity, job.source.fingerprint) as run:
        if run.state["finished"]:
            return
        run.write_meta(job.facts(), collect(job.strategy))
        last = int(now.last_epoch[part.index])
        run.rows = fit.rows_of(stack_run, wavelength, last)
        run.write_rows()
        callbacks.save_model(model, run)
        best = {"best_epoch": int(now.best_epoch[part.index]), "best_score": float(now.best_score[part.index])}
        run.commit(("metrics.csv", "best.keras"), epoch=last, **best)
        test, validation = (Predictions.collect(model, rows) for rows in (part.test, part.validation))
        found = Found(test, validation, part.mean)
        finish(run, found, job)
        with tracked(job.options.track, run, hyper_parameters(run.configuration)) as tracking:
            if tracking:
                tracking.log(run.rows)
                tracking.summarise(summary(read_scores(run.path)))


def write_model(job: TrainingJob, built: Built) -> None:
    """Write the best model of one wavelength again."""
    with RunFolder(job.path, job.identity, job.source.fingerprint) as run:
        callbacks.save_model(built.inference, run)
        run.commit(("best.keras",))

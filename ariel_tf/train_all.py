"""Train one model for each of several wavelengths: what `python -m ariel_tf.train --wavelength 0-54` does.

    RUN/                  configuration, scores of all wavelengths, README.md
        stack-w00-w54/    wavelengths trained together: checkpoint, metrics of each epoch, TensorBoard
        w00/ ... w54/     an ordinary run folder each

Wavelengths are trained together as a stack (`training.stacked`) where the model is one that gains from it, in as
many groups as memory asks for; otherwise one after another. Both give the same models. A run that was stopped
goes on where it was: the groups are recorded, and a finished wavelength is skipped.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ariel_tf import train
from ariel_tf.data import dataset
from ariel_tf.data.sources import Source, open_source
from ariel_tf.errors import UsageError
from ariel_tf.files import read_json, write_json, write_text
from ariel_tf.models.builder import Built, build
from ariel_tf.plot import picture_predictions
from ariel_tf.rows import Rows, StackedRows, choice_of
from ariel_tf.training import callbacks, distribute, memory, stack_trainer, stackable, summary, wavelengths
from ariel_tf.training.configuration import Configuration
from ariel_tf.training.metadata import collect
from ariel_tf.training.runs import RunFolder, is_finished
from ariel_tf.training.scoring import Predictions
from ariel_tf.training.stackable import NotStackable
from ariel_tf.training.stacked import Stack
from ariel_tf.training.summary import folder_of
from ariel_tf.training.tensorboard import TensorBoardLog

STACK = ("auto", "yes", "no")


@dataclasses.dataclass(frozen=True)
class Job:
    """What stays the same over a whole run.

    Attributes:
        source: open for every wavelength that is seen.
        configs: of each wavelength, resolved, ascending.
        resolved: of the run: the first wavelength's values, with the list instead of its number.
        stack: auto, yes or no.
        command: what the user repeats to go on after a stop.
        path: of the run.
        devices: as of `distribute.parse`.
    """

    source: Source
    configs: dict[int, Configuration]
    resolved: dict[str, Any]
    stack: str
    command: str
    path: Path
    devices: str

    @property
    def strategy(self) -> Any:
        return distribute.strategy_of(self.devices)

    def resolved_for(self, members: Sequence[int]) -> dict[str, Any]:
        """The configuration of one wavelength, as its own training would write it, or of a group."""
        return self.resolved | {"wavelength": members[0] if len(members) == 1 else wavelengths.as_text(members)}


def train_all(
    config: Configuration,
    chosen: tuple[int, ...],
    stack: str,
    command: str,
    path: Path | None,
    overwrite: bool = False,
    dry: bool = False,
    devices: str = "auto",
) -> None:
    """Train, or resume, one model for each wavelength.

    Args:
        config: resolved, of any of them.
        chosen: wavelengths, ascending.
        stack: "auto", "yes" (together) or "no" (one after another).
        command, path, overwrite, dry, devices: as of `train.train`.

    Raises:
        ArielError: whatever the user can mend, in one sentence.
    """
    configs = {wavelength: dataclasses.replace(config, wavelength=wavelength) for wavelength in chosen}
    source = open_source(config.data, config.seen if config.channels == "all" else chosen)
    train.check_folds(source, config)
    first = configs[chosen[0]]
    rows = Rows(source, first)
    built = build(first, rows.statistics, rows.steps * first.epochs)
    listed = wavelengths.as_text(chosen)
    resolved = first.as_json() | {"data": source.description, "settings": built.settings, "wavelength": listed}
    job = Job(
        source, configs, resolved, stack, command, path or train.default_path(resolved, source.fingerprint), devices
    )
    if dry:
        train.describe(source, first, resolved, built, job.path)
        print(told(plan(job, built)))
        return
    with RunFolder(job.path, resolved, source.fingerprint, overwrite) as run:
        if not run.state["finished"]:
            run.write_meta(train.data_facts(source, first) | {"command": command}, collect(job.strategy))
            if "groups" not in run.state:
                run.commit(groups=plan(job, built))
            print(f"training {config.model}, {told(run.state['groups'])}, in {job.path}", flush=True)
            del rows, built
            train_groups(run, job)
            finish(run, job)
        print("\n".join(summary.report_lines(job.path, read_json(run.verified("scores.json")))))


def told(groups: Sequence[Sequence[int]]) -> str:
    """Who trains with whom, in words."""
    if all(len(group) == 1 for group in groups):
        return f"{len(groups)} wavelengths one by one" if len(groups) > 1 else f"wavelength {groups[0][0]}"
    ways = [f"{wavelengths.as_text(group)} {'together' if len(group) > 1 else 'alone'}" for group in groups]
    return "wavelengths " + ", then ".join(ways)


def plan(job: Job, built: Built) -> list[list[int]]:
    """Wavelengths in groups; a group of one is an ordinary training.

    Raises:
        UsageError: with --stack yes, what stands in the way of a stack.
    """
    alone = [[wavelength] for wavelength in job.configs]
    if job.stack == "no" or len(alone) == 1:
        return alone
    try:
        if next(iter(job.configs.values())).augmentations:
            raise NotStackable("--augment draws rows of its own for each model. Take --stack no.")
        if built.settings["schedule"] == "plateau":
            raise NotStackable("--set schedule=plateau gives each wavelength a rate of its own. Take --stack no.")
        if job.strategy.num_replicas_in_sync > 1:
            raise NotStackable("a stack trains on one device. Take --stack no.")
        stackable.refuse_unstackable(built.training)
        return by_memory(job, built)
    except UsageError as error:
        if job.stack == "yes":
            raise
        print(f"one wavelength at a time: {str(error).removesuffix(' Take --stack no.')}", flush=True)
        return alone


def by_memory(job: Job, built: Built) -> list[list[int]]:
    """As few groups as memory allows."""
    config = next(iter(job.configs.values()))
    choice = choice_of(config, (*config.train_folds, *config.validation_folds), config.every)
    if not dataset.fits_in_memory(job.source, choice):
        raise NotStackable("rows that stream from the disk each epoch can't be shared by a stack. Take --stack no.")
    rows = job.source.rows(choice.folds) // config.every
    each = memory.needed(built.training, config.batch_size, rows, choice.observation_bytes)
    free, total = memory.available(), len(job.configs)
    groups = memory.groups(list(job.configs), each, free)
    if not groups:
        raise NotStackable(
            f"two wavelengths of {config.model} together need {memory.spoken(2 * each)} of memory, and of the "
            f"{memory.spoken(free)} that are free {memory.SHARE:.0%} may be taken. Take --stack no."
        )
    if len(groups) > 1:
        print(
            f"{total} wavelengths together need {memory.spoken(total * each)} of memory, "
            f"{memory.spoken(free)} are free: {len(groups)} groups, one after another",
            flush=True,
        )
    return groups


def train_groups(run: RunFolder, job: Job) -> None:
    """Train every group that holds an unfinished wavelength."""
    # Each model is traced anew, which TensorFlow takes for a mistake and warns of.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    for group in run.state["groups"]:
        left = [wavelength for wavelength in group if not is_finished(folder_of(job.path, wavelength))]
        if not left:
            continue
        try:
            if len(group) > 1:
                train_together(job, group)
                continue
        except NotStackable as error:  # found only when the stack was built
            if job.stack == "yes":
                raise
            print(f"one wavelength at a time: {error}", flush=True)
        for wavelength in left:
            path = folder_of(job.path, wavelength)
            train.train_on(job.source, job.configs[wavelength], job.command, path, devices=job.devices)
            keras.utils.clear_session()


def train_together(job: Job, group: list[int]) -> None:
    """Train a group as a stack, then write each wavelength's run folder."""
    configs = [job.configs[wavelength] for wavelength in group]
    config, rows = configs[0], StackedRows(job.source, configs)
    work = stack_trainer.StackWork(
        table=rows.train,
        validation=rows.validation,
        order=rows.order,
        batch_size=config.batch_size,
        epochs=config.epochs,
        patience=config.patience,
        seed=config.seed,
    )
    steps = work.steps * config.epochs
    built = [build(one, statistics, steps) for one, statistics in zip(configs, rows.statistics, strict=True)]
    stack = Stack([one.training for one in built], rows.validation.take(np.arange(min(4, rows.validation.rows))))
    path = job.path / f"stack-w{group[0]:02d}-w{group[-1]:02d}"
    with RunFolder(path, job.resolved_for(group), job.source.fingerprint) as run:
        facts = train.data_facts(job.source, config) | {"command": job.command}
        run.write_meta(facts, collect(job.strategy))
        with contextlib.closing(TensorBoardLog(run, run.configuration)) as log:
            now = stack_trainer.fit(run, stack, group, work, log, job.command)
        stack.take_out_best()
        with callbacks.StopOnSignal(run, job.command) as stop:
            for index, batches in enumerate(rows.test()):
                write_alone(job, run, group[index], now, index, built[index], batches, rows, facts)
                stop.on_epoch_end(0)
        run.commit(finished=True)


def write_alone(job: Job, stack_run: RunFolder, wavelength: int, now, index, built, batches, rows, facts) -> None:
    """The run folder of one wavelength of a stack, as its own training would have left it."""
    config = job.configs[wavelength]
    with RunFolder(folder_of(job.path, wavelength), job.resolved_for([wavelength]), job.source.fingerprint) as run:
        if run.state["finished"]:
            return
        run.write_meta(facts, collect(job.strategy))
        last = int(now.last_epoch[index])
        run.rows = stack_trainer.rows_of(stack_run, wavelength, last)
        run.write_rows()
        callbacks.save_model(built.inference, run)
        best = {"best_epoch": int(now.best_epoch[index]), "best_score": float(now.best_score[index])}
        run.commit(("metrics.csv", "best.keras"), epoch=last, **best)
        predictions = Predictions.collect(built.inference, batches)
        picture_predictions(predictions, f"{config.model}: test planets", run.path / "prediction.png")
        constant = predictions.replaced(rows.statistics[index]["radius"].mean)
        train.finish(run, predictions, constant, train.data_facts(job.source, config), job.command)


def finish(run: RunFolder, job: Job) -> None:
    """Write the scores of all wavelengths and the run's description, and commit the run as finished."""
    scores = summary.gather(job.path, tuple(job.configs))
    write_json(job.path / "scores.json", scores)
    facts = train.data_facts(job.source, next(iter(job.configs.values())))
    write_text(job.path / "README.md", summary.write_card(scores, facts, job.resolved, job.command))
    run.commit(("scores.json", "README.md"), finished=True)

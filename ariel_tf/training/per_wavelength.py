"""Train one model for each of several wavelengths: what `python -m ariel_tf.train --wavelength 0-54` does.

    RUN/                  configuration, scores of all wavelengths, README.md
        stack-w00-w54/    wavelengths trained together: checkpoint, metrics of each epoch, TensorBoard
        w00/ ... w54/     an ordinary run folder each

Wavelengths are trained together as a stack (`training.stacked.stack`) where the model is one that gains from it, in as
many groups as memory asks for; otherwise one after another. Both give the same models. A run that was stopped
goes on where it was: the groups are recorded, and a finished wavelength is skipped.

Several jobs may work in one RUN at once, with slices of one list (`0-54/8:3`) or with `--jobs`: `runs.work_queue`
sees to it that no two take the same wavelength.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import keras

from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import Configuration
from ariel_tf.core import processes, resources
from ariel_tf.core.atomic_files import read_json, write_json, write_text
from ariel_tf.core.errors import UsageError
from ariel_tf.data import dataset
from ariel_tf.data.sources import open_source
from ariel_tf.models.builder import Built, build
from ariel_tf.runs import summary, work_queue
from ariel_tf.runs.folder import RunFolder
from ariel_tf.runs.metadata import collect
from ariel_tf.runs.work_queue import folder_of
from ariel_tf.training import cluster, distribute
from ariel_tf.training import job as training_job
from ariel_tf.training.data import TrainingData
from ariel_tf.training.stacked import layers, memory
from ariel_tf.training.stacked.group import Job, train_together
from ariel_tf.training.stacked.layers import NotStackable

STACK = ("auto", "yes", "no")


def train_all(
    config: Configuration,
    stack: str,
    command: str,
    path: Path | None,
    overwrite: bool = False,
    dry: bool = False,
    devices: str = "auto",
    jobs: int = 1,
) -> None:
    """Train, or resume, one model for each wavelength.

    Args:
        config: resolved; its wavelengths are a list.
        stack: "auto", "yes" (together) or "no" (one after another).
        command, path, overwrite, dry, devices: as of `job.train`.
        jobs: how many such processes share this machine.

    Raises:
        ArielError: whatever the user can mend, in one sentence.
    """
    every, chosen = config.wavelength.every, config.wavelength.chosen
    configs = config.for_each_wavelength()
    strategy = distribute.strategy_of(devices)
    distribute.check_batch(strategy, config.batch_size)
    source = open_source(config.data, config.signature.inputs)
    training_job.check_folds(source, config)
    source = source.subset(config.train_folds, config.planets, config.signature)
    first = configs[chosen[0]]
    rows = TrainingData(source, first)
    distribute.check_batch(strategy, config.batch_size, rows.count)
    with strategy.scope():
        built = build(first, rows.statistics, rows.steps * first.epochs)
    resolved = first.as_json() | {"data": source.description, "settings": built.settings}
    resolved |= {"wavelength": config.wavelength.as_json()}
    path = path or training_job.default_path(resolved, source.fingerprint)
    job = Job(source, configs, every, resolved, stack, command, path, devices, jobs)
    if dry:
        training_job.describe(source, first, resolved, built, job.path)
        print(told(plan(job, built, chosen)))
        return
    with cluster.run_folder(strategy, job.path, resolved, source.fingerprint, overwrite, shared=True) as run:
        groups = planned(run, job, built)
        left = work_queue.unfinished(job.path, chosen)
        if left:
            with run.held():
                run.write_meta(training_job.data_facts(source, first.folds) | {"command": command}, collect(strategy))
            if run.is_chief:
                print(f"training {config.model}, {told(groups)}, in {job.path}", flush=True)
            del rows, built
            train_groups(run, job, groups)
        elif cluster.task()[1] == 1:
            mend(job, groups)
        if run.is_chief:
            finish(run, job, repeated=not left)


def planned(run: RunFolder, job: Job, built: Built) -> list[list[int]]:
    """The groups of this job's wavelengths, as they are on record, or made and recorded now."""
    with run.held():
        before = run.state.get("groups", [])
        new = [wavelength for wavelength in job.configs if not any(wavelength in group for group in before)]
        if new and run.is_chief:
            run.commit(groups=[*before, *plan(job, built, new)])
    cluster.barrier(job.strategy)
    with run.held():
        groups = [group for group in run.state["groups"] if not job.configs.keys().isdisjoint(group)]
    for group in groups:
        if not job.configs.keys() >= set(group):
            raise UsageError(
                f"--wavelength: {job.path} trains wavelengths {Targets.each(group)} together, and this list "
                "holds some of them only. Take a list with all of them, or another --run."
            )
    return groups


def told(groups: Sequence[Sequence[int]]) -> str:
    """Who trains with whom, in words."""
    if all(len(group) == 1 for group in groups):
        return f"{len(groups)} wavelengths one by one" if len(groups) > 1 else f"wavelength {groups[0][0]}"
    ways = [f"{Targets.each(group)} {'together' if len(group) > 1 else 'alone'}" for group in groups]
    return "wavelengths " + ", then ".join(ways)


def plan(job: Job, built: Built, new: Sequence[int]) -> list[list[int]]:
    """Wavelengths in groups; a group of one is an ordinary training.

    Raises:
        UsageError: with --stack yes, what stands in the way of a stack.
    """
    alone = [[wavelength] for wavelength in new]
    if job.stack == "no" or len(alone) == 1:
        return alone
    try:
        if next(iter(job.configs.values())).augmentations:
            raise NotStackable("--augment draws rows of its own for each model. Take --stack no.")
        if built.settings["schedule"] == "plateau":
            raise NotStackable("--set schedule=plateau gives each wavelength a rate of its own. Take --stack no.")
        layers.refuse_unstackable(built.training)
        return by_memory(job, built, new)
    except UsageError as error:
        if job.stack == "yes":
            raise
        print(f"one wavelength at a time: {str(error).removesuffix(' Take --stack no.')}", flush=True)
        return alone


def by_memory(job: Job, built: Built, new: Sequence[int]) -> list[list[int]]:
    """As few groups as memory allows."""
    config = next(iter(job.configs.values()))
    folds = (*config.train_folds, *config.validation_folds)
    selection = dataclasses.replace(config.selection("train"), folds=folds, bootstrap_seed=None)
    if not dataset.fits_in_memory(job.source, selection):
        raise NotStackable("rows that stream from the disk each epoch can't be shared by a stack. Take --stack no.")
    rows = job.source.observations(folds) // selection.stride
    each = memory.needed(built.training, config.batch_size, rows, selection.signature.observation_bytes)
    free, total = memory.available(), len(new)
    groups = memory.groups(new, each, free, job.jobs)
    if not groups:
        raise NotStackable(
            f"two wavelengths of {config.model} together need {resources.format_bytes(2 * each)} of memory, and of the "
            f"{resources.format_bytes(free)} that are free {memory.SHARE:.0%} may be taken. Take --stack no."
        )
    if len(groups) > job.jobs:
        print(
            f"{total} wavelengths together need {resources.format_bytes(total * each)} of memory, "
            f"{resources.format_bytes(free)} are free: {len(groups)} groups, one after another",
            flush=True,
        )
    return groups


def train_groups(run: RunFolder, job: Job, groups: Sequence[Sequence[int]]) -> None:
    """Train every group that holds an unfinished wavelength, once no other job is at it."""

    def train_group(group: Sequence[int]) -> None:
        _train_group(job, group)
        if run.is_chief and groups[-1] != group:
            finish(run, job, last=False)

    if cluster.task()[1] == 1:
        work_queue.train_each(job.path, groups, train_group)
    else:  # processes that train as one, alone in RUN
        for group in groups:
            left = work_queue.unfinished(job.path, group)
            cluster.barrier(job.strategy)  # all have looked before one writes
            if left:
                train_group(group)


def _train_group(job: Job, group: Sequence[int]) -> None:
    if len(group) > 1:
        try:
            return train_together(job, group)
        except NotStackable as error:  # found only when the stack was built
            if job.stack == "yes":
                raise
            print(f"one wavelength at a time: {error}", flush=True)
    for wavelength in work_queue.unfinished(job.path, group):
        train_alone(job, wavelength)
    return None


def train_alone(job: Job, wavelength: int) -> None:
    path = folder_of(job.path, wavelength)
    training_job.train_on(job.source, job.configs[wavelength], job.command, path, devices=job.devices)
    keras.utils.clear_session()


def mend(job: Job, groups: Sequence[Sequence[int]]) -> None:
    """Make finished wavelengths' damaged models anew: from their own checkpoint, or from that of their stack."""
    for group in groups:
        damaged = []
        for wavelength in group:
            path = folder_of(job.path, wavelength)
            with RunFolder(path, job.resolved_for([wavelength]), job.source.fingerprint) as run:
                if not run.is_sound("best.keras"):
                    damaged.append(wavelength)
        if damaged and len(group) > 1 and work_queue.stack_of(job.path, group).is_dir():
            train_together(job, group, damaged)
        else:
            for wavelength in damaged:
                train_alone(job, wavelength)


def finish(run: RunFolder, job: Job, last: bool = True, repeated: bool = False) -> None:
    """Describe the run: all wavelengths' scores, and commit it as finished; or which of them are done so far.

    Args:
        run: shared with other jobs.
        job: at hand.
        last: whether this job's work is over, to be told.
        repeated: whether all was done before this job began.
    """
    with run.held():
        left = work_queue.unfinished(job.path, job.every)
        ends = not left and not run.state["finished"]
        if ends:
            _finish(run, job)
        # Of several jobs the one that ends the run tells, whichever group it was at; of a run that was over, the first.
        tells = last if processes.number() is None else ends or (repeated and processes.number() == 1)
        if left:
            text = summary.write_progress(job.path, run.state["groups"], job.every, job.resolved, job.command)
            write_text(job.path / "README.md", text)
        if left and last:
            done = len(job.every) - len(left)
            print(f"{done} of {len(job.every)} wavelengths are done; {job.path / 'README.md'} shows which", flush=True)
        elif tells:
            print("\n".join(summary.report_lines(job.path, read_json(run.verified("scores.json")))), flush=True)


def _finish(run: RunFolder, job: Job) -> None:
    scores = summary.gather(job.path, job.every)
    write_json(job.path / "scores.json", scores)
    facts = training_job.data_facts(job.source, next(iter(job.configs.values())).folds)
    write_text(job.path / "README.md", summary.write_card(scores, facts, job.resolved, job.command))
    run.commit(("scores.json", "README.md"), finished=True)

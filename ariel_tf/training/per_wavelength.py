"""Train one model for each of several wavelengths: what `python -m ariel_tf.train --wavelength 0-54` does.

    RUN/                  configuration, scores of all wavelengths, README.md
        stack-w00-w54/    wavelengths trained together: checkpoint, metrics of each epoch, TensorBoard
        w00/ ... w54/     an ordinary run folder each

Wavelengths are trained together as a stack (`training.stacked`) if that is faster, in as many groups as memory
requires; otherwise one after another. Both give the same models. A stopped run is resumed: the groups are recorded,
and finished wavelengths are skipped.

Several processes may work in one RUN at once, with slices of one list (`0-54/8:3`) or with `--jobs`; `runs.work_queue`
ensures that no two train the same wavelength.
"""

from collections.abc import Sequence
from pathlib import Path

import keras

from ariel_tf.config.targets import Targets
from ariel_tf.core import messages, processes, resources
from ariel_tf.core.atomic_files import write_json, write_text
from ariel_tf.core.errors import UsageError
from ariel_tf.core.resources import TimeLeft
from ariel_tf.models.builder import Built
from ariel_tf.runs import list_run, work_queue
from ariel_tf.runs.committed import read_scores
from ariel_tf.runs.folder import RunFolder
from ariel_tf.runs.metadata import collect
from ariel_tf.runs.work_queue import folder_of
from ariel_tf.training import cluster
from ariel_tf.training.dry_run import describe
from ariel_tf.training.job import WINDOWS, TrainingJob, run_folder
from ariel_tf.training.one_model import loss_line, train_one
from ariel_tf.training.stacked import layers, memory
from ariel_tf.training.stacked.group import train_together
from ariel_tf.training.stacked.layers import NotStackable
from ariel_tf.training.tensorboard import hyper_parameters
from ariel_tf.training.trackers import summary, tracked


def train(job: TrainingJob) -> Path:
    """Train, or resume, one model for each wavelength.

    Args:
        job: job of a list of wavelengths.

    Returns:
        The run folder.

    Raises:
        ArielError: an error that the user can mend, in one sentence.
    """
    chosen = job.config.wavelength.chosen
    first = job.only(chosen[:1], folder_of(job.path, chosen[0]))
    rows = first.load()
    built = first.build(rows.statistics, rows.steps)
    job = job.built_with(built.settings)
    if job.options.dry_run:
        groups = plan(job, built, chosen)
        describe(job, built, groups)
        print(describe_groups(groups))
        return job.path
    with run_folder(job, shared=True) as run:
        groups = planned(run, job, built)
        left = work_queue.unfinished(job.path, chosen)
        if left:
            with run.held():
                run.write_meta(job.facts(), collect(job.strategy))
            if run.is_chief:
                messages.info(f"training {job.config.model_name}, {describe_groups(groups)}, in {job.path}")
                if max(map(len, groups)) > 1:  # a training alone prints its own
                    messages.info(loss_line(job.config))
            del rows, built
            train_groups(run, job, groups)
        elif cluster.task()[1] == 1:
            mend(job, groups)
        if run.is_chief:
            finish(run, job, repeated=not left)
    return job.path


def member(job: TrainingJob, wavelength: int) -> TrainingJob:
    """Return the job of one wavelength, in its run folder within the run."""
    return job.only([wavelength], folder_of(job.path, wavelength))


def open_member(job: TrainingJob, wavelength: int) -> RunFolder:
    """Return the run folder of one wavelength."""
    one = member(job, wavelength)
    return RunFolder(one.path, one.identity, one.source.fingerprint)


def planned(run: RunFolder, job: TrainingJob, built: Built) -> list[list[int]]:
    """Return the groups of this job's wavelengths, as recorded, or newly made and recorded."""
    chosen = job.config.wavelength.chosen
    with run.held():
        before = run.state.get("groups", [])
        new = [wavelength for wavelength in chosen if not any(wavelength in group for group in before)]
        if new and run.is_chief:
            run.commit(groups=[*before, *plan(job, built, new)])
    cluster.barrier(job.strategy)
    with run.held():
        groups = [group for group in run.state["groups"] if not set(chosen).isdisjoint(group)]
    for group in groups:
        if not set(chosen) >= set(group):
            raise UsageError(
                f"--wavelength: {job.path} trains wavelengths {Targets.each(group)} together, and this list "
                "holds some of them only. Take a list with all of them, or another --run."
            )
    return groups


def describe_groups(groups: Sequence[Sequence[int]]) -> str:
    """Describe which wavelengths train together."""
    if all(len(group) == 1 for group in groups):
        return f"{len(groups)} wavelengths one by one" if len(groups) > 1 else f"wavelength {groups[0][0]}"
    ways = [f"{Targets.each(group)} {'together' if len(group) > 1 else 'alone'}" for group in groups]
    return "wavelengths " + ", then ".join(ways)


def plan(job: TrainingJob, built: Built, new: Sequence[int]) -> list[list[int]]:
    """Divide wavelengths into groups; a group of one is an ordinary training.

    Raises:
        UsageError: with --stack yes, the reason why they cannot be stacked.
    """
    alone = [[wavelength] for wavelength in new]
    if job.options.stack == "no" or len(alone) == 1:
        return alone
    try:
        if job.config.augmentations:
            raise NotStackable("--augment draws rows of its own for each model. Take --stack no.")
        if built.settings["schedule"] == "plateau":
            raise NotStackable("--set schedule=plateau gives each wavelength a rate of its own. Take --stack no.")
        if job.config.also:
            raise NotStackable("--also is for models that train alone. Take --stack no.")
        if built.fine_tuning:
            raise NotStackable("--set frozen_epochs trains some layers only. Take --stack no.")
        layers.refuse_unstackable(built.training)
        return by_memory(job, built, new)
    except UsageError as error:
        if job.options.stack == "yes":
            raise
        messages.info(f"one wavelength at a time: {str(error).removesuffix(' Take --stack no.')}")
        return alone


def by_memory(job: TrainingJob, built: Built, new: Sequence[int]) -> list[list[int]]:
    """Return as few groups as memory allows."""
    jobs = job.options.jobs
    if job.order == WINDOWS:
        raise NotStackable(
            "rows that are shuffled in windows can't be shared by a stack; with more --memory, or in arrays "
            "(`python -m pipelines.arrays`), they are shuffled as a whole. Take --stack no."
        )
    each = memory.needed_by_each(job, built.training, new)
    free, total = memory.available(), len(new)
    groups = memory.groups(new, each, free, jobs)
    if groups:  # rows of all may be in mapped files, and those of a smaller group in memory
        each = max(each, memory.needed_by_each(job, built.training, max(groups, key=len)))
        groups = memory.groups(new, each, free, jobs)
    if not groups:
        raise NotStackable(
            f"two wavelengths of {job.config.model_name} together need {resources.format_bytes(2 * each)} of memory, "
            f"and of the {resources.format_bytes(free)} that are free {memory.SHARE:.0%} may be taken. Take --stack no."
        )
    if len(groups) > jobs:
        messages.info(
            f"{total} wavelengths together need {resources.format_bytes(total * each)} of memory, "
            f"{resources.format_bytes(free)} are free: {len(groups)} groups, one after another"
        )
    return groups


def train_groups(run: RunFolder, job: TrainingJob, groups: Sequence[Sequence[int]]) -> None:
    """Train every group that has an unfinished wavelength and that no other process trains."""

    time_left, ended = TimeLeft(), 0

    def train_group(group: Sequence[int]) -> None:
        nonlocal ended
        _train_group(job, group)
        ended += 1
        if run.is_chief and (text := time_left(ended, ended + len(_untrained(job, groups)))):
            messages.info(text)
        if run.is_chief and groups[-1] != group:
            finish(run, job, last=False)

    if cluster.task()[1] == 1:
        work_queue.train_each(job.path, groups, train_group)
    else:  # processes that train as one, with RUN to themselves
        for group in groups:
            left = work_queue.unfinished(job.path, group)
            cluster.barrier(job.strategy)  # all have read the state before one writes
            if left:
                train_group(group)


def _untrained(job: TrainingJob, groups: Sequence[Sequence[int]]) -> list[Sequence[int]]:
    """Return the groups that have an unfinished wavelength."""
    unfinished = set(work_queue.unfinished(job.path, [wavelength for group in groups for wavelength in group]))
    return [group for group in groups if unfinished & {*group}]


def _train_group(job: TrainingJob, group: Sequence[int]) -> None:
    if len(group) > 1:
        try:
            return train_together(job, group)
        except NotStackable as error:  # found only when the stack was built
            if job.options.stack == "yes":
                raise
            messages.info(f"one wavelength at a time: {error}")
    for wavelength in work_queue.unfinished(job.path, group):
        train_alone(job, wavelength)
    return None


def train_alone(job: TrainingJob, wavelength: int) -> None:
    """Train one wavelength in its run folder."""
    train_one(member(job, wavelength))
    keras.utils.clear_session()


def mend(job: TrainingJob, groups: Sequence[Sequence[int]]) -> None:
    """Write damaged models of finished wavelengths again: from their own checkpoint, or from that of their stack."""
    for group in groups:
        damaged = []
        for wavelength in group:
            with open_member(job, wavelength) as run:
                if not run.is_sound("best.keras"):
                    damaged.append(wavelength)
        if damaged and len(group) > 1 and work_queue.stack_folder(job.path, group).is_dir():
            train_together(job, group, damaged)
        else:
            for wavelength in damaged:
                train_alone(job, wavelength)


def finish(run: RunFolder, job: TrainingJob, last: bool = True, repeated: bool = False) -> None:
    """Write the run's description: all scores and the end of the run, or which wavelengths are done so far.

    Args:
        run: run shared with other processes.
        job: job of this process.
        last: whether this process has no more work, and prints the result.
        repeated: whether everything was done before this process began.
    """
    every = job.config.wavelength.every
    with run.held():
        left = work_queue.unfinished(job.path, every)
        ends = not left and not run.state["finished"]
        if ends:
            _finish(run, job)
        # Of several processes, the one that completes the run prints the scores, whichever group it trained; for a run
        # that was already finished, the first one.
        prints = last if processes.job_number() is None else ends or (repeated and processes.job_number() == 1)
        if left:
            text = list_run.progress_card(job.path, run.state["groups"], every, job.identity, job.options.command)
            write_text(job.path / "README.md", text)
        if left and last:
            done = len(every) - len(left)
            print(f"{done} of {len(every)} wavelengths are done; {job.path / 'README.md'} shows which", flush=True)
        elif prints:
            print("\n".join(list_run.report_lines(job.path, read_scores(job.path))), flush=True)
    if ends:
        with tracked(job.options.track, run, hyper_parameters(run.configuration)) as tracking:
            if tracking:
                tracking.summarise(summary(read_scores(run.path)))


def _finish(run: RunFolder, job: TrainingJob) -> None:
    scores = list_run.gather_scores(job.path, job.config.wavelength.every)
    write_json(job.path / "scores.json", scores)
    text = list_run.list_card(scores, job.facts(), job.identity, job.options.command)
    write_text(job.path / "README.md", text)
    run.commit(("scores.json", "README.md"), finished=True)

"""Share a run of several wavelengths between jobs: which are done, in training or left; no TensorFlow.

A job that trains a wavelength, or a stack of them, holds the lock of its folder, which the system releases however the
process ends. So no two jobs train the same wavelength, and another job takes over the work of a dead one.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ariel_tf.config.targets import Targets
from ariel_tf.core import messages
from ariel_tf.runs.lock import Busy, is_locked
from ariel_tf.runs.state import has_state, is_finished, read_state

# Seconds between two checks of what other jobs have finished.
CHECK_SECONDS = 2.0


def folder_of(path: Path, wavelength: int) -> Path:
    """Return the run folder of one wavelength within a run of several."""
    return path / f"w{wavelength:02d}"


def stack_folder(path: Path, group: Sequence[int]) -> Path:
    """Return the folder of a stack: wavelengths that train together."""
    return path / f"stack-w{group[0]:02d}-w{group[-1]:02d}"


def work_folder(path: Path, group: Sequence[int]) -> Path:
    """Return the folder whose lock a job holds while it trains a group."""
    return stack_folder(path, group) if len(group) > 1 else folder_of(path, group[0])


def unfinished(path: Path, members: Sequence[int]) -> list[int]:
    """Return the wavelengths whose runs are not finished."""
    return [wavelength for wavelength in members if not is_finished(folder_of(path, wavelength))]


def train_each(path: Path, groups: Sequence[Sequence[int]], train: Callable[[Sequence[int]], None]) -> None:
    """Train every unfinished group that no other job trains; wait for the others, and take over unfinished work.

    Args:
        path: run folder.
        groups: groups of wavelengths.
        train: function that trains a group to its end; raises `Busy` if another job took it meanwhile.
    """
    left, printed = list(groups), False
    while left:
        before, left = left, []
        for group in before:
            if not unfinished(path, group):
                continue
            try:
                if is_locked(work_folder(path, group)):
                    raise Busy(f"{work_folder(path, group)}: another job trains there.")
                train(group)
            except Busy:
                left.append(group)
        if left:
            if not printed:
                names = Targets.each(wavelength for group in left for wavelength in group)
                messages.info(f"waiting for other jobs, which train wavelengths {names}")
            printed = True
            time.sleep(CHECK_SECONDS)


def states(path: Path, groups: Sequence[Sequence[int]], every: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Yield each wavelength and its progress as text.

    Args:
        path: run folder.
        groups: the planned groups; a wavelength in none of them is not begun.
        every: all wavelengths of the run.
    """
    group_of = {wavelength: group for group in groups for wavelength in group}
    for wavelength in every:
        folder = work_folder(path, group_of.get(wavelength, [wavelength]))
        epoch = read_state(folder)["epoch"] if has_state(folder) else 0
        if is_finished(folder_of(path, wavelength)):
            yield wavelength, "done"
        elif is_locked(folder):
            yield wavelength, f"in training, {epoch} epochs saved"
        else:
            yield wavelength, f"stopped after epoch {epoch}" if epoch else "not begun"

"""A run of several wavelengths that several jobs may share: what is done, who is at work, what is left; no TensorFlow.

Whoever trains a wavelength, or a stack of them, holds the lock of its folder, which the system frees when the process
dies in any way. So no two jobs take the same wavelength, and a dead job's is free for the next that looks.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ariel_tf.config.targets import Targets
from ariel_tf.runs.lock import Busy, is_locked
from ariel_tf.runs.state import has_state, is_finished, read_state

# Seconds between looks at what other jobs are at.
LOOK = 2.0


def folder_of(path: Path, wavelength: int) -> Path:
    """The run folder of one wavelength within a run of several."""
    return path / f"w{wavelength:02d}"


def stack_of(path: Path, group: Sequence[int]) -> Path:
    """The folder of the training of wavelengths that train together."""
    return path / f"stack-w{group[0]:02d}-w{group[-1]:02d}"


def workshop(path: Path, group: Sequence[int]) -> Path:
    """The folder whose lock means that a group is being trained."""
    return stack_of(path, group) if len(group) > 1 else folder_of(path, group[0])


def unfinished(path: Path, members: Sequence[int]) -> list[int]:
    return [wavelength for wavelength in members if not is_finished(folder_of(path, wavelength))]


def train_each(path: Path, groups: Sequence[Sequence[int]], train: Callable[[Sequence[int]], None]) -> None:
    """Train every group that is not finished and that no other job holds; wait for those of others, and take over
    what a dead one leaves.

    Args:
        path: of the run.
        groups: of wavelengths.
        train: trains a group to its end; raises `Busy` where another job was faster.
    """
    left, told = list(groups), False
    while left:
        before, left = left, []
        for group in before:
            if not unfinished(path, group):
                continue
            try:
                if is_locked(workshop(path, group)):
                    raise Busy(f"{workshop(path, group)}: another job trains there.")
                train(group)
            except Busy:
                left.append(group)
        if left:
            if not told:
                names = Targets.each(wavelength for group in left for wavelength in group)
                print(f"waiting for other jobs, which train wavelengths {names}", flush=True)
            told = True
            time.sleep(LOOK)


def states(path: Path, groups: Sequence[Sequence[int]], every: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Each wavelength and how far it is, in words.

    Args:
        path: of the run.
        groups: those that are planned; a wavelength in none of them is not begun.
        every: wavelength of the run.
    """
    group_of = {wavelength: group for group in groups for wavelength in group}
    for wavelength in every:
        shop = workshop(path, group_of.get(wavelength, [wavelength]))
        epoch = read_state(shop)["epoch"] if has_state(shop) else 0
        if is_finished(folder_of(path, wavelength)):
            yield wavelength, "done"
        elif is_locked(shop):
            yield wavelength, f"in training, {epoch} epochs saved"
        else:
            yield wavelength, f"stopped after epoch {epoch}" if epoch else "not begun"

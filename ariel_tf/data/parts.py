"""Several machines that write one data set in one folder: each writes its part of the shards, one of them the manifest.

    --part 1/8 ... 8/8    a share of the folder's lock; shard i of the plan belongs to part i modulo 8, plus 1
    --finish              all of the lock, once every part has ended: statistics.npz and manifest.json

The plan depends only on the planets, so the machines do not communicate. A shard is written under a temporary name by
one part only; shards that an interrupted part has committed are not written again.
"""

import fcntl
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ariel_tf.core.errors import UsageError
from ariel_tf.data import dataset_folder

if TYPE_CHECKING:
    from ariel_tf.data.shards import PlannedShard

LARGEST = 10_000


class Part(NamedTuple):
    """One of several parts, counted from 1.

    >>> Part.parse("3/8")
    Part(number=3, total=8)
    """

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the part that a text like `3/8` names; None for any other text."""
        found = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text, re.ASCII)
        part = cls(int(found[1]), int(found[2])) if found else None
        return part if part and 1 <= part.number <= part.total <= LARGEST else None

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    def of(self, plan: "Sequence[PlannedShard]") -> "list[PlannedShard]":
        """Return the shards of this part; shards are of about equal size, and so are parts."""
        return list(plan[self.number - 1 :: self.total])

    def claim(self, folder: Path, state: Mapping[str, Any]) -> list[int]:
        """Hold this part of a folder that contains nothing of ours except an unfinished data set of the same `state`.

        Args:
            folder: folder of the data set; exists.
            state: as for `dataset_folder.claim`.

        Returns:
            Handles to close at the end.

        Raises:
            UsageError: another process writes this part or all of it, or the folder contains something else.
        """
        handles = [dataset_folder.lock(folder, shared=True)]
        try:
            # Kept until the data set is finished: a file that is removed can be locked twice.
            handles.append(os.open(folder / f".writing-part-{self.number}-of-{self.total}", os.O_RDWR | os.O_CREAT))
            try:
                fcntl.flock(handles[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(f"{folder}: another process is writing part {self}; wait for it") from None
            except OSError:
                pass  # a file system without locks
            dataset_folder.claim_together(folder, state)
        except BaseException:
            for handle in handles:
                os.close(handle)
            raise
        return handles

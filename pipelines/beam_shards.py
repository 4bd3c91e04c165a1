"""A shard of a data set as one piece of work, on any worker, and the manifest of all shards.

    ShardTask ── write_shard ──▶ OUT/fold-3-00002.tfrecord, .npz, .json      Outcome, from which
    Outcomes  ── finish ───────▶ OUT/statistics.npz, manifest.json           or OUT/faults.json

OUT is a folder or a URL of TensorFlow's file systems. A worker writes into its own folder first, so that a file in OUT
is always complete. `pipelines.beam` runs these functions in a pipeline.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.core.tf_startup import import_tensorflow
from ariel_tf.data.manifest import MANIFEST_NAME, STATE_NAME, STATISTICS_NAME, Manifest
from ariel_tf.data.parts import Part
from ariel_tf.data.text.planet import PlanetRead
from pipelines import beam_files

if TYPE_CHECKING:
    from ariel_tf.data.shards import PlannedShard
    from ariel_tf.data.writer import DatasetWriter

FAULTS = "faults.json"  # the faults, if no manifest could be written


@dataclass(frozen=True)
class DataSet:
    """A data set to write, as passed to every worker.

    Attributes:
        out: folder or URL.
        rows: observations of each planet.
        labelled, fold_seed, shard_bytes, settings, skip_bad: as for `DatasetWriter`.
        source: for the manifest.
        skipped: {"file", "fault"} of what was left out before any planet was read.
        changed: time of the last change of any of the files, in ns.
    """

    out: str
    rows: Mapping[int, int]
    labelled: bool
    fold_seed: int
    shard_bytes: int
    settings: Mapping[str, Any]
    skip_bad: bool
    source: Mapping[str, Any]
    skipped: Sequence[dict[str, str]] = ()
    changed: int = 0

    def writer(
        self, folder: Path, part: Part | None = None, stamps: Mapping[int, str] | None = None
    ) -> "DatasetWriter":
        """Return the writer of all shards, or of a part, in a folder of this machine."""
        from ariel_tf.data.writer import DatasetWriter

        return DatasetWriter(
            folder,
            self.rows,
            labelled=self.labelled,
            fold_seed=self.fold_seed,
            shard_bytes=self.shard_bytes,
            settings=self.settings,
            inputs=stamps,
            skip_bad=self.skip_bad,
            part=part,
        )

    def path(self, name: str) -> str:
        """Return the path of a file of the data set."""
        return f"{self.out.rstrip('/')}/{name}"


class ShardTask(NamedTuple):
    """A shard to write: its number in the plan, from 1, of how many, and the inputs of its planets, in order."""

    number: int
    total: int
    tasks: Sequence[Any]
    stamps: Mapping[int, str]


class Outcome(NamedTuple):
    """The result of a shard: its name, the digest of its inputs, and faults, with which it was not written."""

    name: str
    inputs: str
    faults: Sequence[str]


def write_shard(task: ShardTask, data: DataSet, read: Callable[[Any], PlanetRead]) -> Outcome:
    """Write a shard, its sums and its page, unless an earlier run has; runs on any worker.

    Args:
        task: the shard.
        data: data set of the shard.
        read: function from a task of a planet to its result.
    """
    import_tensorflow(start_devices=False)
    from ariel_tf.data.commits import inputs_digest

    with tempfile.TemporaryDirectory() as folder:
        writer = data.writer(Path(folder), Part(task.number, task.total), task.stamps)
        (planned,) = writer.own
        inputs = inputs_digest(planned, data.rows, task.stamps)
        if _is_written(data, planned, inputs):
            return Outcome(planned.name, inputs, ())
        with writer:
            for result in map(read, task.tasks):
                skipped = [fault.entry() for fault in result.faults] if data.skip_bad else []
                refused = [] if data.skip_bad else list(map(str, result.faults))
                writer.add(result.number, result.planet, skipped, refused)
        if writer.faults:
            return Outcome(planned.name, inputs, list(writer.faults))
        for suffix in ("", ".npz", ".json"):  # the page last: it is the commit
            if (path := Path(folder, planned.name + suffix)).is_file():
                beam_files.put(path, data.path(path.name))
        return Outcome(planned.name, inputs, ())


def _is_written(data: DataSet, planned: "PlannedShard", inputs: str) -> bool:
    """Whether an earlier run has written a shard, byte for byte as its page describes it."""
    from ariel_tf.data.commits import Commit

    page = beam_files.read_value(data.path(f"{planned.name}.json"))
    commit = Commit.of_page(page, planned, inputs, data.skip_bad)
    if commit is None or not commit.are_sums(beam_files.content(data.path(f"{planned.name}.npz")) or b""):
        return False
    if commit.shard is None:
        return True
    digest = hashlib.sha256()
    for chunk in beam_files.chunks(data.path(planned.name)):
        digest.update(chunk)
    return digest.hexdigest() == commit.shard.sha256


def finish(outcomes: Sequence[Outcome], data: DataSet) -> int:
    """Write the manifest of all shards, or the list of faults; return the number of faults. Runs on one worker."""
    import_tensorflow(start_devices=False)
    from ariel_tf.data import commits

    faults = [fault for outcome in sorted(outcomes) for fault in outcome.faults]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if faults:
            (folder / FAULTS).write_text(json.dumps(faults))
            beam_files.put(folder / FAULTS, data.path(FAULTS))
            return len(faults)
        plan = data.writer(folder).plan
        digests = {outcome.name: outcome.inputs for outcome in outcomes}
        found = []
        for planned in plan:
            page = beam_files.read_value(data.path(f"{planned.name}.json"))
            commit = commits.Commit.of_page(page, planned, digests[planned.name], data.skip_bad)
            if commit is None:
                raise DataError(f"{data.path(planned.name)}: its page was changed by another process; start again.")
            (folder / f"{planned.name}.npz").write_bytes(beam_files.content(data.path(f"{planned.name}.npz")) or b"")
            found.append(commit)
        manifest = commits.whole(
            found,
            commits.read_sums(folder, plan),
            data.rows,
            source=dict(data.source),
            labelled=data.labelled,
            fold_seed=data.fold_seed,
            skipped=data.skipped,
        )
        manifest.write(folder)
        beam_files.put(folder / STATISTICS_NAME, data.path(STATISTICS_NAME))
        beam_files.put(folder / MANIFEST_NAME, data.path(MANIFEST_NAME))
    _remove(data, [STATE_NAME, *(f"{planned.name}{suffix}" for planned in plan for suffix in (".npz", ".json"))])
    return 0


def _remove(data: DataSet, names: Sequence[str]) -> None:
    """Remove files of OUT, if they exist."""
    for name in names:
        beam_files.remove(data.path(name))


# Before the first shard.


def claim(data: DataSet) -> bool:
    """Record in OUT which data set is being written; return whether it is already complete there.

    Raises:
        UsageError: OUT contains another data set, finished or not.
    """
    import tensorflow as tf

    if (there := manifest_of(data)) is not None:
        path = data.path(MANIFEST_NAME)
        # TensorFlow gives whole seconds, which on this machine is too coarse for files that were just made.
        written = os.stat(path).st_mtime_ns if os.path.exists(path) else tf.io.gfile.stat(path).mtime_nsec
        newer = written > data.changed
        if not newer or not data.writer(Path()).wrote(there, data.source):
            raise UsageError(f"{data.out} already holds a data set: use another folder")
        return True
    before, state = beam_files.read_value(data.path(STATE_NAME)), json.loads(json.dumps(data.writer(Path()).state))
    if before not in (None, state):
        raise UsageError(f"{data.out} holds an unfinished data set of other files or settings: use another folder")
    tf.io.gfile.makedirs(data.out)
    _remove(data, [FAULTS])
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / STATE_NAME).write_text(json.dumps(state))
        beam_files.put(Path(folder) / STATE_NAME, data.path(STATE_NAME))
    return False


def manifest_of(data: DataSet) -> Manifest | None:
    """Return the manifest in OUT; None if there is none."""
    page, sums = (beam_files.content(data.path(name)) for name in (MANIFEST_NAME, STATISTICS_NAME))
    return None if page is None else Manifest.from_bytes(page, sums or b"", data.out)

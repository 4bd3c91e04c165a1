"""Code shared by the pipelines.

Work is distributed over processes and returned in order, progress is printed for a terminal and for a log alike, and a
signal stops a command with a message that says how to resume it. No TensorFlow, so workers and --help start quickly.
"""

import collections
import contextlib
import multiprocessing
import os
import shlex
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pydantic import model_validator

from ariel_tf.core import cli, messages
from ariel_tf.core.errors import ArielError, Stopped, UsageError
from ariel_tf.core.resources import Progress as Progress
from ariel_tf.core.resources import format_count as format_count
from ariel_tf.core.schema import Schema, option
from ariel_tf.core.signals import Interrupted, interrupt_on_signal
from ariel_tf.data.manifest import MANIFEST_NAME, SHARD_BYTES, Manifest
from ariel_tf.data.parts import Part

if TYPE_CHECKING:
    from ariel_tf.data.writer import DatasetWriter

HOW_IT_WRITES = "how the data set is written"

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# Limit on finished results waiting for their turn, per process: enough to keep all busy, few enough for memory.
_LOOK_AHEAD = 2
# Number of planets that a warning names.
SHOWN_PLANETS = 10


def in_order(function: Callable[[_Item], _Result], items: Iterable[_Item], jobs: int) -> Generator[_Result, None, None]:
    """Yield `map(function, items)` over `jobs` processes: results in the order of the items, few in memory at a time.

    Args:
        function: importable by name; it and the items are pickled to the workers, results back.
        items: any number; consumed as needed.
        jobs: 1 runs all in this process.

    Raises:
        ArielError: a worker process was killed.
    """
    if jobs == 1:
        yield from map(function, items)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process with TensorFlow's threads may hang
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_the_parent) as pool:
        waiting: collections.deque[Future[_Result]] = collections.deque()
        try:
            for item in items:
                with _without_ctrl_c():
                    waiting.append(pool.submit(function, item))
                if len(waiting) > _LOOK_AHEAD * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise ArielError("a worker process was killed, perhaps for lack of memory: use fewer --jobs") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _end_with_the_parent() -> None:
    """End a worker whose parent was killed; otherwise it would wait for work indefinitely."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Block Ctrl-C and SIGHUP, here temporarily, in processes started meanwhile permanently: the parent ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def stopping(how_to_go_on: str) -> Iterator[None]:
    """Raise `Stopped` with this message on a stop signal; a second signal stops immediately."""
    try:
        with interrupt_on_signal():
            yield
    except Interrupted as received:
        raise Stopped(how_to_go_on, received.number) from None


class DatasetOptions(Schema):
    """Options of every command that writes a data set."""

    jobs: int = cli.jobs("number of worker processes", default=None, group=HOW_IT_WRITES)
    fold_seed: int = option(0, "random seed that assigns planets to folds", group=HOW_IT_WRITES, metavar="N")
    shard_bytes: int = option(
        SHARD_BYTES, "size of a shard in bytes", low=1, high=2**62, group=HOW_IT_WRITES, metavar="N",
        shown=f"{SHARD_BYTES >> 20} MiB"
    )  # fmt: skip
    overwrite: bool = cli.overwrite("remove an existing data set", group=HOW_IT_WRITES)


class PartOptions(DatasetOptions):
    """Options of commands whose work several machines can share."""

    part: str = option(
        "", "write only this part of the shards; several machines share OUT; then --finish",
        group=HOW_IT_WRITES, metavar="I/N", check=lambda text: not text or Part.parse(text) is not None,
        expected="a part like 3/8", shown="all shards"
    )  # fmt: skip
    finish: bool = option(False, "write the manifest once all parts are written", group=HOW_IT_WRITES)

    @property
    def which(self) -> Part | None:
        """Return the part to write; None for all shards."""
        return Part.parse(self.part)

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if self.part and self.finish:
            raise UsageError("--finish: expected without --part, once all parts are written.")
        if self.overwrite and (self.part or self.finish):
            raise UsageError(
                f"--overwrite: expected without {'--part' if self.part else '--finish'}; remove the data set first, "
                "or use another folder."
            )
        return self


def refuse_missing(writer: "DatasetWriter", options: PartOptions) -> None:
    """Refuse --finish while shards are missing.

    Args:
        writer: writer of all shards, in its context.
        options: options of the command.

    Raises:
        UsageError: names the first missing shard.
    """
    if not options.finish or not writer.pending:
        return
    missing = writer.missing
    what = f"{len(missing)} of {format_count(len(writer.plan), 'shard')} are missing, {missing[0]} first"
    what = what if missing else "the files that the shards were made from have changed"
    raise UsageError(
        f"--finish: {writer.folder}: {what}. Run the parts that did not end (a part that is complete does nothing), or "
        "leave --finish out to write the rest here."
    )


def report_part(writer: "DatasetWriter", summary: str) -> None:
    """Print which part of a data set was written, and the next command."""
    missing, all_shards = len(writer.missing), len(writer.plan)
    print(
        f"{writer.folder}: part {writer.part}, {format_count(len(writer.own), 'shard')}; {all_shards - missing} of "
        f"{all_shards} are there"
    )
    print(summary)
    first = "" if not missing else "the other parts, then "
    print(f"next: {first}the same command with --finish instead of --part {writer.part}")


def warn_of_dead_bands(entries: Sequence[Mapping[str, Any]]) -> None:
    """Print which planets have bands without noise.

    Args:
        entries: `dead_bands` of a manifest.
    """
    if not entries:
        return
    shown = [f"{entry['planet']:04d} at wavelength {', '.join(map(str, entry['wavelengths']))}" for entry in entries]
    planets = "1 planet has" if len(entries) == 1 else f"{len(entries)} planets have"
    messages.warning(
        f"{planets} bands without noise (dead, saturated or filled in), which are left out of white light "
        f"and of the weights of the score: {'; '.join(shown[:SHOWN_PLANETS])}{'; ...' * (len(shown) > SHOWN_PLANETS)}"
    )


def report_dataset(folder: Path, manifest: Manifest, summary: str) -> None:
    """Print what was written, how long it took, and the next command."""
    size = sum(shard.bytes for shard in manifest.shards)
    print(
        f"{folder}: {format_count(len(manifest.planets), 'planet')}, {format_count(manifest.rows, 'observation')}, "
        f"{'with' if manifest.labelled else 'without'} targets, {format_count(len(manifest.shards), 'shard')}, "
        f"{size / 1e6:.1f} MB"
    )
    print(summary)
    if manifest.skipped:
        left_out = "1 file or planet" if len(manifest.skipped) == 1 else f"{len(manifest.skipped)} files or planets"
        print(f"left out: {left_out}, listed in {folder / MANIFEST_NAME}")
    warn_of_dead_bands(manifest.dead_bands)
    place = shlex.quote(str(folder))
    print(f"next: python -m pipelines.check {place}")
    if manifest.labelled:
        print(f"      python -m ariel_tf.train --data {place} --wavelength 12")

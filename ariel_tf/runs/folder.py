"""A run folder: who may write it, what lies in it, and how it survives being stopped at any moment.

    RUN/config.json      the resolved configuration; another one is refused
        meta.json        commit, versions, hardware, data fingerprint, folds
        metrics.csv      a row an epoch
        checkpoints/     weights and optimiser after the last epoch, and after the best if it was saved at once
        best.keras       the best epoch's model: raw flux in, radii out
        scores.json      test scores, once the training is finished
        prediction.png   predicted against true radii of the test planets
        spectra.png      true and predicted spectra of some of them, if all wavelengths are predicted jointly
        tensorboard/     for `tensorboard --logdir`
        README.md        the run in words
        validation.png   as prediction.png of the validation planets, every few epochs; and validation_spectra.png
        state.json       the commit: last saved epoch, best epoch, SHA-256 of each file; written last

No TensorFlow.
"""

import contextlib
import csv
import fcntl
import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from ariel_tf.core.atomic_files import read_json, remove_leftovers, sha256, write_json, write_text
from ariel_tf.core.errors import DataError, UsageError

NEW_STATE: dict[str, Any] = {"epoch": 0, "best_epoch": 0, "best_score": None, "finished": False, "files": {}}
# Traces of epochs that were trained: with these and without state.json, a folder was damaged, not new.
TRAINED = ("metrics.csv", "best.keras", "scores.json")


class Busy(UsageError):
    """Another process holds the lock of a run folder."""


class RunFolder:
    """A run folder that this process holds the lock of.

    Args:
        path: made when absent.
        configuration: plain JSON values; must equal those of a run that is already there, but for where the
            data lie.
        fingerprint: of the data; must equal too.
        overwrite: move a run that is already there aside instead.
        is_chief: whether this process writes the folder. The other workers of a training on several hosts read what
            the chief wrote, keep the same state in memory, and write nothing.
        shared: between jobs: the lock is held only while the folder is opened and in `held` blocks.

    Attributes:
        state: the last committed state.
        rows: one an epoch; those of epochs that are not saved yet are not in `metrics.csv`.
        resumed: whether epochs are already done.

    Raises:
        UsageError: another configuration, other data, another process at work here, or no run folder.
        DataError: files of the run were damaged or removed.
    """

    def __init__(
        self,
        path: Path,
        configuration: dict[str, Any],
        fingerprint: str,
        overwrite: bool = False,
        is_chief: bool = True,
        shared: bool = False,
    ):
        self.path, self.configuration, self.fingerprint, self.is_chief = path, configuration, fingerprint, is_chief
        if is_chief:
            self._open(overwrite, shared)
            if shared:
                self.close()
        else:
            self._follow()

    def _follow(self) -> None:
        if not (self.path / "config.json").is_file():
            raise UsageError(
                f"--run {self.path}: the first worker's run folder is not to be seen from this one; give a --run on a "
                "file system that all hosts share."
            )
        self._refuse_another()
        self.state = self._read_state()
        self.rows = self._read_rows()

    def _open(self, overwrite: bool, wait: bool) -> None:
        path = self.path
        is_run = (path / "config.json").is_file()
        if path.exists() and not is_run and (not path.is_dir() or _foreign(path)):
            raise UsageError(f"--run {path}: expected a new name, or a run folder with its config.json.")
        if is_run and overwrite:
            move_aside(path)
            is_run = False
        (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        self._lock = _take_lock(path, wait)
        is_run = is_run or (path / "config.json").is_file()  # which another job may have made meanwhile
        try:
            for folder in (path, path / "checkpoints"):
                remove_leftovers(folder)
            if is_run:
                self._refuse_another()
            else:
                write_json(path / "config.json", self.configuration)
            self.state = self._read_state()
            self.rows = self._read_rows()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def held(self) -> Iterator[Self]:
        """A shared folder, with the state of this moment, to commit to."""
        if self.is_chief:
            self._lock = _take_lock(self.path, wait=True)
        try:
            self.state = self._read_state()
            yield self
        finally:
            self.close()

    def close(self) -> None:
        if self.is_chief:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refuse_another(self) -> None:
        before = read_json(self.path / "config.json", dict)
        names = {*before, *self.configuration}
        if ("ensemble" in before) != ("ensemble" in self.configuration):  # what only one of two kinds has says nothing
            names = before.keys() & self.configuration.keys()
        differing = [
            f"  {name}: {before.get(name)} there, {self.configuration.get(name)} now"
            for name in sorted(names - {"data"})
            if before.get(name) != self.configuration.get(name)
        ]
        meta = self.path / "meta.json"
        there = read_json(meta, dict).get("data_fingerprint") if meta.is_file() else self.fingerprint
        if not differing and there != self.fingerprint:
            differing = [f"  data fingerprint: {str(there)[:12]} there, {self.fingerprint[:12]} now"]
        if differing:
            raise UsageError(
                f"--run {self.path}: this run has another configuration or other data; "
                "give another --run, or --overwrite to move it aside:\n" + "\n".join(differing)
            )

    def _read_state(self) -> dict[str, Any]:
        if (self.path / "state.json").is_file():
            return read_state(self.path)
        left = [name for name in TRAINED if (self.path / name).exists()]
        if left or any((self.path / "checkpoints").glob("epoch-*")):
            raise DataError(f"{self.path}: its state.json is gone; restore it, or start again with --overwrite.")
        return dict(NEW_STATE)

    def _read_rows(self) -> list[dict[str, Any]]:
        if not self.resumed:
            return []
        path = self.path / "metrics.csv"
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(lines)]
            rows = [row for row in rows if row["epoch"] <= self.state["epoch"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            rows = []
        if [row["epoch"] for row in rows] != list(range(1, self.state["epoch"] + 1)):
            raise DataError(
                f"{path}: expected a row for each of the {self.state['epoch']} epochs that are saved; restore it, or "
                "start again with --overwrite."
            )
        return rows

    def write_meta(self, facts: dict[str, Any], session: dict[str, Any]) -> None:
        """`meta.json`: what stays true of the run, and a line of its own for each time that it was started.

        Args:
            facts: data, folds, command; those of the first start stay.
            session: commit, versions and hardware of this start.
        """
        if not self.is_chief:
            return
        path = self.path / "meta.json"
        before = read_json(path, dict) if path.is_file() else facts | {"sessions": []}
        sessions = [*before.get("sessions", []), {"from_epoch": self.state["epoch"], **session}]
        write_json(path, before | {"data_fingerprint": self.fingerprint, "sessions": sessions})

    @property
    def resumed(self) -> bool:
        return self.state["epoch"] > 0

    @property
    def behind(self) -> bool:
        """Whether epochs are trained that are not saved yet."""
        return len(self.rows) > self.state["epoch"]

    @property
    def told(self) -> str:
        """What is saved, in words."""
        epochs = self.state["epoch"]
        return f"{self.path} holds {epochs} whole epoch{'s' * (epochs != 1)}"

    @staticmethod
    def checkpoint_name(epoch: int) -> str:
        return f"checkpoints/epoch-{epoch:05d}.weights.h5"

    def verified(self, name: str) -> Path:
        """The path of a committed file whose bytes are those that were committed.

        Raises:
            DataError: it is gone or changed.
        """
        path = self.path / name
        if not self.is_sound(name):
            raise DataError(f"{path}: not the file that this run saved; restore it, or start again with --overwrite.")
        return path

    def is_sound(self, name: str) -> bool:
        path = self.path / name
        return path.is_file() and sha256(path) == self.state["files"].get(name)

    def write_rows(self) -> None:
        """`metrics.csv`, whole each time: a row an epoch."""
        if not self.is_chief:
            return
        text = io.StringIO()
        names = list(self.rows[0])
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | {"epoch": int(row["epoch"])} for row in self.rows)
        write_text(self.path / "metrics.csv", text.getvalue())

    def commit(self, files: tuple[str, ...] = (), **changes: Any) -> None:
        """Make what was written count: `state.json` with new values and the checksums of `files`.

        Checkpoints that are neither the last nor the best epoch's are removed afterwards.
        """
        state = {**self.state, **changes, "files": dict(self.state["files"])}
        if not self.is_chief:
            self.state = state
            return
        for name in {"config.json", *files}:
            state["files"][name] = sha256(self.path / name)
        wanted = {self.checkpoint_name(state["epoch"]), self.checkpoint_name(state["best_epoch"])}
        old = [name for name in state["files"] if name.startswith("checkpoints/") and name not in wanted]
        for name in old:
            del state["files"][name]
        write_json(self.path / "state.json", state)
        self.state = state
        for path in (self.path / "checkpoints").glob("epoch-*.weights.h5"):
            if f"checkpoints/{path.name}" not in wanted:
                path.unlink()


def read_state(path: Path) -> dict[str, Any]:
    """A run folder's committed state.

    Raises:
        DataError: it is damaged.
    """
    file = path / "state.json"
    state = read_json(file, dict)
    kinds = {"epoch": int, "best_epoch": int, "finished": bool, "files": dict}
    if any(type(state.get(name)) is not kind for name, kind in kinds.items()):
        raise DataError(f"{file}: expected the state of a run, received other JSON; start again with --overwrite.")
    return state


def recorded_fingerprint(path: Path) -> str:
    """Of the data that a run was started with; empty where none is on record."""
    meta = path / "meta.json"
    return str(read_json(meta, dict).get("data_fingerprint", "")) if meta.is_file() else ""


def is_finished(path: Path) -> bool:
    """Whether a folder holds a run that is finished."""
    return (path / "state.json").is_file() and read_state(path)["finished"]


def _foreign(path: Path) -> bool:
    """Whether a folder holds anything that a run interrupted at its very start would not have left."""
    ours = {".lock", "checkpoints"}
    return any(entry.name not in ours and not entry.name.startswith(".writing-") for entry in path.iterdir())


def is_locked(path: Path) -> bool:
    """Whether a process is at work in a run folder."""
    if not (path / ".lock").is_file():
        return False
    with contextlib.suppress(Busy):
        _take_lock(path).close()
        return False
    return True


def _take_lock(path: Path, wait: bool = False):
    lock = open(path / ".lock", "w")  # noqa: SIM115  (held open as long as the folder is ours)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError as error:
        lock.close()
        raise Busy(f"--run {path}: another process is training in this folder.") from error
    return lock


def move_aside(path: Path) -> None:
    """Give an earlier run, which nobody is training, a name with the time in it."""
    real = path.resolve()
    with _take_lock(real):
        for lock in sorted(real.glob("*/.lock")):  # a run of several wavelengths, whose jobs hold their own folders
            if is_locked(lock.parent):
                raise Busy(f"--run {path}: another process is training in {lock.parent.name}.")
        aside = real.with_name(f"{real.name}.{time.strftime('%Y%m%d-%H%M%S')}")
        os.rename(real, aside)
    print(f"the earlier run is now {aside}", flush=True)

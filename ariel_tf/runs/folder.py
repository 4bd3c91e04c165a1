"""A run folder: locking, content, and recovery from an interruption at any moment.

    RUN/config.json      the resolved configuration; a run with another one is refused
        state.json       the commit: last saved epoch, best epoch, SHA-256 of each file; written last (`runs.state`)
        meta.json        commit, versions, hardware, data fingerprint, folds
        metrics.csv      one row for each epoch (`runs.history`)
        checkpoints/     weights and optimiser after the last two saves, and the best epoch if saved at once
        best.keras       the best epoch's model: raw flux in, radii out
        scores.json      test scores, once the training is finished
        prediction.png   predicted against true radii of the test planets
        spectra.png      true and predicted spectra of some of them, if all wavelengths are predicted jointly
        tensorboard/     for `tensorboard --logdir`
        README.md        the model card (`runs.model_card`)
        validation.png   as prediction.png of the validation planets, every few epochs; and validation_spectra.png
        .lock            held by the process that writes the folder (`runs.lock`)

No TensorFlow.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from ariel_tf.core import messages
from ariel_tf.core.atomic_files import remove_leftovers, require_utf8, sha256, write_json
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.core.printable import masked
from ariel_tf.core.sealed_json import write_sealed
from ariel_tf.runs import history
from ariel_tf.runs import state as run_state
from ariel_tf.runs.committed import is_sound_file, read_meta, verified_file
from ariel_tf.runs.links import refuse_links
from ariel_tf.runs.lock import Busy, is_locked, take_lock
from ariel_tf.runs.same_run import refuse_another

# Traces of trained epochs: with these and without state.json, a folder is damaged, not new.
TRAINED = ("metrics.csv", "best.keras", "scores.json")
# Number of checkpoints that an unfinished run keeps besides the best epoch's: if the last is damaged, the run resumes
# from the one before.
KEPT_CHECKPOINTS = 2
CHECKPOINT = re.compile(r"checkpoints/epoch-[0-9]{5,10}\.weights\.h5")


class RunFolder:
    """A run folder whose lock this process holds.

    Args:
        path: the folder; created if necessary.
        configuration: plain JSON values. An existing run must have the same, except for the path of the data.
        fingerprint: fingerprint of the data; must be equal too.
        overwrite: whether to move an existing run aside.
        is_chief: whether this process writes the folder. In a training on several hosts only the chief does; the others
            read what the chief wrote and keep the same state in memory.
        shared: whether several jobs use the folder: the lock is held only while it is opened and in `held` blocks.

    Attributes:
        state: the last committed state.
        rows: one for each epoch; rows of epochs that are not saved yet are not in `metrics.csv`.
        resumed: whether epochs are already saved.

    Raises:
        UsageError: another configuration, other data, another process in this folder, not a run folder, or links in it.
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
                f"--run {self.path}: this worker cannot read the run folder that the first worker made; give a --run "
                "on a file system that all hosts share."
            )
        self._read()

    def _open(self, overwrite: bool, wait: bool) -> None:
        path = self.path
        require_utf8(path)
        is_run = (path / "config.json").is_file()
        if path.exists() and not is_run and (not path.is_dir() or _foreign(path)):
            raise UsageError(f"--run {path}: expected a new name, or a run folder with its config.json.")
        if is_run and overwrite:
            move_aside(path)
            is_run = False
        refuse_links(path)
        (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        self._lock = take_lock(path, wait)
        is_run = is_run or (path / "config.json").is_file()  # another job may have created it meanwhile
        try:
            for folder in (path, path / "checkpoints"):
                remove_leftovers(folder)
            if not is_run:
                write_json(path / "config.json", masked(self.configuration))
            self._read()
            if not run_state.has_state(path):
                self.commit()  # from now on a kill at any moment leaves a folder that can be resumed
            elif not wait:
                self._remove_uncommitted()
        except BaseException:
            self.close()
            raise

    def _read(self) -> None:
        """Compare the folder with the requested configuration, then read its state and history."""
        refuse_another(self.path, self.configuration, self.fingerprint)
        self.state = self._read_state()
        if "config.json" in self.state["files"]:
            self.verified("config.json")  # the name of the data is not compared
        self.rows: list[dict[str, Any]] = list(history.read_history(self.path, self.state))
        self._check_best()

    @contextmanager
    def held(self) -> Iterator[Self]:
        """Lock a shared folder and read its current state, before a commit."""
        if self.is_chief:
            self._lock = take_lock(self.path, wait=True)
        try:
            self.state = self._read_state()
            yield self
        finally:
            self.close()

    def close(self) -> None:
        """Release the lock."""
        if self.is_chief:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_state(self) -> dict[str, Any]:
        if not run_state.has_state(self.path):
            left = [name for name in TRAINED if (self.path / name).exists()]
            if left or any((self.path / "checkpoints").glob("epoch-*")):
                raise DataError(f"{self.path}: its state.json is gone; restore it, or start again with --overwrite.")
            return dict(run_state.NEW)
        state = run_state.read_state(self.path)
        if state["epoch"] and not (self.path / "meta.json").is_file():
            raise DataError(
                f"{self.path}: its meta.json, which names the data of the {state['epoch']} epochs that are saved, is "
                "gone; restore it, or start again with --overwrite."
            )
        return state

    def _check_best(self) -> None:
        """Raise if the state names another best epoch than the history."""
        best, score = self.state["best_epoch"], self.state["best_score"]
        if not best or history.VALIDATION_SCORE not in self.rows[0]:  # a stack has a best epoch for each wavelength
            return
        row = history.best_row(self.rows)
        if (best, score) != (row["epoch"], row[history.VALIDATION_SCORE]):
            raise DataError(
                f"{self.path / run_state.NAME}: its best epoch {best} ({score}) is not that of metrics.csv, epoch "
                f"{row['epoch']:.0f} ({row[history.VALIDATION_SCORE]}); restore it, or start again with --overwrite."
            )

    def write_meta(self, facts: dict[str, Any], session: dict[str, Any]) -> None:
        """Write `meta.json`: facts that do not change during the run, and one entry for each start.

        Args:
            facts: data, folds, command; those of the first start are kept.
            session: commit, versions and hardware of this start.
        """
        if not self.is_chief:
            return
        before = read_meta(self.path) or facts | {"sessions": []}
        sessions = [*before.get("sessions", []), {"from_epoch": self.state["epoch"], **session}]
        meta = before | {"data_fingerprint": self.fingerprint, "sessions": sessions}
        write_sealed(self.path / "meta.json", masked(meta))

    @property
    def resumed(self) -> bool:
        return self.state["epoch"] > 0

    @property
    def behind(self) -> bool:
        """Whether some trained epochs are not saved yet."""
        return len(self.rows) > self.state["epoch"]

    def describe(self) -> str:
        """Return the number of saved epochs as text."""
        epochs = self.state["epoch"]
        return f"{self.path} holds {epochs} whole epoch{'s' * (epochs != 1)}"

    @staticmethod
    def checkpoint_name(epoch: int) -> str:
        return f"checkpoints/epoch-{epoch:05d}.weights.h5"

    def verified(self, name: str) -> Path:
        """Return the path of a committed file if its bytes are those that were committed.

        Raises:
            DataError: it is missing or changed.
        """
        return verified_file(self.path, name, self.state)

    def is_sound(self, name: str) -> bool:
        """Whether a file exists as it was committed."""
        return is_sound_file(self.path, name, self.state)

    def write_rows(self) -> None:
        """Write `metrics.csv`, always as a whole: one row for each epoch."""
        if self.is_chief:
            history.write_history(self.path, self.rows)

    def commit(self, files: tuple[str, ...] = (), **changes: Any) -> None:
        """Commit written files: write `state.json` with new values and the checksums of `files`.

        Afterwards checkpoints are removed, except those of the last two saves and of the best epoch; a finished run
        keeps the last one and the best.
        """
        state = {**self.state, **changes, "files": dict(self.state["files"])}
        if self.fingerprint:  # the fingerprint of an ensemble is known once its members are trained
            state["data_fingerprint"] = self.fingerprint
        if not self.is_chief:
            self.state = state
            return
        for name in dict.fromkeys(("config.json", *files)):
            state["files"][name] = sha256(self.path / name)
        saved = _checkpoints(state)
        last = saved[-1:] if state["finished"] else saved[-KEPT_CHECKPOINTS:]
        kept = {*last, self.checkpoint_name(state["best_epoch"])}
        for name in {*saved} - kept:
            del state["files"][name]
        run_state.write_state(self.path, state)
        self.state = state
        for path in (self.path / "checkpoints").glob("epoch-*.weights.h5"):
            if f"checkpoints/{path.name}" not in kept:
                path.unlink()

    def _remove_uncommitted(self) -> None:
        """Remove checkpoints that a killed process saved without a commit, or did not have time to remove."""
        for path in (self.path / "checkpoints").glob("epoch-*.weights.h5"):
            if f"checkpoints/{path.name}" not in self.state["files"]:
                path.unlink()

    def fall_back(self) -> int:
        """Return the epoch to resume from: the last saved one, or the one saved before it if its checkpoint is damaged.

        The epochs in between are then trained again, with identical results.
        """
        last = self.state["epoch"]
        name = self.checkpoint_name(last)
        if not last or self.is_sound(name):
            return last
        sound = [saved for saved in _checkpoints(self.state) if _epoch_of(saved) < last and self.is_sound(saved)]
        epoch = _epoch_of(sound[-1]) if sound else 0
        if not epoch:
            return last  # its checkpoint is then refused by name
        if self.is_chief:
            messages.info(f"{self.path / name} is damaged: resuming from epoch {epoch}, which was saved before")
        self.rows = self.rows[:epoch]
        state = {**self.state, "epoch": epoch, "files": {k: v for k, v in self.state["files"].items() if k != name}}
        if state["best_epoch"] > epoch:
            best = history.best_row(self.rows)
            state |= {"best_epoch": int(best["epoch"]), "best_score": best[history.VALIDATION_SCORE]}
            state["files"].pop("best.keras", None)  # the model of an epoch that is trained again
        self.state = state
        return epoch


def _checkpoints(state: dict[str, Any]) -> list[str]:
    """Return the names of the committed checkpoints, ascending."""
    names = [name for name in state["files"] if CHECKPOINT.fullmatch(name)]
    return sorted(names, key=_epoch_of)


def _epoch_of(checkpoint: str) -> int:
    return int(checkpoint.split("-")[1].split(".")[0])


def _foreign(path: Path) -> bool:
    """Whether a folder contains anything that a run interrupted at its very start would not have left."""
    ours = {".lock", "checkpoints"}
    return any(entry.name not in ours and not entry.name.startswith(".writing-") for entry in path.iterdir())


def move_aside(path: Path) -> None:
    """Rename an earlier run, which no process is training, adding the time to its name."""
    real = path.resolve()
    with take_lock(real):
        for lock in sorted(real.glob("*/.lock")):  # a run of several wavelengths, whose jobs lock their own folders
            if is_locked(lock.parent):
                raise Busy(f"--run {path}: another process is training in {lock.parent.name}.")
        name = f"{real.name}.{time.strftime('%Y%m%d-%H%M%S')}"
        aside, number = real.with_name(name), 1
        while os.path.lexists(aside):  # moved aside twice in one second
            number += 1
            aside = real.with_name(f"{name}-{number}")
        os.rename(real, aside)
    messages.info(f"the earlier run is now {aside}")

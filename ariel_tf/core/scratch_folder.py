"""Write a result in a scratch folder beside its final path, and move it there in one step; no TensorFlow.

OUT                    the old result, until the new one is complete
.exporting-OUT/OUT     the new result, while it is written; the next command removes it if this one is killed
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ariel_tf.core import messages
from ariel_tf.core.atomic_files import flush
from ariel_tf.core.errors import UsageError

_EXCHANGE = 2  # RENAME_EXCHANGE of Linux's renameat2
_OLD = "replaced"


@contextlib.contextmanager
def scratch_folder(out: Path, prefix: str) -> Iterator[Path]:
    """Yield an empty folder beside a result; this process holds it, and it is removed at the end of the block.

    Scratch folders of killed processes are removed too.

    Args:
        out: path of the result; its folder exists.
        prefix: prefix of the names of scratch folders, such as ".exporting-".

    Raises:
        UsageError: another process is writing the same result.
    """
    for left in sorted(out.parent.glob(f"{prefix}*")):
        if left.is_dir() and not left.is_symlink():
            _remove_left(left, out)
    scratch = out.parent / (prefix + out.name)
    scratch.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        if (handle := _lock(scratch)) is None:
            raise UsageError(f"{out}: another process is writing it; wait for it, or give another name.")
        stack.callback(os.close, handle)
        stack.callback(_remove, scratch)
        yield scratch


def _remove(folder: Path) -> None:
    """Remove a folder; a file that the disk refuses to remove is tried once more, then reported."""
    for _ in range(2):
        shutil.rmtree(folder, ignore_errors=True)
    if os.path.lexists(folder):
        messages.warning(f"{folder} could not be removed; the next command that writes there tries again")


def _lock(folder: Path) -> int | None:
    """Hold a folder until the handle is closed; return None if another process holds it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:
        pass  # a file system without locks
    return handle


def _remove_left(left: Path, out: Path) -> None:
    """Remove the scratch folder of a killed process, and restore a result that it had moved aside."""
    if (handle := _lock(left)) is not None:
        try:
            if not os.path.lexists(out) and os.path.lexists(left / _OLD / out.name):
                os.replace(left / _OLD / out.name, out)
            shutil.rmtree(left)
        finally:
            os.close(handle)


def publish(made: Path, out: Path) -> None:
    """Move a file or a folder to its final path in one step, replacing any existing one.

    Args:
        made: path in a scratch folder of `out`.
        out: final path. At every moment it holds the old or the new result; only where the system cannot exchange two
            names may it be missing for a moment, and then the next command restores the old result.
    """
    for path in (made, *made.rglob("*")):
        flush(path)
    if not out.is_dir() and not made.is_dir():
        os.replace(made, out)
    elif not os.path.lexists(out):
        os.rename(made, out)
    elif not _exchange(made, out):
        old = made.parent / _OLD
        old.mkdir(exist_ok=True)
        os.rename(out, old / out.name)
        os.rename(made, out)
    flush(out.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; return False if the system or the file system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    here = -100  # AT_FDCWD
    if rename(here, os.fsencode(one), here, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(other))

"""The lock of a run folder: one process writes there at a time; the lock is released when the process ends.

filelock is not used: before version 4 it truncates the lock file and follows symbolic links, and since version 4 it
uses a plain marker file where `flock` fails, which a killed process leaves behind.
"""

import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import IO

from ariel_tf.core.errors import UsageError

NAME = ".lock"


class Busy(UsageError):
    """Another process holds the lock of a run folder."""


def take_lock(folder: Path, wait: bool = False) -> IO[bytes]:
    """Lock a run folder until the returned file is closed or this process ends.

    The lock file stays in the folder, empty; it is never truncated, and neither a link nor a pipe is opened.

    Args:
        folder: the run folder, which exists.
        wait: whether to wait until the lock is free instead of raising `Busy`.

    Raises:
        Busy: another process holds it.
        UsageError: the lock file is not a regular file.
    """
    path = folder / NAME
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):  # a link, a socket, a folder
            raise _not_regular(path) from error
        raise
    lock = os.fdopen(handle, "r+b", buffering=0)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise _not_regular(path)
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError as error:
        lock.close()
        raise Busy(f"--run {folder}: another process is training in this folder.") from error
    except BaseException:
        lock.close()
        raise
    return lock


def is_locked(folder: Path) -> bool:
    """Whether a process is working in a run folder; does not wait."""
    if not os.path.lexists(folder / NAME):
        return False
    try:
        take_lock(folder).close()
    except Busy:
        return True
    return False


def _not_regular(path: Path) -> UsageError:
    return UsageError(f"{path}: expected a regular file, received a link or a device. Remove it, then repeat.")

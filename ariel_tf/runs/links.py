"""Symbolic links and special files in a run folder, which may come from an untrusted source; no TensorFlow."""

import os
import stat
from pathlib import Path

from ariel_tf.core.errors import UsageError


def refuse_links(folder: Path) -> None:
    """Raise if anything within a run folder is a symbolic link out of it, or neither a file nor a folder.

    An untrusted run folder could otherwise make this process overwrite or delete files elsewhere. The folder itself
    may be a link.

    Raises:
        UsageError: names the entry.
    """
    real = folder.resolve()
    for place, folders, files in os.walk(real):
        for name in (*folders, *files):
            path = Path(place, name)
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:  # a temporary file of another job
                continue
            if stat.S_ISLNK(mode) and not path.resolve().is_relative_to(real):
                what = f"is a link to {os.readlink(path)}, out of this run folder"
            elif stat.S_ISLNK(mode) or stat.S_ISREG(mode) or stat.S_ISDIR(mode):
                continue
            else:
                what = "is neither a file nor a folder"
            raise UsageError(f"--run {folder}: {path.relative_to(real)} {what}; remove it, or give another --run.")

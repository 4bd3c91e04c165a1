"""Data on other machines, which are read only if the user names them; no TensorFlow.

A run folder or a configuration file may come from an untrusted source, and so may the address of the data in it.
Reading a bucket or a table uses the user's credentials and is billed to the user, and a private endpoint receives those
credentials. Folders on this machine and simulated planets are read as such a file requests.
"""

import os
import shlex
from pathlib import Path, PurePosixPath

from ariel_tf.core.errors import UsageError
from ariel_tf.core.user_code import reference
from ariel_tf.core.user_code import refuse_unnamed as refuse_file

# Folders below it are mounted from the host of their name when they are first accessed.
AUTOMOUNT = ("/", "net")


def is_remote(description: str) -> bool:
    """Whether data are on another machine: an address such as gs://BUCKET/FOLDER, or a network share."""
    if "://" in description or description.startswith(("//", "\\\\")):
        return True
    return PurePosixPath(os.path.normpath(description)).parts[:2] == AUTOMOUNT


def refuse_unnamed(description: str, file: Path | str, flag: str = "--data") -> str:
    """Return the description of data, or the path of a file, that only a configuration names.

    Args:
        description: a value of `--data`.
        file: the configuration file, for the message.
        flag: flag by which the user can name the data.

    Raises:
        UsageError: it is on another machine, or a Python file that would be run.
    """
    refuse_file(description, str(file), flag)
    if is_remote(description):
        what = "pretrained weights" if flag == "--pretrained-weights" else "data"
        raise UsageError(
            f"{file} names {what} on another machine, {description}, which would be read with your "
            f"credentials and at your cost; if you want that, name it yourself: {flag} {shlex.quote(description)}"
        )
    return description


def naming(description: str, model: str = "") -> list[str]:
    """Return the flags that name remote data and the user's own files in a command whose other options are in a file.

    Args:
        description: description of the data.
        model: a value of `--model`.
    """
    flags = ["--data", description] if is_remote(description) or reference(description) else []
    return [*flags, "--model", model] if reference(model) else flags

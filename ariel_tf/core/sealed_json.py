"""JSON files that contain their own checksum, so that a changed digit is detected; no TensorFlow.

Files of earlier versions have no checksum and are read unchecked.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ariel_tf.core.atomic_files import read_json, write_json
from ariel_tf.core.errors import DataError

CHECKSUM = "sha256"
# Length of a checksum and its name; damage may have removed some of these characters.
_LONG = 24


def sealed(values: Mapping[str, Any], checksum: str = CHECKSUM) -> dict[str, Any]:
    """Return a JSON object with its checksum.

    Args:
        values: plain JSON values.
        checksum: name of the checksum, where `values` have another "sha256".
    """
    return {**values, checksum: digest(values)}


def unsealed(values: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
    """Return a JSON object without its checksum, which is verified.

    Args:
        values: the object as read.
        path: path of the file, for the message.

    Raises:
        DataError: the checksum does not match.
    """
    if not is_as_written(values):
        raise DataError(f"{path}: was changed after it was written; restore it.")
    return {name: value for name, value in values.items() if name != CHECKSUM}


def is_as_written(values: Mapping[str, Any], checksum: str = CHECKSUM) -> bool:
    """Whether a JSON object matches its checksum; True without one, as in files of earlier versions.

    Args:
        values: the object as read.
        checksum: name of the checksum, which is the last value.
    """
    rest = {name: value for name, value in values.items() if name != checksum}
    if len(rest) < len(values):
        return values[checksum] == digest(rest)
    # A checksum whose name was damaged is still the last value; files without a checksum do not end in a long text.
    name, last = list(values.items())[-1] if values else ("", None)
    return not isinstance(last, str) or len(name) + len(last) < _LONG


def write_sealed(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON object with its checksum, atomically."""
    write_json(path, sealed(values))


def read_sealed(path: Path) -> dict[str, Any]:
    """Read a JSON object and return it without its checksum.

    Raises:
        DataError: not a JSON object, or the checksum does not match.
    """
    return unsealed(read_json(path, dict), path)


def digest(values: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the values as canonical JSON, independent of the order of keys and the type of lists."""
    plain = json.loads(json.dumps(values))  # as in a file: keys are texts
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

"""JSON files with a checksum of their own, so that a changed digit is noticed; no TensorFlow.

Files of earlier versions have none and are read as they are.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ariel_tf.core.atomic_files import read_json, write_json
from ariel_tf.core.errors import DataError

CHECKSUM = "sha256"
# Characters of a checksum and its name, of which damage may have cut some.
_LONG = 24


def sealed(values: Mapping[str, Any], checksum: str = CHECKSUM) -> dict[str, Any]:
    """A JSON object with its checksum.

    Args:
        values: plain JSON values.
        checksum: name of the checksum, where `values` have another "sha256".
    """
    return {**values, checksum: digest(values)}


def unsealed(values: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
    """A JSON object without its checksum.

    Args:
        values: as they were read.
        path: of the file, for the message.

    Raises:
        DataError: not as it was written.
    """
    if not is_as_written(values):
        raise DataError(f"{path}: was changed after it was written; restore it.")
    return {name: value for name, value in values.items() if name != CHECKSUM}


def is_as_written(values: Mapping[str, Any], checksum: str = CHECKSUM) -> bool:
    """Whether a JSON object fits its checksum; also without one, as files of earlier versions are.

    Args:
        values: as they were read.
        checksum: name of the checksum, which is the last value.
    """
    rest = {name: value for name, value in values.items() if name != checksum}
    if len(rest) < len(values):
        return values[checksum] == digest(rest)
    # A checksum whose name was damaged is no longer one, but still there; files without one do not end in a long text.
    name, last = list(values.items())[-1] if values else ("", None)
    return not isinstance(last, str) or len(name) + len(last) < _LONG


def write_sealed(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON object with its checksum; the file is replaced as a whole."""
    write_json(path, sealed(values))


def read_sealed(path: Path) -> dict[str, Any]:
    """Read a JSON object, without its checksum.

    Raises:
        DataError: no JSON object, or not as it was written.
    """
    return unsealed(read_json(path, dict), path)


def digest(values: Mapping[str, Any]) -> str:
    """SHA-256 over the values as JSON in one spelling, whatever the order of the keys and the kind of the lists."""
    plain = json.loads(json.dumps(values))  # as a file holds them: keys are texts
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

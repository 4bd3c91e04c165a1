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


def write_sealed(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON object with its checksum.

    Args:
        path: the file, replaced as a whole.
        values: plain JSON values.
    """
    write_json(path, {**values, CHECKSUM: _digest(values)})


def read_sealed(path: Path) -> dict[str, Any]:
    """Read a JSON object, without its checksum.

    Raises:
        DataError: no JSON object, or not as it was written.
    """
    values = read_json(path, dict)
    checksum = values.pop(CHECKSUM, None)
    if checksum is not None and checksum != _digest(values):
        raise DataError(f"{path}: was changed after it was written.")
    return values


def _digest(values: Mapping[str, Any]) -> str:
    """SHA-256 over the values as JSON in one spelling, whatever the order of the keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

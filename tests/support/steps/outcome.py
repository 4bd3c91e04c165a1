"""What a command left in a folder, without times and names that change from one start to the next."""

import csv
import hashlib
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

# Values of JSON objects and columns of tables that measure time or count starts, and checksums over them.
TIMES = {"seconds", "observations_per_second", "sessions", "sha256", "date_saved", "starts"}
# Logs: a resumed run has several.
LOG = re.compile(r"events\.out\.tfevents\..*|.*\.log")


def outcome(folder: Path) -> dict[str, str]:
    """Digest of each file below a folder, by its name; empty folders have none."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and path.name != ".lock" and not LOG.fullmatch(path.name):
            found[name] = hashlib.sha256(content(path)).hexdigest()
        elif path.is_dir() and not any(path.iterdir()):
            found[name + "/"] = ""
    return found


def content(path: Path) -> bytes:
    """A file's bytes, or a spelling of what it holds that leaves times out."""
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                weights = _arrays(io.BytesIO(archive.read("model.weights.h5")))
                return re.sub(rb'"shared_object_id": [0-9]+', b"", archive.read("config.json")) + weights
        if path.suffix == ".h5":
            return _arrays(path)
        if path.name == "oracle.backup.json":  # what oracle.json was before it was last written
            return b""
        if path.suffix == ".json":
            return json.dumps(_lasting(json.loads(path.read_bytes()), path.name), sort_keys=True).encode()
        if path.suffix == ".csv":
            rows = list(csv.DictReader(path.read_text().splitlines()))
            return repr([{k: v for k, v in row.items() if k not in TIMES} for row in rows]).encode()
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        return f"damaged: {error}".encode()
    return path.read_bytes()


def _lasting(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        kept = {k: _lasting(v, name) for k, v in value.items() if k not in TIMES or name == "manifest.json"}
        if name == "state.json" and "files" in kept:
            kept["files"] = sorted(kept["files"])  # checksums of files with times in them
        if name == "oracle.json" and "tried_so_far" in kept:
            kept["tried_so_far"] = sorted(kept["tried_so_far"])  # a set
            kept["ongoing_trials"] = {}  # the last one stays there until the search is opened again
        return kept
    return [_lasting(one, name) for one in value] if isinstance(value, list) else value


def _arrays(file: Any) -> bytes:
    """Names and values of every array of an HDF5 file."""
    found: list[bytes] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(name.encode() + np.asarray(item).tobytes())

    with h5py.File(file, "r") as opened:
        opened.visititems(visit)
    return b"".join(found)

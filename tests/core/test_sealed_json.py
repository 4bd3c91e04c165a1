"""JSON files with a checksum: every change is noticed, also one of the checksum's own name."""

import contextlib
import json
import random

import pytest
from support.damage.trials import FAULTS, damaged

from ariel_tf.core.errors import DataError
from ariel_tf.core.sealed_json import read_sealed, sealed, write_sealed

VALUES = {"epoch": 3, "names": ["a", "b"], "files": {"10": 1.5, "9": None}, "data": "folder/of/planets"}


def test_what_is_written_is_read_whatever_its_spelling(tmp_path):
    path = tmp_path / "a.json"
    write_sealed(path, VALUES | {"pair": (1, 2), "keys": {10: "x", 9: "y"}})  # as JSON has neither tuples nor numbers
    found = read_sealed(path)
    assert found == VALUES | {"pair": [1, 2], "keys": {"10": "x", "9": "y"}}
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True, indent=7))
    assert read_sealed(path) == found


def test_any_damage_is_noticed(tmp_path):
    """A checksum whose name had lost a letter was none: the file was taken for one of an earlier version."""
    path = tmp_path / "a.json"
    write_sealed(path, VALUES)
    content = path.read_bytes()
    for seed in range(3000):
        rng = random.Random(seed)
        path.write_bytes(damaged(content, FAULTS[seed % len(FAULTS)], rng))
        with contextlib.suppress(DataError):
            assert read_sealed(path) == VALUES


def test_a_file_of_an_earlier_version_is_read_as_it_is(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"data": "x", "epoch": 3, "files": {"best.keras": "0" * 64}}))
    assert read_sealed(path)["epoch"] == 3
    path.write_text("{}")
    assert read_sealed(path) == {}
    assert list(sealed(VALUES))[-1] == "sha256"
    path.write_text(json.dumps(sealed(VALUES) | {"epoch": 4}))
    with pytest.raises(DataError, match=r"a.json: was changed after it was written"):
        read_sealed(path)

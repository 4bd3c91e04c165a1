"""Files of predictions: column names in another encoding, and a full disk."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from ariel_tf.core.errors import DataError
from ariel_tf.runs.prediction_files import KEYS, PredictionWriter, column, read_predictions

HEADER = [*KEYS, *map(column, range(55))]


def test_column_names_that_are_not_utf_8_are_one_sentence(tmp_path):
    """They were a traceback."""
    path = tmp_path / "latin.csv"
    path.write_bytes(b"plan\xe8te,spot,photon\n1,1,1\n")
    with pytest.raises(DataError, match=r"latin.csv: expected (column names in UTF-8|csv) \("):
        read_predictions(path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"\xff\xfe\x00", b"a,b\n1\n"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_other_content_is_one_sentence(tmp_path, suffix, content):
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"bad\{suffix}: expected"):
        read_predictions(path)


def test_cells_that_are_no_numbers_are_one_sentence(tmp_path):
    columns = {name: pa.array([[1.0]] if name == "radius_07" else [1]) for name in HEADER}
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "nested.parquet")
    with pytest.raises(DataError, match="expected numbers in every column"):
        read_predictions(tmp_path / "nested.parquet")


def test_a_full_disk_is_an_error_before_anything_is_predicted(tmp_path, monkeypatch):
    """Writing to a sparse memory map on a full disk killed the process by SIGBUS."""

    def full(handle, start, size):
        assert size == 1000 * 55 * 8
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left") as error:
        PredictionWriter(tmp_path, 1000, range(55))
    assert error.value.filename == str(tmp_path)


def test_what_is_written_is_read_again_in_order(tmp_path):
    keys = np.array([[2, 1, 1], [1, 1, 2], [1, 1, 1]])
    radii = np.arange(165.0).reshape(3, 55) / 1000
    for suffix in (".csv", ".parquet"):
        with PredictionWriter(tmp_path, 3, range(55)) as writer:
            writer.add(keys[:2], radii[:2])
            writer.add(keys[2:], radii[2:])
            assert writer.write(tmp_path / f"a{suffix}") == 3
        found = read_predictions(tmp_path / f"a{suffix}")
        np.testing.assert_array_equal(found[0], keys[::-1])
        np.testing.assert_allclose(found[1], radii[::-1], atol=1e-10)

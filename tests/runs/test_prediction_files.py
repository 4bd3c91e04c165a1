"""Files of predictions: column names in another encoding, and a full disk."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from ariel_tf import submission
from ariel_tf.core import atomic_files, checksum_files
from ariel_tf.core.errors import DataError
from ariel_tf.runs.prediction_files import KEYS, PredictionWriter, column
from ariel_tf.runs.prediction_reader import read_predictions

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


DATALABS = ["files", *(f"w{number}" for number in range(1, 56))]


def datalabs_file(path, keys=((2, 1, 1), (1, 1, 2), (1, 1, 1)), **how):
    keys = np.array(keys)
    radii = np.arange(1.0, 1 + 55 * len(keys)).reshape(-1, 55) / 1000
    with PredictionWriter(path.parent, len(keys), range(55)) as writer:
        writer.add(keys, radii)
        assert writer.of_observations
        assert writer.write_datalabs(path, **how) == len(keys)
    return keys, radii


def test_the_submission_of_datalabs_is_what_pandas_writes_and_reads(tmp_path):
    import pandas as pd

    keys, radii = datalabs_file(tmp_path / "a.csv")
    read = pd.read_csv(tmp_path / "a.csv", index_col="files")
    assert list(read.index) == ["0001_01_01.txt", "0001_01_02.txt", "0002_01_01.txt"]
    assert list(read.columns) == DATALABS[1:]
    np.testing.assert_array_equal(read.to_numpy(), radii[::-1])
    read.to_csv(tmp_path / "theirs.csv")
    for name in ("a.csv", "theirs.csv"):
        found_keys, found = read_predictions(tmp_path / name)
        np.testing.assert_array_equal(found_keys, keys[::-1])
        np.testing.assert_array_equal(found, radii[::-1])


def test_a_planet_s_combination_is_in_each_row_of_its_files(tmp_path):
    _, radii = datalabs_file(tmp_path / "a.csv", combine="mean")
    keys, found = read_predictions(tmp_path / "a.csv")
    assert keys.tolist() == [[1, 1, 1], [1, 1, 2], [2, 1, 1]]
    mean = (radii[1] + radii[2]) / 2
    np.testing.assert_allclose(found, [mean, mean, radii[0]], atol=1e-10)


def test_rows_of_whole_planets_take_the_names_of_their_files(tmp_path):
    observations = np.array([[5, 1, 2], [5, 2, 1], [7, 1, 1], [7, 1, 3], [7, 4, 1]])
    with PredictionWriter(tmp_path, 2, range(55)) as writer:
        writer.add(np.array([[7, 0, 0]]), np.full((1, 55), 0.2), repeats=3)
        writer.add(np.array([[5, 0, 0]]), np.full((1, 55), 0.1), repeats=2)
        assert not writer.of_observations
        assert writer.write_datalabs(tmp_path / "a.csv", "none", observations) == 5
        with pytest.raises(DataError, match="expected 4 observations, received others"):
            writer.write_datalabs(tmp_path / "b.csv", "none", observations[1:])
    assert not (tmp_path / "b.csv").exists()
    keys, radii = read_predictions(tmp_path / "a.csv")
    np.testing.assert_array_equal(keys, observations)
    assert radii[:, 3].tolist() == [0.1, 0.1, 0.2, 0.2, 0.2]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda text: text.replace("files,", ",", 1), r"Received '' as the first: write it with to_csv\(..., index"),
        (lambda text: text.replace("w3,w4", "w4,w3", 1), "Received 'w4' as column 4, expected 'w3'"),
        (lambda text: text.replace(",w55", "", 1).replace(",0.055\n", "\n"), "Received None as column 56, expected"),
        (lambda text: text.replace("w7,", "W7,", 1), "Received 'W7' as column 8, expected 'w7'"),
        (lambda text: text.replace("0001_01_01.txt", "0001_01_01"), r"row 1: expected a file name like 0001_01_01.txt"),
        (lambda text: text.replace("0001_01_01.txt", "1.txt"), r"row 1: expected a file name like 0052_01_10.txt"),
        (lambda text: text.replace("0.0010000000", "one"), "expected numbers in every column"),
    ],
)  # fmt: skip
def test_another_layout_of_the_submission_is_one_sentence(tmp_path, change, fault):
    datalabs_file(tmp_path / "a.csv", keys=((1, 1, 1), (2, 1, 1)))
    text = (tmp_path / "a.csv").read_text()
    lines = change(text).splitlines()
    if "w55" not in lines[0]:
        lines[1:] = [line.rpartition(",")[0] for line in lines[1:]]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=fault):
        read_predictions(tmp_path / "a.csv")


def test_a_huge_file_is_refused_at_once(tmp_path, monkeypatch):
    """A million rows took seconds: TensorFlow was imported, and twice as many rows parsed as there are observations."""
    monkeypatch.setattr(submission, "open_truth", None)
    with open(tmp_path / "a.txt", "wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(DataError, match=r"a.txt: expected 300,000 rows at most, .* bytes, received 10,737,418,240"):
        submission.check(tmp_path / "a.txt", "data")
    (tmp_path / "b.csv").write_bytes(b"1\n" * 400_000)
    with pytest.raises(DataError, match=r"b.csv: expected 300,000 rows at most"):
        submission.check(tmp_path / "b.csv", "data")


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.parquet"])
def test_a_changed_file_of_predictions_is_refused_by_the_sum_beside_it(tmp_path, name):
    path = tmp_path / name
    with PredictionWriter(tmp_path, 1, range(55)) as writer:
        writer.add(np.array([[1, 1, 1]]), np.full((1, 55), 0.0625))
        writer.write(path)
        writer.write(path)  # replaced
    before = read_predictions(path)[1]
    line = checksum_files.sidecar(path).read_text()
    assert line == f"{atomic_files.sha256(path)}  {name}\n"  # as sha256sum writes it
    if name != "a.parquet":
        path.write_bytes(path.read_bytes().replace(b"0.0625", b"0.0635", 1))
        with pytest.raises(DataError, match=rf"{name}: not the file that was written, by {name}.sha256; restore it"):
            read_predictions(path)
    checksum_files.sidecar(path).unlink()
    assert len(read_predictions(path)[1]) == len(before)  # of an earlier version, or of another program


def test_while_a_file_is_replaced_the_old_one_and_the_new_one_are_sound(tmp_path):
    path = tmp_path / "a.csv"
    for text in ("old", "new"):
        with checksum_files.replacing_with_sum(path) as temporary:
            temporary.write_text(text)
    checksum_files._write_sidecar(path, {*checksum_files._old_sums(path), "0" * 64})  # killed before the rename
    checksum_files.verify(path)
    with checksum_files.replacing_with_sum(path) as temporary:
        temporary.write_text("newest")
    assert checksum_files.sidecar(path).read_text().count("\n") == 1
    checksum_files.verify(path)

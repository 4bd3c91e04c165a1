"""Files that are small to send and large to read: refused before they are parsed."""

import contextlib
import difflib
import io
import json
import time
import tracemalloc
import zipfile

import h5py
import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from ariel_tf import train
from ariel_tf.core import atomic_files
from ariel_tf.core.atomic_files import LARGEST_JSON, parse_json, read_bounded, read_json
from ariel_tf.core.errors import ArielError, DataError, UsageError, nearest
from ariel_tf.data.manifest import MANIFEST_NAME, STATISTICS_NAME, Manifest
from ariel_tf.data.statistics import Sums
from ariel_tf.runs import prediction_reader
from ariel_tf.runs.history import read_history
from ariel_tf.runs.model_file import CONFIG, METADATA, WEIGHTS, load_model
from ariel_tf.runs.prediction_files import KEYS, column
from ariel_tf.runs.prediction_reader import read_predictions
from ariel_tf.runs.state import read_state

MIB = 1 << 20
MEMORY = 200 * MIB


@contextlib.contextmanager
def little_memory():
    """Fail if the block allocates more than 200 MiB."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


@contextlib.contextmanager
def never(monkeypatch, owner, name):
    """Fail if a parser is entered."""

    def entered(*_, **__):
        raise AssertionError(f"{name} was entered")

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, entered)
        yield


def sparse(path, size):
    """A file of zeros that takes no disk."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


@pytest.mark.parametrize("name", ["config.json", "state.json", "best.json"])
def test_a_huge_json_file_is_not_read(name, tmp_path, monkeypatch):
    file = sparse(tmp_path / name, 300 * MIB)
    with never(monkeypatch, json, "loads"), pytest.raises(DataError, match=rf"{name}: expected .* bytes at most"):
        read_json(file)


@pytest.mark.parametrize(
    "content",
    [
        b"[" + b"{}," * (LARGEST_JSON // 4) + b"{}]",
        b"[" + b"1," * (LARGEST_JSON // 3) + b"1]",
        b"[" * 5_000_000,
        b'{"a":' * 3_000_000,
        b'"' + b"a" * LARGEST_JSON + b'"',
    ],
)
def test_json_that_is_large_in_memory_is_not_parsed(content, monkeypatch):
    with never(monkeypatch, json, "loads"), pytest.raises(DataError, match=r"x.json: expected JSON of 32 MiB"):
        parse_json(content, "x.json")


def test_json_up_to_the_bounds_takes_little_memory():
    values = b"[" + b'"' + b"\\u00e9" * 1000 + b'",' + b"[1,2]," * 100_000 + b"{}]"
    deep = b"[" * 100_000 + b"]" * 100_000
    with little_memory():
        assert len(parse_json(values, "x.json")) == 100_002
        with pytest.raises(DataError, match="expected JSON"):
            parse_json(deep, "x.json")


def test_a_manifest_of_millions_of_entries_is_one_sentence(tmp_path, monkeypatch):
    shard = {"name": "fold-0-00000.tfrecord", "fold": 0, "rows": 1, "bytes": 1, "sha256": "0" * 64}
    page = json.dumps({"schema": 1, "shards": [shard | {"planets": [1] * 5_000_000}]})
    (tmp_path / MANIFEST_NAME).write_text(page.replace(" ", ""))
    (tmp_path / STATISTICS_NAME).write_bytes(b"")
    with never(monkeypatch, json, "loads"), pytest.raises(DataError, match=r"manifest.json: expected JSON of"):
        Manifest.read(tmp_path)


def test_a_config_with_a_long_string_is_compared_with_no_name(tmp_path, monkeypatch):
    """A string of 300 MB took 90 s and 11 GB in difflib."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"m" * 1_000_000: 1}))
    with never(monkeypatch, difflib, "get_close_matches"):
        with pytest.raises(UsageError) as error:
            train.main(["--config", str(file)])
        file.write_text(json.dumps({"model": "m" * 1_000_000, "loss": "l" * 1000}))
        with pytest.raises(UsageError):
            train.main(["--config", str(file)])
        assert nearest("m" * 300_000_000, ["model"]) == ""
    assert len(str(error.value)) < 30_000
    sparse(file, 300 * MIB)
    with never(monkeypatch, json, "loads"), pytest.raises(DataError, match="at most"):
        train.main(["--config", str(file)])


def test_a_device_or_a_folder_is_no_json_file(tmp_path):
    for path in ("/dev/zero", tmp_path):
        with pytest.raises(DataError, match="expected a file, received a folder or a device"):
            read_bounded(path, 10)


def test_a_huge_metrics_csv_is_not_parsed(tmp_path, monkeypatch):
    state = {"epoch": 3, "files": {}}
    for size, content in ((300 * MIB, b""), (0, b"epoch,loss\n" + b"1,2\n" * 1_000_000)):
        sparse(tmp_path / "metrics.csv", size)
        if content:
            (tmp_path / "metrics.csv").write_bytes(content)
        with pytest.raises(DataError, match=r"metrics.csv: expected .* at most"):
            read_history(tmp_path)
        with little_memory(), pytest.raises(DataError, match=r"metrics.csv: "):
            read_history(tmp_path, state)


def test_a_huge_state_is_refused_before_it_is_read(tmp_path):
    sparse(tmp_path / "state.json", 10**12)
    started = time.process_time()
    with pytest.raises(DataError, match=r"state.json: expected .* bytes at most, received 1,000,000,000,000"):
        read_state(tmp_path)
    assert time.process_time() - started < 1


# --- statistics of a data set ---------------------------------------------------------------------------------


def zipped(members, compression=zipfile.ZIP_DEFLATED):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def header(shape, descr="<f8"):
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": descr, "fortran_order": False, "shape": shape})
    return content.getvalue()


@pytest.mark.parametrize(
    "members",
    [
        {"0.flux.sum.npy": header((200_000_000,)) + bytes(100 * MIB)},
        {"0.flux.sum.npy": header((200_000_000,)) + bytes(8)},
        {"0.flux.sum.npy": header((3,), "|O") + bytes(24)},
        {"0.flux.sum.npy": b"not an array"},
        {f"{number}.npy": b"" for number in range(5000)},
        {"0.flux.count.npy": header((1 << 40, 1 << 40)) + bytes(8)},
    ],
    ids=["zeros", "shape", "objects", "no array", "members", "huge shape"],
)
def test_statistics_that_would_take_gigabytes_are_one_sentence(members, monkeypatch):
    data = zipped(members)
    with (
        little_memory(),
        never(monkeypatch, np.lib.npyio.NpzFile, "__getitem__"),
        pytest.raises(DataError, match=r"^statistics.npz"),
    ):
        Sums.from_bytes(data, "statistics.npz")


def test_a_huge_statistics_file_is_not_read(tmp_path):
    sparse(tmp_path / STATISTICS_NAME, 1500 * MIB)
    (tmp_path / MANIFEST_NAME).write_text("{}")
    with little_memory(), pytest.raises(DataError, match=r"statistics.npz: expected .* bytes at most"):
        Manifest.read(tmp_path)


# --- models ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "best.keras"
    inputs = keras.Input((4,), name="flux")
    keras.Model(inputs, keras.layers.Dense(2, name="radius")(inputs)).save(path)
    return path


@pytest.fixture
def changed(model_file, tmp_path):
    """A function (members, compression) -> the model's file with other members; None leaves one out."""

    def change(members, compression=zipfile.ZIP_STORED):
        with zipfile.ZipFile(model_file) as archive:
            whole = {name: archive.read(name) for name in archive.namelist()} | members
        path = tmp_path / "best.keras"
        path.write_bytes(zipped({name: data for name, data in whole.items() if data is not None}, compression))
        return path

    return change


def weights(**datasets):
    """An HDF5 file: each value is the settings of `create_dataset`, or a link."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for name, value in datasets.items():
            if isinstance(value, dict):
                file.create_dataset(name, **value)
            else:
                file[name] = value
    return content.getvalue()


def test_a_sound_model_is_loaded(model_file):
    model = load_model(model_file)
    assert [layer.name for layer in model.layers] == ["flux", "radius"]
    np.testing.assert_array_equal(model.get_weights()[0], keras.models.load_model(model_file).get_weights()[0])


@pytest.mark.parametrize("name", [METADATA, CONFIG, WEIGHTS])
def test_members_of_gigabytes_of_zeros_are_one_sentence(name, changed, monkeypatch):
    path = changed({name: bytes(64 * MIB)}, zipfile.ZIP_DEFLATED)
    with (
        never(monkeypatch, keras.models, "load_model"),
        little_memory(),
        pytest.raises(DataError, match=rf"best.keras: {name} would take 67,108,864 bytes"),
    ):
        load_model(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (weights(a={"shape": (1 << 36,), "dtype": "f4", "chunks": (1 << 20,)}), "would take"),
        (weights(a={"shape": (1 << 30,), "dtype": "f4", "chunks": (1 << 20,), "compression": "gzip"}), "would take"),
        (weights(a=h5py.SoftLink("/b")), "holds a link, a"),
        (weights(a=h5py.ExternalLink("/etc/passwd", "/")), "holds a link, a"),
        (weights(a={"shape": (3,), "dtype": "f4", "external": [("/etc/passwd", 0, 12)]}), "stored in another file"),
        (weights(a={"data": ["text"]}), "expected arrays of numbers"),
        (b"no HDF5", "cannot be loaded by Keras"),
        (b"", "cannot be loaded by Keras"),
    ],
)
def test_weights_that_are_not_in_the_file_are_one_sentence(content, words, changed, monkeypatch):
    path = changed({WEIGHTS: content})
    with (
        never(monkeypatch, keras.models, "load_model"),
        little_memory(),
        pytest.raises(DataError, match=rf"best.keras.*{words}"),
    ):
        load_model(path)


def configured(model_file, change):
    with zipfile.ZipFile(model_file) as archive:
        return {CONFIG: change(archive.read(CONFIG).decode()).encode()}


def test_layers_larger_than_their_weights_are_not_built(model_file, changed):
    path = changed(configured(model_file, lambda text: text.replace('"units": 2', '"units": 900000000')))
    with little_memory(), pytest.raises(DataError, match=r"best.keras: its layers have more weights than the file"):
        load_model(path)
    load_model(model_file)  # the bound is gone again


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"class_name": "Dense"', '"class_name": "Lambda"'),
        ('"class_name": "Dense"', '"class_name": "StringLookup"'),
        ('"module": "keras.layers"', '"module": "os"'),
        ('"module": "keras.layers"', '"module": "keras.utils"'),
        ('"module": "keras.layers"', '"module": "ariel_tf.train"'),
        ('"module": "keras.layers"', '"module": "keras.src.utils.file_utils"'),
    ],
)
def test_layers_that_no_model_of_ours_has_are_not_loaded(before, after, model_file, changed, monkeypatch):
    path = changed(configured(model_file, lambda text: text.replace(before, after)))
    with (
        never(monkeypatch, keras.models, "load_model"),
        pytest.raises(DataError, match=r"best.keras: holds .*, which no model of this package has"),
    ):
        load_model(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"Dense"', '"NoSuchLayer"'),
        lambda text: text.replace('"units": 2', '"units": -2'),
        lambda text: text.replace('"units": 2', '"units": "two"'),
        lambda text: text.replace('"units": 2', '"units": 3'),
        lambda text: text.replace('"class_name": "Functional"', '"class_name": 7'),
        lambda text: text.replace('"config"', '"configuration"'),
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "{}",
        lambda text: "null",
    ],
)
def test_fault_d_whatever_keras_refuses_is_one_sentence(change, model_file, changed):
    """21 of 23 hostile or broken models ended in a traceback."""
    with pytest.raises(DataError, match=r"^\S*best.keras: ") as error:
        load_model(changed(configured(model_file, change)))
    assert len(str(error.value)) < 700


def test_fault_d_a_model_of_a_newer_keras_says_what_to_install(model_file, changed):
    members = configured(model_file, lambda text: text.replace('"Dense"', '"LayerOfTheFuture"'))
    members[METADATA] = json.dumps({"keras_version": "99.1.0", "date_saved": "2030"}).encode()
    message = rf"cannot be loaded by Keras {keras.__version__}, and was saved by Keras 99.1.0 .*install Keras 99.1.0 or"
    with pytest.raises(DataError, match=message):
        load_model(changed(members))


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06", b"PK\x05\x06" + bytes(18), bytes(1000), b"\x89HDF\r\n"])
def test_fault_d_a_file_that_is_no_model_is_one_sentence(content, tmp_path):
    path = tmp_path / "best.keras"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"best.keras: expected "):
        load_model(path)
    path.unlink()
    with pytest.raises(DataError, match="found no file"):
        load_model(path)
    path.mkdir()
    with pytest.raises(DataError, match="found no file"):
        load_model(path)


def test_other_members_of_a_model_are_refused(changed):
    for members in ({"assets/../../evil": b"x"}, {CONFIG: None}, {f"{n}.txt": b"" for n in range(2000)}):
        with pytest.raises(DataError, match=r"received (other members|another)"):
            load_model(changed(members))


# --- predictions ----------------------------------------------------------------------------------------------

HEADER = [*KEYS, *map(column, range(55))]


def test_a_submission_of_a_million_rows_is_not_read_to_its_end(tmp_path):
    line = "\t".join(["0.1"] * 55) + "\n"
    (tmp_path / "a.txt").write_text(line * 20_000)
    (tmp_path / "a.csv").write_text(",".join(HEADER) + "\n" + ",".join(["1"] * len(HEADER)) + "\n" + "x" * 50_000_000)
    table = pa.table({name: pa.array(np.ones(1_000_000, np.int32)) for name in HEADER})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    for suffix in ("txt", "parquet"):
        with little_memory(), pytest.raises(DataError, match=rf"a.{suffix}: expected 100 rows at most"):
            read_predictions(tmp_path / f"a.{suffix}", 100)
    with little_memory(), pytest.raises(DataError, match=r"a.csv: expected 100 rows at most, 827,392 bytes"):
        read_predictions(tmp_path / "a.csv", 100)
    (tmp_path / "a.csv").write_text(",".join(HEADER) + "\n" + (",".join(["1"] * len(HEADER)) + "\n") * 50_000)
    with pytest.raises(DataError, match=r"a.csv: expected 100 rows at most"):
        read_predictions(tmp_path / "a.csv", 100)


def test_a_line_of_a_gigabyte_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(prediction_reader, "LONGEST_LINE", 1000)
    (tmp_path / "a.txt").write_text("0.1\t" * 100_000)
    with pytest.raises(DataError, match=r"a.txt, line 1: expected 55 numbers, found 251"):
        read_predictions(tmp_path / "a.txt")


def test_every_reader_of_json_is_bounded():
    """One place reads JSON files; a second would need bounds of its own."""
    assert atomic_files.read_json.__code__.co_names[:2] == ("parse_json", "read_bounded")
    assert issubclass(DataError, ArielError)

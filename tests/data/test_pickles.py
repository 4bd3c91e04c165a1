"""Pickles read without unpickling: values of all versions, and a sentence for each hostile or damaged file."""

import ast
import bz2
import gzip
import lzma
import os
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.pickles import machine, releases, rows, stack
from ariel_tf.data.pickles.planet import read_planet
from ariel_tf.data.pickles.tables import Reader
from ariel_tf.data.pickles.values import Span
from benchmarks.datalabs_pickles import hackathon, made_up_planets, workshop

PROTOCOLS = range(6)
ARCHIVES = sorted((Path(__file__).parent / "pickles").glob("*.tar.xz"))
TRAIN = ("train_X_data", "train_X_params", "train_y_data", "train_y_params")
SETS = [(("ADC21esac_train",), True), (("ADC21esac_test",), False), (TRAIN, True), (TRAIN[::-1], True)]
SETS += [(("test_X_data", "test_X_params"), False)]


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "file.pkl"


def loaded(path: Path, data: bytes):
    path.write_bytes(data)
    return machine.load(path)


def refusal(path: Path, data: bytes) -> str:
    """The one sentence with which a file is refused, without its name."""
    with pytest.raises(DataError) as caught:
        loaded(path, data)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


def assert_made_up(release: releases.Release, labelled: bool) -> None:
    assert release.faults == []
    assert release.labelled == labelled
    for task, expected in zip(release.tasks, made_up_planets(), strict=True):
        read = read_planet(task, skip_bad=False)
        assert read.faults == []
        assert read.number == expected.number
        assert read.planet.keys == expected.keys
        for name in ("star", "flux", "scatter", "white", *(("orbit", "radii") if labelled else ())):
            np.testing.assert_array_equal(getattr(read.planet, name), getattr(expected, name))
        assert read.planet.labelled == labelled


# --- versions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def test_pickles_of_old_and_new_pandas_and_numpy_are_read(archive, tmp_path):
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    for names, labelled in SETS:
        assert_made_up(releases.read_release([tmp_path / f"{name}.pkl" for name in names]), labelled)


def test_there_are_archives_of_three_generations():
    names = " ".join(path.name for path in ARCHIVES)
    assert all(version in names for version in ("pandas-1.5", "pandas-2.2", "pandas-3.0", "numpy-1.2", "numpy-2."))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("pandas_objects", [False, True])
def test_every_protocol_gives_the_same_planets(tmp_path, protocol, pandas_objects):
    made = hackathon(made_up_planets(), True, pandas_objects)
    parts = {"whole": made, **workshop(made_up_planets(), True)}
    for name, value in parts.items():
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(value, protocol))
    assert_made_up(releases.read_release([tmp_path / "whole.pkl"]), True)
    assert_made_up(releases.read_release([tmp_path / f"{name}.pkl" for name in TRAIN]), True)


INDEX = pd.Index(["0001_01_01.txt", "0001_01_02.txt", "0002_01_01.txt"], name="file")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"a": [1, 2, 3], "b": [1.5, np.nan, 2], "c": ["x", None, "é"], "d": [True, False, True]}, INDEX),
        pd.DataFrame({"a": pd.array([1, None, 3], "Int64"), "b": pd.Categorical(["x", None, "y"])}, INDEX),
        pd.DataFrame({"a": pd.array(["x", None, "z"], "string"), "b": np.array([1, 2, 3], np.float32)}, INDEX),
        pd.DataFrame(np.arange(12.0).reshape(3, 4), INDEX, columns=list("abcd"))[["d", "a"]],
        pd.DataFrame({"a": [1.0, 2.0]}, pd.MultiIndex.from_tuples([(1, 1, 1), (2, 1, 10)])),
        pd.DataFrame({"a": [1.0, 2.0]}),
        pd.DataFrame({"a": [1.0, 2.0], "b": [3, 4]}, index=[7, 4381]).T,
    ],
)
def test_tables_hold_what_pandas_holds(path, table, protocol):
    path.write_bytes(pickle.dumps(table, protocol))
    with open(path, "rb") as file:
        found = {name: column() for name, column in Reader(file.fileno()).columns(machine.load(path)).items()}
    expected = table.astype(object).where(table.notna(), None).to_dict()
    clean = {
        name: {label: None if value != value else value for label, value in column.items()}
        for name, column in found.items()
    }
    assert clean == expected
    assert list(found) == list(table.columns)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_hold_what_numpy_holds(path, protocol):
    arrays = [
        np.arange(24.0).reshape(2, 3, 4),
        np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
        np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3)),
        np.arange(600.0).reshape(20, 30)[::2, ::3],
        np.array(["0001_01_01", "é"]),
        np.array([1, 2], np.uint16),
        np.zeros((0, 5)),
        np.array(3.5),
    ]
    numbers = [np.float64(1.5), np.float32(2.5), np.int64(-3), np.uint8(4), np.bool_(True)]
    path.write_bytes(pickle.dumps([arrays, numbers, b"x" * 5000, bytearray(b"y" * 3000)], protocol))
    with open(path, "rb") as file:
        found, plain, *_ = machine.load(path)
        for array, expected in zip(found, arrays, strict=True):
            np.testing.assert_array_equal(array.load(file.fileno()), expected)
    assert plain == [1.5, 2.5, -3, 4, True]


# --- hostile files -------------------------------------------------------------------------------------------------


class Calls:
    """Pickled as a call of a function."""

    def __init__(self, function, *args, state=None):
        self.call = (function, args) if state is None else (function, args, state)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("attack", "name"),
    [
        (lambda marker: Calls(os.system, f"touch {marker}"), "posix.system"),
        (lambda marker: Calls(eval, f"open({str(marker)!r}, 'w')"), "eval"),
        (lambda marker: Calls(exec, f"open({str(marker)!r}, 'w')"), "exec"),
        (lambda marker: Calls(getattr, os, "system"), "getattr"),
        (lambda marker: Calls(open, str(marker), "w"), "open"),
        (lambda marker: Calls(np.load, str(marker)), "numpy.load"),
        (lambda marker: Calls(pd.read_pickle, str(marker)), f"{pd.read_pickle.__module__}.read_pickle"),
        (lambda marker: Calls(np.dtype, "f8", state=Calls(os.system, f"touch {marker}")), "posix.system"),
        (lambda marker: {"X": {"0001_01_01.txt": Calls(os.system, f"touch {marker}")}}, "posix.system"),
        (lambda marker: np.array([Calls(os.system, f"touch {marker}")], object), "posix.system"),
        (lambda marker: pd.DataFrame({"star_temp": [Calls(os.system, f"touch {marker}")]}), "posix.system"),
        (lambda marker: Calls(Calls, Calls(os.system, f"touch {marker}")), "Calls"),
    ],
)
def test_a_hostile_pickle_is_refused_by_the_name_it_mentions(path, tmp_path, attack, name, protocol):
    marker = tmp_path / "marker"
    found = refusal(path, _dumped(attack(marker), protocol))
    assert f"{name}, which no file of arrays and tables needs" in found
    assert not marker.exists()


def _dumped(value, protocol: int) -> bytes:
    # A module is no value of a pickle: it is mentioned by its name.
    class Pickler(pickle._Pickler):
        def save(self, obj, save_persistent_id=True):
            super().save("os" if obj is os else obj, save_persistent_id)

    import io

    file = io.BytesIO()
    Pickler(file, protocol).dump(value)
    return file.getvalue()


def short(text: str) -> bytes:
    """SHORT_BINUNICODE."""
    return b"\x8c" + struct.pack("<B", len(text)) + text.encode()


def named(module: str, name: str) -> bytes:
    """STACK_GLOBAL."""
    return short(module) + short(name) + b"\x93"


ARRAY = named("numpy._core.multiarray", "_reconstruct") + named("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R"
DTYPE = named("numpy", "dtype") + short("f8") + b"\x89\x88\x87R"
FRAME = named("pandas", "DataFrame") + b")\x81"


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        # names
        (b"cos\nsystem\n.", "refers to os.system, which no file"),
        (named("numpy", "core.multiarray.scalar") + b".", "refers to numpy.core.multiarray.scalar, "),
        (named("numpy", "ndarray.__subclasses__") + b".", "refers to numpy.ndarray.__subclasses__, "),
        (named("builtins", "\u001b[31mobject") + b".", r"refers to builtins.\x1b[31mobject, "),
        (b"]" + short("object") + b"\x93.", "a name that is no text"),
        (named("_codecs", "encode") + short("a") + short("rot13") + b"\x86R.", "expected bytes that are stored as lat"),
        # calls and states of what is no constructor
        (named("numpy", "ndarray") + b")R.", "calls numpy.ndarray, which is no constructor"),
        (short("x") + b")R.", "calls something that is no constructor"),
        (ARRAY + b")R.", "calls something that is no constructor"),
        (named("numpy", "dtype") + b"]R.", "calls something that is no constructor"),
        (FRAME[:-2] + b")}" + short("a") + b"Ns\x92.", "calls a constructor with names of arguments"),
        (named("numpy", "dtype") + b"}" + short("__call__") + b"Nsb.", "sets the state of a Global, which has none"),
        (named("pandas", "DataFrame") + b"N}" + short("x") + b"Ns\x86b.", "sets the state of a Global"),
        (b"}}b.", "sets the state of a dict, which has none"),
        (FRAME + b"}b}b.", "expected one state of a DataFrame"),
        (ARRAY.replace(named("numpy", "ndarray"), named("pandas", "Series")) + b".", "of the type numpy.ndarray"),
        (named("copyreg", "_reconstructor") + named("pandas", "Series") + b"]N\x87R.", "expected a class of pandas"),
        (named("copyreg", "__newobj__") + named("copyreg", "__newobj__") + b"\x85R.", "expected a class of pandas"),
        # arrays
        (ARRAY + b"(K\x01J\xff\xff\xff\xff\x85" + DTYPE + b"\x89C\x00tb.", "expected an array with its dtype"),
        (ARRAY + b"(K\x01K\x01\x85" + DTYPE + b"\x89]tb.", "expected an array with its dtype"),
        (DTYPE + b"K\x03b.", "expected a state that NumPy stores for a dtype"),
        (named("numpy._core.multiarray", "scalar") + DTYPE + b"C\x04abcd\x86R.", "expected a number of NumPy"),
        # what a pickle of numbers has no use for
        (b"P1\n.", "holds a persistent id"),
        (b"NQ.", "holds a persistent id"),
        (b"\x82\x01.", "holds a code of the extension registry"),
        (b"\x84\x01\x00\x00\x00.", "holds a code of the extension registry"),
        (b"(ios\nsystem\n.", "holds an object of a class of Python 2"),
        (b"(" + named("pandas", "Series") + b"o.", "holds an object of a class of Python 2"),
        (b"\x97.", "holds a buffer outside the file"),
        (b"\x8f.", "holds a set"),
        (b"\xff.", "holds something that is no operation of a pickle"),
        (b"\x80\x06N.", "is a pickle of protocol 6, expected 0 to 5"),
        # lengths that are not there
        (b"B\xff\xff\xff\x7f.", "the file was cut short"),
        (b"\x8e" + b"\xff" * 8 + b".", "the file was cut short"),
        (b"\x8d" + b"\xff" * 7 + b"\x7f.", "the file was cut short"),
        (b"\x96" + struct.pack("<Q", 1 << 40) + b".", "the file was cut short"),
        (b"T\xff\xff\xff\xff.", "the file was cut short"),
        (b"\x8b\xff\xff\xff\x7f.", "a whole number of more than 16 bytes"),
        (b"\x8b\xff\xff\xff\xff.", "a whole number of more than 16 bytes"),
        (b"I" + b"9" * 5000 + b"\n.", "a line of more than 300 bytes"),
        (b"L" + b"9" * 100 + b"L\n.", "a whole number of more than 40 digits"),
        # the stack and the memo
        (b".", "expected a pickle, found something else or a damaged one"),
        (b"(.", "a value is absent"),
        (b"h\x07.", "expected a pickle, found something else or a damaged one"),
        (b"(q\x00.", "a mark is no value"),
        (b"e.", "a mark is absent"),
        (b"(\x85.", "a value is absent"),
        (b"NNa.", "expected a list"),
        (b"}(Nu.", "a key without a value"),
        (b"NN.", "holds more after its end"),
        (b"N.N.", "holds more after its end at byte 2; expected one pickle a file"),
        # keys
        (b"}]Ns.", "has a list as a key"),
        (b"}" + FRAME + b"Ns.", "has a Made as a key"),
        (b"}K\x01NsK\x01Ns.", "has the key 1 twice"),
        (b"}" + b")" + b"\x85" * 100_000 + b"Ns.", "has a tuple as a key"),
        (b"}K\x01" + b"2\x86" * 60 + b"Ns.", "has a tuple as a key"),
        # text
        (b"", "ends at byte 0"),
        (b"\x1f\x8b\x08\x00" * 9, "found a gzip archive"),
        (b"\x8c\x02\xff\xff.", "found something else or a damaged one (byte 4: UnicodeDecodeError)"),
    ],
)  # fmt: skip
def test_each_trick_is_one_sentence(path, data, fault):
    assert fault in refusal(path, data)


def test_deep_nesting_ends_without_a_crash(path):
    for deep in (b"]" + b"]" * 60_000 + b"a" * 60_000 + b".", b")" + b"\x85" * 60_000 + b"."):
        assert type(loaded(path, deep)) in (list, tuple)
        with pytest.raises(DataError):
            releases.read_release([path])


def test_a_table_that_is_nested_to_death_is_one_sentence(path):
    """Cells are inert values of any depth; text is made only of labels."""
    bomb = b"N" + b"2\x86" * 80
    columns = b"".join(short(name) + b"}" + short("0001_01_01.txt") + bomb + b"ss" for name in (
        *rows.KEY_NAMES, *releases.STAR_NAMES
    ))  # fmt: skip
    curves = pickle.dumps({"0001_01_01.txt": np.ones((55, 300))}, 4)[11:-1]
    path.write_bytes(b"}" + short("X") + curves + b"s" + short("X_params") + b"}" + columns + b"s.")
    with pytest.raises(DataError, match="expected whole numbers in the columns planet"):
        releases.read_release([path])


def test_the_number_of_operations_is_limited(path, monkeypatch):
    monkeypatch.setattr(machine, "MOST_OPERATIONS", 1000)
    assert "takes more than 1000 operations" in refusal(path, b"]" * 2000 + b".")


def test_short_values_in_memory_are_limited(path, monkeypatch):
    monkeypatch.setattr(stack, "MOST_INLINE_BYTES", 10_000)
    assert "MiB of text" in refusal(path, pickle.dumps([f"{i:0500d}" for i in range(100)]))


def test_long_values_stay_in_the_file(path):
    value = loaded(path, pickle.dumps({"a": np.ones(5000), "b": b"x" * 2000, "c": "y" * 2000}))
    assert isinstance(value["a"].data, Span)
    assert isinstance(value["b"], Span)
    assert isinstance(value["c"], Span)


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    handle = os.open(tmp_path / "pipe", os.O_RDWR)
    with pytest.raises(DataError, match="found a pipe or a device"):
        machine.load(tmp_path / "pipe")
    os.close(handle)


SMALL = pickle.dumps(
    {"X": {"0001_01_01.txt": np.ones(200)}, "X_params": pd.DataFrame({"star_temp": [1.5]}, ["0001_01_01.txt"])}, 4
)


@pytest.mark.parametrize(
    ("compress", "program"), [(gzip.compress, "gunzip"), (bz2.compress, "bunzip2"), (lzma.compress, "unxz")]
)
def test_a_compressed_pickle_is_refused_with_what_unpacks_it(path, compress, program):
    """The sentence said that it is no pickle."""
    path.write_bytes(compress(SMALL))
    with pytest.raises(DataError, match=rf"expected a pickle, found .* archive \({program}\); unpack it"):
        releases.read_release([path])


def test_every_cut_is_noticed(path):
    for length in range(0, len(SMALL), 7):
        assert refusal(path, SMALL[:length])


@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.binary(max_size=4)), min_size=1, max_size=3))
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_pickle_is_read_or_refused_and_nothing_else(path, changes):
    data = bytearray(SMALL)
    for at, piece in changes:
        data[at : at + len(piece)] = piece
    path.write_bytes(data)
    # X is no light curve, so at the latest this is refused; a key may have lost its meaning, so that a file is absent.
    with pytest.raises((DataError, UsageError)):
        releases.read_release([path])


def test_no_module_that_reads_pickles_imports_an_unpickler():
    for file in Path(machine.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [node.func.id] if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else []
            assert not {"pickle", "cPickle", "marshal", "importlib", "eval", "exec", "__import__"} & set(names)

"""Challenge text files: bit-exact round trips, equality with np.loadtxt, and one sentence for each fault."""

import gzip
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from ariel_tf.core.errors import DataError
from ariel_tf.data.text import format
from ariel_tf.data.text.format import read_light_curve, read_params, write_light_curve, write_params

STAR = np.array([4997.0, 4.5, 0.76, 0.762933333, 12.186, 13.767102])
ORBIT = np.array([15368159642.0, 88.44296979])
HEADERS = ["# star_temp: 4997.0", "# star_logg: 4.5", "# star_rad: 0.76", "# star_mass: 0.762933333"]
HEADERS += ["# star_k_mag: 12.186", "# period: 13.767102"]
fixtures_are_fine = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def curves(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(1, 0.01, (55, 300))


def content(headers=HEADERS, rows=55, columns=300, end="\r\n", change=None) -> bytes:
    cells = [[repr(value) for value in row] for row in curves()[:1].repeat(rows, 0)[:, :1].repeat(columns, 1).tolist()]
    if change:
        row, column, text = change
        cells[row][column] = text
    return (end.join([*headers, *map("\t".join, cells)]) + end).encode()


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "0001_01_01.txt"


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_light_curves_round_trip_bit_for_bit_and_equal_loadtxt(path, newline):
    flux = curves()
    write_light_curve(path, STAR, flux, newline)
    star, again = read_light_curve(path)
    assert star.tobytes() == STAR.tobytes()
    assert again.tobytes() == flux.tobytes()
    assert again.tobytes() == np.loadtxt(path).tobytes()
    assert path.read_bytes().count(newline.encode()) == 61


@given(st_numpy.arrays(np.float64, 55, elements=st.floats(0, 1, exclude_min=True)))
@fixtures_are_fine
def test_params_round_trip_bit_for_bit(path, radii):
    write_params(path, ORBIT, radii)
    orbit, again = read_params(path)
    assert orbit.tobytes() == ORBIT.tobytes()
    assert again.tobytes() == radii.tobytes()


@given(st_numpy.arrays(np.float64, (55, 5), elements=st.floats(-10, 10, exclude_min=True, exclude_max=True)))
@fixtures_are_fine
def test_any_flux_round_trips_and_is_written_as_repr(path, values):
    flux = np.tile(values, 60)
    write_light_curve(path, STAR, flux)
    lines = path.read_text().splitlines()[6:]
    assert lines == ["\t".join(map(repr, row)) for row in flux.tolist()]
    assert read_light_curve(path)[1].tobytes() == flux.tobytes()


def test_writing_gives_the_real_files_back_byte_for_byte(real_data, path):
    for real in sorted((real_data / "noisy_train").glob("*.txt")) + sorted((real_data / "noisy_test").glob("*.txt")):
        star, flux = read_light_curve(real)
        assert flux.tobytes() == np.loadtxt(real).tobytes()
        write_light_curve(path, star, flux)
        assert path.read_bytes() == real.read_bytes()
    for real in sorted((real_data / "params_train").glob("*.txt")):
        orbit, radii = read_params(real)
        assert radii.tobytes() == np.loadtxt(real).tobytes()
        assert [f"{value:.0f}" if value > 1e6 else repr(value) for value in orbit.tolist()] == [
            line.split()[-1] for line in real.read_text().splitlines()[:2]
        ]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("# star_temp: +4.9e+03", 4900.0),
        ("#star_temp:4.9E3", 4900.0),
        ("#  star_temp :  4900.  ", 4900.0),
    ],
)
def test_headers_may_carry_signs_exponents_and_spaces(path, line, value):
    path.write_bytes(content([line, "# star_logg: -1.5e-1", *HEADERS[2:]]))
    star, _ = read_light_curve(path)
    assert star[:2].tolist() == [value, -0.15]


@pytest.mark.parametrize("text", ["+1.5", "1.5e0", "1.5E+0", "15e-1", " 1.5 ", "1.50", "001.5"])
def test_numbers_may_be_written_in_any_way(path, text):
    path.write_bytes(content(change=(54, 299, text)))
    assert read_light_curve(path)[1][54, 299] == 1.5


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"\r\n", b"\t\r\n"),
        lambda data: data.replace(b"\r\n", b" \t \t\r\n"),
        lambda data: data + b"\r\n",
        lambda data: data + b"\n \t\r\n\n",
        lambda data: b"\xef\xbb\xbf" + data.replace(b"\r\n", b"\t\n") + b"\n",
    ],
    ids=["mark", "tabs", "tabs and spaces", "blank line", "blank lines", "all"],
)
def test_what_editors_add_to_a_file_changes_no_number(path, change):
    write_light_curve(path, STAR, curves())
    path.write_bytes(change(path.read_bytes()))
    star, flux = read_light_curve(path)
    assert star.tobytes() == STAR.tobytes()
    assert flux.tobytes() == curves().tobytes()
    write_params(path, ORBIT, np.full(55, 0.125))
    path.write_bytes(change(path.read_bytes()))
    assert read_params(path)[1].tolist() == [0.125] * 55


def test_a_file_that_is_named_gz_is_decompressed(path):
    compressed = path.with_suffix(".txt.gz")
    write_light_curve(path, STAR, curves())
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_light_curve(compressed)[1].tobytes() == curves().tobytes()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda data: data[:-9], "expected a gzip archive, found a damaged one"),
        (lambda data: data[:30] + b"\xff\xff\xff" + data[33:], "expected a gzip archive, found a damaged one"),
        (lambda data: content(), "expected a gzip archive, found a damaged one or another file (Not a gzipped file"),
        (lambda data: gzip.compress(bytes(format.MAX_BYTES + 1)), "about 0.3 MB, found more than 16 MB"),
        (lambda data: gzip.compress(content(rows=54)), "expected 55 rows of 300 columns, found 54"),
    ],
    ids=["cut", "damaged", "text", "bomb", "short"],
)
def test_each_fault_of_a_compressed_file_is_one_sentence(path, change, fault):
    compressed = path.with_suffix(".txt.gz")
    compressed.write_bytes(change(gzip.compress(content())))
    with pytest.raises(DataError, match=re.escape(fault)) as caught:
        read_light_curve(compressed)
    assert str(caught.value).startswith(f"{compressed}: ")


HEADER_FAULT = "line 3: expected the header '# star_rad: <number>', found "


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "is empty"),
        (content(columns=299), "row 1 (line 7): expected 300 columns, found 299"),
        (content(columns=301), "row 1 (line 7): expected 300 columns, found 301"),
        (content(rows=54), "expected 55 rows of 300 columns, found 54"),
        (content(rows=56), "expected 55 rows of 300 columns, found 56"),
        (content()[:-1], "found 54 and an unfinished line (the file was cut short)"),
        (content()[:200_000], "rows of 300 columns, found 37 and an unfinished line (the file was cut short)"),
        (content()[:40], "line 3: expected the header '# star_rad: <number>', found '#'"),
        (content(HEADERS[:2] + HEADERS[3:]), HEADER_FAULT + "'# star_mass: 0.762933333'"),
        (content([*HEADERS[:2], "# star_radius: 1", *HEADERS[3:]]), HEADER_FAULT + "'# star_radius: 1'"),
        (content([*HEADERS[:2], HEADERS[3], HEADERS[2], *HEADERS[4:]]), HEADER_FAULT + "'# star_mass"),
        (content([*HEADERS[:2], "# star_rad: nan", *HEADERS[3:]]), HEADER_FAULT + "'# star_rad: nan'"),
        (content([*HEADERS[:2], "# star_rad: -1", *HEADERS[3:]]), "line 3: star_rad is -1.0, expected (0, 10000)"),
        (content([*HEADERS[:2], "# star_rad: 1e999", *HEADERS[3:]]), "line 3: star_rad is inf"),
        (content([*HEADERS, "# sma: 3"]), "expected 6 headers, found one more: '# sma: 3'"),
        (content(change=(9, 41, "nan")), "row 10 (line 16), column 42: expected a number, found 'nan'"),
        (content(change=(9, 41, "-inf")), "row 10 (line 16), column 42: expected a number, found '-inf'"),
        (content(change=(9, 41, "1e999")), "column 42: flux is inf, expected within (-10.0, 10.0)"),
        (content(change=(9, 41, "10.0")), "column 42: flux is 10.0, expected within (-10.0, 10.0)"),
        (content(change=(9, 41, "1,5")), "row 10 (line 16), column 42: expected a number, found '1,5'"),
        (content(change=(9, 41, "1_5")), "column 42: expected a number, found '1_5'"),
        (content(change=(9, 41, "")), "row 10 (line 16), column 42: expected a number, found nothing"),
        (content(end="\r"), "line 1: expected the header '# star_temp: <number>', found '# star_temp: 4997.0"),
        (content().replace(b"\t", b" "), "row 1 (line 7): expected 300 columns, found 1"),
        (gzip.compress(content()), "expected text, found a gzip archive"),
        (pickle.dumps({"flux": 1}), "expected text, found a pickle, which is never read"),
        (content(change=(3, 3, "1.\0")), "expected text, found binary data (a NUL byte at "),
        (content().decode().encode("utf-16"), "expected text, found binary data"),
        (content(change=(9, 41, "1,5")), "found '1,5' (a decimal comma; write decimal points)"),
        (content(change=(9, 41, "-1,5e-3")), "found '-1,5e-3' (a decimal comma; write decimal points)"),
        (content(["# star_temp: 4997,0", *HEADERS[1:]]), "found '# star_temp: 4997,0' (a decimal comma; write decimal"),
        (content(change=(9, 41, "9.99D-01")), "found '9.99D-01' (an exponent of Fortran; write e, as in 1.5e-3)"),
        (content(change=(9, 41, "1d0")), "found '1d0' (an exponent of Fortran; write e, as in 1.5e-3)"),
        (content(["# star_temp: 4.9D3", *HEADERS[1:]]), "found '# star_temp: 4.9D3' (an exponent of Fortran; write e"),
        (content().replace(b"\t", b";"), "found 1 (columns are separated by semicolons, expected tabs)"),
        (content().replace(b"\t", b","), "found 1 (columns are separated by commas, expected tabs)"),
        (content().replace(b"\t", b"  "), "found 1 (columns are separated by spaces, expected tabs)"),
        (
            content(rows=300, columns=55),
            "expected 55 rows of 300 columns, found 300 rows of 55: the table is transposed",
        ),
        (content(change=(9, 299, "")), "row 10 (line 16): expected 300 columns, found 299"),
    ],
)
def test_each_fault_of_a_light_curve_is_one_sentence(path, data, fault):
    path.write_bytes(data)
    with pytest.raises(DataError, match=re.escape(fault)) as caught:
        read_light_curve(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def params(row: list[str]) -> bytes:
    return ("# sma: 1e10\n# incl: 89\n" + "\t".join(row) + "\n").encode()


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (params(["0.1"] * 54), "row 1 (line 3): expected 55 columns, found 54"),
        (params(["0.1"] * 54 + ["0"]), "row 1 (line 3), column 55: relative radius is 0.0, expected within (0, 1]"),
        (params(["1.01"] + ["0.1"] * 54), "column 1: relative radius is 1.01, expected within (0, 1]"),
        (params(["-0.1"] * 55), "column 1: relative radius is -0.1"),
        (params(["nan"] * 55), "column 1: expected a number, found 'nan'"),
        (params(["0.1"] * 55) * 2, "expected 1 row of 55 columns, found 4"),
        (params(["0.1"] * 55).replace(b"sma", b"period"), "line 1: expected the header '# sma: <number>'"),
        (params(["0.1"] * 55).replace(b"incl: 89", b"incl: 181"), "line 2: incl is 181.0, expected (0, 180) deg"),
        (content(), "line 1: expected the header '# sma: <number>', found '# star_temp: 4997.0'"),
    ],
)
def test_each_fault_of_a_params_file_is_one_sentence(path, data, fault):
    path.write_bytes(data)
    with pytest.raises(DataError, match=re.escape(fault)):
        read_params(path)


def test_a_radius_of_one_is_allowed(path):
    path.write_bytes(params(["1"] * 55))
    assert read_params(path)[1].tolist() == [1.0] * 55


def test_a_huge_file_is_not_read_into_memory(path, monkeypatch):
    monkeypatch.setattr(format, "MAX_BYTES", 1000)
    path.write_bytes(content())
    with pytest.raises(DataError, match="expected a challenge file of about"):
        read_light_curve(path)


@pytest.mark.parametrize("keep", range(1, 60, 7))
def test_a_file_cut_anywhere_in_its_last_lines_is_noticed(path, keep):
    path.write_bytes(content()[:-keep])
    with pytest.raises(DataError):
        read_light_curve(path)


pieces = st.sampled_from([b"\t", b"\n", b"\r", b"\r\n", b"#", b"0", b".", b"e", b"-", b"+", b" ", b"nan", b"\xff"])


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 3), pieces), max_size=3), st.integers(0, 40_000))
@settings(fixtures_are_fine, max_examples=75)  # `make soak` feeds this parser thousands
def test_a_damaged_file_gives_what_loadtxt_gives_or_one_data_error(path, changes, keep):
    data = bytearray(content())
    for at, remove, piece in changes:
        data[at : at + remove] = piece
    data = data if keep > 20_000 else data[: len(data) - keep]
    path.write_bytes(data)
    try:
        star, flux = read_light_curve(path)
    except DataError:
        return
    assert np.isfinite(star).all()
    assert flux.tobytes() == np.loadtxt(path).tobytes()


@given(st.binary(max_size=500) | st.builds(lambda tail: content()[:130] + tail, st.binary(max_size=300)))
@fixtures_are_fine
def test_any_bytes_give_one_data_error(path, data):
    path.write_bytes(data)
    for read in (read_light_curve, read_params):
        with pytest.raises(DataError, match=r"0001_01_01\.txt: "):
            read(path)


def test_writing_refuses_another_shape_and_leaves_no_file(path, tmp_path):
    with pytest.raises(ValueError, match="Received: 6 headers"):
        write_light_curve(path, STAR, curves()[:54])
    assert list(tmp_path.iterdir()) == []


def test_all_bytes_are_on_the_disk_before_a_file_has_its_name(path, tmp_path, monkeypatch):
    """After a power cut a name without a flush may stand for an empty file."""
    flushed, real = [], os.fsync

    def fsync(handle):
        flushed.append(os.fstat(handle).st_size)
        assert not path.exists()
        real(handle)

    monkeypatch.setattr("os.fsync", fsync)
    write_light_curve(path, STAR, curves())
    assert flushed == [path.stat().st_size]


def test_a_full_disk_leaves_no_file(path, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space") as caught:
        write_light_curve(path, STAR, curves())
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []

r"""Read and write one challenge text file, strictly and fast; NumPy and PyArrow only.

    # star_temp: 4997.0             # sma: 15368159642.0
    ... six stellar headers         # incl: 88.44296979
    55 rows x 300 columns of flux   one row of 55 relative radii

Columns are separated by tabs, and lines end in CRLF or LF, including the last one, so that a file truncated anywhere is
detected. Headers are checked by name. Every fault is one `DataError` that names file, row and column. A byte-order
mark, tabs at the end of a row and blank lines at the end of the file are ignored, and a file whose name ends in .gz is
decompressed.

It is fast because the separators alone (found by NumPy in one pass) prove the layout and delimit the numbers, which
PyArrow then parses in one call: about eight times as fast as `np.loadtxt`. Only a file that fails this is read slowly,
by the same rules, to name the fault.
"""

import gzip
import hashlib
import io
import os
import re
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ariel_tf.challenge import FLUX_BOUNDS, N_STEPS, N_WAVELENGTHS, ORBIT_PARAMETERS, STAR_PARAMETERS, Parameter
from ariel_tf.core.checksum_files import FOLDER_SUMS
from ariel_tf.core.errors import DataError

# Real files have 311 kB at most; a much larger file is something else, and is not read into memory.
MAX_BYTES = 16 * 2**20

_NUMBER = rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_IS_NUMBER = re.compile(rb"[ ]*(" + _NUMBER + rb")[ ]*")
_HEADER = re.compile(rb"#[ \t]*([A-Za-z_]\w*)[ \t]*:[ \t]*(" + _NUMBER + rb")[ \t]*\r?", re.ASCII)
_BINARY = {
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a zip archive",
    b"\x80": "a pickle, which is never read here; pipelines.convert --pickle takes those of ESA Datalabs",
}
_TAB, _LINE_END, _RETURN = b"\t\n\r"
_MARK = b"\xef\xbb\xbf"
_TRAILING = re.compile(rb"[ \t]*\t(?=\r?\n)")
_BLANK_END = re.compile(rb"\n(?:[ \t]*\r?\n)+\Z")
# Formats of other programs, and the hint that the fault adds.
_HINTS = (
    (re.compile(rb"\s*[+-]?\d+,\d+(?:[eE][+-]?\d+)?\s*"), "a decimal comma; write decimal points"),
    (re.compile(rb"\s*[+-]?(?:\d+\.?\d*|\.\d+)[dD][+-]?\d+\s*"), "an exponent of Fortran; write e, as in 1.5e-3"),
)


class _Layout(NamedTuple):
    """Expected content of a kind of file."""

    what: str
    headers: Sequence[Parameter]
    rows: int
    columns: int
    bounds: str
    low: float
    high: float  # itself allowed


_LIGHT_CURVE = _Layout("flux", STAR_PARAMETERS, N_WAVELENGTHS, N_STEPS, "({}, {})".format(*FLUX_BOUNDS), *FLUX_BOUNDS)
_PARAMS = _Layout("relative radius", ORBIT_PARAMETERS, 1, N_WAVELENGTHS, "(0, 1]", 0.0, 1.0)


def read_light_curve(path: Path | str, sums: Collection[str] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Read a file of `noisy_train` or `noisy_test`.

    Args:
        path: path of the file.
        sums: allowed hexadecimal SHA-256 values; empty for any.

    Returns:
        star float64 [6] (`challenge.STAR_PARAMETERS`), flux float64 [55, 300] relative to the quiet star.

    Raises:
        DataError: the file has other content, values that are not finite or out of bounds, or another checksum.
        OSError: it can't be read.
    """
    return _read(path, _LIGHT_CURVE, sums)


def read_params(path: Path | str, sums: Collection[str] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Read a file of `params_train`; the arguments are those of `read_light_curve`.

    Returns:
        orbit float64 [2] (`challenge.ORBIT_PARAMETERS`), radii float64 [55], Rp/Rs in (0, 1].

    Raises:
        DataError, OSError: as for `read_light_curve`.
    """
    orbit, radii = _read(path, _PARAMS, sums)
    return orbit, radii[0]


def _read(path: Path | str, layout: _Layout, sums: Collection[str]) -> tuple[np.ndarray, np.ndarray]:
    with open(path, "rb") as file:
        too_large = os.fstat(file.fileno()).st_size > MAX_BYTES
        data = content = file.read(1 if too_large else -1)
    try:
        if too_large:
            raise DataError(f"expected a challenge file of about 0.3 MB, found more than {MAX_BYTES // 2**20} MB")
        if str(path).endswith(".gz"):
            data = _decompressed(data)
        _refuse_binary(data)
        headers, body = _headers(data.removeprefix(_MARK), layout)
        values = _fast_values(body, layout)
        if values is None:
            body = _BLANK_END.sub(b"\n", _TRAILING.sub(b"", body))
            values = _fast_values(body, layout)
        if values is None:
            values = _slow_values(body, layout)
        if sums and hashlib.sha256(content).hexdigest() not in sums:  # last: other faults name the place
            raise DataError(f"is not the file that {FOLDER_SUMS} beside it describes")
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    return headers, values


def _decompressed(data: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            text = file.read(MAX_BYTES + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"expected a gzip archive, found a damaged one or another file ({error})") from None
    if len(text) > MAX_BYTES:
        raise DataError(f"expected a challenge file of about 0.3 MB, found more than {MAX_BYTES // 2**20} MB")
    return text


def _refuse_binary(data: bytes) -> None:
    if not data:
        raise DataError("is empty")
    for magic, kind in _BINARY.items():
        if data.startswith(magic):
            raise DataError(f"expected text, found {kind}")
    if b"\0" in data:
        raise DataError(f"expected text, found binary data (a NUL byte at {data.index(0)})")


def _headers(data: bytes, layout: _Layout) -> tuple[np.ndarray, bytes]:
    """Return the header values, float64, and the rest of the file."""
    lines = data.split(b"\n", len(layout.headers))
    body = lines[-1] if len(lines) > len(layout.headers) else b""
    values = []
    for row, parameter in enumerate(layout.headers):
        line = lines[row] if row < len(lines) else b""
        match = _HEADER.fullmatch(line)
        if match is None or match[1].decode() != parameter.name:
            hint = _hint(line.rpartition(b":")[2])
            expected = f"expected the header '# {parameter.name}: <number>'"
            raise DataError(f"line {row + 1}: {expected}, found {_shown(line)}{hint}")
        value = float(match[2])
        if not parameter.low < value < parameter.high:
            bounds = f"({parameter.low:g}, {parameter.high:g}) {parameter.unit}"
            raise DataError(f"line {row + 1}: {parameter.name} is {value}, expected {bounds}")
        values.append(value)
    if body.startswith(b"#"):
        raise DataError(f"expected {len(values)} headers, found one more: {_shown(body)}")
    return np.array(values), body


def _fast_values(body: bytes, layout: _Layout) -> np.ndarray | None:
    """Return the numbers, float64 [rows, columns], or None if anything is wrong or unusual."""
    characters = np.frombuffer(body, np.uint8)
    ends = np.flatnonzero((characters == _TAB) | (characters == _LINE_END)).astype(np.int32)
    expected = np.full((layout.rows, layout.columns), _TAB, np.uint8)
    expected[:, -1] = _LINE_END
    if not np.array_equal(characters[ends], expected.ravel()) or ends[-1] != len(body) - 1:
        return None
    # Numbers and separators alternately, as strings over the same bytes; then the numbers alone.
    offsets = np.zeros(2 * len(ends) + 1, np.int32)
    offsets[1::2] = ends - ((characters[ends] == _LINE_END) & (characters[ends - 1] == _RETURN))
    offsets[2::2] = ends + 1
    strings = pa.StringArray.from_buffers(2 * len(ends), pa.py_buffer(offsets), pa.py_buffer(body))
    try:
        numbers = pc.cast(strings.take(pa.array(np.arange(0, 2 * len(ends), 2))), pa.float64())
    except pa.ArrowInvalid:
        return None
    values = numbers.to_numpy().reshape(layout.rows, layout.columns)
    # NaN and infinity fail this test as well.
    return values if ((values > layout.low) & _below(values, layout)).all() else None


def _below(values: Any, layout: _Layout) -> Any:
    return values <= layout.high if layout.bounds.endswith("]") else values < layout.high


def _slow_values(body: bytes, layout: _Layout) -> np.ndarray:
    """Return the same numbers, parsed one by one, if the fast way failed; raises the first fault found."""
    rows = body.split(b"\n")
    complete = rows.pop() == b""
    widths = {row.count(b"\t") + 1 for row in rows}
    if complete and len(rows) == layout.columns > 1 and widths == {layout.rows}:
        expected = f"{layout.rows} rows of {layout.columns} columns"
        raise DataError(f"expected {expected}, found {len(rows)} rows of {layout.rows}: the table is transposed")
    values = np.empty((layout.rows, layout.columns))
    first_line = len(layout.headers) + 1
    for row, line in enumerate(rows[: layout.rows]):
        cells = line.removesuffix(b"\r").split(b"\t")
        where = f"row {row + 1} (line {first_line + row})"
        if len(cells) != layout.columns:
            raise DataError(f"{where}: expected {layout.columns} columns, found {len(cells)}{_separator(line)}")
        for column, cell in enumerate(cells):
            match = _IS_NUMBER.fullmatch(cell)
            if match is None:
                found = f"{_shown(cell)}{_hint(cell)}"
                raise DataError(f"{where}, column {column + 1}: expected a number, found {found}")
            value = values[row, column] = float(match[1])
            if not (value > layout.low and _below(value, layout)):
                raise DataError(
                    f"{where}, column {column + 1}: {layout.what} is {value}, expected within {layout.bounds}"
                )
    if len(rows) != layout.rows or not complete:
        cut = "" if complete else " and an unfinished line (the file was cut short)"
        expected = f"{layout.rows} row{'s' * (layout.rows > 1)} of {layout.columns} columns"
        raise DataError(f"expected {expected}, found {len(rows)}{cut}")
    return values


def _hint(cell: bytes) -> str:
    """Return the reason why a cell is not a number, if known."""
    return next((f" ({hint})" for form, hint in _HINTS if form.fullmatch(cell)), "")


def _separator(line: bytes) -> str:
    """Return the separator of a row that has no tabs, if known."""
    for mark, name in ((b";", "semicolons"), (b",", "commas"), (b" ", "spaces")):
        if b"\t" not in line and line.count(mark) > 1:
            return f" (columns are separated by {name}, expected tabs)"
    return ""


def _shown(line: bytes) -> str:
    """Return the start of a line, safe to print."""
    text = line.split(b"\n", 1)[0].rstrip(b"\r").decode("ascii", "backslashreplace")
    return repr(text if len(text) <= 40 else text[:40] + "...") if text else "nothing"


def write_light_curve(path: Path | str, star: np.ndarray, flux: np.ndarray, newline: str = "\r\n") -> str:
    """Write a file as in `noisy_train`: every float64 with the digits that restore it exactly.

    Args:
        path: final path; the file exists only when it is complete.
        star: float [6], `challenge.STAR_PARAMETERS`.
        flux: float [55, 300].
        newline: CRLF as in the challenge, or LF.

    Returns:
        The file's hexadecimal SHA-256.
    """
    return _write(path, _LIGHT_CURVE, star, flux, newline)


def write_params(path: Path | str, orbit: np.ndarray, radii: np.ndarray, newline: str = "\r\n") -> str:
    """Write a file as in `params_train`: orbit float [2] (`challenge.ORBIT_PARAMETERS`), radii float [55].

    Returns:
        The file's hexadecimal SHA-256.
    """
    return _write(path, _PARAMS, orbit, np.asarray(radii)[None], newline)


def _write(path: Path | str, layout: _Layout, headers: np.ndarray, values: np.ndarray, newline: str) -> str:
    values = np.asarray(values, np.float64)
    if values.shape != (layout.rows, layout.columns) or len(headers) != len(layout.headers):
        expected = f"{len(layout.headers)} headers, [{layout.rows}, {layout.columns}]"
        raise ValueError(f"expected {expected}. Received: {len(headers)} headers, {list(values.shape)}")
    pairs = zip(layout.headers, np.asarray(headers, np.float64).tolist(), strict=True)
    lines = [f"# {parameter.name}: {value!r}" for parameter, value in pairs] + _rows(values)
    content = (newline.join(lines) + newline).encode()
    temporary = f"{path}.partial"
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            # Otherwise a power cut could leave the name without the bytes. 2.5 ms in addition to 2 ms for the rest;
            # the folder is not flushed, since a lost name is written again.
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        error.filename = str(path)  # the error of a full disk does not name its file
        raise
    finally:
        Path(temporary).unlink(missing_ok=True)
    return hashlib.sha256(content).hexdigest()


def _rows(values: np.ndarray) -> list[str]:
    """Return tab-separated lines of float64 values, each formatted like Python's repr."""
    flat = values.ravel()
    strings = pc.cast(pa.array(flat), pa.string())
    # PyArrow's shortest digits are those of repr, formatted differently only where repr adds ".0" or an exponent.
    size = np.abs(flat)
    unlike = (size < 1e-4) | (size >= 1e10) | (flat == np.rint(flat)) | ~np.isfinite(flat)
    if unlike.any():
        strings = pc.replace_with_mask(strings, pa.array(unlike), pa.array(list(map(repr, flat[unlike].tolist()))))
    starts = pa.array(np.arange(0, flat.size + 1, values.shape[1], dtype=np.int32))
    return pc.binary_join(pa.ListArray.from_arrays(starts, strings), "\t").to_pylist()

"""A second copy of a data set's light curves, as NumPy arrays beside its shards, mapped into memory for reading.

    DATA/arrays/arrays.json     readable: fingerprint of the data set, rows, checksums, one of itself; written last
                key.npy         int32 [n, 3]         (planet, spot, photon) of each observation, in the shards' order
                star.npy        float32 [n, 6]       stellar parameters
                radius.npy      float32 [n, 55]      Rp/Rs; NaN in test sets
                scatter.npy     float32 [n, 55]      noise outside transit
                sums.npy        int32 [n, 56]        weighted sum of each light curve's words, white light last
                flux-00.npy ... float32 [n, 300]     layout "columns": a file a wavelength up to flux-54, and flux-white
                rows.npy        float32 [n, 300, 55] layout "rows": whole observations

A model of one wavelength reads a file of 150 MB at full size, where the shards have 8.5 GB; a joint model reads whole
observations in any order. NumPy's own format is used because a mapped file needs neither a decoder nor a copy;
docs/speed.md compares it with Arrow and Parquet. The shards remain the data set; this folder can be removed and made
again. Every row is verified on every read: the sum of its 32-bit words, each times an odd weight of its place, must
equal the sum stored when it was written. Plain sums, as in schema 1, do not detect words that changed places.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, STAR_PARAMETERS
from ariel_tf.core import messages
from ariel_tf.core.archives import UNREADABLE
from ariel_tf.core.atomic_files import flush, read_json, sha256, write_json
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.core.resources import format_bytes
from ariel_tf.core.sealed_json import is_as_written, sealed
from ariel_tf.planet import Planet

FOLDER, INDEX, WRITING = "arrays", "arrays.json", ".arrays-writing"
COLUMNS, ROWS = "columns", "rows"
LAYOUTS = (COLUMNS, ROWS)
SCHEMA = 2
PAGE_SUM = "page_sha256"  # the page's own checksum, its last value
WHITE = N_WAVELENGTHS  # the column of white light in `sums`
# Arrays that are read into memory as a whole: (shape of a row, type).
SMALL = {
    "key": ((3,), "<i4"),
    "star": ((len(STAR_PARAMETERS),), "<f4"),
    "radius": ((N_WAVELENGTHS,), "<f4"),
    "scatter": ((N_WAVELENGTHS,), "<f4"),
    "sums": ((N_WAVELENGTHS + 1,), "<i4"),
}


def column_name(wavelength: int) -> str:
    """Return the name of the file of a wavelength's light curves, without its suffix; `WHITE` for white light."""
    return "flux-white" if wavelength == WHITE else f"flux-{wavelength:02d}"


def large_files(layouts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return the names of the files of light curves of some layouts, with the shape of a row."""
    files: dict[str, tuple[int, ...]] = {}
    if COLUMNS in layouts:
        files |= {column_name(wavelength): (N_STEPS,) for wavelength in range(N_WAVELENGTHS + 1)}
    if ROWS in layouts:
        files["rows"] = (N_STEPS, N_WAVELENGTHS)
    return files


def needed_bytes(rows: int, layouts: Sequence[str]) -> int:
    """Return the size on disk of `rows` observations in bytes."""
    large = sum(4 * int(np.prod(shape)) for shape in large_files(layouts).values())
    return rows * (large + sum(4 * shape[0] for shape, _ in SMALL.values()))


def _weights(count: int, first: int) -> np.ndarray:
    """Return odd pseudo-random numbers, hashes of the places `first` ... `first + count - 1`: int32 [count].

    Any change of one word changes the sum, since an odd number has an inverse modulo 2 ** 32. The hash has the steps
    and constants of MurmurHash3's finaliser (Austin Appleby, public domain).
    """
    places = np.arange(first, first + count, dtype=np.uint32) + np.uint32(1)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        places = (places ^ (places >> np.uint32(shift))) * np.uint32(factor)
    return ((places ^ (places >> np.uint32(16))) | np.uint32(1)).view(np.int32)


TIME_WEIGHTS, BAND_WEIGHTS = _weights(N_STEPS, 0), _weights(N_WAVELENGTHS, N_STEPS)
ROW_WEIGHTS = np.multiply.outer(TIME_WEIGHTS, BAND_WEIGHTS).reshape(-1)


def curve_sums(flux: np.ndarray) -> np.ndarray:
    """Return the weighted sums of light curves' words, with wraparound: float32 [..., 300] to int32 [...]."""
    return np.einsum("...i,i->...", np.ascontiguousarray(flux, "<f4").view("<i4"), TIME_WEIGHTS)


def row_sums(flux: np.ndarray) -> np.ndarray:
    """Return the weighted sums of whole observations' words: float32 [n, 300, 55] to int32 [n]."""
    words = np.ascontiguousarray(flux, "<f4").view("<i4").reshape(len(flux), -1)
    return np.einsum("ni,i->n", words, ROW_WEIGHTS)


class ArrayWriter:
    """Writes the folder of a data set in one pass; the folder gets its name when it is complete.

    Args:
        data: folder of the data set, whose lock this process holds.
        fingerprint: fingerprint of the data set.
        rows: number of observations.
        layouts: some of `LAYOUTS`.

    Raises:
        UsageError: not enough space on the disk.
    """

    def __init__(self, data: Path, fingerprint: str, rows: int, layouts: Sequence[str]):
        needed, free = needed_bytes(rows, layouts), shutil.disk_usage(data).free
        if needed > free:
            raise UsageError(f"{data}: the arrays need {format_bytes(needed)}, and {format_bytes(free)} are free.")
        self._data, self._folder = data, data / WRITING
        self._page = {"schema": SCHEMA, "fingerprint": fingerprint, "rows": rows, "layouts": list(layouts)}
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        self._small: dict[str, list[np.ndarray]] = {name: [] for name in SMALL}
        self._files = {name: self._begin(name, (rows, *shape)) for name, shape in large_files(layouts).items()}

    def _begin(self, name: str, shape: tuple[int, ...]) -> BinaryIO:
        file = open(self._folder / f"{name}.npy", "wb")  # noqa: SIM115 - closed by `finish` or `abandon`
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        return file

    def add(self, planet: Planet) -> None:
        """Append the observations of a planet, in the order of its record."""
        n = len(planet.instances)
        curves = np.concatenate([planet.flux, planet.white[None]])
        values = {
            "key": np.column_stack([np.full(n, planet.number), planet.instances]),
            "star": np.repeat(planet.star[None], n, axis=0),
            "radius": np.repeat(planet.radii[None], n, axis=0),
            "scatter": planet.scatter,
            "sums": curve_sums(curves).T,
        }
        for name, part in values.items():
            self._small[name].append(np.ascontiguousarray(part, SMALL[name][1]))
        if "rows" in self._files:
            self._files["rows"].write(np.ascontiguousarray(planet.flux.transpose(1, 2, 0), "<f4").data)
        for wavelength, its in enumerate(curves):
            if (name := column_name(wavelength)) in self._files:
                self._files[name].write(np.ascontiguousarray(its, "<f4").data)

    def finish(self) -> None:
        """Flush all files to the disk, and move the folder to its final name."""
        for name, parts in self._small.items():
            np.save(self._folder / f"{name}.npy", np.concatenate(parts))
        for file in self._files.values():
            file.close()
        paths = sorted(self._folder.glob("*.npy"))
        for path in paths:
            flush(path)
        files = {path.name: path.stat().st_size for path in paths}
        checksums = {f"{name}.npy": sha256(self._folder / f"{name}.npy") for name in SMALL}
        page = self._page | {"files": files, "sha256": checksums}
        write_json(self._folder / INDEX, sealed(page, PAGE_SUM))
        remove(self._data)
        os.replace(self._folder, self._data / FOLDER)
        flush(self._data)

    def abandon(self) -> None:
        """Close and remove all files."""
        for file in self._files.values():
            file.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def remove(data: Path) -> None:
    """Remove a data set's arrays; the index file first, so that an incomplete folder is never read."""
    (data / FOLDER / INDEX).unlink(missing_ok=True)
    shutil.rmtree(data / FOLDER, ignore_errors=True)


class ArrayFiles(NamedTuple):
    """The mapped arrays of a data set.

    Attributes:
        folder: folder of the files.
        layouts: layouts that the folder contains.
        small: arrays of `SMALL`, in memory.
        large: mapped arrays of light curves, by name.
    """

    folder: Path
    layouts: tuple[str, ...]
    small: dict[str, np.ndarray]
    large: dict[str, np.ndarray]

    def faults(self) -> Iterator[str]:
        """Yield files whose light curves differ from what was written; reads all files."""
        sums, size = self.small["sums"], 4096
        for name, values in self.large.items():
            for start in range(0, len(values), size):
                rows = slice(start, start + size)
                if name == "rows":
                    wrong = row_sums(values[rows]) != joint_sums(sums[rows])
                else:
                    column = WHITE if name == column_name(WHITE) else int(name.removeprefix("flux-"))
                    wrong = curve_sums(values[rows]) != sums[rows, column]
                if wrong.any():
                    planet = self.small["key"][start + int(wrong.argmax()), 0]
                    yield f"{self.folder / name}.npy: planet {planet:04d} is not as it was written"
                    break


def joint_sums(sums: np.ndarray) -> np.ndarray:
    """Return the sums of whole observations, int32 [n], from the sums of their light curves, [n, 56]."""
    return np.einsum("ni,i->n", sums[:, :N_WAVELENGTHS], BAND_WEIGHTS)


def open_arrays(data: Path, fingerprint: str) -> ArrayFiles | None:
    """Return the arrays of a data set; None if there are none, or they are of another data set or an earlier version.

    Args:
        data: folder of the data set.
        fingerprint: fingerprint of the data set.

    Raises:
        DataError: a file is missing, or has another size or content.
    """
    folder = data / FOLDER
    if not (folder / INDEX).is_file():
        return None
    page = read_json(folder / INDEX, dict)
    if not is_as_written(page, PAGE_SUM):
        raise _unsound(folder, f"{INDEX} has another content")
    if page.get("fingerprint") != fingerprint:
        messages.info(
            f"{folder} is of another data set, and is not used: `python -m pipelines.arrays {data}` makes it anew"
        )
        return None
    if page.get("schema") == 1:
        messages.info(
            f"{folder} is of an earlier version, whose checksums are weaker, and is not used: "
            f"`python -m pipelines.arrays {data}` makes it anew"
        )
        return None
    try:
        return _opened(folder, page)
    except UNREADABLE as error:
        raise _unsound(folder, str(error)) from error


def _opened(folder: Path, page: dict[str, Any]) -> ArrayFiles:
    rows, layouts = page["rows"], tuple(page["layouts"])
    if page["schema"] != SCHEMA or PAGE_SUM not in page or not set(layouts) <= set(LAYOUTS) or type(rows) is not int:
        raise ValueError(f"expected schema {SCHEMA} and layouts of {LAYOUTS} in {INDEX}")
    small = {}
    for name, (shape, dtype) in SMALL.items():
        if sha256(folder / f"{name}.npy") != page["sha256"][f"{name}.npy"]:
            raise ValueError(f"{name}.npy has another content")
        small[name] = _of_shape(np.load(folder / f"{name}.npy", allow_pickle=False), name, (rows, *shape), dtype)
    large = {}
    for name, curve in large_files(layouts).items():
        if (size := (folder / f"{name}.npy").stat().st_size) != page["files"][f"{name}.npy"]:
            raise ValueError(f"{name}.npy has {size} bytes")
        mapped = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        large[name] = _of_shape(mapped, name, (rows, *curve), "<f4")
    return ArrayFiles(folder, layouts, small, large)


def _of_shape(values: np.ndarray, name: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    if values.shape != shape or values.dtype != np.dtype(dtype) or not values.flags.c_contiguous:
        raise ValueError(f"{name}.npy: expected {dtype} {list(shape)}, received {values.dtype} {list(values.shape)}")
    return values


def _unsound(folder: Path, reason: str) -> DataError:
    return DataError(
        f"{folder}: is damaged ({reason}); remove it, or make it anew: `python -m pipelines.arrays {folder.parent}`."
    )

"""Rate of reading rows from shards, arrays and other formats: `python -m benchmarks.reading_speed`.

A simulated data set is written to a temporary folder, with `pipelines.arrays` beside its shards, and as Parquet and
Arrow files of one wavelength. Each method reads all training rows as batches of 64; methods alternate, files are in
the page cache. The table gives rows per CPU second (medians over turns), since the cores may be shared, and the ratio
to shards.

    shards         TFRecord, as every source reads them          arrays      mapped, verified, through tf.data
    NumPy          the same files without tf.data or sums        Parquet     a row group of 4,096 rows, uncompressed
    Arrow          IPC file, memory map

Light curves of Parquet and Arrow are fixed-size lists of 300.
"""

import argparse
import contextlib
import io
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ariel_tf.core.errors import run_command
from ariel_tf.core.tf_startup import import_tensorflow
from benchmarks.simulated import simulated_shards

BATCH, ROW_GROUP, TRAIN = 64, 4096, tuple(range(8))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--planets", type=int, default=240, help="simulated planets, with 40 observations each")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    import_tensorflow()
    from pipelines import arrays

    with simulated_shards(options.planets) as data:
        with contextlib.redirect_stdout(io.StringIO()):
            ways = ways_of(data, lambda: arrays.main([str(data)]))
        rows = {kind: next(iter(its.values()))() for kind, its in ways.items()}
        for kind, its in ways.items():
            compare(f"{kind}, {rows[kind]} rows", its, options.repeats)


def compare(title: str, ways: dict[str, Callable[[], int]], repeats: int) -> None:
    """Print the table of one kind of reading."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, way in ways.items():
            started = time.process_time()
            count = way()
            if turn:  # the first one fills the page cache and traces
                rates[name].append(count / (time.process_time() - started))
    print(f"\n{title}\n| way | rows a CPU second | shards = 1 | range |\n|---|---|---|---|")
    for name, found in rates.items():
        ratios = [this / shards for this, shards in zip(found, rates["shards"], strict=True)]
        print(
            f"| {name} | {statistics.median(found):,.0f} | {statistics.median(ratios):.1f} | "
            f"{min(ratios):.1f}-{max(ratios):.1f} |",
            flush=True,
        )


def ways_of(data: Path, write_arrays: Callable[[], None]) -> dict[str, dict[str, Callable[[], int]]]:
    """Return for each kind of reading its methods: functions that read all rows and return their number."""
    from ariel_tf.data import dataset, shuffling
    from ariel_tf.data.selection import Selection
    from ariel_tf.data.sources.tfrecord import TFRecordSource

    one, joint = Selection.of(TRAIN, [12]), Selection.of(TRAIN, range(55))
    shards = TFRecordSource(data)
    shards.mapped(one)  # looked up once, so that this source does not use the arrays
    write_arrays()
    arrays = TFRecordSource(data)
    mapped = arrays.mapped(joint)
    assert mapped is not None
    files, window = data / "arrays", 32 << 20
    _write_tables(files)
    order = (BATCH, 0, 0, 1)
    count = len(mapped.index)
    return {
        "one wavelength, in order": {
            "shards": lambda: _count(dataset.evaluation_batches(shards, one)),
            "arrays": lambda: _count(dataset.evaluation_batches(arrays, one)),
            "NumPy": lambda: _numpy(files / "flux-12.npy", np.arange(count), 1024),
            "Parquet": lambda: _parquet(files / "flux-12.parquet"),
            "Arrow": lambda: _arrow(files / "flux-12.arrow"),
        },
        "all wavelengths, shuffled": {
            "shards": lambda: _count(shuffling.shuffled_stream(shards, joint, *order, memory=window)),
            "arrays": lambda: _count(shuffling.shuffled_mapped(mapped, *order)),
            "NumPy": lambda: _numpy(files / "rows.npy", np.random.default_rng(0).permutation(count), BATCH),
        },
    }


def _count(batches: Iterable[Any]) -> int:
    return sum(len(batch["key"]) for batch in batches)


def _numpy(path: Path, index: np.ndarray, size: int) -> int:
    values = np.load(path, mmap_mode="r")
    return sum(len(values[index[start : start + size]]) for start in range(0, len(index), size))


def _write_tables(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    values = np.load(folder / "flux-12.npy")
    table = pa.table({"flux": pa.FixedSizeListArray.from_arrays(values.reshape(-1), values.shape[1])})
    pyarrow.parquet.write_table(table, folder / "flux-12.parquet", row_group_size=ROW_GROUP, compression="none")
    with pa.ipc.new_file(folder / "flux-12.arrow", table.schema) as file:
        file.write_table(table)


def _parquet(path: Path) -> int:
    import pyarrow.parquet

    return len(_values(pyarrow.parquet.read_table(path)))


def _arrow(path: Path) -> int:
    import pyarrow as pa

    with pa.memory_map(str(path)) as file:
        return len(np.array(_values(pa.ipc.open_file(file).read_all())))


def _values(table: Any) -> np.ndarray:
    column = table.column("flux").combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1)


if __name__ == "__main__":
    run_command(main)

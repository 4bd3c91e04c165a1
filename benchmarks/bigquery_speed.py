"""Rate at which light curves reach a training step from BigQuery: `python -m benchmarks.bigquery_speed SHARDS ADDRESS`.

SHARDS is a data set's folder, ADDRESS the same data set uploaded. The methods alternate in one process, so that other
load slows all of them equally: an epoch of `fit` of a small dense network, streamed from shards, from BigQuery and
from a snapshot of it; a pass over the same planets without training; and one `to_dataframe()` of the same rows, which
holds everything in memory at once. The table gives light curves per second, the ratio to the shards' rate in the same
turn, light curves per second of this process's CPU time (without the database's), and the increase of its memory.
`--readers arrow,tfio` measures tensorflow-io's reader too. An emulator accepts less than 11 MB in each of the data
frame's ten streams: use a small data set, or fewer wavelengths.
"""

import argparse
import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ariel_tf.challenge import N_STEPS
from ariel_tf.core.errors import run_command
from ariel_tf.core.tf_startup import import_tensorflow
from ariel_tf.data.bigquery.address import Address
from ariel_tf.data.folds import N_FOLDS
from ariel_tf.data.selection import Selection

FOLDS = tuple(range(N_FOLDS))
BATCH = 64
# So small that every epoch is streamed, as it is when rows do not fit in memory.
WINDOW_BYTES = 32 << 20


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bigquery_speed", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("shards", help="folder of the data set")
    parser.add_argument("address", help="bigquery://PROJECT/DATASET that it was uploaded to")
    parser.add_argument("--wavelengths", default="1,55", help="numbers of wavelengths to read (default: 1,55)")
    parser.add_argument("--readers", default="arrow", help="arrow, tfio or both with a comma (default: arrow)")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    import_tensorflow()
    print("| wavelengths | turn | way | light curves a second | ratio to shards | a CPU second | memory, MB |")
    print("|---|---|---|---|---|---|---|")
    for count in map(int, options.wavelengths.split(",")):
        for turn in range(1, options.repeats + 1):
            measure(options.shards, options.address, options.readers.split(","), list(range(count)), turn)


def measure(shards: str, address: str, readers: list[str], wavelengths: list[int], turn: int) -> None:
    """Measure one turn of all methods."""
    from ariel_tf.data.sources import open_source

    with tempfile.TemporaryDirectory() as cache:
        sources = {"shards": open_source(shards, wavelengths)}
        for reader in readers:
            sources[f"BigQuery, {reader}"] = open_source(str(Address.parse(address + f"?reader={reader}")), wavelengths)
        sources["snapshot"] = open_source(f"{address}?cache={cache}", wavelengths)
        drain(sources["snapshot"], wavelengths)  # the epoch that writes it
        ways: dict[str, Callable[[], int]] = {}
        for name, source in sources.items():
            ways[f"{name}: training"] = trainer(source, wavelengths)
            ways[f"{name}: pass"] = lambda source=source: drain(source, wavelengths)  # type: ignore[misc]
        ways["to_dataframe()"] = lambda: dataframe(address, wavelengths)
        reference: dict[str, float] = {}
        for name, way in ways.items():
            with rise() as risen:
                start, cpu = time.perf_counter(), time.process_time()
                rows = way() * len(wavelengths)
                rate, own = rows / (time.perf_counter() - start), rows / (time.process_time() - cpu)
            kind = name.partition(": ")[2] or "pass"
            ratio = rate / reference.setdefault(kind, rate)
            figures = f"{rate:,.0f} | {ratio:.2f} | {own:,.0f} | {risen[0] / 1e6:.0f}"
            print(f"| {len(wavelengths)} | {turn} | {name} | {figures} |", flush=True)


def drain(source: Any, wavelengths: list[int]) -> int:
    """Return the observations of one pass."""
    records = source.records(Selection.of(FOLDS, wavelengths))
    return sum(len(planet["instances"]) for planet in records.as_numpy_iterator())


def trainer(source: Any, wavelengths: list[int]) -> Callable[[], int]:
    """Return a function that trains one epoch of a compiled model, and counts its observations."""
    import keras

    from ariel_tf.data.dataset import for_model
    from ariel_tf.data.shuffling import shuffled_stream

    selection = Selection.of(FOLDS, wavelengths)
    rows = source.observations(FOLDS)

    def batches(epoch: int) -> Any:
        stream = shuffled_stream(source, selection, BATCH, 0, epoch, epoch + 1, WINDOW_BYTES)
        return stream.map(lambda batch: for_model(batch, star=False))

    flux = keras.Input((N_STEPS, len(wavelengths)), name="flux")
    hidden = keras.layers.Dense(30, "relu")(keras.layers.Flatten()(flux))
    model = keras.Model({"flux": flux}, keras.layers.Dense(len(wavelengths))(hidden))
    model.compile("adam", "mse")
    model.fit(batches(0), steps_per_epoch=1, shuffle=False, verbose=0)

    def epoch() -> int:
        model.fit(batches(1), steps_per_epoch=-(-rows // BATCH), shuffle=False, verbose=0)
        return rows

    return epoch


def dataframe(address: str, wavelengths: list[int]) -> int:
    """Return the observations of one wavelength in a data frame that holds the rows of all of them."""
    import pandas as pd
    from google.cloud.bigquery_storage_v1 import reader

    from ariel_tf.data.bigquery.connection import Connection
    from ariel_tf.data.bigquery.layout_planets import restriction
    from ariel_tf.data.bigquery.streams import ArrowReader

    connection = Connection(Address.parse(address))
    columns = ("planet", "spot", "photon", "wavelength", "flux")
    session = ArrowReader(connection, 10).session("light_curves", columns, restriction("wavelength", wavelengths))
    streams = [reader.ReadRowsStream(connection.storage, stream.name, 0, {}) for stream in session.streams]
    frame = pd.concat([stream.to_dataframe(session) for stream in streams])
    return len(frame) // len(wavelengths)


@contextlib.contextmanager
def rise() -> Iterator[list[int]]:
    """Measure the largest increase of the process's resident memory in this block, sampled every 20 ms."""
    first, risen, done = resident(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            risen[0] = max(risen[0], resident() - first)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield risen
    finally:
        done.set()
        thread.join()


def resident() -> int:
    """Return the resident memory in bytes, on Linux."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


if __name__ == "__main__":
    run_command(main)

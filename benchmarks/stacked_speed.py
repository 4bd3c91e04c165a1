"""Speed of a stack compared with its models trained one by one: `python -m benchmarks.stacked_speed`.

Whole runs of `ariel_tf.train` on the same planets in one process, taking turns, so that a busy machine slows all of
them alike: from a source that is open to finished run folders, with every save, score and picture. "Tuned" is one by
one with the largest `steps_per_execution` up to 26 that divides an epoch, which spares `fit` most of its round trips.
One by one, a few wavelengths are timed and scaled to all. Rows in a table, ratios to the stack in the same turn.
"""

import argparse
import csv
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest import mock

import numpy as np

from ariel_tf import train
from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.config.targets import Targets
from ariel_tf.core.errors import run_command
from ariel_tf.core.tf_startup import import_tensorflow

TUNED = 26


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="squid")
    parser.add_argument("--data", default="simulated:planets=400,spots=4,photons=2,seed=0")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--alone", type=int, default=5, help="wavelengths timed one by one, then scaled to 55")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    import_tensorflow()
    from ariel_tf.data.sources import open_source
    from ariel_tf.training import per_wavelength

    source = open_source(options.data, range(N_WAVELENGTHS))
    arguments = ["--model", options.model, "--data", options.data, "--epochs", str(options.epochs), "--patience", "0"]
    few = str(Targets.each(np.linspace(0, N_WAVELENGTHS - 1, options.alone).astype(int).tolist()))
    ways: dict[str, Callable[[], np.ndarray]] = {
        "stack": lambda: timed([*arguments, "--wavelength", "all", "--stack", "yes"], 1.0),
        "one by one": lambda: timed([*arguments, "--wavelength", few, "--stack", "no"], N_WAVELENGTHS / options.alone),
    }
    print(f"{options.model}, 55 wavelengths, {options.epochs} epochs, {options.data}\n")
    print("| turn | way | whole run, s | CPU, s | epochs alone, s | whole run / stack | CPU / stack | epochs / stack |")
    print("|---|---|---|---|---|---|---|---|")
    with mock.patch.object(per_wavelength, "open_source", return_value=source):
        for turn in range(1, options.repeats + 1):
            stack = row(turn, "stack", ways["stack"](), None)
            row(turn, "one by one", ways["one by one"](), stack)
            with tuned():
                row(turn, "one by one, tuned", ways["one by one"](), stack)


def timed(arguments: list[str], scale: float) -> np.ndarray:
    """Return wall-clock seconds and CPU seconds of a whole run, and seconds of its training epochs."""
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        started, cpu = time.perf_counter(), time.process_time()
        train.main([*arguments, "--run", f"{folder}/run"])
        seconds = [time.perf_counter() - started, time.process_time() - cpu]
        logs = list(Path(folder, "run").glob("stack-*/metrics.csv")) or list(Path(folder, "run").glob("w*/metrics.csv"))
        epochs = sum(float(line["seconds"]) for log in logs for line in csv.DictReader(log.read_text().splitlines()))
    return scale * np.array([*seconds, epochs])


@contextmanager
def tuned() -> Iterator[None]:
    """Make models that are built in this block run several steps per call."""
    from ariel_tf.models import builder

    build = builder.build

    def build_tuned(config, statistics, steps):
        built = build(config, statistics, steps)
        epoch = steps // config.epochs
        # One that does not divide the epoch would read into the next.
        built.training.steps_per_execution = max(n for n in range(1, TUNED + 1) if epoch % n == 0)
        return built

    with mock.patch.object(builder, "build", build_tuned):
        yield


def row(turn: int, way: str, seconds: np.ndarray, stack: np.ndarray | None) -> np.ndarray:
    ratios = np.ones(3) if stack is None else seconds / stack
    print(
        f"| {turn} | {way} | {seconds[0]:.0f} | {seconds[1]:.0f} | {seconds[2]:.0f} | "
        + " | ".join(f"{ratio:.1f}" for ratio in ratios)
        + " |",
        flush=True,
    )
    return seconds


if __name__ == "__main__":
    run_command(main)

"""Speed of epochs whose rows stream, compared with rows in memory: `python -m benchmarks.streaming_speed dense`.

A simulated data set is written to a temporary folder, with arrays beside its shards. The same compiled training steps
take the rows of an epoch from memory, from arrays, shuffled as a whole, and from shards, in windows; files are in the
page cache. Ways take turns; medians over turns of CPU time, and of wall-clock time, which counts only on an idle
machine, with the range of the ratio to memory in the same turn.
"""

import argparse
import contextlib
import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ariel_tf.config import model_registry
from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.errors import run_command
from ariel_tf.core.tf_startup import import_tensorflow
from benchmarks.simulated import simulated_shards


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("models", nargs="*", default=["dense", "squid"])
    parser.add_argument("--planets", type=int, default=60, help="simulated planets, with 40 observations each")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    import_tensorflow()
    from pipelines import arrays

    with simulated_shards(options.planets) as data:
        with contextlib.redirect_stdout(io.StringIO()):
            arrays.main([str(data)])
        for model in options.models:
            scope = "joint" if model_registry.entry(model).scope == "joint" else 12
            config = TrainConfig(model=model, wavelength=Targets.parse(scope), data=str(data), epochs=1000).resolve()
            compare(config, ways_of(config, data), options.repeats)


def compare(config: TrainConfig, ways: dict[str, Callable[[], int]], repeats: int) -> None:
    """Print the table of one model."""
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    wall: dict[str, list[float]] = {name: [] for name in ways}
    rows = 0
    for turn in range(repeats + 1):  # the first one traces
        for name, epoch in ways.items():
            started, clock = time.process_time(), time.perf_counter()
            rows = epoch()
            if turn:
                cpu[name].append(time.process_time() - started)
                wall[name].append(time.perf_counter() - clock)
    print(f"\n`{config.model}`, {config.what}, batch {config.batch_size}, {rows} rows an epoch")
    print("| rows | CPU ms a row | memory / this | range | wall ms a row | memory / this | range |")
    print("|---|---|---|---|---|---|---|")
    for name in ways:
        cells = []
        for found in (cpu, wall):
            ratios = [memory / this for memory, this in zip(found["memory"], found[name], strict=True)]
            cells.append(
                f"{1e3 * statistics.median(found[name]) / rows:.3f} | {statistics.median(ratios):.2f} | "
                f"{min(ratios):.2f}-{max(ratios):.2f}"
            )
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def ways_of(config: TrainConfig, data: Path) -> dict[str, Callable[[], int]]:
    """Return for each place of the rows a function that trains an epoch and returns its number of rows."""
    import tensorflow as tf

    from ariel_tf.data.sources.tfrecord import TFRecordSource
    from ariel_tf.models.builder import build
    from ariel_tf.training import fused_update
    from ariel_tf.training.data import TrainingData
    from ariel_tf.training.steps import StepsTogether

    held = TrainingData(TFRecordSource(data), config, memory=1 << 40)
    kept = {
        "memory": held,
        "arrays": TrainingData(TFRecordSource(data), config, memory=0),
        "shards": TrainingData(TFRecordSource(data), config, windows=True),
    }
    model = build(config, held.statistics, held.steps).training
    model.optimizer.build(model.trainable_variables)
    fused_update.fuse(model.optimizer)
    together = StepsTogether(model, held.steps)

    def epoch(batches: Any) -> Callable[[], int]:
        def train() -> int:
            together._several(batches, tf.constant(held.steps))
            return held.count

        return train

    return {name: epoch(iter(rows.training(0))) for name, rows in kept.items()}


if __name__ == "__main__":
    run_command(main)

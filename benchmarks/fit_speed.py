"""Duration of an epoch compared with a bare `keras.fit` on arrays in memory: `python -m benchmarks.fit_speed`.

Both train the same model on the same rows in batches of the same size, with the same validation after each epoch. Ours
also shuffles by the seed, saves and commits, and logs to TensorBoard; plots, which a run draws after a few of its
epochs, are left out. Runs alternate, each of about `--seconds`; the first epoch of each, which traces, does not count.
The duration of an epoch is the lower quartile over all runs, since other load only adds to it; for ours, the mean
duration of saving is printed too.
"""

import argparse
import contextlib
import dataclasses
import functools
import io
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np

from ariel_tf.config import model_registry
from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.errors import run_command
from ariel_tf.core.tf_startup import import_tensorflow

# Clock for an epoch; `time.process_time` if the cores are shared with other work.
clock: Callable[[], float] = time.perf_counter
# Smaller than the default, so that the whole registry is measured in minutes; overhead is more visible in small models.
SMALLER: dict[str, dict[str, int]] = {"lstm": {"units": 32}, "lstm_cnn": {"units": 32}, "image": {"size": 64}}


@dataclass
class Cost:
    """Seconds of each epoch without its saves, and of each save, over several runs."""

    epochs: list[float] = field(default_factory=list)
    saves: list[float] = field(default_factory=list)

    def add(self, began: list[float], saves: list[tuple[float, float]]) -> None:
        """Add a run from the times when its epochs began and the last one ended, and from when to when it saved."""
        for start, end in itertools.pairwise(began[1:]):
            within = [last - first for first, last in saves if start <= first < end]
            self.epochs.append(end - start - sum(within))
            self.saves += within

    @property
    def saving(self) -> float:
        return sum(self.saves) / len(self.epochs)

    @property
    def epoch(self) -> float:
        return statistics.quantiles(self.epochs, n=4)[0] + self.saving


class Case:
    """One model that can be trained with either method from the same initial weights.

    Args:
        config: resolved configuration.
        source: source of its rows.
        memory: bytes that the training rows may take; None for `dataset.MEMORY_BYTES`.
    """

    def __init__(self, config: TrainConfig, source, memory: int | None = None):
        from ariel_tf.models.builder import build
        from ariel_tf.training.data import TrainingData

        self.config, self.rows = config, TrainingData(source, config, memory=memory)
        self.built = build(config, self.rows.statistics, self.rows.steps)

    @functools.cached_property
    def arrays(self):
        """(inputs, radius) of the training rows."""
        return self._arrays(self.rows.training(0), self.rows.steps)

    @functools.cached_property
    def validation(self):
        """(inputs, radius) of the validation rows."""
        return self._arrays(self.rows.pairs(self.rows.validation()), None)

    @staticmethod
    def _arrays(batches, steps):
        import keras

        taken = list((batches if steps is None else batches.take(steps)).as_numpy_iterator())
        return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *taken)

    def bare(self, epochs: int, cost: Cost) -> None:
        """Add a run of Keras's own `fit` on arrays."""
        import keras

        began: list[float] = []
        watch = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: began.append(clock()))
        inputs, radius = self.arrays
        self.built.training.fit(
            inputs,
            radius,
            batch_size=self.config.batch_size,
            epochs=1 + epochs,
            validation_data=self.validation,
            verbose=0,
            callbacks=[watch],
        )
        cost.add([*began, clock()], [])

    def ours(self, epochs: int, cost: Cost) -> None:
        """Add a run of our `fit` with everything that it saves."""
        from ariel_tf.runs.folder import RunFolder
        from ariel_tf.training import callbacks, fit
        from ariel_tf.training.schedule import CheckpointSchedule
        from ariel_tf.training.tensorboard import TensorBoardLog

        began: list[float] = []
        saves: list[tuple[float, float]] = []

        class ClockedLog(TensorBoardLog):
            def on_epoch_begin(self, epoch, logs=None):
                began.append(clock())

        class ClockedSchedule(CheckpointSchedule):
            @contextlib.contextmanager
            def saving(self):
                started = clock()
                with super().saving():
                    yield
                saves.append((started, clock()))

        rows, config = self.rows, self.config
        validation = rows.pairs(rows.validation())
        plan = dataclasses.replace(fit.FitPlan.of(rows, config, validation, 1 + epochs), patience=0)
        with tempfile.TemporaryDirectory() as folder, RunFolder(Path(folder) / "run", config.as_json(), "") as run:
            log = ClockedLog(run, run.configuration)
            with mock.patch.object(callbacks, "CheckpointSchedule", ClockedSchedule):
                fit.fit(run, self.built, plan, log, "")
            cost.add([*began, clock()], saves)
            log.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("models", nargs="*", help="names; default: the whole registry")
    parser.add_argument("--planets", type=int, default=400, help="simulated planets, with 8 observations each")
    parser.add_argument("--seconds", type=float, default=10, help="duration of a run, at least five epochs")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    import_tensorflow()
    from ariel_tf.data.sources import open_source

    source = open_source(f"simulated:planets={options.planets},spots=4,photons=2", range(55))
    print("| model | rows, batch | bare fit, s an epoch | ours | of it saving | ratio |\n|---|---|---|---|---|---|")
    for name in options.models or model_registry.entries():
        entry = model_registry.entry(name)
        wavelength = Targets.parse("joint" if entry.scope == "joint" else 12)
        settings = SMALLER.get(name, {})
        config = TrainConfig(model=name, wavelength=wavelength, settings=settings, data="simulated", epochs=10_000)
        case = Case(config.resolve(), source)
        bare, ours, first = Cost(), Cost(), Cost()
        case.bare(2, first)
        epochs = max(5, round(options.seconds / first.epoch))
        for _ in range(options.repeats):
            with contextlib.redirect_stdout(io.StringIO()):
                case.bare(epochs, bare)
                case.ours(epochs, ours)
        size = f"{case.rows.count}, {config.batch_size}"
        saving, ratio = ours.saving / ours.epoch, ours.epoch / bare.epoch
        print(f"| `{name}` | {size} | {bare.epoch:.3f} | {ours.epoch:.3f} | {saving:.0%} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    run_command(main)

"""CPU time of a training row with and without XLA, by model: `python -m benchmarks.jit_speed squid cnn dense`.

Only training steps on rows in memory are measured: the compiled functions that `ariel train` calls, with `--jit no` and
`--jit yes`, on one thread. Both alternate; the table gives medians over turns and the range of their ratio in the same
turn. The compilation time, which XLA needs in every process, is a column of its own. `--onednn yes` measures the same
with oneDNN's matrix products.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from ariel_tf.config import model_registry
from ariel_tf.config.choices import AUTO_NO_YES
from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.errors import run_command
from ariel_tf.core.tf_startup import choose_onednn, import_tensorflow
from benchmarks.fit_speed import SMALLER, Case

MODELS = ("squid", "baseline", "linear", "nadam", "transit", "segments", "cnn", "dense")
# Long enough for the clock of CPU time.
TURN_SECONDS = 1.0
# Steps before the measurement, in which all rows are read once.
WARM = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("models", nargs="*", default=MODELS, help="names; MODEL:joint for all wavelengths together")
    parser.add_argument("--planets", type=int, default=320, help="simulated planets, with 4 observations each")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--onednn", default="auto", choices=AUTO_NO_YES, help="oneDNN, as in `ariel train`")
    options = parser.parse_args()
    choose_onednn(options.onednn)
    tf = import_tensorflow(start_devices=False)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from ariel_tf.data.sources import open_source

    source = open_source(f"simulated:planets={options.planets},spots=2,photons=2", range(55))
    print("| model | batch | CPU ms a row | with XLA | without / with | range | compilation, CPU s |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for model in options.models:
        name, _, joint = model.partition(":")
        scope = "joint" if joint or model_registry.entry(name).scope == "joint" else 12
        settings = SMALLER.get(name, {})
        config = TrainConfig(model=name, wavelength=Targets.parse(scope), settings=settings, data="simulated").resolve()
        print(f"| `{model}` | {config.batch_size} | {compared(config, source, options.repeats)} |", flush=True)


def compared(config: TrainConfig, source: Any, repeats: int) -> str:
    """Return the cells of a model's line."""
    made = [steps_of(config.replace(jit=jit), source) for jit in ("no", "yes")]
    (plain, _), (xla, compilation) = ((one, _clocked(one, 1)) for one in made)
    for one in made:
        _clocked(one, WARM)
    count = max(1, round(WARM * TURN_SECONDS / _clocked(plain, WARM)))
    found = [[_clocked(one, count) / (count * config.batch_size) for one in (plain, xla)] for _ in range(repeats)]
    before, after = (1e3 * statistics.median(turns) for turns in zip(*found, strict=True))
    ratios = [one / other for one, other in found]
    return (
        f"{before:.3f} | {after:.3f} | {statistics.median(ratios):.2f} | {min(ratios):.2f}-{max(ratios):.2f} | "
        f"{compilation:.0f}"
    )


def steps_of(config: TrainConfig, source: Any) -> Callable[[int], Any]:
    """Return a function that takes a number of training steps in one call."""
    import tensorflow as tf

    from ariel_tf.training import fused_update
    from ariel_tf.training.steps import StepsTogether

    case = Case(config, source)
    model = case.built.training
    model.optimizer.build(model.trainable_variables)
    fused_update.fuse(model.optimizer)
    batches = iter(
        tf.data.Dataset.from_tensors(case.arrays).unbatch().batch(config.batch_size, True).take(WARM).cache().repeat()
    )
    together = StepsTogether(model, steps=1)
    return lambda count: together._several(batches, tf.constant(count))


def _clocked(steps: Callable[[int], Any], count: int) -> float:
    started = time.process_time()
    steps(count)
    return time.process_time() - started


if __name__ == "__main__":
    run_command(main)

"""CPU time of a step of 55 models at once, beside PyTorch: `python -m benchmarks.stack_peers squid`.

Every way trains 55 networks of the same layers on the same number of rows in the same batches, on `--threads` threads
of one process. Ways take turns; medians over turns, and the range of their ratios to ours in the same turn.

    stack             as `ariel train --wavelength 0-54` trains, which computes features once, and scores in each step
    torch vmap        torch.func.vmap over the gradient of one network, fused Adam, on features, without scores
    torch bmm         the layers written as batched matrix products, autograd, fused Adam, on features, without scores

`cnn`, `segments`, `transit` and models of dense layers one after another have peers; the table of another model
contains our own line only.
"""

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable
from typing import Any

from ariel_tf.config.choices import AUTO_NO_YES
from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.errors import run_command
from ariel_tf.core.tf_startup import choose_onednn, import_tensorflow
from benchmarks.fit_speed import SMALLER


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("models", nargs="*", default=["squid"])
    parser.add_argument("--planets", type=int, default=500, help="simulated planets, with 4 observations each")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--onednn", default="auto", choices=AUTO_NO_YES, help="oneDNN, as in `ariel train`")
    options = parser.parse_args()
    with contextlib.suppress(ImportError):
        import benchmarks.torch_peers  # noqa: F401  (before TensorFlow)
    choose_onednn(options.onednn)
    tf = import_tensorflow(start_devices=False)
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    from ariel_tf.data.sources import open_source

    source = open_source(f"simulated:planets={options.planets},spots=2,photons=2", range(55))
    for model in options.models:
        compare(Stacked(model, source), options.repeats, options.threads)


class Stacked:
    """55 models and their rows.

    Args:
        model: its name.
        source: open for all wavelengths.
    """

    def __init__(self, model: str, source: Any):
        from ariel_tf.models.builder import build
        from ariel_tf.training.stacked.data import StackedData
        from ariel_tf.training.stacked.stack import Stack
        from ariel_tf.training.stacked.tables import Table

        settings = SMALLER.get(model, {})
        config = TrainConfig(model=model, wavelength=Targets.parse("0-54"), data="simulated", settings=settings)
        configs = list(config.resolve().for_each_wavelength().values())
        self.config, rows = configs[0], StackedData(source, configs)
        self.steps, self.order = rows.steps, rows.order(0)
        built = [build(one, its, 1000) for one, its in zip(configs, rows.statistics, strict=True)]
        self.models = [one.training for one in built]
        self.stack = Stack(self.models, rows.train.take([0, 1, 2, 3]), batch_size=self.config.batch_size)
        table = self.stack.prepared(rows.train)
        assert isinstance(table, Table)  # simulated rows are in memory
        self.table = table

    def train(self) -> None:
        """Train for one epoch."""
        self.stack.train(self.table, self.order, self.config.batch_size, 0, self.steps)

    def torch_ways(self, threads: int) -> dict[str, Callable[[], None]]:
        """Return functions that train an epoch of 55 networks in PyTorch; raise ImportError without it, or a peer."""
        from benchmarks import torch_peers

        return torch_peers.ways(self._peer(), self.table.radius.numpy(), self.config.batch_size, threads)

    def torch_on_gpu(self) -> Any:
        """Return the trainer of `torch vmap` on the GPU."""
        from benchmarks import torch_peers

        radius = torch_peers.torch.from_numpy(self.table.radius.numpy())
        return torch_peers.Trainer(self._peer(), radius, self.config.batch_size, True, "cuda")

    def _peer(self) -> Any:
        from benchmarks import torch_peers

        layers = [layer for layer in self.models[0].layers if layer.trainable_weights]
        kernels = [tuple(layer.kernel.shape) for layer in layers if hasattr(layer, "kernel")]
        return torch_peers.network_of(self.config.model, kernels, len(self.config.time_steps))


def compare(case: Stacked, repeats: int, threads: int) -> None:
    """Print the table of one model."""
    ways: dict[str, Callable[[], None]] = {"stack": case.train}
    with contextlib.suppress(ImportError):
        ways |= case.torch_ways(threads)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):  # the first one traces
        for name, way in ways.items():
            started = time.process_time()
            way()
            if turn:
                seconds[name].append(time.process_time() - started)
    print(
        f"\n{case.config.model}, 55 wavelengths, batch {case.config.batch_size}, {case.steps} steps an epoch, "
        f"{threads} thread(s)"
    )
    print("| way | CPU ms a step | this / stack | range |\n|---|---|---|---|")
    for name, found in seconds.items():
        ratios = [this / ours for this, ours in zip(found, seconds["stack"], strict=True)]
        print(
            f"| {name} | {1e3 * statistics.median(found) / case.steps:.2f} | {statistics.median(ratios):.2f} | "
            f"{min(ratios):.2f}-{max(ratios):.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    run_command(main)

"""CPU time of a step of 55 models at once, beside PyTorch: `python -m benchmarks.stack_peers squid`.

Every way trains 55 networks of the same dense layers on the same rows in the same batches, on `--threads` threads of
one process. Ways take turns; medians over turns, and the range of their ratios to ours in the same turn.

    stack             as `ariel train --wavelength 0-54` trains: pre-processing and scores of each wavelength too
    torch vmap        torch.func.vmap over the gradient of one network, fused Adam; rows already pre-processed
    torch bmm         the layers written as batched matrix products, autograd, fused Adam; rows already pre-processed

Models with layers other than dense ones have no peer: their table contains our own line only.
"""

import argparse
import contextlib
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
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

        settings = SMALLER.get(model, {})
        config = TrainConfig(model=model, wavelength=Targets.parse("0-54"), data="simulated", settings=settings)
        configs = list(config.resolve().for_each_wavelength().values())
        self.config, self.rows = configs[0], StackedData(source, configs)
        self.steps = -(-self.rows.train.rows // self.config.batch_size)
        built = [build(one, its, 1000) for one, its in zip(configs, self.rows.statistics, strict=True)]
        self.models = [one.training for one in built]
        self.stack = Stack(self.models, self.rows.train.take([0, 1, 2, 3]))

    def train(self) -> None:
        """Train for one epoch."""
        self.stack.train(self.rows.train, self.rows.order(0), self.config.batch_size, 0, self.steps)

    @property
    def sizes(self) -> list[int]:
        """Return inputs and units of the dense layers; raise ImportError if there are other layers."""
        import keras

        layers = [layer for layer in self.models[0].layers if layer.trainable_weights]
        if not all(isinstance(layer, keras.layers.Dense) for layer in layers):
            raise ImportError("no peer: layers other than dense ones")
        return [layers[0].kernel.shape[0], *(layer.units for layer in layers)]


def torch_ways(case: Stacked, threads: int) -> dict[str, Callable[[], None]]:
    """Return functions that train an epoch of 55 networks in PyTorch; raise ImportError without it."""
    import numpy as np
    import torch

    torch.set_num_threads(threads)
    sizes, count, size = case.sizes, len(case.models), case.config.batch_size
    rows = case.rows.train.rows
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(count, rows, sizes[0])).astype(np.float32))
    y = torch.from_numpy(case.rows.train.radius.numpy())

    def epoch(step: Callable[[Any, Any], None]) -> Callable[[], None]:
        def train() -> None:
            order = torch.randperm(rows)
            for start in range(0, rows, size):
                index = order[start : start + size]
                step(x[:, index], y[:, index])

        return train

    return {
        "torch vmap": epoch(_step_by_vmap(_torch_weights(count, sizes))),
        "torch bmm": epoch(_step_by_bmm(_torch_weights(count, sizes))),
    }


def _torch_weights(count: int, sizes: Sequence[int]) -> list[Any]:
    """Return kernels and biases of `count` networks with layers of these sizes, alternately."""
    import torch

    made = []
    for first, second in itertools.pairwise(sizes):
        made += [torch.randn(count, first, second) / first**0.5, torch.zeros(count, 1, second)]
    return [one.requires_grad_() for one in made]


def _torch_forward(weights: Any, values: Any) -> Any:
    """Apply the layers of one network, [n, features], or of all, [55, n, features]."""
    import torch

    for index in range(0, len(weights), 2):
        values = values @ weights[index] + weights[index + 1]
        if index < len(weights) - 2:
            values = torch.nn.functional.leaky_relu(values, 0.2)
    return values


def _step_by_vmap(weights: list[Any]) -> Callable[[Any, Any], None]:
    """Return a training step of all networks, with gradients of one network mapped over all."""
    import torch

    def loss(parts: Any, values: Any, radius: Any) -> Any:
        return ((_torch_forward(parts, values) - radius) ** 2).mean()

    gradients = torch.func.vmap(torch.func.grad(loss))
    optimizer = torch.optim.Adam(weights, lr=1e-3, fused=True)

    def step(values: Any, radius: Any) -> None:
        for weight, gradient in zip(weights, gradients([one.detach() for one in weights], values, radius), strict=True):
            weight.grad = gradient
        optimizer.step()

    return step


def _step_by_bmm(weights: list[Any]) -> Callable[[Any, Any], None]:
    """Return a training step of all networks by batched matrix products."""
    import torch

    optimizer = torch.optim.Adam(weights, lr=1e-3, fused=True)

    def step(values: Any, radius: Any) -> None:
        optimizer.zero_grad()
        (((_torch_forward(weights, values) - radius) ** 2).mean((1, 2))).sum().backward()
        optimizer.step()

    return step


def compare(case: Stacked, repeats: int, threads: int) -> None:
    """Print the table of one model."""
    ways: dict[str, Callable[[], None]] = {"stack": case.train}
    with contextlib.suppress(ImportError):
        ways |= torch_ways(case, threads)
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

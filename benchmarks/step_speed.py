"""CPU time of a training row: our `fit` beside a bare `keras.fit` and PyTorch: `python -m benchmarks.step_speed`.

Each way trains the same architecture on the same rows in batches of the same size on `--threads` threads of one
process. CPU time of whole epochs is measured, without saves and without the first epoch, which traces. Ways alternate,
so that other load affects all of them equally; the table gives medians over turns and the range of the ratios to the
bare fit.

    ours                as `ariel train` trains             fused update of the weights, rows shuffled by the seed
    ours in batches     without `training.numbered_rows`    light curves of each step from tf.data, features anew
    ours unfused        with --fused no                     Keras's own operations
    ours XLA            with --jit yes
    bare                keras.fit on arrays in memory       stock optimiser
    bare XLA            the same with jit_compile
    torch Adam          the same layers in PyTorch          only if it is installed, only for dense models
    torch fused Adam    the same, fused=True
"""

import argparse
import contextlib
import io
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

from ariel_tf.config import model_registry
from ariel_tf.config.choices import AUTO_NO_YES
from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.errors import run_command
from ariel_tf.core.tf_startup import choose_onednn, import_tensorflow
from benchmarks import fit_speed
from benchmarks.fit_speed import SMALLER, Case, Cost


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("models", nargs="*", default=["dense"], help="names; MODEL:joint for all wavelengths together")
    parser.add_argument("--planets", type=int, default=160, help="simulated planets, with 4 observations each")
    parser.add_argument("--epochs", type=int, default=3, help="epochs per turn")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an option of the training")
    parser.add_argument("--ways", default="", help="names of the ways to measure, with commas (default: all)")
    parser.add_argument("--onednn", default="auto", choices=AUTO_NO_YES, help="oneDNN, as in `ariel train`")
    options = parser.parse_args()
    with contextlib.suppress(ImportError):
        import benchmarks.torch_peers  # noqa: F401  (before TensorFlow)
    choose_onednn(options.onednn)
    tf = import_tensorflow(start_devices=False)
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    fit_speed.clock = time.process_time
    from ariel_tf.data.sources import open_source

    source = open_source(f"simulated:planets={options.planets},spots=2,photons=2", range(55))
    more = dict(item.split("=", 1) for item in options.set)
    for model in options.models:
        name, _, joint = model.partition(":")
        entry = model_registry.entry(name)
        wavelength = Targets.parse("joint" if joint or entry.scope == "joint" else 12)
        given = {"model": name, "wavelength": wavelength, "settings": SMALLER.get(name, {}), "data": "simulated"}
        config = TrainConfig(**given, epochs=10_000, patience=0, **more)
        compare(config.resolve(), source, options)


def compare(config: TrainConfig, source: Any, options: argparse.Namespace) -> None:
    """Print the table of one model; ratios are those to bare Keras, or to the first way if that is not measured."""
    ways: dict[str, Callable[[int], float]] = {}
    for name, make in ways_of(config, source, options.threads).items():
        if not options.ways or name in options.ways.split(","):
            with contextlib.suppress(ImportError):  # PyTorch
                ways[name] = make()
    for way in ways.values():
        way(1)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.repeats):
        for name, way in ways.items():
            seconds[name].append(way(options.epochs))
    rows, base = source.observations(config.train_folds), "bare" if "bare" in ways else next(iter(ways))
    print(
        f"\n{config.model}, {config.what}, batch {config.batch_size}, {rows} rows an epoch, {options.threads} thread(s)"
    )
    print(f"| way | CPU ms a row | {base} / this | range |\n|---|---|---|---|")
    for name, found in seconds.items():
        ratios = [bare / this for bare, this in zip(seconds[base], found, strict=True)]
        print(
            f"| {name} | {1e3 * statistics.median(found) / rows:.3f} | {statistics.median(ratios):.2f} | "
            f"{min(ratios):.2f}-{max(ratios):.2f} |",
            flush=True,
        )


def ways_of(config: TrainConfig, source: Any, threads: int) -> dict[str, Callable[[], Callable[[int], float]]]:
    """Return by the name of a way a function that makes one which trains some epochs: CPU seconds of one epoch."""

    def case(**options: Any) -> Case:
        return Case(config.replace(**options), source)

    return {
        "ours": lambda: _clocked(case().ours),
        "ours in batches": lambda: _clocked(_in_batches(case().ours)),
        "ours unfused": lambda: _clocked(case(fused="no").ours),
        "ours XLA": lambda: _clocked(case(jit="yes").ours),
        "bare": lambda: _clocked(case(fused="no").bare),
        "bare XLA": lambda: _clocked(case(fused="no", jit="yes").bare),
        "torch Adam": lambda: _torch(case(fused="no"), False, threads),
        "torch fused Adam": lambda: _torch(case(fused="no"), True, threads),
    }


def _in_batches(train: Callable[[int, Cost], None]) -> Callable[[int, Cost], None]:
    """Return the same training without rows that steps take by their numbers."""

    def in_batches(epochs: int, cost: Cost) -> None:
        with mock.patch("ariel_tf.training.numbered_rows.hold", return_value=None):
            train(epochs, cost)

    return in_batches


def _clocked(train: Callable[[int, Cost], None]) -> Callable[[int], float]:
    def seconds(epochs: int) -> float:
        cost = Cost()
        with contextlib.redirect_stdout(io.StringIO()):
            train(epochs, cost)
        return statistics.median(cost.epochs)

    return seconds


def _torch(case: Case, fused: bool, threads: int) -> Callable[[int], float]:
    """Return the same for a model's dense layers in PyTorch, with mean absolute error; ImportError without PyTorch."""
    import keras
    import numpy as np
    import torch

    layers = case.built.training.layers
    flat = [layer for layer in layers if layer.name == "flat"]  # the input of layers one after another
    if not flat or not all(isinstance(layer, keras.layers.Dense) for layer in layers if layer.trainable_weights):
        raise ImportError(f"{case.config.model} has other layers")
    torch.set_num_threads(threads)
    inputs, radius = case.arrays
    flux = flat[0].output
    x = torch.from_numpy(keras.Model(case.built.training.inputs, flux).predict(inputs, verbose=0).astype(np.float32))
    y = torch.from_numpy(radius)
    sizes = [x.shape[1], *(layer.units for layer in layers if isinstance(layer, keras.layers.Dense))]
    parts: list[Any] = []
    for first, second in itertools.pairwise(sizes):
        parts += [torch.nn.Linear(first, second), torch.nn.ReLU()]
    model = torch.nn.Sequential(*parts[:-1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)
    size = case.config.batch_size

    def seconds(epochs: int) -> float:
        taken = []
        for _ in range(epochs):
            started, order = fit_speed.clock(), torch.randperm(len(x))
            for start in range(0, len(x), size):
                index = order[start : start + size]
                optimizer.zero_grad()
                loss = (model(x[index]) - y[index]).abs().mean()
                loss.backward()
                optimizer.step()
            taken.append(fit_speed.clock() - started)
        return statistics.median(taken)

    return seconds


if __name__ == "__main__":
    run_command(main)

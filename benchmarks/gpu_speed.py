"""Time of a training step on a GPU, beside the CPU and PyTorch: `python -m benchmarks.gpu_speed`.

Cases:

    dense     the joint `dense`, all 55 wavelengths
    transit   the joint `transit`
    squids    a stack of 55 `squid`

Ways, each in a process of its own, by turns:

    ours      as `ariel train` trains on the devices that it takes by default
    cpu       the same with --devices cpu
    bare      keras.fit on arrays in memory                joint models
    torch     PyTorch on the GPU, rows there, fused Adam   `dense`; torch.func.vmap for stacks
    compiled  the same, compiled, with CUDA graphs

The wall-clock time of whole epochs is measured, without saves and without the first epoch, which traces: the median over
the epochs of all turns, and their range.
"""

import argparse
import contextlib
import io
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.devices import Devices
from ariel_tf.core.errors import run_command
from benchmarks.fit_speed import Case, Cost

WAYS = ("ours", "cpu", "bare", "torch", "compiled")
CASES = ("dense", "transit", "squids")
WAVELENGTHS = 55


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("cases", nargs="*", default=[], help=f"{', '.join(CASES)}; default: all")
    parser.add_argument("--data", default="simulated:planets=200,spots=4,photons=4", help="data set, as in `ariel train`")
    parser.add_argument("--ways", default=",".join(WAYS), help="ways to measure, with commas")
    parser.add_argument("--epochs", type=int, default=5, help="epochs per turn")
    parser.add_argument("--repeats", type=int, default=2, help="turns, each in a new process")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an option of the training")
    parser.add_argument("--one", action="store_true", help="measure one way in this process, print its seconds as JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(_measure(options.cases[0], options.ways, options)))
        return
    for case in options.cases or CASES:
        compare(case, options)


def compare(case: str, options: argparse.Namespace) -> None:
    """Print the table of one case."""
    found: dict[str, dict[str, Any]] = {}
    more = [f"--set={item}" for item in options.set]
    for _ in range(options.repeats):
        for way in options.ways.split(","):
            command = [sys.executable, "-m", "benchmarks.gpu_speed", case, "--one", f"--ways={way}", *more]
            command += [f"--data={options.data}", f"--epochs={options.epochs}"]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                reason = (done.stderr.strip().splitlines() or ["failed"])[-1]
                print(f"{case}, {way}: {reason}", file=sys.stderr, flush=True)
                continue
            result = json.loads(done.stdout.splitlines()[-1])
            found.setdefault(way, result | {"seconds": []})["seconds"] += result["seconds"]
    if "ours" not in found:
        return
    ours = found["ours"]
    print(f"\n{case}, batch {ours['batch']}, {ours['steps']} steps an epoch")
    print("| way | ms a step | range | this / ours |\n|---|---|---|---|")
    for way, result in found.items():
        each = [1e3 * seconds / result["steps"] for seconds in result["seconds"]]
        ratio = statistics.median(result["seconds"]) / statistics.median(ours["seconds"])
        print(f"| {way} | {statistics.median(each):.3f} | {min(each):.3f}-{max(each):.3f} | {ratio:.2f} |", flush=True)


def _measure(case: str, way: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the batch size, the steps of an epoch, and the seconds of each epoch of one way."""
    more = dict(item.split("=", 1) for item in options.set)
    stacked = case == "squids"
    given = {"model": "squid" if stacked else case, "wavelength": Targets.parse("0-54" if stacked else "joint")}
    config = TrainConfig(**given, data=options.data, epochs=10_000, patience=0, **more).resolve()
    if way in ("torch", "compiled"):
        import benchmarks.torch_peers  # noqa: F401  (before TensorFlow)
    from ariel_tf.training.strategy import strategy_of

    strategy_of(Devices.parse("cpu" if way not in ("ours", "bare") else "auto"))
    from ariel_tf.data.sources import open_source

    source = open_source(options.data, range(WAVELENGTHS))
    with contextlib.redirect_stdout(io.StringIO()):
        steps, train = _stacked(config, source, way) if stacked else _joint(config, source, way)
        return {"batch": config.batch_size, "steps": steps, "seconds": train(options.epochs)}


def _joint(config: TrainConfig, source: Any, way: str) -> tuple[int, Callable[[int], list[float]]]:
    case = Case(config, source, memory=64 << 30)

    def fitted(epochs: int) -> list[float]:
        cost = Cost()
        (case.bare if way == "bare" else case.ours)(epochs, cost)
        return cost.epochs

    return case.rows.steps, fitted if way in ("ours", "cpu", "bare") else _torch(case, way == "compiled")


def _stacked(config: TrainConfig, source: Any, way: str) -> tuple[int, Callable[[int], list[float]]]:
    from benchmarks.stack_peers import Stacked

    case = Stacked("squid", source)
    if way in ("torch", "compiled"):
        return case.steps, _epochs(case.torch_on_gpu(compiled=way == "compiled"))
    return case.steps, _epochs(case.train)


def _epochs(train: Callable[[], None]) -> Callable[[int], list[float]]:
    """Return a function that trains some epochs after a first one, and returns the seconds of each."""

    def seconds(epochs: int) -> list[float]:
        taken = []
        for _ in range(1 + epochs):
            started = time.perf_counter()
            train()
            taken.append(time.perf_counter() - started)
        return taken[1:]

    return seconds


def _torch(case: Case, compiled: bool) -> Callable[[int], list[float]]:
    """Return the same for a model's dense layers in PyTorch, with mean absolute error."""
    import keras
    import torch

    layers = [layer for layer in case.built.training.layers if layer.trainable_weights]
    if not all(isinstance(layer, keras.layers.Dense) for layer in layers):
        raise ImportError(f"{case.config.model} has other layers")
    rows, inputs = case.rows.count, layers[0].kernel.shape[0]
    x = torch.randn(rows, inputs, device="cuda")
    y = torch.rand(rows, layers[-1].units, device="cuda")
    parts: list[Any] = []
    for first, second in itertools.pairwise([inputs, *(layer.units for layer in layers)]):
        parts += [torch.nn.Linear(first, second), torch.nn.ReLU()]
    model = torch.nn.Sequential(*parts[:-1]).cuda()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def loss_of(x: Any, y: Any) -> Any:
        return (model(x) - y).abs().mean()

    forward = torch.compile(loss_of, mode="reduce-overhead") if compiled else loss_of

    def epoch() -> None:
        for index in torch.randperm(rows, device="cuda").split(case.config.batch_size):
            optimizer.zero_grad()
            forward(x[index], y[index]).backward()
            optimizer.step()
        torch.cuda.synchronize()

    return _epochs(epoch)


if __name__ == "__main__":
    run_command(main)

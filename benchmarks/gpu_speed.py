"""Time of a training step on a GPU, beside the CPU and PyTorch: `python -m benchmarks.gpu_speed`.

Cases:

    dense     the joint `dense`, all 55 wavelengths
    transit   the joint `transit`
    squids    a stack of 55 `squid`

Ways; those of a line share a process, and take turns:

    ours, host, bare   as `ariel train` trains; the same with rows copied each step; keras.fit on arrays in memory (the
                       last two for joint models)
    cpu                as `ariel train --devices cpu` trains
    torch, graph       PyTorch on the GPU with rows there and fused Adam: `dense`, or `torch.func.vmap` for stacks; the
                       same with each step as a CUDA graph

The wall-clock time of whole epochs is measured, ours and bare Keras's with their validation, without saves and without
the first epoch, which traces: the median over the epochs of all turns, and their range.
"""

import argparse
import contextlib
import functools
import io
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.devices import Devices
from ariel_tf.core.errors import run_command
from benchmarks.fit_speed import Case, Cost

PROCESSES = (("ours", "host", "bare"), ("cpu",), ("torch", "graph"))
TORCH = ("torch", "graph")
CASES = ("dense", "transit", "squids")
WAVELENGTHS = 55


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("cases", nargs="*", default=[], help=f"{', '.join(CASES)}; default: all")
    parser.add_argument("--data", default="simulated:planets=200,spots=4,photons=4", help="data, as in `ariel train`")
    parser.add_argument("--ways", default=",".join(itertools.chain(*PROCESSES)), help="ways to measure, with commas")
    parser.add_argument("--epochs", type=int, default=3, help="epochs per turn")
    parser.add_argument("--repeats", type=int, default=3, help="turns")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an option of the training")
    parser.add_argument("--one", action="store_true", help="measure in this process, print seconds as JSON")
    options = parser.parse_args()
    for case in options.cases or CASES:
        if options.one:
            print(json.dumps(_measure(case, options.ways.split(","), options)))
        else:
            compare(case, options)


def compare(case: str, options: argparse.Namespace) -> None:
    """Print the table of one case."""
    chosen, first = options.ways.split(","), 0.0
    for process in PROCESSES:
        ways = [way for way in process if way in chosen and not (case == "squids" and way in ("host", "bare"))]
        if not ways or (case == "transit" and ways[0] in TORCH):
            continue
        command = [sys.executable, "-m", "benchmarks.gpu_speed", case, "--one", f"--ways={','.join(ways)}"]
        command += [f"--{name}={getattr(options, name)}" for name in ("data", "epochs", "repeats")]
        command += [f"--set={item}" for item in options.set]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"{case}, {', '.join(ways)}: {done.stderr.strip()[-500:]}", file=sys.stderr, flush=True)
            continue
        result = json.loads(done.stdout.splitlines()[-1])
        if not first:
            print(f"\n{case}, batch {result['batch']}, {result['steps']} steps an epoch")
            print("| way | ms a step | range | this / first |\n|---|---|---|---|")
        for way, seconds in result["seconds"].items():
            middle = statistics.median(seconds)
            first = first or middle
            low, middle_ms, high = (1e3 * one / result["steps"] for one in (min(seconds), middle, max(seconds)))
            print(f"| {way} | {middle_ms:.3f} | {low:.3f}-{high:.3f} | {middle / first:.2f} |", flush=True)


def _measure(case: str, ways: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Return the batch size, the steps of an epoch, and each way's seconds of each epoch."""
    more = dict(item.split("=", 1) for item in options.set)
    stacked = case == "squids"
    given: dict[str, Any] = {
        "model": "squid" if stacked else case,
        "wavelength": Targets.parse("0-54" if stacked else "joint"),
    }
    config = TrainConfig(**given, data=options.data, epochs=10_000, patience=0, **more).resolve()
    if ways[0] in TORCH:
        import benchmarks.torch_peers  # noqa: F401  (before TensorFlow)
    from ariel_tf.training.strategy import strategy_of

    strategy_of(Devices.parse("auto" if ways[0] == "ours" else "cpu"))
    from ariel_tf.data.sources import open_source

    seconds: dict[str, list[float]] = {way: [] for way in ways}
    with contextlib.redirect_stdout(io.StringIO()):
        source = open_source(options.data, range(WAVELENGTHS))
        steps, trainings = _stacked(source, ways) if stacked else _joint(config, source, ways)
        for turn in range(1 + options.repeats):
            for way in ways:
                found = trainings[way](options.epochs if turn else 1)
                seconds[way] += found if turn else []
    return {"batch": config.batch_size, "steps": steps, "seconds": seconds}


def _joint(config: TrainConfig, source: Any, ways: list[str]) -> tuple[int, dict[str, Callable[[int], list[float]]]]:
    """Return the steps of an epoch, and by way a function that trains some epochs and returns their seconds."""
    case = Case(config, source, memory=64 << 30)

    def fitted(way: str, epochs: int) -> list[float]:
        cost = Cost()
        with contextlib.ExitStack() as stack:
            if way == "host":
                stack.enter_context(mock.patch("ariel_tf.training.numbered_rows.hold", return_value=None))
            (case.bare if way == "bare" else case.ours)(epochs, cost)
        return list(cost.epochs)

    if ways[0] not in TORCH:
        return case.rows.steps, {way: functools.partial(fitted, way) for way in ways}
    step, rows = _dense_in_torch(case), case.rows.count
    return case.rows.steps, _torch_ways(step, rows, config.batch_size, ways)


def _stacked(source: Any, ways: list[str]) -> tuple[int, dict[str, Callable[[int], list[float]]]]:
    from benchmarks.stack_peers import Stacked

    case = Stacked("squid", source)
    if ways[0] not in TORCH:
        return case.steps, {way: _clocked(case.train) for way in ways}
    trainer = case.torch_on_gpu()
    return case.steps, _torch_ways(trainer.step, trainer.x.shape[1], trainer.batch, ways)


def _clocked(train: Callable[[], None]) -> Callable[[int], list[float]]:
    def seconds(epochs: int) -> list[float]:
        taken = []
        for _ in range(epochs):
            started = time.perf_counter()
            train()
            taken.append(time.perf_counter() - started)
        return taken

    return seconds


def _torch_ways(step: Any, rows: int, batch: int, ways: list[str]) -> dict[str, Callable[[int], list[float]]]:
    from benchmarks import torch_peers

    torch = torch_peers.torch

    def epoch(step: Any) -> None:
        for index in torch.randperm(rows, device="cuda").split(batch):
            step(index)
        torch.cuda.synchronize()

    steps = {way: torch_peers.graphed(step, batch) if way == "graph" else step for way in ways}
    return {way: _clocked(functools.partial(epoch, steps[way])) for way in ways}


def _dense_in_torch(case: Case) -> Callable[[Any], None]:
    """Return a step of a model of dense layers in PyTorch, with mean absolute error, on the GPU."""
    import torch

    layers = [layer for layer in case.built.training.layers if layer.trainable_weights]
    inputs = layers[0].kernel.shape[0]
    x = torch.randn(case.rows.count, inputs, device="cuda")
    y = torch.rand(case.rows.count, layers[-1].units, device="cuda")
    parts: list[Any] = []
    for first, second in itertools.pairwise([inputs, *(layer.units for layer in layers)]):
        parts += [torch.nn.Linear(first, second), torch.nn.ReLU()]
    model = torch.nn.Sequential(*parts[:-1]).cuda()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True, capturable=True)

    def step(index: Any) -> None:
        optimizer.zero_grad()
        (model(x[index]) - y[index]).abs().mean().backward()
        optimizer.step()

    return step


if __name__ == "__main__":
    run_command(main)

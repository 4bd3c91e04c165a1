"""Every registered model on one fixed test set, from 1, 8 and 100 observations of a planet.

    python -m benchmarks.registered_models                          all models at their defaults; hours on two cores
    python -m benchmarks.registered_models squid "lstm --epochs 1"  these, with options of `train`

Each model is trained on the same simulated planets: jointly if it can be, else at wavelength 12. The test set is
that of `benchmarks.shipped_model`; a score is the mean over planets, with its standard error, for the median of the
predictions from a planet's observations. The model included in the package is the last line.
"""

import argparse
import resource
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

import ariel_tf
from ariel_tf import train
from ariel_tf.challenge import PPM, depth_error
from ariel_tf.config import model_registry
from ariel_tf.core.atomic_files import read_json, write_json
from ariel_tf.core.errors import DataError, run_command
from ariel_tf.physics import simulator
from ariel_tf.planet import Planet
from ariel_tf.runs import shipped
from ariel_tf.runs.pooling import estimates
from ariel_tf.runs.predictor import Predictor
from benchmarks.shipped_model import HOME, POOLS, SEED, cell, part


class Trained(NamedTuple):
    """A model of the table: its name with options, what it predicts, and the CPU seconds of its training."""

    name: str
    predictor: Predictor
    seconds: float | None


def cpu_seconds() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def trained(model: str, data: str, runs: Path) -> Trained:
    """Train a model, or load the finished run."""
    name, *extra = shlex.split(model)
    target = "12" if model_registry.entry(name).scope == "one" else "joint"
    run = runs / "_".join([name, *extra])
    recorded = runs / f"{run.name}.json"
    started = cpu_seconds()
    train.main(["--model", name, "--wavelength", target, "--data", data, *extra, "--run", str(run)])
    if not recorded.exists():
        write_json(recorded, {"cpu_seconds": cpu_seconds() - started})
    return Trained(model, Predictor.load(run), read_json(recorded)["cpu_seconds"])


def error_of(predictor: Predictor, planet: Planet) -> float:
    """Return the planet's mean error in ppm, or NaN if a row of the model takes another number of observations."""
    if predictor.uncertain is not None:
        ((_, found),) = estimates(predictor, [planet])
        radii = found.radius
    else:
        try:
            radii = np.median(predictor.predict(planet, as_frame=False), axis=0)
        except DataError:
            return np.nan
    return float(np.mean(depth_error(planet.radii[list(predictor.targets)], radii, PPM)))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("models", nargs="*", help="names; in quotes, with options (default: every registered model)")
    parser.add_argument("--data", default="simulated:planets=400,spots=4,photons=2,seed=0")
    parser.add_argument("--planets", type=int, default=300, help="number of test planets")
    parser.add_argument("--runs", type=Path, default=Path("runs/registered"))
    options = parser.parse_args(arguments)
    options.runs.mkdir(parents=True, exist_ok=True)
    models = [trained(name, options.data, options.runs) for name in options.models or model_registry.entries()]
    models.append(Trained(f"{shipped.DEFAULT} (included)", ariel_tf.load(shipped.DEFAULT), None))
    errors = np.zeros((len(models), len(POOLS), options.planets))
    for number in tqdm(range(options.planets), unit=" planets", leave=False, disable=None):
        planet = simulator.simulate_planet(SEED, number + 1, 10, 10, HOME)
        for column, (spots, photons) in enumerate(POOLS.values()):
            few = part(planet, spots, photons)
            errors[:, column, number] = [error_of(one.predictor, few) for one in models]
    print(f"\n{options.planets} planets, seed {SEED}; trained on {options.data}\n")
    print("| model | wavelengths | 1 | 8 | 100 | weights | CPU s |")
    print("|---|---|---|---|---|---|---|")
    for one, found in zip(models, errors, strict=True):
        cells = " | ".join("" if np.isnan(each).any() else cell(each) for each in found)
        target = "12" if len(one.predictor.targets) == 1 else "joint"
        seconds = "" if one.seconds is None else f"{one.seconds:,.0f}"
        print(f"| {one.name} | {target} | {cells} | {one.predictor.model.count_params():,} | {seconds} |", flush=True)


if __name__ == "__main__":
    run_command(main)

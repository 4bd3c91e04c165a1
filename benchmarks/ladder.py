"""Where the models stand between naive and good, on the same planets: `python -m benchmarks.ladder`.

Trains each model at one wavelength on simulated planets and scores it on the test folds beside the best
constant, the square root of the median depth and a ridge on depth, all of the same training planets.
"""

import argparse
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ariel_tf import train
from ariel_tf.challenge import score
from ariel_tf.data import dataset
from ariel_tf.data.sources import Source, open_source
from ariel_tf.errors import run_command
from ariel_tf.files import read_json
from ariel_tf.physics import references
from ariel_tf.training.configuration import Configuration

CONFIGURATION = Configuration().resolved()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("models", nargs="*", default=["baseline", "squid"], help="names; in quotes, with options")
    parser.add_argument("--data", default="simulated:planets=400,spots=4,photons=2,seed=0")
    parser.add_argument("--wavelength", type=int, default=12)
    parser.add_argument("--runs", type=Path, default=Path("runs/ladder"))
    options = parser.parse_args()
    source = open_source(options.data, [options.wavelength])
    print(f"| wavelength {options.wavelength}, {options.data} | one observation | median over a planet | seconds |")
    print("|---|---|---|---|")
    for name, row in reference_rows(source, options.wavelength):
        print(f"| {name} | {row[0]:.0f} | {row[1]:.0f} | |")
    for model in options.models:
        name, *extra = shlex.split(model)
        run = options.runs / "_".join([name, *extra])
        arguments = ["--model", name, "--wavelength", str(options.wavelength), "--data", options.data, *extra]
        started = time.perf_counter()
        train.main([*arguments, "--run", str(run)])
        scores = read_json(run / "scores.json")["test"]
        seconds = time.perf_counter() - started
        print(f"| {model} | {scores['observation']:.0f} | {scores['planet']:.0f} | {seconds:.0f} |", flush=True)


def reference_rows(source: Source, wavelength: int) -> Iterator[tuple[str, tuple[float, float]]]:
    """Each reference estimator's score on the test folds, per observation and per planet."""

    def table(folds):
        tensors = dataset.load(source, dataset.Choice(folds, (wavelength,), (wavelength,)))
        return tensors["flux"].numpy()[:, :, 0], tensors["radius"].numpy()[:, 0], tensors["key"].numpy()[:, 0]

    flux, radius, _ = table(CONFIGURATION.train_folds)
    test_flux, test_radius, planets = table(CONFIGURATION.test_folds)
    ridge = references.Ridge().fit(references.folded_bins(flux), radius)
    estimates = {
        "constant prediction": np.full(len(test_radius), references.constant(radius)),
        "square root of the median depth": references.median_depth(test_flux),
        "ridge on depth, own light curve": ridge.predict(references.folded_bins(test_flux)),
    }
    for name, predicted in estimates.items():
        combined = np.array([np.median(predicted[planets == planet]) for planet in planets])
        yield name, (score(test_radius, predicted), score(test_radius, combined))


if __name__ == "__main__":
    run_command(main)

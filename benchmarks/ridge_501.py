"""Difficulty of a population: cross-validated scores of the ESA Datalabs hackathons' starter pipeline, "ridge-501".

    python -m benchmarks.ridge_501                                 1,000 simulated planets of 10 x 10 observations
    python -m benchmarks.ridge_501 --data DATA                     any labelled data set
    python -m benchmarks.ridge_501 --planets 100 --photons 3       a few minutes less

Ten folds by planet. +- is the standard deviation over the folds; it depends on which folds contain the few huge
planets, so mean and deviation are averaged over six assignments of planets to folds. A row is a spot instance, whose
photon instances are combined; a planet is the mean over its rows. The real scores were measured by the hackathon's
participants on 1,000 planets of the challenge.
"""

import argparse
import time
from collections.abc import Iterator, Sequence

import numpy as np
from tqdm import tqdm

from ariel_tf.challenge import score
from ariel_tf.core.errors import DataError, run_command
from ariel_tf.data.folds import N_FOLDS, assign_folds
from ariel_tf.evaluation.ridge_501 import Ridge501, features
from ariel_tf.planet import Planet

WAYS = 6
# Mean and standard deviation over ten folds.
FIGURES = ("score", "R2", "RMSE", "RMSPE", "MAE", "median AE")
REAL = {
    "row": dict(zip(FIGURES, ("9611 ± 156", ".9813", ".00527", ".107", ".00260", ".00142"), strict=True)),
    "planet": dict(zip(FIGURES, ("9643 ± 158", ".9837", ".00490", ".0789", ".00213", ".00108"), strict=True)),
}


def figures(true: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Return the score and the hackathon's other figures.

    Args:
        true, predicted: Rp/Rs, float [rows, 55].
    """
    error = predicted - true
    explained = 1 - np.square(error).sum(axis=0) / np.square(true - true.mean(axis=0)).sum(axis=0)
    return {
        "score": score(true, predicted),
        "R2": float(explained.mean()),
        "RMSE": float(np.sqrt(np.square(error).mean())),
        "RMSPE": float(np.sqrt(np.square(error / true).mean())),
        "MAE": float(np.abs(error).mean()),
        "median AE": float(np.median(np.abs(error))),
    }


def cross_validated(
    rows: Sequence[np.ndarray], radii: np.ndarray, folds: np.ndarray
) -> dict[str, dict[str, np.ndarray]]:
    """Return mean and standard deviation over the folds of each figure, for rows and for planets: float64 [2].

    Args:
        rows: features of each planet, float [spots, 501].
        radii: Rp/Rs, float [planets, 55].
        folds: int [planets].
    """
    counts = np.array([len(one) for one in rows])
    owner, every = np.repeat(np.arange(len(rows)), counts), np.concatenate(rows)
    each: dict[str, list[dict[str, float]]] = {"row": [], "planet": []}
    for fold in np.unique(folds):
        held = folds[owner] == fold
        predicted = Ridge501().fit(every[~held], radii[owner[~held]]).predict(every[held])
        each["row"].append(figures(radii[owner[held]], predicted))
        planets = np.unique(owner[held])
        means = np.stack([predicted[owner[held] == planet].mean(axis=0) for planet in planets])
        each["planet"].append(figures(radii[planets], means))
    return {kind: {name: _spread([one[name] for one in found]) for name in FIGURES} for kind, found in each.items()}


def _spread(values: list[float]) -> np.ndarray:
    """Return mean and standard deviation."""
    return np.array([np.mean(values), np.std(values)])


def averaged(rows: Sequence[np.ndarray], radii: np.ndarray, ways: int = WAYS) -> dict[str, dict[str, np.ndarray]]:
    """Like `cross_validated`, averaged over several assignments of planets to folds."""
    numbers = range(len(rows))
    dealt = [assign_folds(numbers, seed) for seed in range(ways)]
    each = [cross_validated(rows, radii, np.array([folds[number] for number in numbers])) for folds in dealt]
    return {kind: {name: np.mean([one[kind][name] for one in each], axis=0) for name in FIGURES} for kind in REAL}


def table(measured: dict[str, dict[str, np.ndarray]], what: str) -> list[str]:
    """Return a Markdown table of the real figures and the measured ones."""
    lines = [f"| figure | 1,000 real planets | {what} |", "|---|---|---|"]
    for kind, values in measured.items():
        for name, (mean, spread) in values.items():
            shown = f"{mean:.0f} ± {spread:.0f}" if name == "score" else f"{mean:.3g} ± {spread:.1g}"
            lines.append(f"| {name}, a {kind} | {REAL[kind][name]} | {shown} |")
    return lines


def planets_of(options: argparse.Namespace) -> tuple[Iterator[Planet], int, str]:
    """Return the planets, their number, and a description."""
    if options.data is None:
        from ariel_tf.physics.simulator import simulate_planet

        numbers = range(1, options.planets + 1)
        planets = (simulate_planet(options.seed, number, options.spots, options.photons) for number in numbers)
        size = f"{options.spots} x {options.photons} observations"
        what = f"{options.planets:,} simulated planets, {size}, seed {options.seed}"
        return planets, options.planets, what
    from ariel_tf import open_data

    data = open_data(options.data)
    if not data.labelled:
        raise DataError(f"--data {options.data}: its radii are unknown.")
    return iter(data), len(data), str(options.data)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="labelled data set, instead of simulated planets")
    for name, default in (("planets", 1000), ("spots", 10), ("photons", 10), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"of simulated planets (default: {default})")
    options = parser.parse_args(arguments)
    start = time.process_time()
    planets, count, what = planets_of(options)
    if count < N_FOLDS:
        raise DataError(f"{what}: expected {N_FOLDS} planets or more. Received: {count}")
    rows, radii = [], []
    for planet in tqdm(planets, "features", count, unit=" planets", disable=None, leave=False):
        rows.append(features(planet)[0])
        radii.append(planet.radii)
    print("\n".join(table(averaged(rows, np.array(radii)), what)))
    print(f"{time.process_time() - start:.0f} CPU seconds")


if __name__ == "__main__":
    run_command(main)

"""Scores and coverage of the model included in the package, on planets outside its training.

    python -m benchmarks.shipped_model                 300 planets x 10 spot x 10 photon instances, about 2 minutes

Each planet is predicted from 1, 8 (4 spots x 2) and 100 (10 x 10) of its observations. Scores are means over planets
with their standard error. The planets are those of the simulator with seed 2024, as in `--data simulated:seed=2024`.
`benchmarks.shifts` measures other populations and disturbances.
"""

import argparse
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

import ariel_tf
from ariel_tf.challenge import PERFECT_SCORE, PPM, STAR_NAMES, depth_error
from ariel_tf.physics import simulator
from ariel_tf.physics.priors import Priors
from ariel_tf.planet import Planet
from ariel_tf.runs.pooling import estimates
from ariel_tf.runs.predictor import Predictor

SEED = 2024
POOLS = {1: (1, 1), 8: (4, 2), 100: (10, 10)}  # observations: spot, photon-noise instances
HOME = Priors()


class Found(NamedTuple):
    """Errors of each planet: ppm in depth [n], deviations in sigma [n, 55], error of the impact parameter [n]."""

    error: np.ndarray
    deviations: np.ndarray
    impact_error: np.ndarray


def part(planet: Planet, spots: int, photons: int) -> Planet:
    """Return a planet with only its first instances."""
    chosen = (planet.instances[:, 0] <= spots) & (planet.instances[:, 1] <= photons)
    return Planet.from_observations(
        planet.number, planet.instances[chosen], planet.star, planet.flux[:, chosen], planet.orbit, planet.radii
    )


class Facts(NamedTuple):
    """Properties of each planet, [n]: impact parameter, mean depth in ppm, K magnitude of its star."""

    impact: np.ndarray
    depth: np.ndarray
    magnitude: np.ndarray


def measure(trained: Predictor, priors: Priors, count: int) -> tuple[dict[int, Found], Facts]:
    """Simulate planets and predict each from 1, 8 and 100 observations."""
    errors: dict[int, list[tuple]] = {pool: [] for pool in POOLS}
    facts = []
    for number in tqdm(range(1, count + 1), unit=" planets", leave=False, disable=None):
        planet = simulator.simulate_planet(SEED, number, 10, 10, priors)
        impact = simulator.draw_system(SEED, number, priors).impact
        facts.append((impact, PPM * np.mean(planet.radii**2), planet.star[STAR_NAMES.index("star_k_mag")]))
        for pool, (spots, photons) in POOLS.items():
            ((_, found),) = estimates(trained, [part(planet, spots, photons)])
            error = np.mean(depth_error(planet.radii, found.radius, PPM))
            errors[pool].append((error, (found.radius - planet.radii) / found.sigma, found.impact - impact))
    return {pool: Found(*map(np.array, zip(*rows, strict=True))) for pool, rows in errors.items()}, Facts(
        *np.array(facts).T
    )


def cell(error: np.ndarray) -> str:
    """Return the mean score and its standard error."""
    return f"{PERFECT_SCORE - error.mean():.0f} +- {error.std() / np.sqrt(len(error)):.0f}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="transit-joint", help="a model included in the package")
    parser.add_argument("--planets", type=int, default=300, help="number of planets of the default population")
    options = parser.parse_args(arguments)
    trained = ariel_tf.load(options.model)
    found, facts = measure(trained, HOME, options.planets)
    print(f"\n{options.planets} planets, seed {SEED}\n")
    print("| observations | score | impact < .8 | impact > .8 | median | within 1 sigma | within 1.96 | impact error |")
    print("|---|---|---|---|---|---|---|---|")
    for pool, one in found.items():
        low, size = facts.impact < 0.8, np.abs(one.deviations)
        print(
            f"| {pool} | {cell(one.error)} | {cell(one.error[low])} | {cell(one.error[~low])} | "
            f"{PERFECT_SCORE - np.median(one.error):.0f} | {(size < 1).mean():.1%} | {(size < 1.96).mean():.1%} | "
            f"{np.abs(one.impact_error).mean():.3f} |"
        )
    print_parts(found, facts)


def print_parts(found: dict[int, Found], facts: Facts) -> None:
    """Print coverage and median loss by quarters of depth and magnitude, and by impact parameter."""
    print("\n| planets | number | within 1 sigma, 1 | 8 | 100 | within 1.96 sigma, 100 | median loss, 1 | 8 | 100 |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, values in facts._asdict().items():
        edges = np.array([0, 0.3, 0.6, 0.8, 1.0]) if name == "impact" else np.quantile(values, np.linspace(0, 1, 5))
        for low, high in itertools.pairwise(edges.tolist()):
            chosen = (values >= low) & ((values < high) | (high == edges[-1]))
            size = {pool: np.abs(one.deviations[chosen]) for pool, one in found.items()}
            within = " | ".join(f"{(each < 1).mean():.1%}" for each in size.values())
            loss = " | ".join(f"{np.median(one.error[chosen]):.0f}" for one in found.values())
            wide = f"{(size[100] < 1.96).mean():.1%}"
            print(f"| {name} {low:,.4g} to {high:,.4g} | {chosen.sum()} | {within} | {wide} | {loss} |")


if __name__ == "__main__":
    main()

"""What the model that comes with the package reaches, on planets that it never saw: scores, coverage, shifts.

    python -m benchmarks.shipped_model                 300 planets x 10 spot x 10 photon instances, about 2 minutes
    python -m benchmarks.shipped_model --shifts 100    and 100 planets of each population that differs

Each planet is answered from 1, 8 (4 spots x 2) and 100 (10 x 10) of its observations. Scores are means over planets
with their standard error. The planets are those of the simulator with seed 2024, as in `--data simulated:seed=2024`.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

import ariel_tf
from ariel_tf.challenge import PERFECT_SCORE, PPM, depth_error
from ariel_tf.physics import simulator
from ariel_tf.physics.priors import Priors
from ariel_tf.planet import Planet
from ariel_tf.runs.pooling import estimates
from ariel_tf.runs.predictor import Predictor

SEED = 2024
POOLS = {1: (1, 1), 8: (4, 2), 100: (10, 10)}  # observations: spot, photon-noise instances
HOME = Priors()
SHIFTS = {
    "the default population": HOME,
    "impact parameters to 1.1": replace(HOME, impact_high=1.1),
    "durations of 20 to 280 minutes": replace(HOME, duration_low=20.0, duration_high=280.0, duration_widest=290.0),
    "spots x 3": replace(HOME, spot_fill_median=0.06),
    "no spots": replace(HOME, spot_fill_median=1e-6),
    "limb darkening twice as uncertain": replace(HOME, limb_darkening_spread=0.16),
    "photon noise x 2, as ln": replace(HOME, noise_spread=0.7),
    "planets twice as large": replace(HOME, giant_radius=2 * HOME.giant_radius, small_radius=2 * HOME.small_radius),
    "planets half as large": replace(HOME, giant_radius=HOME.giant_radius / 2, small_radius=HOME.small_radius / 2),
    "atmospheres x 2": replace(HOME, atmosphere_median=2 * HOME.atmosphere_median),
}


class Found(NamedTuple):
    """Of each planet: ppm of error in depth [n], deviations in sigma [n, 55], error of the impact parameter [n]."""

    error: np.ndarray
    deviations: np.ndarray
    impact_error: np.ndarray


def part(planet: Planet, spots: int, photons: int) -> Planet:
    """The first instances of a planet only."""
    chosen = (planet.instances[:, 0] <= spots) & (planet.instances[:, 1] <= photons)
    return Planet.from_observations(
        planet.number, planet.instances[chosen], planet.star, planet.flux[:, chosen], planet.orbit, planet.radii
    )


def measure(trained: Predictor, priors: Priors, count: int) -> tuple[dict[int, Found], np.ndarray]:
    """Simulate so many planets and answer each from 1, 8 and 100 observations; also their impact parameters."""
    errors: dict[int, list[tuple]] = {pool: [] for pool in POOLS}
    impacts = []
    for number in tqdm(range(1, count + 1), unit=" planets", leave=False, disable=None):
        planet = simulator.simulate_planet(SEED, number, 10, 10, priors)
        impact = simulator.draw_system(SEED, number, priors).impact
        impacts.append(impact)
        for pool, (spots, photons) in POOLS.items():
            ((_, found),) = estimates(trained, [part(planet, spots, photons)])
            error = np.mean(depth_error(planet.radii, found.radius, PPM))
            errors[pool].append((error, (found.radius - planet.radii) / found.sigma, found.impact - impact))
    return {pool: Found(*map(np.array, zip(*rows, strict=True))) for pool, rows in errors.items()}, np.array(impacts)


def cell(error: np.ndarray) -> str:
    """Mean score and its standard error."""
    return f"{PERFECT_SCORE - error.mean():.0f} +- {error.std() / np.sqrt(len(error)):.0f}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="transit-joint", help="a model that comes with the package")
    parser.add_argument("--planets", type=int, default=300, help="of the default population")
    parser.add_argument("--shifts", type=int, default=0, help="planets of each other population")
    options = parser.parse_args(arguments)
    trained = ariel_tf.load(options.model)
    found, impacts = measure(trained, HOME, options.planets)
    print(f"\n{options.planets} planets, seed {SEED}\n")
    print("| observations | score | impact < .8 | impact > .8 | median | within 1 sigma | within 1.96 | impact error |")
    print("|---|---|---|---|---|---|---|---|")
    for pool, one in found.items():
        low, size = impacts < 0.8, np.abs(one.deviations)
        print(
            f"| {pool} | {cell(one.error)} | {cell(one.error[low])} | {cell(one.error[~low])} | "
            f"{PERFECT_SCORE - np.median(one.error):.0f} | {(size < 1).mean():.1%} | {(size < 1.96).mean():.1%} | "
            f"{np.abs(one.impact_error).mean():.3f} |"
        )
    if options.shifts:
        # Few planets carry most of a mean, so that populations are compared by their median planet.
        print("\n| population | score, 1 | 8 | 100 | median loss in ppm (beside home), 1 | 8 | 100 | within 1 sigma |")
        print("|---|---|---|---|---|---|---|---|")
        home: dict[int, float] = {}
        for name, priors in SHIFTS.items():
            found, _ = measure(trained, priors, options.shifts)
            loss = {pool: float(np.median(one.error)) for pool, one in found.items()}
            home = home or loss
            cells = " | ".join(cell(one.error) for one in found.values())
            ratios = " | ".join(f"{loss[pool]:.0f} ({loss[pool] / home[pool]:.2f})" for pool in POOLS)
            print(f"| {name} | {cells} | {ratios} | {(np.abs(found[100].deviations) < 1).mean():.1%} |", flush=True)


if __name__ == "__main__":
    main()

"""Scores of the reference estimators on simulated planets, held out by planet.

    python -m benchmarks.simulator_references --planets 1000 --seeds 3

Every fifth planet is held out; each has 2 spot x 4 photon-noise instances. Scores are unweighted.
"""

import argparse

import numpy as np

from ariel_tf.challenge import N_WAVELENGTHS, score
from ariel_tf.physics.references import N_BINS, constant, folded_bins, median_depth
from ariel_tf.physics.regression import Ridge
from ariel_tf.physics.simulator import Priors, simulate_planet

SPOTS, PHOTONS = 2, 4


def scores(seed: int, planets: int, priors: Priors) -> dict[str, tuple[float, float]]:
    """Return each estimator's score, of single observations and of the median over a planet's."""
    n = SPOTS * PHOTONS
    own = np.empty((N_WAVELENGTHS, planets, n, N_BINS), np.float32)
    white = np.empty((planets, n, N_BINS), np.float32)
    medians = np.empty((planets, n, N_WAVELENGTHS))
    radii = np.empty((planets, N_WAVELENGTHS))
    for number in range(planets):
        planet = simulate_planet(seed, number, SPOTS, PHOTONS, priors)
        own[:, number], white[number] = folded_bins(planet.flux), folded_bins(planet.white)
        medians[number], radii[number] = median_depth(planet.flux).T, planet.radii
    test = np.arange(planets) % 5 == 0
    truth = radii[test]

    def both(predictions: np.ndarray) -> tuple[float, float]:
        """Return scores of predictions float [planets held out, n, 55]."""
        single = score(np.broadcast_to(truth[:, None], predictions.shape), predictions)
        return single, score(truth, np.median(predictions, axis=1))

    def ridge(features: np.ndarray) -> tuple[float, float]:
        """Return scores of a ridge on features float [55, planets, n, p]."""
        p = features.shape[-1]
        train_radii = np.repeat(radii[~test], n, axis=0)
        model = Ridge().fit(features[:, ~test].reshape(N_WAVELENGTHS, -1, p), train_radii)
        predictions = model.predict(features[:, test].reshape(N_WAVELENGTHS, -1, p))
        return both(predictions.reshape(-1, n, N_WAVELENGTHS))

    beside = np.broadcast_to(white, own.shape)
    return {
        "best constant": both(np.broadcast_to(constant(radii[~test]), (len(truth), n, N_WAVELENGTHS))),
        "square root of median depth": both(medians[test]),
        "ridge, own curve": ridge(own),
        "ridge, own curve and white light": ridge(np.concatenate([own, beside], axis=-1)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--planets", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    populations = {
        "default priors": Priors(),
        "no grazing, no short transit (impact < .7, 80 minutes and more)": Priors(impact_high=0.7, duration_low=80.0),
    }
    for name, priors in populations.items():
        sets = [scores(seed, options.planets, priors) for seed in range(1, options.seeds + 1)]
        print(f"\n{name}:\n")
        print("| estimator | single observation, each set | median over a planet's, each set |\n|---|---|---|")
        for estimator in sets[0]:
            columns = [", ".join(f"{one[estimator][i]:.0f}" for one in sets) for i in (0, 1)]
            print(f"| {estimator} | {columns[0]} | {columns[1]} |")


if __name__ == "__main__":
    main()

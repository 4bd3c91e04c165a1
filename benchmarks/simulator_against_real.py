"""Compare the simulator's population with the whole real training set's statistics, as a table and a plot.

    python -m benchmarks.simulator_against_real [REAL_DIR] --seeds 8 --picture docs/simulator_against_real.png

REAL_DIR contains `statistics/` (flux_mean.txt, flux_std.txt over all 125,600 files; targets of the 2019 edition) and a
few real files; default: the environment's ARIEL_REAL_DATA, else ../shared/real beside the repository. Several seeds
give several sets of as many planets as the real one: their scatter is the sampling error of the real set too.
"""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, STAR_NAMES, WAVELENGTHS_UM
from ariel_tf.core.figures import saved_figure
from ariel_tf.physics.detector import RAMP
from ariel_tf.physics.simulator import Priors, simulate_planet

QUIET = np.r_[28:40, 256:300]  # steps after the ramp and outside all transits, also those of huge planets
FULL = np.arange(140, 157)  # steps in transit
WIDTH_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
RADIUS_BANDS = (0, 10, 54)
# The real training set's 1,256 stars: mean and standard deviation of the six header values.
REAL_STARS = np.array([[4911, 983], [4.56, 0.30], [0.84, 0.40], [0.80, 0.31], [10.52, 1.63], [6.40, 6.00]])


@dataclass(frozen=True, eq=False)
class Population:
    """A set of observations, pooled."""

    mean: np.ndarray  # float64 [55, 300], flux
    std: np.ndarray  # float64 [55, 300], over all observations
    stars: np.ndarray  # float64 [6, 2], mean and standard deviation over planets
    radii: np.ndarray  # float64 [n planets, 3], Rp/Rs at `RADIUS_BANDS`


Measure = Callable[[Population], float]


class Row(NamedTuple):
    quantity: str
    real: float
    simulated: np.ndarray  # float64 [seeds]

    @property
    def ratio(self) -> float:
        return float(self.simulated.mean() / self.real)


def read_real(folder: Path) -> Population:
    """Return the real training set's statistics. The set's radii are unknown: the 2019 edition's are used instead."""
    statistics = folder / "statistics"
    return Population(
        mean=np.loadtxt(statistics / "flux_mean.txt"),
        std=np.loadtxt(statistics / "flux_std.txt"),
        stars=REAL_STARS,
        radii=np.loadtxt(statistics / "relative_radii_2019_w0_w10_w54.csv", delimiter=",", skiprows=1),
    )


def simulate(seed: int, planets: int, priors: Priors, spots: int = 2, photons: int = 2) -> Population:
    """Return a simulated set, pooled in float64 about 1 so that nothing cancels."""
    total = np.zeros((N_WAVELENGTHS, N_STEPS))
    squares = np.zeros_like(total)
    stars, radii = [], []
    for number in range(planets):
        planet = simulate_planet(seed, number, spots, photons, priors)
        dip = planet.flux.astype(np.float64) - 1
        total += dip.sum(axis=1)
        squares += np.einsum("wnt,wnt->wt", dip, dip)
        stars.append(planet.star)
        radii.append(planet.radii[list(RADIUS_BANDS)])
    n = planets * spots * photons
    mean = total / n
    columns = np.array(stars)
    return Population(
        mean=1 + mean,
        std=np.sqrt(squares / n - mean**2),
        stars=np.stack([columns.mean(axis=0), columns.std(axis=0)], axis=1),
        radii=np.array(radii),
    )


def mean_depth(population: Population) -> np.ndarray:
    """Return the mean dip over the steps in transit, float64 [55]."""
    return population.mean[:, QUIET].mean(axis=1) - population.mean[:, FULL].mean(axis=1)


def scatter(population: Population) -> np.ndarray:
    """Return the standard deviation outside transit, float64 [55]."""
    return np.sqrt((population.std[:, QUIET] ** 2).mean(axis=1))


def extra_deviation(population: Population) -> np.ndarray:
    """Return what transits add to the standard deviation, in quadrature, float64 [55]."""
    inside = (population.std[:, FULL] ** 2).mean(axis=1)
    return np.sqrt(np.maximum(inside - scatter(population) ** 2, 0))


def dip_curve(population: Population) -> np.ndarray:
    """Return the mean dip over all wavelengths, 1 in transit and 0 outside, float64 [300]."""
    curve = population.mean.mean(axis=0)
    quiet = curve[QUIET].mean()
    return (quiet - curve) / (quiet - curve[FULL].mean())


def compare(real: Population, sets: list[Population]) -> list[Row]:
    """Return every row of the table."""
    quantities: list[tuple[str, Measure]] = []
    bands = (0, 2, 10, 25, 45, 54)
    quantities += [(f"mean depth, steps 140-156, wavelength {w}", at(mean_depth, w)) for w in bands]
    quantities += [(f"extra standard deviation in transit, wavelength {w}", at(extra_deviation, w)) for w in bands]
    quantities += [
        (f"steps where the mean dip exceeds {level:.0%} of its depth", width(level)) for level in WIDTH_LEVELS
    ]
    quantities += [(f"scatter out of transit, wavelength {w}", at(scatter, w)) for w in (0, 2, 10, 25, 43, 54)]
    for i, name in enumerate(STAR_NAMES):
        quantities.append((f"{name}: mean", at(lambda p: p.stars[:, 0], i)))
        quantities.append((f"{name}: standard deviation", at(lambda p: p.stars[:, 1], i)))
    for i, w in enumerate(RADIUS_BANDS):
        for percent in (5, 50, 95):
            quantities.append((f"radius, {percent} % (2019 targets), wavelength {w}", radius_percentile(percent, i)))
    for step in (0, 4):
        quantities.append((f"ramp: mean flux at step {step}", at(lambda p: p.mean.mean(axis=0), step)))
    return [Row(name, of(real), np.array([of(one) for one in sets])) for name, of in quantities]


def at(curve: Callable[[Population], np.ndarray], index: int) -> Measure:
    """Return one value of a curve."""
    return lambda population: float(curve(population)[index])


def width(level: float) -> Measure:
    """Return the number of steps where the mean dip is deeper than a share of its depth."""
    return lambda population: float((dip_curve(population)[28:] > level).sum())


def radius_percentile(percent: float, column: int) -> Measure:
    return lambda population: float(np.percentile(population.radii[:, column], percent))


def table(rows: list[Row]) -> str:
    """Return Markdown: each quantity, real and simulated (mean over seeds +- scatter of one set)."""
    lines = ["| quantity | real | simulated | ratio | within 10 % |", "|---|---|---|---|---|"]
    for row in rows:
        error = row.simulated.std(ddof=1) if len(row.simulated) > 1 else float("nan")
        verdict = "yes" if abs(row.ratio - 1) <= 0.1 else "**no**"
        lines.append(
            f"| {row.quantity} | {row.real:.4g} | {row.simulated.mean():.4g} ± {error:.2g} "
            f"| {row.ratio:.2f} | {verdict} |"
        )
    return "\n".join(lines)


def autocorrelation(folder: Path, seed: int, priors: Priors) -> tuple[float, float]:
    """Return the lag-1 autocorrelation of flux outside transit: available real files, and 20 simulated planets."""
    files = sorted(folder.glob("noisy_*/*.txt"))
    real = [_lag_1(np.loadtxt(file)) for file in files]
    simulated = [_lag_1(simulate_planet(seed, n, 1, 1, priors).flux[:, 0]) for n in range(20)]
    return float(np.mean(real)) if real else float("nan"), float(np.mean(simulated))


def _lag_1(flux: np.ndarray) -> float:
    """Return the mean over the wavelengths of one file, float [55, 300]."""
    noise = flux[:, QUIET] - flux[:, QUIET].mean(axis=1, keepdims=True)
    neighbours = np.diff(QUIET) == 1
    products = (noise[:, :-1] * noise[:, 1:])[:, neighbours]
    return float((products.mean(axis=1) / (noise**2).mean(axis=1)).mean())


def draw(real: Population, sets: list[Population], path: Path) -> None:
    """Draw mean and deviation, by wavelength and by step, real and simulated."""
    panels: list[tuple[str, str, np.ndarray, Callable[[Population], np.ndarray]]] = [
        ("mean depth in transit", "wavelength (µm)", np.array(WAVELENGTHS_UM), mean_depth),
        ("extra standard deviation in transit", "wavelength (µm)", np.array(WAVELENGTHS_UM), extra_deviation),
        ("scatter out of transit", "wavelength (µm)", np.array(WAVELENGTHS_UM), scatter),
        ("mean dip, all wavelengths (1 = full depth)", "step", np.arange(28, N_STEPS), lambda p: dip_curve(p)[28:]),
        ("standard deviation, wavelength 10", "step", np.arange(28, N_STEPS), lambda p: p.std[10, 28:]),
        ("ramp: mean flux, all wavelengths", "step", np.arange(28), lambda p: p.mean.mean(axis=0)[:28]),
    ]
    with saved_figure(path, 13, 7, dpi=160) as figure:
        axes = figure.subplots(2, 3)
        for axis, (title, label, x, of) in zip(axes.flat, panels, strict=True):
            curves = np.array([of(one) for one in sets])
            axis.fill_between(x, curves.min(axis=0), curves.max(axis=0), color="tab:orange", alpha=0.3, lw=0)
            axis.plot(x, curves.mean(axis=0), color="tab:orange", label="simulated (band: sets of different seeds)")
            axis.plot(x, of(real), color="black", lw=1, label="real")
            axis.set_title(title, fontsize=10)
            axis.set_xlabel(label)
            if "µm" in label:
                axis.set_xscale("log")
                axis.set_xticks([0.6, 1, 2, 3, 4, 6], ["0.6", "1", "2", "3", "4", "6"])
        axes[0, 0].legend(fontsize=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("ARIEL_REAL_DATA", Path(__file__).parents[1] / "../shared/real")
    parser.add_argument("real", nargs="?", type=Path, default=Path(default))
    parser.add_argument("--planets", type=int, default=1256, help="planets per simulated set (default: as real)")
    parser.add_argument("--seeds", type=int, default=4, help="simulated sets")
    parser.add_argument("--spots", type=int, default=2)
    parser.add_argument("--photons", type=int, default=2)
    parser.add_argument("--picture", type=Path, help="write the curves here (.png)")
    options = parser.parse_args()
    real, priors = read_real(options.real), Priors()
    sets = [
        simulate(seed, options.planets, priors, options.spots, options.photons) for seed in range(1, options.seeds + 1)
    ]
    print(table(compare(real, sets)))
    worst = np.abs(real.mean[:, :24].mean(axis=0) - RAMP[:24]).max()
    print(f"\nThe ramp differs from the real mean flux by at most {1e6 * worst:.0f} ppm in steps 0 to 23.")
    lag_real, lag_simulated = autocorrelation(options.real, 1, priors)
    white = -1 / len(QUIET)  # subtracting the mean makes neighbours differ a little
    print(
        f"Lag-1 autocorrelation of noise: real {lag_real:.3f}, simulated {lag_simulated:.3f}, white noise {white:.3f}."
    )
    if options.picture:
        draw(real, sets, options.picture)


if __name__ == "__main__":
    main()

"""Combine a planet's observations before inference: light curves are averaged, and results are averaged over spots.

    flux [55, n, 300] ── mean of all ──────────────────────▶ estimate ──▶ depth, sigma
                      └─ mean of each spot instance ▶ estimates ─ mean ─▶ depth
                                           the mean of both depths; sigma of the first

The noise of a mean of n observations is 1 / sqrt(n) of a single one's, and a noise-aware model extracts much more from
it than from n separate estimates. Spots differ between spot instances, so their estimates are averaged too; the mean of
both methods is better than either. Disturbances of light curves are corrected first (`physics.disturbances`). If the
estimate does not fit them, the planet may be on an eccentric orbit: other speeds are tried (`physics.goodness`).
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import numpy as np

from ariel_tf.challenge import WAVELENGTHS_UM
from ariel_tf.core.errors import NonFiniteError, UsageError
from ariel_tf.data.planets import WAVELENGTH_COLUMNS
from ariel_tf.physics.disturbances import Disturbances, steadied
from ariel_tf.physics.goodness import Fit, curves_of, likelier_speed, star_of_speed
from ariel_tf.planet import Planet, band_scatter
from ariel_tf.runs.prediction_input import planets_in, refuse_bounds

if TYPE_CHECKING:
    import pandas as pd


# Error of the mean of both methods relative to that of the estimate from the mean of all observations, whose sigma is
# used. From 150 planets of the default population (seed 5150): .96 at 8 observations, .90 at 100.
SIGMA_OF_BOTH = 0.93


class Pools(NamedTuple):
    """Rows of a planet to predict: flux float32 [rows, 55, 300], all observations first, and star [rows, 6]."""

    flux: np.ndarray
    star: np.ndarray


class Estimate(NamedTuple):
    """The estimate from all of a planet's observations.

    Attributes:
        radius: Rp/Rs, float64 [55].
        sigma: standard deviation of the radius, float64 [55].
        impact: impact parameter, stellar radii.
        disturbances: disturbances of its light curves.
        speed: speed of the planet relative to a circular orbit; 1 unless another one is certain.
        fit: fit of the transit, with the radii and the impact parameter, to the mean light curves.
    """

    radius: np.ndarray
    sigma: np.ndarray
    impact: float
    disturbances: Disturbances | None = None
    speed: float = 1.0
    fit: Fit | None = None


class Uncertain(Protocol):
    """A model with uncertainty, such as a `Predictor` of one."""

    @property
    def targets(self) -> tuple[int, ...]:
        """Wavelengths that the model predicts."""

    def call_uncertain(self, flux: np.ndarray, star: np.ndarray) -> dict[str, np.ndarray]:
        """See `Predictor.call_uncertain`."""


class Spread(Protocol):
    """A run that predicts single observations and has an uncertainty, such as a `Predictor` of one."""

    @property
    def targets(self) -> tuple[int, ...]:
        """Wavelengths that the model predicts."""

    @property
    def spread(self) -> Any:
        """The uncertainty, `uncertainty.Uncertainty`."""

    def predict(self, flux: Any, star: Any = None, as_frame: bool | None = None) -> Any:
        """See `Predictor.predict`."""


def pools_of(planet: Planet) -> Pools:
    """Return the mean of all observations, and of each spot instance if there are several."""
    spots = np.unique(planet.instances[:, 0])
    means = [planet.flux.mean(axis=1, dtype=np.float64)]
    if len(spots) > 1:
        means += [planet.flux[:, planet.instances[:, 0] == spot].mean(axis=1, dtype=np.float64) for spot in spots]
    flux = np.stack(means).astype(np.float32)
    return Pools(flux, np.repeat(np.asarray(planet.star, np.float32)[None], len(flux), axis=0))


def combined(radius: np.ndarray, sigma: np.ndarray, impact: np.ndarray) -> Estimate:
    """Return the estimate of a planet from the predictions for its pools.

    Args:
        radius, sigma: predictions for the rows of `pools_of`, [rows, 55].
        impact: [rows, 1].
    """
    depth = np.square(np.asarray(radius, np.float64))
    several = len(depth) > 1
    both = np.sqrt((depth[0] + depth[1:].mean(axis=0)) / 2) if several else np.sqrt(depth[0])
    closer = SIGMA_OF_BOTH if several else 1.0
    return Estimate(both, closer * np.asarray(sigma[0], np.float64) * both / radius[0], float(impact[0, 0]))


def estimates(trained: Uncertain, planets: Iterable[Planet]) -> Iterator[tuple[Planet, Estimate]]:
    """Yield each planet with the estimate from all of its observations.

    Args:
        trained: a model with uncertainty.
        planets: planets with flux of all 55 wavelengths.

    Raises:
        UsageError: the model has no uncertainty.
        DataError: flux or star is out of its bounds.
        NonFiniteError: a prediction is not finite.
    """
    for planet in planets:
        yield planet, _estimate(trained, *steadied(planet))


def _estimate(trained: Uncertain, planet: Planet, disturbances: Disturbances) -> Estimate:
    """Return the estimate of a planet whose light curves have been corrected."""
    pools = pools_of(planet)
    refuse_bounds(pools.flux, pools.star)

    def answers(flux: np.ndarray, stars: np.ndarray) -> dict[str, np.ndarray]:
        parts = trained.call_uncertain(flux, stars.astype(np.float32))
        if not all(np.isfinite(values).all() for values in parts.values()):
            raise NonFiniteError(f"the prediction for planet {planet.number:04d} is not finite.")
        return parts

    def of_all(stars: np.ndarray) -> list[tuple[np.ndarray, float]]:
        parts = answers(np.repeat(pools.flux[:1], len(stars), axis=0), stars)
        return [(radius, float(impact[0])) for radius, impact in zip(parts["radius"], parts["impact"], strict=True)]

    found = combined(**answers(*pools))
    curves = curves_of(planet)
    speed, fitted = likelier_speed(curves, planet.star, (found.radius, found.impact), of_all)
    if speed != 1:
        found = combined(**answers(pools.flux, np.repeat(star_of_speed(planet.star, speed)[None], len(pools.flux), 0)))
    sigma = found.sigma * disturbances.redness
    if disturbances.lost.any():  # such a band may be anywhere in the planet's spectrum
        spread = found.radius[~disturbances.lost].std()
        sigma = np.where(disturbances.lost, np.hypot(sigma, spread), sigma)
    return found._replace(sigma=sigma, disturbances=disturbances, speed=speed, fit=fitted)


def medians(trained: Spread, planets: Iterable[Planet]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield each planet's number, the median of a run's predictions for its observations, and their sigma, [targets].

    Args:
        trained: a run whose uncertainty is known.
        planets: planets with flux of all 55 wavelengths.
    """
    spread = trained.spread
    for planet in planets:
        radii = trained.predict([planet], as_frame=False)
        noise = np.asarray(band_scatter(planet.flux)[:, list(trained.targets)], np.float64)
        if len(noise) != len(radii):  # a row of the model combines several observations
            noise = np.broadcast_to(noise.mean(axis=0), radii.shape)
        sigma = np.median(spread.of_observations(radii, noise), axis=0) * spread.of_several(len(radii))
        yield planet.number, np.median(radii, axis=0), sigma


def table(trained: Uncertain | Spread, planets: Any) -> "pd.DataFrame":
    """Return the estimates as a DataFrame; see `Predictor.measure`."""
    import pandas as pd

    given = planets_in(planets)
    if given is None:
        raise UsageError(f"measure: expected planets, as ariel_tf.open_data yields. Received: {type(planets).__name__}")
    um = [WAVELENGTHS_UM[target] for target in trained.targets]
    columns: list[tuple[str, Any]] = [*(("radius", one) for one in um), *(("sigma", one) for one in um)]
    rows, numbers = [], []
    if getattr(trained, "spread", None) is not None:
        for number, radius, sigma in medians(cast(Spread, trained), given):
            rows.append([*radius, *sigma])
            numbers.append(number)
    else:
        columns.append(("impact", ""))
        for planet, found in estimates(cast(Uncertain, trained), given):
            rows.append([*found.radius, *found.sigma, found.impact])
            numbers.append(planet.number)
    head = pd.MultiIndex.from_tuples(columns, names=["quantity", WAVELENGTH_COLUMNS])
    return pd.DataFrame(np.reshape(rows, (-1, len(columns))), pd.Index(numbers, name="planet"), head)

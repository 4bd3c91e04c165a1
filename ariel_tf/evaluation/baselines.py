"""Reference estimators, from naive to the physical limit, for the planets on which a model is scored.

| name | description | learned from the training planets |
|---|---|---|
| constant | the constant with the best score | that constant |
| median-depth | square root of the median dip about mid-transit | nothing |
| ridge, ridge+white | ridge regression of depth on the folded light curve, own, or own and white | its coefficients |
| ridge-501 | ridge regression of the radii on 501 features of a spot instance (`ridge_501`) | its coefficients |
| transit-fit | least squares of a transit with known orbit, band by band | nothing |
| transit-fit+shape | the same with a Gaussian prior over spectra | the prior |
| photon-limit | the expected loss of an unbiased fit, due to photon noise | nothing |
| photon-limit+shape | the same with that prior | the prior |
| bayes-limit | the same with unknown impact parameter, limb darkening and spots (`bayes_limit`) | the prior |

Fits and limits use the orbit (sma and incl, which the challenge gives for training planets only); models do not. Fits
combine a planet's observations by fitting all at once, ridge-501 by the mean over its spot instances, the others by the
median.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ariel_tf.challenge import N_WAVELENGTHS, PPM, depth_error
from ariel_tf.core.errors import DataError
from ariel_tf.evaluation import ridge_501
from ariel_tf.evaluation.losses import Losses
from ariel_tf.evaluation.ridge_501 import Ridge501
from ariel_tf.physics import bayes_limit, references, transit_fit
from ariel_tf.physics.regression import Ridge
from ariel_tf.physics.spectral_shape import SpectralShape
from ariel_tf.planet import Planet, noise_free_bands, noisy_mean, planet_weights

NAMES = (
    "constant",
    "median-depth",
    "ridge",
    "ridge+white",
    "ridge-501",
    "transit-fit",
    "transit-fit+shape",
    "photon-limit",
    "photon-limit+shape",
    "bayes-limit",
)
LIMITS = ("photon-limit", "photon-limit+shape", "bayes-limit")  # losses without predictions
# One line each, for tables and pages.
DESCRIPTIONS = {
    "constant": "the best constant of the training planets",
    "median-depth": "square root of the median dip",
    "ridge": "ridge regression on the band's folded light curve",
    "ridge+white": "ridge regression on the band's and white light",
    "ridge-501": "the hackathons' ridge regression on 501 features",
    "transit-fit": "transit with known orbit, fitted band by band",
    "transit-fit+shape": "transit fit with a prior over spectra",
    "photon-limit": "limit of photon noise, band by band",
    "photon-limit+shape": "limit of photon noise with a prior over spectra",
    "bayes-limit": "the same, with orbit, limb darkening and spots unknown",
}
# Order of importance, for tables without space for all.
MOST_INFORMATIVE = (
    "bayes-limit", "photon-limit+shape", "transit-fit+shape", "constant", "ridge-501", "ridge+white", "transit-fit",
    "photon-limit", "ridge", "median-depth",
)  # fmt: skip
EXPECTED_ERROR = np.sqrt(2 / np.pi)  # mean |x| of a Gaussian of standard deviation 1
# Maximum number of training rows of a ridge: 54 coefficients need no more, and 125,600 rows of 55 wavelengths are 750
# MB.
RIDGE_ROWS = 20000


class Radii(NamedTuple):
    """An estimate of one planet: float64 [n, w] from each observation, [w] from all together."""

    single: np.ndarray
    together: np.ndarray


class BaselineTrainer:
    """Fits what the baselines need from the training planets, each on first use.

    Args:
        names: names of the baselines.
        planets: labelled planets; iterated once.
        wavelengths: indices of the scored wavelengths.
        rows: number of observations of all `planets` together.
    """

    def __init__(self, names: Sequence[str], planets: Iterable[Planet], wavelengths: Sequence[int], rows: int):
        self.wavelengths = list(wavelengths)
        self._names = set(names)
        self._every = -(-rows // RIDGE_ROWS)
        radii: list[np.ndarray] = []
        self._own: list[np.ndarray] = []  # [w, n, bins] of each planet
        self._white: list[np.ndarray] = []  # [n, bins]
        self._rows_501: list[np.ndarray] = []  # [spots, features]
        rows_before = 0
        for planet in planets if self._names - {"median-depth", "transit-fit", "photon-limit"} else ():
            radii.append(planet.radii)
            if {"ridge", "ridge+white"} & self._names:
                rows_taken = slice(-rows_before % self._every, None, self._every)
                rows_before += len(planet.instances)
                self._own.append(
                    references.folded_bins(planet.flux[self.wavelengths][:, rows_taken]).astype(np.float32)
                )
                self._white.append(references.folded_bins(planet.white[rows_taken]).astype(np.float32))
            if "ridge-501" in self._names:
                self._rows_501.append(ridge_501.features(planet)[0])
        self._radii = np.array(radii).reshape(-1, N_WAVELENGTHS)

    @cached_property
    def constant(self) -> np.ndarray:
        return references.constant(self._radii[:, self.wavelengths])

    @cached_property
    def shape(self) -> SpectralShape:
        if len(self._radii) < 2:
            raise DataError(f"a prior over spectra needs two training planets or more. Received: {len(self._radii)}")
        return SpectralShape.learnt(self._radii)

    def ridge_features(self, own: np.ndarray, white: np.ndarray, with_white: bool) -> np.ndarray:
        """Return features [w, n, features] from the bands' bins [w, n, bins] and optionally white light's [n, bins]."""
        return np.concatenate([own, np.broadcast_to(white, own.shape)], axis=-1) if with_white else own

    @cached_property
    def ridges(self) -> dict[str, Ridge]:
        own, white = np.concatenate(self._own, axis=1), np.concatenate(self._white)
        counts = [len(one) for one in self._white]
        radii = np.repeat(self._radii[:, self.wavelengths], counts, axis=0)
        return {
            name: Ridge().fit(self.ridge_features(own, white, name == "ridge+white"), radii)
            for name in ("ridge", "ridge+white")
            if name in self._names
        }

    @cached_property
    def ridge_501(self) -> Ridge501:
        radii = np.repeat(self._radii, [len(rows) for rows in self._rows_501], axis=0)
        return Ridge501().fit(np.concatenate(self._rows_501), radii)


class PlanetBaselines:
    """Predictions and losses of every baseline on one planet."""

    def __init__(self, planet: Planet, trainer: BaselineTrainer):
        self.planet, self.trainer = planet, trainer

    def losses(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return depth errors in ppm: float64 [w], the mean over single observations, and of all combined."""
        if name in LIMITS:
            single, together = self._limit(name)
            return PPM * EXPECTED_ERROR * single.mean(axis=0), PPM * EXPECTED_ERROR * together
        true = self.planet.radii[self.trainer.wavelengths]
        radii = self.radii(name)
        return depth_error(true, radii.single, PPM).mean(axis=0), depth_error(true, radii.together, PPM)

    def radii(self, name: str) -> Radii:
        """Return predicted radii of a baseline; limits have none."""
        planet, trainer = self.planet, self.trainer
        if name == "constant":
            single = np.broadcast_to(trainer.constant, (len(planet.instances), len(trainer.wavelengths)))
        elif name == "median-depth":
            single = references.median_depth(planet.flux[trainer.wavelengths]).T
        elif name == "ridge-501":
            return Radii(*trainer.ridge_501.radii(planet, trainer.wavelengths))
        elif name.startswith("ridge"):
            own, white = references.folded_bins(planet.flux[trainer.wavelengths]), references.folded_bins(planet.white)
            single = trainer.ridges[name].predict(trainer.ridge_features(own, white, name == "ridge+white"))
        else:
            alone, together = (self._fitted(depths, name.endswith("+shape")) for depths in self._fit)
            return Radii(alone, together[0])
        return Radii(single, np.median(single, axis=0))

    def _fitted(self, depths: transit_fit.Depths, with_shape: bool) -> np.ndarray:
        radii = self.trainer.shape.most_probable(*depths) if with_shape else depths.radii
        return radii[:, self.trainer.wavelengths]

    @cached_property
    def _fit(self) -> tuple[transit_fit.Depths, transit_fit.Depths]:
        return transit_fit.fit(self.planet)

    @cached_property
    def _errors(self) -> np.ndarray:
        return transit_fit.standard_errors(self.planet)

    def _limit(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return standard errors of the depth: float64 [n, w] from each observation, and [w] from all together.

        They are bounded by the loss of the prediction 0, so a band without information costs no more than that.
        """
        radii = self.planet.radii
        if name == "bayes-limit":
            errors = bayes_limit.standard_errors(self.planet, self.trainer.shape.precision)
            single, together = errors[:-1], errors[-1:]
        else:
            single = self._errors
            with np.errstate(divide="ignore"):
                together = 1 / np.sqrt(np.sum(1 / single**2, axis=0, keepdims=True))
            if name.endswith("+shape"):
                single, together = (self.trainer.shape.standard_errors(radii, error) for error in (single, together))
        largest = depth_error(radii, 0.0) / EXPECTED_ERROR
        columns = self.trainer.wavelengths
        return np.minimum(single, largest)[:, columns], np.minimum(together, largest)[0, columns]


def measure(names: Sequence[str], trainer: BaselineTrainer, planets: Iterable[Planet]) -> list[Losses]:
    """Return losses of each baseline on these planets."""
    each: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in names}
    numbers, rows, scatter = [], [], []
    for planet in planets:
        baselines = PlanetBaselines(planet, trainer)
        for name in names:
            each[name].append(baselines.losses(name))
        numbers.append(planet.number)
        rows.append(len(planet.instances))
        scatter.append(_mean_scatter(planet.scatter[:, trainer.wavelengths].astype(np.float64)))
    order = np.argsort(numbers)
    return [
        Losses(
            name,
            np.array(numbers)[order],
            tuple(trainer.wavelengths),
            np.array(rows)[order],
            np.stack([single for single, _ in each[name]])[order],
            np.stack([together for _, together in each[name]])[order],
            planet_weights(np.stack(scatter))[order],
        )
        for name in names
    ]


def _mean_scatter(scatter: np.ndarray) -> np.ndarray:
    """Return a planet's mean scatter over its observations, float64 [w], without noise-free bands."""
    if noise_free_bands(scatter).any():
        return noisy_mean(scatter, np.zeros(len(scatter), int), 1)[0]
    return scatter.mean(axis=0)  # rounds differently from a sum of rows

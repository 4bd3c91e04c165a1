"""A run's model as a predictor, for evaluation, prediction, combination and export.

`runs.loading` reads the folder, of any kind of run: the result is one Keras model, with the wavelengths that it
predicts, the light curves that it reads, and the folds of its training planets.
"""

import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, WAVELENGTHS_UM, Key
from ariel_tf.config.targets import Targets
from ariel_tf.core.atomic_files import sha256
from ariel_tf.core.errors import NonFiniteError, UsageError
from ariel_tf.data import dataset
from ariel_tf.data.folds import N_FOLDS
from ariel_tf.data.planets import WAVELENGTH_COLUMNS
from ariel_tf.data.selection import Selection
from ariel_tf.data.sources import Source
from ariel_tf.models.composite import Member, names_of, row_shape
from ariel_tf.planet import band_scatter, white_light
from ariel_tf.runs import loading, shipped
from ariel_tf.runs.committed import read_meta
from ariel_tf.runs.correlation import covariance_of, for_observations
from ariel_tf.runs.prediction_input import checked_arrays, planets_in, rows_of
from ariel_tf.runs.predictions import Predictions, predicted_rows
from ariel_tf.runs.run_facts import facts_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Predictor(loading.LoadedRun):
    """A run's model, with its inputs and training folds.

    It is called like a Keras model, but compiled: `trained({"flux": ..., "star": ...})`.

    Attributes:
        path: the run folder.
        configuration: content of `config.json`.
        fingerprint: fingerprint of the training data.
        model: Keras model, raw flux [batch, 300, channels] (and star [batch, 6]) to radii [batch, targets].
        signature: what the model reads and predicts.
        data: value of `--data`.
        folds: folds on which any part of it was trained, folds that selected an epoch, and folds that no part of it was
            given.
        uncertain: the same model with uncertainty, a Keras model to "radius", "sigma" and "impact"; None for most.
        spread: standard deviations of its predictions, from its errors for the validation planets; None for runs of
            earlier versions.
    """

    _compiled: dict[str, Any] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        count = len(self.targets)
        return f"Predictor({str(self.path)!r}): {self.model.name}, {count} wavelength{'s' * (count != 1)}"

    @classmethod
    def load(cls, *runs: Path | str) -> Self:
        """Read one run folder of any kind, or several that predict different wavelengths, as one predictor.

        Raises:
            UsageError: a folder is not a run or has no model yet, two runs predict the same wavelength, or their data
                or test folds differ.
            DataError: a model or a configuration differs from what the run saved.
        """
        return cls(**vars(loading.load(*runs)))

    @classmethod
    def of_ensemble(cls, path: Path, configuration: dict[str, Any], fingerprint: str, model: Any) -> Self:
        """Return an ensemble that is not saved yet."""
        return cls(path, configuration, fingerprint, model, *facts_of(path, configuration))

    @property
    def digest(self) -> str:
        """Return the SHA-256 over the model's file, or over the files of a list run."""
        if self.uncertain is not None:
            return self.fingerprint
        files = [self.path / "best.keras"]
        if not files[0].is_file():
            files = [self.path / Targets.one(wavelength).folder_name / "best.keras" for wavelength in self.targets]
        return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()

    @property
    def targets(self) -> tuple[int, ...]:
        """Wavelengths that the model predicts, in output order."""
        return self.signature.targets

    @property
    def member(self) -> Member:
        """Return the form in which a composition of several models takes this one."""
        return Member(str(self.path), self.model, self.signature)

    @functools.cached_property
    def trained_on(self) -> dict[str, list[float]]:
        """Return ranges of the training planets (`runs.domain`); empty if they are not recorded."""
        facts = shipped.card(self.path) if self.uncertain is not None else read_meta(self.path)
        return facts.get("trained_on", {})

    @property
    def inputs(self) -> list[Any]:
        return self.model.inputs

    def __call__(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Return radii [batch, targets] of raw light curves, through a graph that is traced once."""
        return self._call("call", self.model, inputs)

    def predict(self, flux: Any, star: Any = None, as_frame: bool | None = None) -> Any:
        """Predict radii of light curves in the challenge's layout, or of planets.

        Args:
            flux: [55, 300] of one observation or [n, 55, 300], relative to the quiet star. A model whose rows are
                whole planets takes [n, observations, 55, 300]. Or a `Planet`, several, or the `Data` of
                `ariel_tf.open_data`, whose flux and star are read.
            star: [6] or [n, 6], `challenge.STAR_PARAMETERS`, or a table with columns of these names; required only by
                models that read the star.
            as_frame: whether to return a DataFrame; by default for planets.

        Returns:
            Rp/Rs, float64 [targets] or [n, targets]; as a DataFrame with wavelengths in micrometres as columns, and as
            index (planet, spot, photon), with 0 for what a row combines, or the rows' numbers.

        Raises:
            UsageError: another shape, or a missing star.
            DataError: a value of flux or star is masked, not finite or out of its bounds, or the flux is not relative
                to the star.
            NonFiniteError: a prediction is not finite.
        """
        if (planets := planets_in(flux)) is None:
            radii = self._predict_arrays(flux, star)
            return self._table(np.arange(len(np.atleast_2d(radii))), radii) if as_frame else radii
        if star is not None:
            raise UsageError("predict: expected no star beside planets, which have their own.")
        keys, parts = [np.zeros((0, 3), int)], [np.zeros((0, len(self.targets)))]
        instances = row_shape(self.model)[:-1]
        for planet in planets:
            its_keys, its_flux, its_star = rows_of(planet, self.signature.row, instances[0] if instances else 1)
            keys.append(its_keys)
            parts.append(self._predict_arrays(its_flux, its_star))
        radii = np.concatenate(parts)
        return radii if as_frame is False else self._table(np.concatenate(keys), radii)

    def measure(self, planets: Any) -> "pd.DataFrame":
        """Measure radii of planets with uncertainties, from all observations of each together (`runs.pooling`).

        Args:
            planets: a `Planet`, several, or the `Data` of `ariel_tf.open_data`.

        Returns:
            one row per planet; columns ("radius", wavelength in um), ("sigma", wavelength), and, for a pretrained
            model, ("impact", ""). A trained run's radii are the medians of its predictions for the observations.

        Raises:
            UsageError: not planets, or the model has no uncertainty.
            DataError, NonFiniteError: as for `predict`.
        """
        from ariel_tf.runs.pooling import table

        if self.uncertain is None and self.spread is None:
            raise UsageError(
                f"{self.path}: the uncertainty of this run is not known. Expected a pretrained model, like "
                f"{shipped.DEFAULT}, or a run with 5 validation planets or more, trained by this version."
            )
        return table(self, planets)

    def covariance(self, sigma: Any, observations: int = 100) -> np.ndarray:
        """Return the covariance of radii between wavelengths, for standard deviations that `measure` returned.

        Args:
            sigma: [55] or [planets, 55], such as `measured["sigma"]`.
            observations: number of observations of each planet, 1 to 100.

        Returns:
            float64 [55, 55] or [planets, 55, 55], in units of Rp/Rs squared; `runs.correlation` has the formula.

        Raises:
            UsageError: the model has no correlation: it is a run, or its card does not contain one.
        """
        recorded = shipped.card(self.path).get("correlation") if self.uncertain is not None else None
        if recorded is None:
            raise UsageError(
                f"{self.path}: its errors have no known correlation between wavelengths; expected a pretrained model, "
                f"like {shipped.DEFAULT}."
            )
        sigma = np.asarray(sigma, np.float64)
        if sigma.shape[-1:] != (len(self.targets),) or sigma.ndim > 2 or observations < 1:
            raise UsageError(
                f"covariance: expected sigma [55] or [planets, 55] and 1 observation or more. Received: sigma of shape "
                f"{sigma.shape}, {observations} observations"
            )
        return covariance_of(for_observations(recorded, observations, len(self.targets)), sigma)

    def call_uncertain(self, flux: np.ndarray, star: np.ndarray) -> dict[str, np.ndarray]:
        """Return radius and sigma float64 [n, 55] and impact [n, 1] of light curves in the challenge's layout.

        Args:
            flux: float32 [n, 55, 300].
            star: float32 [n, 6].
        """
        if self.uncertain is None:
            raise UsageError(
                f"{self.path}: this model predicts single observations; expected a model with uncertainty, "
                f"like {shipped.DEFAULT}."
            )
        answers = self._call("uncertain", self.uncertain, {"flux": self.channels(flux), "star": star})
        return {name: np.asarray(values, np.float64) for name, values in answers.items()}

    def _call(self, name: str, model: Any, inputs: dict[str, Any]) -> Any:
        """Return a model's output through a graph that is traced once."""
        if name not in self._compiled:
            import tensorflow as tf

            self._compiled[name] = tf.function(lambda rows: model(rows, training=False), reduce_retracing=True)
        return self._compiled[name](inputs)

    def _table(self, rows: np.ndarray, radii: np.ndarray) -> "pd.DataFrame":
        """Return predictions as a DataFrame; rows are keys int [n, 3], or numbers int [n]."""
        import pandas as pd

        index = pd.Index(rows, name="row") if rows.ndim == 1 else pd.MultiIndex.from_arrays(rows.T, names=Key._fields)
        columns = pd.Index([WAVELENGTHS_UM[target] for target in self.targets], name=WAVELENGTH_COLUMNS)
        return pd.DataFrame(np.atleast_2d(radii), index, columns)

    def _predict_arrays(self, flux: Any, star: Any) -> np.ndarray:
        """Like `predict`, from arrays to an array."""
        needs_star = "star" in names_of(self.model)
        rows, stars, one = checked_arrays(flux, star, row_shape(self.model)[:-1], needs_star)
        inputs = {"flux": self.channels(rows)} | ({"star": stars} if needs_star else {})
        if not len(rows):
            return np.zeros((0, len(self.targets)))
        radii = np.asarray(self(inputs), np.float64)
        if not np.isfinite(radii).all():
            raise NonFiniteError(f"the prediction for row {int(np.argwhere(~np.isfinite(radii))[0, 0])} is not finite.")
        return radii[0] if one else radii

    def rows(
        self, source: Source, folds: Sequence[int] = range(N_FOLDS), part: slice = slice(None)
    ) -> Iterator[dict[str, Any]]:
        """Yield every row of these folds once, in NumPy batches with keys: the input of `predict_rows`.

        Args:
            source: source opened for the inputs of the signature.
            folds: all by default.
            part: batches to yield, by their numbers; all by default.
        """
        selection = Selection(tuple(folds), self.signature)
        return dataset.evaluation_batches(source, selection, dataset.prediction_batch_size(self.signature), part)

    def predict_rows(
        self, source: Source, folds: Sequence[int] = range(N_FOLDS), part: slice = slice(None)
    ) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        """Yield batches of rows and their predicted radii, float64 [batch, targets]; raises like `predicted_rows`.

        Args:
            source: source opened for the inputs of the signature.
            folds: all by default.
            part: batches to yield, by their numbers; all by default.
        """
        return predicted_rows(self, self.rows(source, folds, part))

    def predictions(self, source: Source, folds: Sequence[int] = range(N_FOLDS)) -> Predictions:
        """Return the predictions for every row of these folds, in memory; arguments as in `rows`."""
        return Predictions.collect(self, self.rows(source, folds))

    def channels(self, flux: np.ndarray) -> np.ndarray:
        """Return flux [n, ..., 55, 300] as the model's input: float32 [n, ..., 300, channels]."""
        seen = flux[..., list(self.signature.inputs), :]
        if self.signature.white_light:
            flat = flux.reshape(-1, N_WAVELENGTHS, N_STEPS)
            bands = flat.transpose(1, 0, 2)
            white = white_light(bands, band_scatter(bands))
            seen = np.concatenate([seen, white.reshape(*flux.shape[:-2], 1, N_STEPS)], axis=-2)
        return np.ascontiguousarray(np.moveaxis(seen, -1, -2))

"""Runs and baselines on the same planets: the numbers that `evaluate` prints and `report` draws.

runs ─▶ planets that all of them hold out ─▶ predictions ─▶ losses ─┐
data ─▶ training planets ─▶ references ───────────────────▶ losses ─┴─▶ Comparison: scores, intervals, differences
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ariel_tf.challenge import N_WAVELENGTHS, PPM, depth_error
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.core.resources import Progress
from ariel_tf.data.integrity import read_planets
from ariel_tf.data.sources import Source, open_source
from ariel_tf.evaluation import baselines, held_out
from ariel_tf.evaluation.calibration import Measured, gathered
from ariel_tf.evaluation.losses import Losses, Population
from ariel_tf.planet import Planet
from ariel_tf.runs.pooling import estimates
from ariel_tf.runs.predictions import Predictions
from ariel_tf.runs.predictor import Predictor

# Folds on which baselines are trained and scored if no run defines them.
TRAIN_FOLDS, TEST_FOLDS = tuple(range(8)), (9,)


@dataclass(frozen=True, eq=False)
class Entry:
    """A baseline or a run, with its losses on the comparison's planets and wavelengths."""

    losses: Losses

    @property
    def name(self) -> str:
        return self.losses.name


@dataclass(frozen=True, eq=False)
class RunEntry(Entry):
    """A run with its predictions.

    Attributes:
        trained: the loaded model.
        predictions: rows of the comparison's planets, columns of its wavelengths.
        measured: its planets with uncertainties; None for a model without.
    """

    trained: Predictor
    predictions: Predictions
    measured: Measured | None = None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Entries on the same planets and wavelengths.

    Attributes:
        entries: runs in the order given, then baselines.
        source: data set of the planets.
        folds: the folds that contain them.
        population: the planets.
        roles: by the name of a run, the role of the planets in its training.
        learnt_from: folds and data from which the baselines learned; empty without baselines.
    """

    entries: Sequence[Entry]
    source: Source
    folds: tuple[int, ...]
    population: Population
    roles: dict[str, str]
    learnt_from: str

    @property
    def runs(self) -> list[RunEntry]:
        return [entry for entry in self.entries if isinstance(entry, RunEntry)]

    @property
    def uncertain(self) -> dict[str, Measured]:
        """Return the measured planets of each run with uncertainty."""
        return {entry.name: entry.measured for entry in self.runs if entry.measured is not None}

    @property
    def references(self) -> list[Entry]:
        return [entry for entry in self.entries if not isinstance(entry, RunEntry)]

    def for_table(self, most: int = 6) -> list[Entry]:
        """Return the `most` entries for a table: runs first, then the most informative baselines."""
        order = [name for name in baselines.MOST_INFORMATIVE if name in {entry.name for entry in self.references}]
        by_name = {entry.name: entry for entry in self.references}
        return [*self.runs, *(by_name[name] for name in order)][:most]

    @property
    def wavelengths(self) -> tuple[int, ...]:
        return self.population.wavelengths

    @property
    def ladder(self) -> list[Entry]:
        """Return the entries from the worst to the best score of planets."""
        return sorted(self.entries, key=lambda entry: entry.losses.score("planet"))


def compare(
    paths: Sequence[Path],
    data: str | None = None,
    folds: tuple[int, ...] | None = None,
    against: Sequence[str] = (),
    wavelengths: tuple[int, ...] | None = None,
    learn_from: str | None = None,
) -> Comparison:
    """Score runs and baselines on planets that no run was trained on.

    Args:
        paths: run folders of any kind; may be empty if `data` and `against` are given.
        data: description of the data set, as for `--data`; None for the runs' own.
        folds: folds to score; None for all planets that all runs held out.
        against: names from `baselines.NAMES`.
        wavelengths: wavelengths to score; None for all that every run predicts.
        learn_from: data whose folds 0-7 train the baselines; None for the first run's training planets or, without
            a run, those of `data`.

    Raises:
        ArielError: an error that the user can mend, in one sentence.
    """
    each = [Predictor.load(path) for path in paths]
    description = data if data is not None else held_out.same_data(each)
    inputs = sorted({wavelength for trained in each for wavelength in trained.signature.inputs})
    source = open_source(description, inputs)
    _refuse(source, each, data)
    wavelengths = _common_wavelengths(each, wavelengths)
    if not each and learn_from is None:
        folds = folds or TEST_FOLDS
    planets = held_out.common(each, source, folds)
    read = tuple(sorted({source.folds[planet] for planet in planets}))
    teacher = _teacher(each, source, planets, learn_from) if against else None
    names = held_out.display_names(paths) if paths else []
    recorder = _PopulationRecorder()
    entries: list[Entry] = []
    for name, trained in zip(names, each, strict=True):
        predictions = _of_planets(
            Predictions.collect(trained, recorder.rows(trained, trained.rows(source, read))), planets
        )
        columns = [trained.targets.index(wavelength) for wavelength in wavelengths]
        entry = _entry(name, trained, predictions, columns, wavelengths)
        if trained.uncertain is not None:
            entry = _pooled(entry, source, read, columns)
        elif trained.spread is not None:
            planets_of, sigma = trained.spread.columns(columns).of_planets(entry.predictions)
            parts = (planets_of.keys[:, 0], planets_of.true, planets_of.predicted, sigma)
            entry = replace(entry, measured=Measured(*parts))
        entries.append(entry)
    learnt_from = ""
    if teacher is not None:
        trainer, learnt_from = _train_baselines(teacher, against, wavelengths)
        scored = (planet for planet in recorder.planets(source, read) if planet.number in planets)
        entries += [Entry(losses) for losses in baselines.measure(against, trainer, scored)]
    population = recorder.population(wavelengths).at(planets, wavelengths)
    roles = {name: held_out.evaluation_role(trained, source, read) for name, trained in zip(names, each, strict=True)}
    return Comparison(entries, source, read, population, roles, learnt_from)


def _refuse(source: Source, each: Sequence[Predictor], data: str | None) -> None:
    if not source.labelled:
        raise DataError(f"{source.description}: its radii are unknown; use `python -m ariel_tf.predict`.")
    if each and data is None and not held_out.is_own(each[0], source):
        raise DataError(
            f"{source.description}: changed since {each[0].path} was trained on it, so its planets may be in other "
            "folds. Name it with --data to score it as any other data."
        )


def _common_wavelengths(each: Sequence[Predictor], asked: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the requested wavelengths, which every run must predict; by default all that every run predicts."""
    wanted = set(range(N_WAVELENGTHS) if asked is None else asked)
    for trained in each:
        if asked is not None and (absent := wanted - set(trained.targets)):
            raise UsageError(f"--wavelength: {trained.path} does not predict {sorted(absent)}.")
        wanted &= set(trained.targets)
    if not wanted:
        raise UsageError("these runs predict no wavelength in common, so nothing can be compared.")
    return tuple(sorted(wanted))


def _of_planets(predictions: Predictions, planets: set[int]) -> Predictions:
    kept = np.isin(predictions.keys[:, 0], list(planets))
    parts = (predictions.keys, predictions.true, predictions.predicted, predictions.weights)
    return Predictions(*(part[kept] for part in parts))


def _entry(
    name: str, trained: Predictor, predictions: Predictions, columns: list[int], wavelengths: Sequence[int]
) -> RunEntry:
    parts = (predictions.true, predictions.predicted, predictions.weights)
    chosen = Predictions(predictions.keys, *(part[:, columns] for part in parts))
    return RunEntry(Losses.of(name, chosen, wavelengths), trained, chosen)


def _pooled(entry: RunEntry, source: Source, folds: Sequence[int], columns: list[int]) -> RunEntry:
    """Return the same entry with each planet predicted from all of its observations together, as `predict` does."""
    losses = entry.losses
    place = {int(number): row for row, number in enumerate(losses.planets)}
    errors = losses.planet.copy()
    rows: list[tuple[int, np.ndarray, np.ndarray, np.ndarray]] = []
    chosen = (planet for planet in _planets_with_progress(source, folds) if planet.number in place)
    for planet, found in estimates(entry.trained, chosen):
        errors[place[planet.number]] = depth_error(planet.radii, found.radius, PPM)[columns]
        rows.append((planet.number, planet.radii[columns], found.radius[columns], found.sigma[columns]))
    return replace(entry, losses=replace(losses, planet=errors), measured=gathered(rows))


def _teacher(
    each: Sequence[Predictor], source: Source, planets: set[int], learn_from: str | None
) -> tuple[Source, Sequence[int]]:
    """Return the source and the folds that train the baselines, without folds that contain a scored planet."""
    if learn_from is not None:
        taught, folds = open_source(learn_from, ()), TRAIN_FOLDS
        if not taught.labelled:
            raise DataError(f"--learn-from {taught.description}: its radii are unknown.")
    elif each and not held_out.is_own(each[0], source):
        taught, folds = open_source(held_out.own_data(each[0], "--learn-from"), ()), each[0].folds.train
        if not held_out.is_own(each[0], taught):
            raise DataError(
                f"{taught.description}: changed since {each[0].path} was trained on it; name the data "
                "that the references are fitted to with --learn-from."
            )
    else:
        taught, folds = source, each[0].folds.train if each else TRAIN_FOLDS
    scored = held_out.same_planets(taught, source) & planets
    folds = tuple(fold for fold in folds if fold not in {taught.folds[planet] for planet in scored})
    if not taught.observations(folds):
        raise DataError(
            f"{taught.description}: holds no planet in folds {_listed(folds)} to fit the references to; "
            "name other data with --learn-from."
        )
    return taught, folds


def _train_baselines(
    teacher: tuple[Source, Sequence[int]], against: Sequence[str], wavelengths: Sequence[int]
) -> tuple[baselines.BaselineTrainer, str]:
    taught, folds = teacher
    trainer = baselines.BaselineTrainer(
        against, _planets_with_progress(taught, folds), wavelengths, taught.observations(folds)
    )
    return trainer, f"folds {_listed(folds)} of {taught.description}"


def _planets_with_progress(source: Source, folds: Sequence[int]) -> Iterator[Planet]:
    """Yield whole planets, with a progress bar."""
    with Progress(sum(fold in folds for fold in source.folds.values()), "planet") as progress:
        for planet in read_planets(source, folds):
            yield planet
            progress(1)


def _listed(folds: Sequence[int]) -> str:
    """Format folds: 0-7, or 0, 2, 5."""
    if len(folds) > 2 and list(folds) == list(range(folds[0], folds[-1] + 1)):
        return f"{folds[0]}-{folds[-1]}"
    return ", ".join(map(str, folds)) or "none"


class _PopulationRecorder:
    """Records stars and radii of the planets that are passed on to a model or a baseline."""

    def __init__(self) -> None:
        self._planets: dict[int, tuple[np.ndarray, dict[int, float]]] = {}

    def _note(self, number: int, star: np.ndarray, wavelengths: Sequence[int], radii: np.ndarray) -> None:
        known = self._planets.setdefault(number, (star, {}))[1]
        known.update(zip(wavelengths, map(float, radii), strict=True))

    def rows(self, trained: Predictor, batches: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for rows in batches:
            numbers, first = np.unique(rows["key"][:, 0], return_index=True)
            for number, row in zip(numbers, first, strict=True):
                self._note(int(number), rows["star"][row], trained.targets, rows["radius"][row])
            yield rows

    def planets(self, source: Source, folds: Sequence[int]) -> Iterator[Any]:
        for planet in _planets_with_progress(source, folds):
            self._note(planet.number, planet.star, range(N_WAVELENGTHS), planet.radii)
            yield planet

    def population(self, wavelengths: Sequence[int]) -> Population:
        numbers = np.array(sorted(self._planets))
        star = np.stack([self._planets[number][0] for number in numbers])
        radii = [[self._planets[number][1][wavelength] for wavelength in wavelengths] for number in numbers]
        return Population.of(numbers, wavelengths, star, np.array(radii))

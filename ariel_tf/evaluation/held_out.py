"""Planets of a data set that a run may be scored on: those that its training did not use."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.folds import assign_folds
from ariel_tf.data.integrity import read_planet
from ariel_tf.data.manifest import MANIFEST_NAME, Manifest
from ariel_tf.data.remote import is_remote, refuse_unnamed
from ariel_tf.data.sources import SIMULATED, Source, open_source
from ariel_tf.data.sources.simulated import Recipe
from ariel_tf.data.text.folders import text_folders
from ariel_tf.planet import Planet
from ariel_tf.runs.predictor import Predictor
from ariel_tf.runs.shipped import is_pretrained


def is_own(trained: Predictor, source: Source) -> bool:
    """Whether a source is the data set that a run was trained on, wherever it is stored now."""
    return source.fingerprint == trained.fingerprint


def held_out(trained: Predictor, source: Source) -> set[int]:
    """Return planets of the source that neither trained the model nor selected its best epoch.

    In the run's own data these are its test folds. Other data are assumed to contain other planets, unless both come
    from the simulator with the same seed, or planets of the same number are equal in both, as in text files and the
    shards converted from them: planet 7 is then the same planet in both, whatever their numbers of planets.
    """
    if is_own(trained, source):
        return {planet for planet, fold in source.folds.items() if fold in trained.folds.test}
    return _not_trained_on(trained, source, _folds_if_equal(trained.data, source) or {})


def _not_trained_on(trained: Predictor, source: Source, known: Mapping[int, int]) -> set[int]:
    """Return planets of the source that are in no fold, or in a test fold, of the data that a run was trained on."""
    return {planet for planet in source.folds if known.get(planet) in (None, *trained.folds.test)}


def _folds_if_equal(description: str, source: Source) -> Mapping[int, int] | None:
    """Return the fold of each planet of the data that a run was trained on, if the source contains the same planets.

    Without the seeds of two simulations, the stars and light curves of up to three planets of the same number are
    compared.

    Args:
        description: value of `--data` of the run; only simulations and folders on this machine are read.
        source: other data.

    Returns:
        fold by planet number; empty if the planets differ, None if that is unknown.
    """
    before = simulation(description)
    if before is not None and (now := simulation(source.description)) is not None:
        return before.folds if before.seed == now.seed else {}
    if any(map(is_remote, (description, source.description))):
        return None
    try:
        if before is None and not _is_folder_of_planets(Path(description)):
            return None
        trained_on = open_source(description, ())
        return trained_on.folds if same_planets(trained_on, source) else {}
    except (UsageError, DataError, OSError):  # moved, changed or damaged since
        return None


def _is_folder_of_planets(path: Path) -> bool:
    return (path / MANIFEST_NAME).is_file() or text_folders(path) is not None


def _equal(one: Planet, other: Planet) -> bool:
    """Whether the star, and the light curves of an observation that both hold, are the same numbers."""
    shared = sorted({*one.keys} & {*other.keys})
    if not shared or not np.allclose(one.star, other.star):
        return False
    curves, others = (planet.flux[:, planet.keys.index(shared[0])] for planet in (one, other))
    return np.array_equal(curves, others)


class Simulation(NamedTuple):
    """The simulated planets in a data set: the seed, and the fold of each planet."""

    seed: int
    folds: Mapping[int, int]


def simulation(description: str) -> Simulation | None:
    """Return the simulated planets of a source or of `pipelines.simulate`; None for other data."""
    if description.split(":")[0] == SIMULATED:
        recipe = Recipe.parse(description)
        return Simulation(recipe.seed, assign_folds(range(1, recipe.planets + 1), recipe.seed))
    if is_remote(description) or not (Path(description) / MANIFEST_NAME).is_file():
        return None
    manifest = Manifest.read(description)
    if manifest.source.get("kind") != "simulated" or type(manifest.source.get("seed")) is not int:
        return None
    return Simulation(manifest.source["seed"], manifest.planets)


def same_planets(one: Source, other: Source) -> set[int]:
    """Return numbers of planets that are identical in both.

    These are the numbers in both, if the data are the same, were simulated with the same seed, or if any of up to three
    planets on this machine is equal in both.
    """
    shared = set(one.folds) & set(other.folds)
    a, b = simulation(one.description), simulation(other.description)
    if one.fingerprint == other.fingerprint:
        return shared
    if a is not None and b is not None:
        return shared if a.seed == b.seed else set()
    if any(is_remote(source.description) for source in (one, other)):
        return set()
    ordered = sorted(shared)
    tried = sorted({*ordered[:1], *ordered[len(ordered) // 2 :][:1], *ordered[-1:]})
    return shared if any(_equal(read_planet(one, number), read_planet(other, number)) for number in tried) else set()


def common(each: Sequence[Predictor], source: Source, folds: tuple[int, ...] | None) -> set[int]:
    """Return planets to score several runs on: those that all of them hold out, in these folds.

    Args:
        folds: folds of the source; None for all.

    Raises:
        UsageError: the folds contain planets used in a run's training, or no planet is left.
    """
    wanted = {planet for planet, fold in source.folds.items() if folds is None or fold in folds}
    held = {str(trained.path): held_out(trained, source) for trained in each}
    if folds is not None and len(each) > 1:
        for path, its in held.items():
            if seen := wanted - its:
                raise UsageError(
                    f"--folds: {len(seen)} of these {len(wanted)} planets were used by {path} in training "
                    f"({_named(seen)}); runs are compared on planets that all of them hold out. Leave --folds out."
                )
    only_shown = folds is not None and len(each) == 1 and is_own(each[0], source)  # a training score, labelled as one
    chosen = wanted if only_shown else wanted.intersection(*held.values())
    if not chosen:
        shares = ", ".join(f"{path} {len(its & wanted)}" for path, its in held.items())
        raise UsageError(f"no planet of {source.description} is held out by all of these runs (of each: {shares}).")
    return chosen


def _named(planets: Iterable[int]) -> str:
    names = sorted(planets)
    return ", ".join(f"{planet:04d}" for planet in names[:5]) + " ..." * (len(names) > 5)


def evaluation_role(trained: Predictor, source: Source, folds: Sequence[int]) -> str:
    """Describe the role of these folds in a run's training: test folds, or folds that it used."""
    if not is_own(trained, source):
        known = _folds_if_equal(trained.data, source)
        left = len(source.folds) - len(_not_trained_on(trained, source, known or {}))
        if left:
            same = f"; {left} planets of it were, and are left out"
        else:
            unknown = trained.folds.train and known is None
            same = "; whether planets of it are in both could not be checked" if unknown else ""
        return f"none of it is the data set that the model was trained on{same}"
    roles = {"trained on": trained.folds.train, "the best epoch chosen by": trained.folds.validation}
    used = [f"{role} {sorted({*folds} & {*its})}" for role, its in roles.items() if {*folds} & {*its}]
    return f"folds {list(folds)}; {', '.join(used)}: no test score" if used else f"test folds {list(folds)}"


def display_names(paths: Sequence[Path]) -> list[str]:
    """Return the shortest ends of paths that are all different.

    >>> display_names([Path("runs/a/w12"), Path("runs/b/w12")])
    ['a/w12', 'b/w12']
    """
    for parts in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-parts:]) for path in paths]
        if len(set(names)) == len(set(paths)):
            return names
    return [str(path) for path in paths]


def same_data(each: Sequence[Predictor]) -> str:
    """Return the description of the data set on which all runs were trained.

    Raises:
        UsageError: they were trained on different data, or on data on another machine.
    """
    for other in each[1:]:
        if other.fingerprint != each[0].fingerprint:
            raise UsageError(
                f"{each[0].path} and {other.path} were trained on different data; name one with --data to score both "
                "on it."
            )
    return own_data(each[0])


def own_data(trained: Predictor, flag: str = "--data") -> str:
    """Return the description of the data on which a run was trained, to open it as its folder records.

    Args:
        trained: the run.
        flag: flag by which the user can name data.

    Raises:
        UsageError: the data are on another machine.
    """
    if is_pretrained(trained.path):
        raise UsageError(f"{trained.path}: its training planets were simulated for it; expected {flag} DATA.")
    return refuse_unnamed(trained.data, trained.path / "config.json", flag)

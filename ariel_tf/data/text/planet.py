"""Convert one planet's text files to its record; no TensorFlow, so that worker processes start fast."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, ORBIT_PARAMETERS, STAR_NAMES, Key
from ariel_tf.core.errors import DataError
from ariel_tf.data.text.discovery import Fault, PlanetFiles
from ariel_tf.data.text.format import read_light_curve, read_params
from ariel_tf.planet import Planet

# Names of a params file's values in faults: orbit, then radii.
TARGET_NAMES = [parameter.name for parameter in ORBIT_PARAMETERS]
TARGET_NAMES += [f"the relative radius at wavelength {wavelength}" for wavelength in range(N_WAVELENGTHS)]


@dataclass
class PlanetRead:
    """The result: no planet if nothing could be used, and the faults of the files."""

    number: int
    files: int
    planet: Planet | None
    faults: list[Fault]


@dataclass(frozen=True)
class Targets:
    """Values in the files of a planet's targets.

    Attributes:
        orbit: float64 [2], `challenge.ORBIT_PARAMETERS`; None if unknown.
        radii: float64 [55]; None if unknown.
        faults: faults of the files.
        usable: False if they contradict each other, or all of them are bad.
    """

    orbit: np.ndarray | None
    radii: np.ndarray | None
    faults: list[Fault]
    usable: bool


def read_planet(files: PlanetFiles, skip_bad: bool) -> PlanetRead:
    """Read all files of one planet; a pure function, run in worker processes.

    Args:
        files: files of the planet.
        skip_bad: whether to use the planet's good files if some are bad.
    """
    observations = (
        (key, path, partial(read_light_curve, path, files.sums.get(path, ())))
        for key, path in files.light_curves.items()
    )
    targets = _read_targets(files.params, files.sums)
    return gather(files.number, len(files.light_curves), observations, targets, skip_bad)


def gather(
    number: int,
    count: int,
    observations: Iterable[tuple[Key, str, Callable[[], tuple[np.ndarray, np.ndarray]]]],
    targets: Targets,
    skip_bad: bool,
) -> PlanetRead:
    """Create a planet from its observations.

    Args:
        number: number of the planet.
        count: number of its observations.
        observations: for each one its key, the name for faults, and a function that returns star [6] and flux [55, 300]
            or raises DataError or OSError.
        targets: targets of the planet.
        skip_bad: whether to use the planet's good observations if some are bad.
    """
    faults: list[Fault] = []
    flux = np.empty((N_WAVELENGTHS, count, N_STEPS), np.float32)
    good: list[Key] = []
    star = None
    conflict = False
    for key, where, read in observations:
        try:
            header, curves = read()
        except (DataError, OSError) as error:
            faults.append(Fault.of(where, error))
            continue
        if star is None:
            star, first = header, where
        if not np.array_equal(header, star):
            conflict = True
            faults.append(Fault(where, difference(STAR_NAMES, header, star, first)))
        flux[:, len(good)] = curves
        good.append(key)
    faults += targets.faults
    planet = None
    # If two files contradict each other it is unknown which is right, so the whole planet is left out.
    if star is not None and not conflict and targets.usable and (skip_bad or not faults):
        instances = np.array([key[1:] for key in good], np.int32)
        planet = Planet.from_observations(number, instances, star, flux[:, : len(good)], targets.orbit, targets.radii)
    return PlanetRead(number, count, planet, faults)


def _read_targets(paths: list[str] | None, sums: Mapping[str, set[str]]) -> Targets:
    """Return the targets on which all good files agree; unknown if there are no files."""
    faults: list[Fault] = []
    orbit = radii = None
    conflict = False
    for path in paths or []:
        try:
            this_orbit, this_radii = read_params(path, sums.get(path, ()))
        except (DataError, OSError) as error:
            faults.append(Fault.of(path, error))
            continue
        if orbit is None or radii is None:
            orbit, radii, first = this_orbit, this_radii, path
        before, now = np.r_[orbit, radii], np.r_[this_orbit, this_radii]
        if not np.array_equal(before, now):
            conflict = True
            faults.append(Fault(path, difference(TARGET_NAMES, now, before, first)))
    return Targets(orbit, radii, faults, usable=not conflict and (paths is None or radii is not None))


def difference(names: Sequence[str], values: np.ndarray, others: np.ndarray, other_path: str) -> str:
    """Describe the first contradiction between two files of one planet."""
    at = int(np.flatnonzero(values != others)[0])
    return f"{names[at]} is {values[at]}, but {others[at]} in {other_path}, a file of the same planet"

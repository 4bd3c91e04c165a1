"""One planet's text files to its record; no TensorFlow, so that worker processes start fast."""

from collections.abc import Sequence
from dataclasses import dataclass

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
    """What came of it: no planet where nothing could be used, and what is wrong with which file."""

    number: int
    files: int
    planet: Planet | None
    faults: list[Fault]


def read_planet(files: PlanetFiles, skip_bad: bool) -> PlanetRead:
    """Read all files of one planet; a pure function, run in worker processes.

    Args:
        files: of the planet.
        skip_bad: whether to make the planet from its good files when there are bad ones.
    """
    faults: list[Fault] = []
    flux = np.empty((N_WAVELENGTHS, len(files.light_curves), N_STEPS), np.float32)
    good: list[Key] = []
    star = None
    conflict = False
    for key, path in files.light_curves.items():
        try:
            header, curves = read_light_curve(path)
        except (DataError, OSError) as error:
            faults.append(Fault.of(path, error))
            continue
        if star is None:
            star, first = header, path
        if not np.array_equal(header, star):
            conflict = True
            faults.append(Fault(path, difference(STAR_NAMES, header, star, first)))
        flux[:, len(good)] = curves
        good.append(key)
    orbit, radii, params_faults, params_conflict = _read_targets(files.params)
    faults += params_faults
    # Where two files contradict each other nobody knows which is right, so the whole planet goes.
    unusable = conflict or params_conflict or (files.params is not None and radii is None)
    planet = None
    if star is not None and not unusable and (skip_bad or not faults):
        instances = np.array([key[1:] for key in good], np.int32)
        planet = Planet.from_observations(files.number, instances, star, flux[:, : len(good)], orbit, radii)
    return PlanetRead(files.number, len(files.light_curves), planet, faults)


def _read_targets(paths: list[str] | None) -> tuple[np.ndarray | None, np.ndarray | None, list[Fault], bool]:
    """Orbit [2] and radii [55] on which all good files agree, the faults, and whether files contradict each other."""
    faults: list[Fault] = []
    orbit = radii = None
    conflict = False
    for path in paths or []:
        try:
            this_orbit, this_radii = read_params(path)
        except (DataError, OSError) as error:
            faults.append(Fault.of(path, error))
            continue
        if orbit is None or radii is None:
            orbit, radii, first = this_orbit, this_radii, path
        before, now = np.r_[orbit, radii], np.r_[this_orbit, this_radii]
        if not np.array_equal(before, now):
            conflict = True
            faults.append(Fault(path, difference(TARGET_NAMES, now, before, first)))
    return orbit, radii, faults, conflict


def difference(names: Sequence[str], values: np.ndarray, others: np.ndarray, other_path: str) -> str:
    """What two files of one planet contradict each other in, in words; the first of these."""
    at = int(np.flatnonzero(values != others)[0])
    return f"{names[at]} is {values[at]}, but {others[at]} in {other_path}, a file of the same planet"

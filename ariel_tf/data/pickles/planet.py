"""Convert one planet's arrays in a pickle to its record; no TensorFlow, so that worker processes start fast."""

import os
from collections.abc import Mapping
from functools import partial

import numpy as np

from ariel_tf.challenge import (
    FLUX_BOUNDS,
    ORBIT_PARAMETERS,
    STAR_PARAMETERS,
    Key,
    Parameter,
)
from ariel_tf.core.errors import DataError
from ariel_tf.data.pickles.releases import PickledPlanet, stamp_of
from ariel_tf.data.pickles.values import Array
from ariel_tf.data.text.discovery import Fault
from ariel_tf.data.text.planet import TARGET_NAMES, PlanetRead, Targets, difference, gather


def read_planet(task: PickledPlanet, skip_bad: bool) -> PlanetRead:
    """Read the light curves of one planet; a pure function, run in worker processes.

    Args:
        task: position of the arrays, and the planet's parameters.
        skip_bad: whether to use the planet's good observations if some are bad.

    Raises:
        DataError: the file was changed after the planets were found.
    """
    handle = os.open(task.path, os.O_RDONLY)
    try:
        if stamp_of(handle) != task.stamp:
            raise DataError(f"{task.path}: was changed while it was read; start again")
        observations = (
            (key, f"{task.path}[{key.name}.txt]", partial(_observation, task, key, array, handle))
            for key, array in task.light_curves.items()
        )
        return gather(task.number, len(task.light_curves), observations, _targets(task), skip_bad)
    finally:
        os.close(handle)


def _observation(task: PickledPlanet, key: Key, array: Array, handle: int) -> tuple[np.ndarray, np.ndarray]:
    """Return star [6] and flux [55, 300] of one observation."""
    curves = _flux(array, handle)
    return _sound(task.stars.get(key), STAR_PARAMETERS), curves


def _flux(array: Array, handle: int) -> np.ndarray:
    """Return light curves, [55, 300], within the challenge's bounds."""
    values = array.load(handle)
    if values.dtype.kind != "f":
        raise DataError(f"expected flux as floating-point numbers, found {values.dtype}")
    low, high = FLUX_BOUNDS
    bad = np.argwhere(~((values > low) & (values < high)))  # NaN is invalid too
    if len(bad):
        row, column = map(int, bad[0])
        where = f"row {row + 1}, column {column + 1}"
        raise DataError(f"{where}: flux is {values[row, column]}, expected within ({low}, {high})")
    return values


def _sound(values: np.ndarray | None, parameters: tuple[Parameter, ...]) -> np.ndarray:
    """Return parameters within their bounds."""
    if values is None:
        raise DataError("has no row in the table of stellar parameters")
    for parameter, value in zip(parameters, values.tolist(), strict=True):
        if not parameter.low < value < parameter.high:
            bounds = f"({parameter.low:g}, {parameter.high:g}) {parameter.unit}"
            raise DataError(f"{parameter.name} is {value}, expected {bounds}")
    return values


def _targets(task: PickledPlanet) -> Targets:
    """Return the targets on which all rows of the planet agree; unknown for a test set."""
    if task.radii is None:
        return Targets(None, None, [], usable=True)
    faults: list[Fault] = []
    radii = _agreed(task, task.radii, TARGET_NAMES[len(ORBIT_PARAMETERS) :], faults)
    orbit = _agreed(task, task.orbits, TARGET_NAMES[: len(ORBIT_PARAMETERS)], faults)
    if radii is not None:
        for wavelength in np.flatnonzero(~((radii > 0) & (radii <= 1)))[:3].tolist():
            fault = f"relative radius is {radii[wavelength]} at wavelength {wavelength}, expected (0, 1]"
            faults.append(Fault(f"{task.path}[{task.number:04d}]", fault))
    if orbit is not None:
        try:
            _sound(orbit, ORBIT_PARAMETERS)
        except DataError as error:
            faults.append(Fault(f"{task.path}[{task.number:04d}]", str(error)))
    return Targets(orbit, radii, faults, usable=not faults and radii is not None)


def _agreed(
    task: PickledPlanet, rows: Mapping[str, np.ndarray], names: list[str], faults: list[Fault]
) -> np.ndarray | None:
    """Return the values of the first row; a row that differs is a fault."""
    first: np.ndarray | None = None
    for name, values in rows.items():
        if first is None:
            first, first_name = values, name
        elif not np.array_equal(values, first, equal_nan=True):
            faults.append(Fault(f"{task.path}[{name}]", difference(names, values, first, first_name)))
    return first

"""Planets from a function outside this package: in a user's Python file, or in a plug-in.

    def survey(argument):                       # my_data.py
        yield Planet.from_observations(number, instances, star, flux, orbit, radii)

    --data my_data.py:survey:ARGUMENT

All planets are read when the source is opened, checked like those of any other source, and held in memory.
"""

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ariel_tf.core import user_code
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data import records
from ariel_tf.data.folds import assign_folds
from ariel_tf.data.selection import Selection
from ariel_tf.data.sources.subset import SourceBase
from ariel_tf.data.statistics import Statistics, Sums
from ariel_tf.planet import Planet, planet_faults


class PlanetsSource(SourceBase):
    """Planets in memory, in ascending order of their numbers.

    Args:
        description: value of `--data`.
        planets: all labelled, or none.

    Raises:
        DataError: no planet, a repeated number, values out of their bounds, or radii of only some planets.
    """

    def __init__(self, description: str, planets: Sequence[Planet]):
        self.description = description
        self._planets = sorted(planets, key=lambda planet: planet.number)
        faults = self._faults()
        if faults or not planets:
            found = f"received {len(faults)} faults" if faults else "received none"
            raise DataError(f"--data {description}: expected sound planets, {found}.", faults)
        self.labelled = self._planets[0].labelled
        self._folds = assign_folds((planet.number for planet in self._planets), seed=0)
        self._sums = Sums()
        digest = hashlib.sha256()
        for planet in self._planets:
            self._sums.add(planet, self._folds[planet.number])
            digest.update(records.encode(planet))
        self.fingerprint = digest.hexdigest()

    def _faults(self) -> list[str]:
        numbers = [planet.number for planet in self._planets]
        faults = [fault for planet in self._planets for fault in planet_faults(planet)]
        faults += [f"planet {number:04d} occurs twice" for number in sorted(set(numbers)) if numbers.count(number) > 1]
        if len({planet.labelled for planet in self._planets}) > 1:
            without = [f"{planet.number:04d}" for planet in self._planets if not planet.labelled]
            faults.append(f"radii are known of some planets, and not of {', '.join(without[:5])}")
        return faults

    @property
    def folds(self) -> Mapping[int, int]:
        return self._folds

    def observations(self, folds: Sequence[int]) -> int:
        return sum(len(planet.instances) for planet in self.planets(folds))

    def statistics(self, folds: Sequence[int]) -> Mapping[str, Statistics]:
        return self._sums.choose(folds)

    def planets(self, folds: Sequence[int]) -> Iterator[Planet]:
        return (planet for planet in self._planets if self._folds[planet.number] in folds)

    def records(self, selection: Selection, order: tf.Tensor | None = None) -> tf.data.Dataset:
        inputs, white = selection.signature.inputs, selection.signature.white_light
        chosen = list(self.planets(selection.folds))

        def planets(*seed: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
            places: Any = range(len(chosen))
            if seed:
                places = np.random.default_rng(seed[0].view(np.uint32)).permutation(len(chosen))
            return (records.as_record(chosen[place], inputs, white) for place in places)

        specs = records.specs(inputs, white)
        return tf.data.Dataset.from_generator(planets, output_signature=specs, args=() if order is None else (order,))


def outside_source(description: str) -> PlanetsSource | None:
    """Return the source of a file or a plug-in that a description names; None for any other description.

    Raises:
        UsageError: a file that the user did not name, no such function, or a result that is not planets.
        DataError: invalid planets.
    """
    function: Callable[[str], Any]
    if (own := user_code.reference(description)) is not None:
        function, argument = user_code.load(own, "--data"), own.argument
        description = str(own)
    else:
        name, _, argument = description.partition(":")
        plugins = user_code.plugins(user_code.SOURCES)
        if name not in plugins:
            return None
        function = plugins[name].load()
    try:
        inspect.signature(function).bind(argument)
    except TypeError:
        raise UsageError(
            f"--data {description}: expected a function with one parameter, the text after the second colon, like "
            f"def {function.__name__}(argument)."
        ) from None
    made = function(argument)
    try:
        planets = list(made)
    except TypeError:
        planets = [made]
    for planet in planets:
        if not isinstance(planet, Planet):
            raise UsageError(
                f"--data {description}: expected ariel_tf.planet.Planet from the function, as Planet.from_observations "
                f"makes. Received: {type(planet).__name__}"
            )
    return PlanetsSource(description, planets)

"""Several trained models as one Keras model, made of Keras's own layers, so that it saves and loads like any other.

raw flux [batch, 300, channels] --each member's own channels--> member --> radii [batch, targets]
raw star [batch, 6] ----------------------------------------------/              |
                                          side by side, or averaged, into radii [batch, all targets]
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from ariel_tf.challenge import N_STEPS, STAR_NAMES
from ariel_tf.core.errors import UsageError


class Sight(NamedTuple):
    """What a model sees and answers.

    Attributes:
        targets: wavelengths that it predicts, in the order of its answer.
        seen: wavelengths whose light curves it sees, in the order of its channels.
        white: whether white light is one more channel, the last.
        unit: what a row is: "observation", "spot" or "planet".
    """

    targets: tuple[int, ...]
    seen: tuple[int, ...]
    white: bool
    unit: str = "observation"

    @property
    def channels(self) -> tuple[int | str, ...]:
        return (*self.seen, "white") if self.white else self.seen


class Member(NamedTuple):
    """A model to compose and what it sees."""

    name: str
    model: Any
    sight: Sight


def union(members: Sequence[Member]) -> Sight:
    """What a composition of these sees: every channel that any of them sees.

    Raises:
        UsageError: a row is an observation for one of them and a whole planet for another.
    """
    units = {member.sight.unit: member.name for member in members}
    if len(units) > 1:
        (one, first), (other, second) = list(units.items())[:2]
        raise UsageError(f"a row is one {one} for {first} and one {other} for {second}: these do not go together.")
    seen = tuple(sorted({wavelength for member in members for wavelength in member.sight.seen}))
    targets = tuple(sorted({wavelength for member in members for wavelength in member.sight.targets}))
    return Sight(targets, seen, any(member.sight.white for member in members), next(iter(units)))


def compose(members: Sequence[Member], join: Callable[..., Any], name: str, sight: Sight | None = None) -> keras.Model:
    """One model of several.

    Args:
        members: their names need not differ.
        join: the members' radii, a symbolic [batch, targets] each, and the raw inputs by name, to the answer
            [batch, targets].
        name: of the new model.
        sight: what the new model sees; by default the union of the members' sights.
    """
    sight = sight or union(members)
    rows = {tuple(_input(member.model, "flux").shape[1:-1]) for member in members}
    if len(rows) > 1:
        sizes = " and ".join("x".join(map(str, shape)) for shape in sorted(rows))
        raise UsageError(f"these models take rows of different sizes, {sizes}: they do not go together.")
    raw: dict[str, Any] = {"flux": keras.Input((*rows.pop(), len(sight.channels)), name="flux")}
    if any("star" in names_of(member.model) for member in members):
        raw["star"] = keras.Input((len(STAR_NAMES),), name="star")
    answers = [_answer(index, member, raw, sight) for index, member in enumerate(members)]
    return keras.Model(raw, join(answers, raw), name=name)


def _answer(index: int, member: Member, raw: dict[str, Any], sight: Sight):
    """A member's radii from what the composition sees."""
    columns = [sight.channels.index(channel) for channel in member.sight.channels]
    flux = raw["flux"]
    if columns != list(range(len(sight.channels))):
        flux = ops.take(flux, columns, axis=-1)
    inputs = {"flux": flux}
    if "star" in names_of(member.model):
        inputs["star"] = raw["star"]
    # The same layers under a name of its own: two members may be the same model trained twice.
    renamed = keras.Model(member.model.input, member.model.output, name=f"member_{index:02d}")
    return renamed(inputs)


def side_by_side(members: Sequence[Member]) -> tuple[keras.Model, Sight]:
    """A model that answers the wavelengths of all of them, ascending; each wavelength has one member.

    Raises:
        UsageError: two members predict the same wavelength.
    """
    owners: dict[int, str] = {}
    for member in members:
        for wavelength in member.sight.targets:
            if wavelength in owners:
                raise UsageError(
                    f"{owners[wavelength]} and {member.name} both predict wavelength {wavelength}; "
                    "`python -m ariel_tf.ensemble` averages models."
                )
            owners[wavelength] = member.name
    order = [wavelength for member in members for wavelength in member.sight.targets]
    sight = union(members)

    def join(answers, raw):
        together = answers[0] if len(answers) == 1 else keras.layers.Concatenate(name="radii")(answers)
        columns = [order.index(wavelength) for wavelength in sight.targets]
        return together if columns == sorted(columns) else ops.take(together, columns, axis=-1)

    return compose(members, join, "side_by_side", sight), sight


def averaged(members: Sequence[Member], weights: np.ndarray) -> tuple[keras.Model, Sight]:
    """The weighted mean of models, wavelength by wavelength.

    Args:
        weights: float [members, targets of the union], 0 where a member does not predict a wavelength.
    """
    sight = union(members)

    def join(answers, raw):
        parts = []
        for member, answer, weight in zip(members, answers, weights, strict=True):
            its = member.sight.targets
            if its != sight.targets:
                answer = ops.take(answer, [its.index(w) if w in its else 0 for w in sight.targets], axis=-1)
            parts.append(keras.layers.Rescaling(weight.tolist(), dtype="float32")(answer))
        return parts[0] if len(parts) == 1 else keras.layers.Add(name="radii", dtype="float32")(parts)

    return compose(members, join, "average", sight), sight


def median(members: Sequence[Member]) -> tuple[keras.Model, Sight]:
    """The median of models, wavelength by wavelength.

    Raises:
        UsageError: they predict different wavelengths.
    """
    refuse_other_targets(members)
    middle = (len(members) - 1) // 2, len(members) // 2

    def join(answers, raw):
        ordered = ops.sort(ops.stack(answers, axis=-1), axis=-1)
        return keras.layers.Rescaling(0.5, dtype="float32", name="radii")(
            ordered[..., middle[0]] + ordered[..., middle[1]]
        )

    return compose(members, join, "median"), union(members)


def refuse_other_targets(members: Sequence[Member]) -> None:
    """Refuse models of different wavelengths."""
    for member in members:
        if member.sight.targets != members[0].sight.targets:
            raise UsageError(f"{members[0].name} and {member.name} predict different wavelengths: expected the same.")


def names_of(model: Any) -> list[str]:
    """The names of a model's inputs."""
    return [tensor.name.split(":")[0] for tensor in model.inputs]


def _input(model: Any, name: str) -> Any:
    return model.inputs[names_of(model).index(name)]


def row_shape(model: Any) -> tuple[int, ...]:
    """Axes of a row of flux before its channels: (300,), or (instances, 300)."""
    shape = tuple(_input(model, "flux").shape[1:-1])
    assert shape[-1] == N_STEPS
    return shape

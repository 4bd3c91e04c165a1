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
from ariel_tf.data.selection import Signature, union


class Member(NamedTuple):
    """A model to compose, and its signature."""

    name: str
    model: Any
    signature: Signature


def union_of(members: Sequence[Member]) -> Signature:
    """Return the signature of a composition of these models; raises like `selection.union`."""
    return union([member.signature for member in members], [member.name for member in members])


def compose(
    members: Sequence[Member], join: Callable[..., Any], name: str, signature: Signature | None = None
) -> keras.Model:
    """Return one model of several.

    Args:
        members: models; their names need not differ.
        join: function from the members' radii, a symbolic [batch, targets] each, and the raw inputs by name, to the
            output [batch, targets].
        name: name of the new model.
        signature: signature of the new model; by default the union of the members' signatures.
    """
    signature = signature or union_of(members)
    rows = {tuple(_input(member.model, "flux").shape[1:-1]) for member in members}
    if len(rows) > 1:
        sizes = " and ".join("x".join(map(str, shape)) for shape in sorted(rows))
        raise UsageError(f"these models take rows of different sizes, {sizes}: they cannot be combined.")
    raw: dict[str, Any] = {"flux": keras.Input((*rows.pop(), len(signature.channels)), name="flux")}
    if any("star" in names_of(member.model) for member in members):
        raw["star"] = keras.Input((len(STAR_NAMES),), name="star")
    answers = [_answer(index, member, raw, signature) for index, member in enumerate(members)]
    return keras.Model(raw, join(answers, raw), name=name)


def _answer(index: int, member: Member, raw: dict[str, Any], signature: Signature) -> Any:
    """Return a member's radii from the composite model's inputs."""
    columns = [signature.channels.index(channel) for channel in member.signature.channels]
    flux = raw["flux"]
    if columns != list(range(len(signature.channels))):
        flux = ops.take(flux, columns, axis=-1)
    inputs = {"flux": flux}
    if "star" in names_of(member.model):
        inputs["star"] = raw["star"]
    # The same layers under another name, since two members may be the same model trained twice.
    renamed = keras.Model(member.model.input, member.model.output, name=f"member_{index:02d}")
    return renamed(inputs)


def side_by_side(members: Sequence[Member]) -> tuple[keras.Model, Signature]:
    """Return a model that predicts the wavelengths of all of them, ascending; each wavelength has one member.

    Raises:
        UsageError: two members predict the same wavelength.
    """
    owners: dict[int, str] = {}
    for member in members:
        for wavelength in member.signature.targets:
            if wavelength in owners:
                raise UsageError(
                    f"{owners[wavelength]} and {member.name} both predict wavelength {wavelength}; "
                    "`python -m ariel_tf.ensemble` averages models."
                )
            owners[wavelength] = member.name
    order = [wavelength for member in members for wavelength in member.signature.targets]
    signature = union_of(members)

    def join(answers: Sequence[Any], raw: dict[str, Any]) -> Any:
        together = answers[0] if len(answers) == 1 else keras.layers.Concatenate(name="radii")(answers)
        columns = [order.index(wavelength) for wavelength in signature.targets]
        return together if columns == sorted(columns) else ops.take(together, columns, axis=-1)

    return compose(members, join, "side_by_side", signature), signature


def averaged(members: Sequence[Member], weights: np.ndarray) -> tuple[keras.Model, Signature]:
    """Return the weighted mean of models, wavelength by wavelength.

    Args:
        weights: float [members, targets of the union], 0 where a member does not predict a wavelength.
    """
    signature = union_of(members)

    def join(answers: Sequence[Any], raw: dict[str, Any]) -> Any:
        parts = []
        for member, answer, weight in zip(members, answers, weights, strict=True):
            its = member.signature.targets
            if its != signature.targets:
                answer = ops.take(answer, [its.index(w) if w in its else 0 for w in signature.targets], axis=-1)
            parts.append(keras.layers.Rescaling(weight.tolist(), dtype="float32")(answer))
        return parts[0] if len(parts) == 1 else keras.layers.Add(name="radii", dtype="float32")(parts)

    return compose(members, join, "average", signature), signature


def median(members: Sequence[Member]) -> tuple[keras.Model, Signature]:
    """Return the median of models, wavelength by wavelength.

    Raises:
        UsageError: they predict different wavelengths.
    """
    refuse_other_targets(members)
    middle = (len(members) - 1) // 2, len(members) // 2

    def join(answers: Sequence[Any], raw: dict[str, Any]) -> Any:
        ordered = ops.sort(ops.stack(answers, axis=-1), axis=-1)
        return keras.layers.Rescaling(0.5, dtype="float32", name="radii")(
            ordered[..., middle[0]] + ordered[..., middle[1]]
        )

    return compose(members, join, "median"), union_of(members)


def refuse_other_targets(members: Sequence[Member]) -> None:
    """Refuse models of different wavelengths."""
    for member in members:
        if member.signature.targets != members[0].signature.targets:
            raise UsageError(f"{members[0].name} and {member.name} predict different wavelengths: expected the same.")


def names_of(model: Any) -> list[str]:
    """Return the names of a model's inputs."""
    return [tensor.name.split(":")[0] for tensor in model.inputs]


def _input(model: Any, name: str) -> Any:
    return model.inputs[names_of(model).index(name)]


def row_shape(model: Any) -> tuple[int, ...]:
    """Return the axes of a row of flux before its channels: (300,), or (instances, 300)."""
    shape = tuple(_input(model, "flux").shape[1:-1])
    assert shape[-1] == N_STEPS
    return shape

"""What a model reads and predicts (`Signature`), and which rows of a data set it gets (`Selection`); no TensorFlow.

Signature    wavelengths in, wavelengths out, white light, and the unit of a row
Selection    folds of a data set, read for a model of that signature
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, cast

from ariel_tf.challenge import N_STEPS
from ariel_tf.core.errors import UsageError

Row = Literal["observation", "spot", "planet"]


@dataclass(frozen=True)
class Signature:
    """What a model reads and what it predicts.

    Attributes:
        targets: wavelengths that it predicts, in output order.
        inputs: wavelengths whose light curves it reads, in channel order; in training they include the targets.
        white_light: whether the white light curve is an additional channel, the last.
        row: content of one row of a batch: one observation, all photon-noise instances of a spot instance, or all
            observations of a planet.
    """

    targets: tuple[int, ...]
    inputs: tuple[int, ...]
    white_light: bool = False
    row: Row = "observation"

    @property
    def channels(self) -> tuple[int | str, ...]:
        """Return the channels of a row, in order: the inputs, then "white"."""
        return (*self.inputs, "white") if self.white_light else self.inputs

    @property
    def observation_bytes(self) -> int:
        """Return the bytes of the float32 flux of one observation."""
        return 4 * N_STEPS * len(self.channels)

    def describe(self) -> str:
        """Describe the signature, for error messages and logs.

        >>> Signature((12,), (12,), white_light=True).describe()
        'predicts 1 wavelength from 1 light curve and white light, one row per observation'
        """
        targets = f"{len(self.targets)} wavelength{'s' * (len(self.targets) != 1)}"
        inputs = f"{len(self.inputs)} light curve{'s' * (len(self.inputs) != 1)}"
        white = " and white light" if self.white_light else ""
        return f"predicts {targets} from {inputs}{white}, one row per {self.row}"

    def as_json(self) -> dict[str, Any]:
        """Return the keys of an ensemble's `config.json` that hold the signature; "wavelength" holds the targets."""
        return {"seen": list(self.inputs), "white": self.white_light, "unit": self.row}

    @classmethod
    def from_json(cls, targets: Iterable[int], values: Mapping[str, Any]) -> Self:
        """Return the signature from the keys of `as_json` and the targets.

        Raises:
            KeyError, TypeError: a key is missing or has another type.
        """
        return cls(tuple(targets), tuple(values["seen"]), values["white"], cast(Row, values["unit"]))


def union(signatures: Sequence[Signature], names: Sequence[str]) -> Signature:
    """Return the signature of a composition of models: every target and every channel of any of them, ascending.

    Args:
        signatures: signatures of the models.
        names: names of the models, for the error.

    Raises:
        UsageError: a row is an observation for one of them and a whole planet for another.
    """
    rows = {signature.row: name for signature, name in zip(signatures, names, strict=True)}
    if len(rows) > 1:
        (one, first), (other, second) = list(rows.items())[:2]
        raise UsageError(f"a row is one {one} for {first} and one {other} for {second}: they cannot be combined.")
    return Signature(
        tuple(sorted({wavelength for signature in signatures for wavelength in signature.targets})),
        tuple(sorted({wavelength for signature in signatures for wavelength in signature.inputs})),
        any(signature.white_light for signature in signatures),
        next(iter(rows)),
    )


@dataclass(frozen=True)
class Selection:
    """Which rows of a data set a model of this signature reads.

    Attributes:
        folds: planets of these folds only.
        signature: signature of the model; its inputs include all its targets.
        stride: keep every n-th observation in key order.
        bootstrap_seed: seed for drawing planets with replacement, as many as there are; None uses each once.
    """

    folds: tuple[int, ...]
    signature: Signature
    stride: int = 1
    bootstrap_seed: int | None = None

    @classmethod
    def of(cls, folds: Iterable[int], wavelengths: Iterable[int], white_light: bool = False) -> Self:
        """Return all observations of these folds, with the light curves and the radii of the same wavelengths."""
        inputs = tuple(wavelengths)
        return cls(tuple(folds), Signature(inputs, inputs, white_light))

    @property
    def needs_memory(self) -> bool:
        """Whether all rows must be in memory at once, because they combine, skip or repeat observations."""
        return self.signature.row != "observation" or self.stride > 1 or self.bootstrap_seed is not None

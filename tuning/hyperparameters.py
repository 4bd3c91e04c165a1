"""One value that a search may choose: its kind, range and default; no TensorFlow."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

from ariel_tf.core.errors import UsageError

# Digits of a chosen number: readable, and the same after the single precision of keras-tuner's messages.
DIGITS = 4


@dataclass(frozen=True)
class Dimension:
    """A range or a list of values.

    Attributes:
        name: of an option of the configuration or of a setting of the model.
        kind: int, float, choice or boolean.
        default: what a training without a search would take.
        low, high: of an int or a float.
        sampling: "linear" or "log".
        choices: of a choice; all of one type.
    """

    name: str
    kind: str
    default: Any
    low: float = 0
    high: float = 0
    sampling: str = "linear"
    choices: tuple[Any, ...] = ()

    @classmethod
    def of_choices(cls, name: str, choices: tuple[Any, ...], default: Any) -> Self:
        return cls(name, "choice", default if default in choices else choices[0], choices=choices)

    def declare(self, hp) -> Any:
        """Tell keras-tuner's `HyperParameters` of it; the value that it chose."""
        if self.kind == "choice":
            return hp.Choice(self.name, list(self.choices), default=self.default)
        if self.kind == "boolean":
            return hp.Boolean(self.name, default=self.default)
        method = hp.Int if self.kind == "int" else hp.Float
        return method(self.name, self.low, self.high, sampling=self.sampling, default=self.default)

    def narrowed(self, given: Any) -> Self:
        """The part of it that somebody gave.

        Args:
            given: None for all of it; "LOW:HIGH"; "A|B|C"; a list; or {"low": ..., "high": ..., "sampling": ...}.

        Raises:
            UsageError: no such form, or outside the range.
        """
        if given is None:
            return self
        if isinstance(given, str):
            given = self._parsed(given)
        if isinstance(given, list):
            return self._listed(given)
        unknown = set(given) - {"low", "high", "sampling"} if isinstance(given, dict) else {"-"}
        if unknown or self.kind not in ("int", "float"):
            raise self._refusal(given)
        low, high = self._number(given.get("low", self.low)), self._number(given.get("high", self.high))
        sampling = given.get("sampling", self.sampling)
        if sampling not in ("linear", "log") or low >= high or (sampling == "log" and low <= 0):
            raise self._refusal(given)
        default = min(max(self.default, low), high)
        return dataclasses.replace(self, low=low, high=high, sampling=sampling, default=default)

    def _parsed(self, text: str) -> Any:
        if "|" in text or self.kind not in ("int", "float"):
            return text.split("|")
        low, colon, high = text.partition(":")
        return {"low": low, "high": high} if colon else [text]

    def _listed(self, given: list[Any]) -> Self:
        if self.kind in ("int", "float"):
            values = tuple(self._number(value) for value in given)
        else:
            known = ("true", "false") if self.kind == "boolean" else tuple(map(str, self.choices))
            values = tuple(str(value).lower() if self.kind == "boolean" else str(value) for value in given)
            if self.choices or self.kind == "boolean":
                if any(value not in known for value in values):
                    raise self._refusal(given)
                if self.kind == "boolean":
                    return self
                values = tuple(self.choices[known.index(value)] for value in values)
        if not values or len(set(values)) < len(values):
            raise self._refusal(given)
        return type(self).of_choices(self.name, values, self.default)

    def _number(self, value: Any) -> Any:
        """A number within the range, of this kind."""
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise self._refusal(value) from None
        if not self.low <= number <= self.high or (self.kind == "int" and number != int(number)):
            raise self._refusal(value)
        return int(number) if self.kind == "int" else number

    def _refusal(self, received: Any) -> UsageError:
        return UsageError(f"search of {self.name}: expected {self.told}, or a part of it. Received: {received}")

    @property
    def told(self) -> str:
        """The range in words, in the form that `--search` takes."""
        if self.kind == "choice":
            return "|".join(map(str, self.choices))
        if self.kind == "boolean":
            return "true|false"
        return f"{self.low:g}:{self.high:g}"


def rounded(value: Any) -> Any:
    """A chosen value as trainings take it."""
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value

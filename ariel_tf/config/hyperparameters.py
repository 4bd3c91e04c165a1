"""Settings of a model, declared where they are used: name, default and range in one call; no TensorFlow.

A model function requests each setting by name, `hp.Int("first", 4, 4096, default=1064)`. A training passes `Settings`
(below), which returns the defaults or the user's `--set` overrides; a search passes keras-tuner's own
`HyperParameters`, whose methods have the same signatures.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ariel_tf.core.errors import UsageError, nearest

# Descriptions of the settings of the package's models; a setting has the same meaning in every model.
MEANINGS = {
    "activation": "activation of all dense layers but the last",
    "backbone": "pretrained image network",
    "bidirectional": "read the light curve forwards and backwards",
    "cell": "kind of recurrent layer",
    "clip_norm": "largest norm of all gradients together; 0 clips nothing",
    "convolution": "full convolutions, or one filter per channel followed by a 1x1 convolution",
    "dense": "units of the dense layer after the convolutions or the backbone",
    "dropout": "share of outputs set to 0 during training",
    "fine_rate": "factor of the learning rate once the backbone is trained",
    "first": "units or filters of the first layer",
    "frozen_epochs": "epochs before training of the backbone starts",
    "head_activation": "activation of the prediction; sigmoid keeps it in (0, 1)",
    "kernel": "width of the convolutions, in steps or bands",
    "layers": "number of hidden layers",
    "learning_rate": "step size of the optimiser; with a schedule, its largest",
    "multiplier": "filters per channel of separable convolutions",
    "schedule": "learning rate over the epochs: constant, one cosine cycle, or lowered when the score stops improving",
    "second": "units or filters of the second layer",
    "segments": "number of parts that the light curve is cut into",
    "shape": "units of the dense layers",
    "size": "height and width of the image, in pixels",
    "slope": "slope of leaky ReLU below 0",
    "stride": "steps between the windows of the convolutions",
    "third": "units of the third layer",
    "together": "operation that joins the branches",
    "units": "units of each hidden layer",
    "weight_decay": "share of each weight that is subtracted per update, times the learning rate",
    "width": "factor of the units or filters of every layer",
}
TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")


def meaning(name: str) -> str:
    """Describe a setting; an empty text for settings of models outside the package."""
    return MEANINGS.get(name, "")


class Settings:
    """Settings of a model: defaults and overrides.

    Args:
        overrides: values by setting name, as text (`--set`) or as JSON values (`--config`).

    Attributes:
        values: resolved values of all settings requested so far.
        ranges: descriptions of their allowed values.

    >>> hp = Settings({"first": "10"})
    >>> hp.Int("first", 4, 4096, default=1064), hp.Float("dropout", 0.0, 0.9, default=0.0)
    (10, 0.0)
    """

    def __init__(self, overrides: Mapping[str, Any] | None = None):
        self.overrides = dict(overrides or {})
        self.values: dict[str, Any] = {}
        self.ranges: dict[str, str] = {}

    def Int(
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str | None = None,
        default: int | None = None,
    ) -> int:
        """Return a whole number in [min_value, max_value]."""
        default = min_value if default is None else default
        return self._number(name, int, "a whole number", min_value, max_value, default)

    def Float(
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str | None = None,
        default: float | None = None,
    ) -> float:
        """Return a number in [min_value, max_value]."""
        default = min_value if default is None else default
        return self._number(name, float, "a number", min_value, max_value, default)

    def Choice(self, name: str, values: Sequence[Any], ordered: bool | None = None, default: Any = None) -> Any:
        """Return one of `values`."""
        self.ranges[name] = ", ".join(map(str, values))
        if name not in self.overrides:
            return self._keep(name, values[0] if default is None else default)
        received = self.overrides[name]
        for value in values:
            if received == value or str(received) == str(value):
                return self._keep(name, value)
        expected = ", ".join(map(str, values))
        raise UsageError(f"setting {name}: expected one of {expected}. Received: {received}")

    def Boolean(self, name: str, default: bool = False) -> bool:
        """Return True or False."""
        self.ranges[name] = "true, false"
        received = str(self.overrides.get(name, default)).lower()
        if received not in TRUE + FALSE:
            raise UsageError(f"setting {name}: expected true or false. Received: {self.overrides[name]}")
        return self._keep(name, received in TRUE)

    def _number(self, name: str, kind: type, what: str, low: float, high: float, default: Any) -> Any:
        self.ranges[name] = f"{low:g} to {high:g}"
        received = self.overrides.get(name, default)
        try:
            value = kind(received)
            valid = low <= value <= high and value == float(received)
        except (TypeError, ValueError, OverflowError):
            valid = False
        if not valid:
            raise UsageError(f"setting {name}: expected {what} in [{low}, {high}]. Received: {received}")
        return self._keep(name, value)

    def _keep(self, name: str, value: Any) -> Any:
        self.values[name] = value
        return value

    def refuse_unknown(self) -> None:
        """Raise for an override that was never requested: a typo, or a setting of another model."""
        for name in self.overrides:
            if name not in self.values:
                known = ", ".join(sorted(self.values))
                hint = nearest(name, self.values)
                raise UsageError(f"--set: expected one of this model's settings, {known}. Received: {name}{hint}")

"""A model's settings: defaults, overrides, ranges, typos."""

import pytest

from ariel_tf.config.hyperparameters import Settings
from ariel_tf.core.errors import UsageError


def ask(hp):
    return (
        hp.Int("units", 4, 64, default=32),
        hp.Float("rate", 1e-6, 1.0, sampling="log", default=1e-3),
        hp.Choice("activation", ["relu", "tanh"], default="tanh"),
        hp.Boolean("bias", default=True),
    )


def test_defaults_and_overrides():
    assert ask(Settings()) == (32, 1e-3, "tanh", True)
    assert ask(Settings({"units": "64", "rate": "1", "activation": "relu", "bias": "no"})) == (64, 1.0, "relu", False)
    assert ask(Settings({"units": 4, "bias": False})) == (4, 1e-3, "tanh", False)


def test_values_hold_what_was_asked_for():
    hp = Settings({"units": "5"})
    ask(hp)
    assert hp.values == {"units": 5, "rate": 1e-3, "activation": "tanh", "bias": True}


@pytest.mark.parametrize(
    "overrides",
    [{"units": value} for value in ("65", "3", "5.5", "x", None)]
    + [{"rate": "0"}, {"rate": "nan"}, {"rate": "inf"}, {"activation": "elu"}, {"bias": "maybe"}],
)
def test_a_value_out_of_range_names_setting_and_range(overrides):
    with pytest.raises(UsageError, match=f"{next(iter(overrides))}: expected .*Received"):
        ask(Settings(overrides))


def test_a_typo_names_the_nearest_setting():
    hp = Settings({"unit": "5"})
    ask(hp)
    with pytest.raises(UsageError, match="Did you mean units"):
        hp.refuse_unknown()

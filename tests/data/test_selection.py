"""`Signature` and `Selection`: channels, bytes, JSON, unions, and what must be in memory."""

from dataclasses import replace

import pytest

from ariel_tf.core.errors import UsageError
from ariel_tf.data.selection import Selection, Signature, union

BOTH = Signature((12,), (3, 12), white_light=True)


def test_channels_are_the_inputs_and_white_light_last():
    assert BOTH.channels == (3, 12, "white")
    assert BOTH.observation_bytes == 3 * 300 * 4
    assert Signature((12,), (12,)).channels == (12,)


def test_a_signature_survives_the_json_of_an_ensemble():
    values = BOTH.as_json()
    assert values == {"seen": [3, 12], "white": True, "unit": "observation"}
    assert Signature.from_json([12], values) == BOTH
    with pytest.raises(KeyError):
        Signature.from_json([12], {"seen": [3, 12]})


def test_a_union_reads_every_channel_and_predicts_every_target():
    other = Signature((7, 3), (3, 7))
    assert union([BOTH, other], ["a", "b"]) == Signature((3, 7, 12), (3, 7, 12), white_light=True)
    whole = Signature((12,), (12,), row="planet")
    with pytest.raises(UsageError, match="a row is one observation for a and one planet for b: they cannot be"):
        union([BOTH, whole], ["a", "b"])


def test_rows_that_combine_skip_or_repeat_observations_need_memory():
    plain = Selection.of((0, 1), (12,))
    assert plain == Selection((0, 1), Signature((12,), (12,)))
    assert not plain.needs_memory
    others = [replace(plain, stride=2), replace(plain, bootstrap_seed=0)]
    others += [replace(plain, signature=Signature((12,), (12,), row=row)) for row in ("spot", "planet")]
    assert all(selection.needs_memory for selection in others)

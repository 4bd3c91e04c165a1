"""`--devices` is parsed in one place."""

import pytest

from ariel_tf.core.devices import Devices
from ariel_tf.core.errors import UsageError


@pytest.mark.parametrize("text", ["auto", "cpu", "gpu", "cpu:0,1", "gpu:0,12"])
def test_devices_are_printed_as_they_are_given(text):
    assert str(Devices.parse(text)) == text


@pytest.mark.parametrize("text", ["", "tpu", "auto:0", "gpu:", "gpu:0,", "gpu:-1", "gpu:\u0661", "gpu:" + "9" * 5001])
def test_other_devices_are_refused(text):
    with pytest.raises(UsageError, match=r"--devices: expected auto, cpu, gpu"):
        Devices.parse(text)


def test_a_device_given_twice_is_refused():
    with pytest.raises(UsageError, match="expected each device once"):
        Devices.parse("gpu:0,0")

"""The strategy of `--devices`: devices that are not there or already started, and batches that do not divide."""

import pytest
import tensorflow as tf

from ariel_tf.core.devices import Devices
from ariel_tf.core.errors import UsageError
from ariel_tf.training.strategy import check_batch, strategy_of


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_one_sentence():
    with pytest.raises(UsageError, match=r"--devices gpu:0,3: TensorFlow finds no GPU here"):
        strategy_of(Devices.parse("gpu:0,3"))


def test_devices_can_not_be_chosen_once_they_are_started():
    tf.config.list_logical_devices()
    with pytest.raises(UsageError, match="has started other devices already"):
        strategy_of(Devices.parse("cpu:0,7"))


@pytest.mark.parametrize(
    ("size", "rows", "said"),
    [
        (7, 0, "--batch-size 7: does not divide by 2 devices; 6 and 8 do."),
        (1, 0, "--batch-size 1: does not divide by 2 devices; 2 does."),
        (10, 21, "leaves 1 of 21 rows in an epoch's last step, fewer than there are devices .2.; 8 and 12 do."),
        (2, 1, "leaves 1 of 1 rows .* there are too few rows for so many devices."),
    ],
)
def test_a_batch_that_does_not_divide_names_sizes_that_do(size, rows, said):
    with pytest.raises(UsageError, match=said):
        check_batch(strategy_of(Devices.parse("cpu:0,1")), size, rows)

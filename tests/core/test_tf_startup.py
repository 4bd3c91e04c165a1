"""Notices that tell a user nothing stay away; everything else is shown."""

import logging
import os

import pytest

from ariel_tf.core.tf_startup import HIDDEN, import_tensorflow, notices_hidden


@pytest.mark.parametrize(("error", "shown"), [(KeyboardInterrupt, ""), (RuntimeError, "a notice")])
def test_start_up_notices_are_shown_for_a_failure_alone(monkeypatch, capfd, error, shown):
    """Ctrl-C in the first seconds ended in a page of TensorFlow's notices."""
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", HIDDEN)

    @notices_hidden()
    def fail():
        os.write(2, b"a notice")
        raise error

    with pytest.raises(error):
        fail()
    assert capfd.readouterr().err == shown


def test_retracing_is_no_warning():
    """`supervise`, and `report` of five runs, showed paragraphs of advice about @tf.function."""
    import_tensorflow()
    for text, passes in (("5 out of the last 5 calls triggered tf.function retracing.", False), ("No gradients", True)):
        record = logging.LogRecord("tensorflow", logging.WARNING, "", 0, text, None, None)
        assert bool(logging.getLogger("tensorflow").filter(record)) is passes

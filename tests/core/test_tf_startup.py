"""Notices that tell a user nothing stay away; everything else is shown."""

import logging
import os
import subprocess
import sys

import pytest

from ariel_tf import train
from ariel_tf.core.errors import UsageError
from ariel_tf.core.tf_startup import HIDDEN, ONEDNN, choose_onednn, import_tensorflow, notices_hidden, uses_onednn
from tuning import search


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


def test_onednn_is_chosen_before_tensorflow_starts(monkeypatch):
    monkeypatch.setenv(ONEDNN, "9")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    for choice, value in (("auto", "9"), ("yes", "1"), ("no", "0")):
        choose_onednn(choice)
        assert os.environ[ONEDNN] == value


def test_onednn_is_refused_where_tensorflow_started_otherwise():
    """The environment variable would have been set without any effect."""
    import_tensorflow()
    other, same = ("no", "yes") if uses_onednn() else ("yes", "no")
    choose_onednn(same)
    with pytest.raises(UsageError, match=f"--onednn {other}: this process has started TensorFlow"):
        choose_onednn(other)


@pytest.mark.parametrize("command", [train, search], ids=["train", "search"])
def test_commands_choose_onednn(command):
    import_tensorflow()
    other = "no" if uses_onednn() else "yes"
    with pytest.raises(UsageError, match=f"--onednn {other}: this process has started TensorFlow"):
        command.main(["--model=squid", "--data=simulated", "--dry-run", f"--onednn={other}"])


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["yes", "no"])
def test_tensorflow_starts_as_chosen(choice):
    code = (
        f"from ariel_tf.core import tf_startup as start; start.choose_onednn('{choice}'); start.import_tensorflow();"
        "print(start.uses_onednn())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(choice == "yes")

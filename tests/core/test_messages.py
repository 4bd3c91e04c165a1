"""Progress goes through the logger `ariel_tf`; `--log-level` leaves it out, and results stay."""

import logging

import pytest

from ariel_tf import train
from ariel_tf.core import messages
from ariel_tf.core.resources import Progress
from ariel_tf.core.schema import Schema

TINY = ("--model=linear", "--data=simulated:planets=10,spots=1,photons=1,seed=1", "--set=units=4", "--epochs=1")


@pytest.fixture(autouse=True)
def _level_of_before():
    yield
    messages.LOGGER.setLevel(logging.INFO)


def test_progress_is_on_stdout_and_a_warning_on_stderr(capsys):
    messages.info("resuming 50 %s")
    messages.warning("a band has no noise")
    assert capsys.readouterr() == ("resuming 50 %s\n", "warning: a band has no noise\n")


def test_a_message_shows_no_secret(capsys):
    messages.info("reading gs://me:pw@bucket/data")
    assert "pw" not in capsys.readouterr().out


def test_a_level_leaves_out_what_is_below_it(capsys):
    messages.set_level("warning")
    messages.info("resuming")
    messages.warning("a band has no noise")
    assert capsys.readouterr() == ("", "warning: a band has no noise\n")
    messages.set_level("error")
    messages.warning("a band has no noise")
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("pretended_training_here", "own_folder")
def test_the_level_of_a_command_leaves_out_epochs_and_keeps_the_result(capsys):
    train.main([*TINY, "--run=quiet", "--log-level=warning"])
    quiet = capsys.readouterr().out
    assert "epoch" not in quiet.replace("best epoch", "")
    assert "training" not in quiet
    assert "score, wavelength 12, on 1 test planets (10,000 is perfect):" in quiet
    messages.set_level("info")
    train.main([*TINY, "--run=loud"])
    loud = capsys.readouterr().out
    assert "epoch 1/1" in loud
    assert loud.replace("loud", "quiet").endswith(quiet)


def test_a_level_that_there_is_not_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        train.main(["--log-level=loud"])
    assert capsys.readouterr().err.startswith("error: --log-level: invalid choice: 'loud'")


def test_options_of_a_command_do_not_hold_the_level():
    class Options(Schema):
        """No options."""

    from ariel_tf.core.cli import Parser

    assert vars(Parser("ariel_tf.train", "Train.", Options).parse_args(["--log-level", "error"])) == {}
    assert not messages.shows_progress()


def test_lines_of_progress_obey_the_level(monkeypatch, capsys):
    monkeypatch.setattr("ariel_tf.core.resources._SECONDS_BETWEEN_LINES", 0)
    for level, lines in (("warning", 0), ("info", 1)):
        messages.set_level(level)
        with Progress(2, "planet") as progress:
            progress(1)
        assert len(capsys.readouterr().err.splitlines()) == lines

"""Names and values of somebody else's files never command the terminal."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ariel_tf.core import console
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.runs import model_card

ROOT = Path(__file__).parents[2]
HOSTILE = "a\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\rok\u202eb"
SHOWN = r"a\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\rok\u202eb"


def ran(program, check=False):
    """What a Python program printed, in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment, check=check)


def test_raw_escapes_of_a_stranger_s_names_reach_no_error():
    error = DataError(f"{HOSTILE}: damaged\nerror: none\n  indented", [f"{HOSTILE}\n"])
    assert str(error) == error.message == f"{SHOWN}: damaged\\nerror: none\n  indented"
    assert error.faults == [f"{SHOWN}\\n"]
    assert str(UsageError("plain, café, 系外惑星")) == "plain, café, 系外惑星"


@pytest.mark.parametrize("number", [1, 2])
def test_raw_escapes_of_a_stranger_s_names_reach_no_stream(number):
    body = f"print({HOSTILE!r}, file=sys.std{'out' if number == 1 else 'err'})"
    program = f"import sys\nfrom ariel_tf.core.errors import run_command\nrun_command(lambda: {body})\n"
    ended = ran(program, check=True)
    assert (ended.stdout if number == 1 else ended.stderr).decode() == SHOWN + "\n"


def test_a_system_error_with_a_hostile_path_is_escaped():
    program = f"from ariel_tf.core.errors import run_command\nrun_command(lambda: open('/nowhere/' + {HOSTILE!r}))\n"
    ended = ran(program)
    assert (ended.returncode, ended.stderr.decode()) == (1, f"error: No such file or directory: /nowhere/{SHOWN}\n")


def test_progress_bars_and_windows_line_ends_pass():
    raw = io.BytesIO()
    stream = console._Text(raw, encoding="utf-8", newline="")
    for text in ("\r 50%|###", "\x1b[A\x1b[A", "\n\n", "line\r\n", "a\rb", "\x1b[A name"):
        assert stream.write(text) == len(text)
    stream.flush()
    assert raw.getvalue().decode() == "\r 50%|###\x1b[A\x1b[A\n\nline\na\\rb\\x1b[A name"


def test_model_cards_hold_no_control_characters():
    assert model_card.page(HOSTILE, f"Data: {HOSTILE}") == f"# {SHOWN}\n\nData: {SHOWN}\n"

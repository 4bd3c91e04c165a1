"""Commands for a user without a home, or with one that cannot be written to, and on terminals of odd widths."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ariel_tf.__main__ import MODULES
from ariel_tf.training import flux_statistics

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("columns", ["0", "1", "20", "100000", "wide"])
def test_help_fits_a_terminal_of_any_width(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    for module in MODULES.values():
        text = importlib.import_module(module).parser().format_help()
        assert "--help" in text


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    """`Path.home()` raised RuntimeError where neither HOME nor the user is known, as in containers."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert flux_statistics._place(None, None, None) is None


@pytest.mark.parametrize("home", [None, "/nowhere", "/proc"])
def test_commands_of_a_user_whose_home_is_absent_or_read_only(home):
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | ({} if home is None else {"HOME": home})
    command = [sys.executable, "-m", "ariel_tf.train", "--list-models"]
    ended = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")

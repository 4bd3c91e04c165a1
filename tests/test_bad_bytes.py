"""Bad bytes for every parser: a value or an error of ours, within a second of CPU time and 200 MiB.

`make test` feeds each its corpus and a few inputs made of it; `make soak` many, each parser in a process of its own.
"""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import promises
from support.fuzz.drive import check, drive
from support.fuzz.targets import CORPUS, Target, targets

from ariel_tf.core.errors import DataError

FEW, MANY = 10, 5000
# Seconds of atheris for each parser, where it is installed.
GUIDED = 20
TARGETS = targets()


def test_every_parser_has_a_corpus():
    assert {path.name for path in CORPUS.iterdir()} == TARGETS.keys()


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_takes_its_corpus_and_some_bad_bytes(name):
    tried, failed = drive(name, TARGETS[name], FEW)
    assert failed == ""
    assert tried > FEW


@pytest.mark.parametrize("name", [name for name in TARGETS if not TARGETS[name].tensorflow])
def test_a_parser_takes_numbers_of_thousands_of_digits(name):
    """Python refuses to convert them."""
    for path in sorted((CORPUS / name).iterdir()):
        content = path.read_bytes()
        for found in list(re.finditer(rb"[0-9]+", content))[:20]:
            check(TARGETS[name], content[: found.start()] + b"9" * 5001 + content[found.end() :])


def test_a_traceback_a_slow_parser_and_a_large_one_are_noticed(monkeypatch):
    """Each promise is broken once on purpose."""

    monkeypatch.setattr("support.fuzz.drive.SECONDS", -1.0)
    with pytest.raises(AssertionError, match=r"b'1': took 0\.0 s"):
        check(Target(int), b"1")
    monkeypatch.undo()
    with pytest.raises(AssertionError, match="b'x': ValueError: invalid literal"):
        check(Target(int), b"x")
    monkeypatch.setattr("support.fuzz.drive.MEMORY", -1)
    with pytest.raises(AssertionError, match=r"b'1': took 0 MiB"):
        check(Target(int), b"1")
    monkeypatch.undo()
    with pytest.raises(AssertionError, match="an error without a word"):
        check(Target(without_a_word), b"")


def without_a_word(content):
    raise DataError("")


@pytest.mark.soak
@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_takes_many_bad_bytes(name):
    tried, failed = feed(name, "--examples", str(MANY // (10 if name == "keras" else 1)))
    promises.record("bad bytes, hypothesis", name, tried, failed != "")
    assert failed == ""


@pytest.mark.soak
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
@pytest.mark.parametrize("name", [name for name in TARGETS if not TARGETS[name].tensorflow])
def test_a_parser_takes_what_atheris_makes(name):
    ended = run(name, "--atheris", str(GUIDED))
    done = re.search(r"stat::number_of_executed_units: (\d+)", ended.stderr)
    promises.record("bad bytes, atheris", name, int(done[1]) if done else 0, ended.returncode != 0)
    assert ended.returncode == 0, ended.stderr[-2000:]


def run(name, *options):
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "support.fuzz", name, *options]
    environment = {"PYTHONPATH": f"{root}:{root / 'tests'}", "PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=1200)


def feed(name, *options):
    """Inputs tried, and what did not hold; a parser that ends its process does not hold either."""
    ended = run(name, *options)
    if ended.returncode:
        return 1, f"ended with {ended.returncode}: {ended.stderr[-500:]}"
    found = json.loads(ended.stdout.splitlines()[-1])
    return found["tried"], found["failed"]

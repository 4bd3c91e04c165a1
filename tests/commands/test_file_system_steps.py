"""Commands that are killed, or refused by the disk, at any file-system step: `support.steps`.

`make test` tries commands that need no TensorFlow, `make soak` every command.
"""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support import promises
from support.steps.scenarios import SCENARIOS
from support.steps.server import Result, Server, memory_folder
from support.steps.trials import Trials, _ugly

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="the library that counts steps needs a C compiler")


@pytest.fixture(scope="module")
def folder():
    """One for all trials: what comes before several commands is made once."""
    with memory_folder() as name:
        yield Path(name)


@pytest.fixture(scope="module")
def light_server():
    with Server(tensorflow=False) as server:
        yield server


@pytest.fixture(scope="module")
def server(emulator):
    with Server() as server:
        yield server


@pytest.mark.parametrize(("name", "most"), [("pretended training", 40), ("simulate text", 12)])
def test_a_command_that_ends_at_any_step_is_repeated_to_the_same_end(light_server, folder, name, most):
    """A run that was killed between its first checkpoint and its first state.json could never go on."""
    report = Trials(light_server, SCENARIOS[name], folder).run(most)
    assert report.failed == []
    assert report.held == most
    assert report.steps > 25


def test_the_trials_notice_litter_and_other_content(light_server, folder):
    """Each promise is broken once on purpose."""
    trials = Trials(light_server, SCENARIOS["simulate text"], folder)
    steps = trials.prepare()
    trials.expected = {**trials.expected, "absent.txt": ""}
    assert "absent: ['absent.txt']" in trials.trial("kill", len(steps) - 1)
    trials.expected = dict.fromkeys([name for name in trials.expected if name != "absent.txt"], "other")
    assert "other content" in trials.trial("kill", 3)
    del trials.expected["TEXT/simulation.json"]
    assert "litter: ['TEXT/simulation.json']" in trials.trial("EIO", 3)


def test_a_signal_that_ends_a_command_late_or_without_a_sentence_is_noticed():
    ended = Result(code=143, steps=[], fired=1, output="\nstopped by SIGTERM; repeat.", seconds=1.0, after=1.0)
    assert _ugly(ended, "signal", 0) == ""
    assert "expected 130" in _ugly(ended, "signal", 1)
    assert "expected 143 and a sentence" in _ugly(replace(ended, output="Killed"), "signal", 0)
    assert _ugly(replace(ended, after=11.0), "signal", 0) == "took 11.0 s to end"


@pytest.mark.soak
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_command_at_its_file_system_steps(server, folder, name):
    # Other steps with another seed.
    report = Trials(server, SCENARIOS[name], folder).run(
        SCENARIOS[name].most, int(os.environ.get("ARIEL_SOAK_SEED", 0))
    )
    for fault, tried in report.tried.items():
        failed = sum(f": {fault} at step" in line for line in report.failed)
        promises.record(f"{fault} at a file-system step", f"{name}, {report.steps} steps", tried, failed)
    assert report.failed == []

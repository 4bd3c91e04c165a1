"""How much longer something takes, in words."""

import doctest

import pytest

from ariel_tf.core import resources
from ariel_tf.core.resources import Progress, TimeLeft


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets: `clock[0]` is the time."""
    now = [0.0]
    monkeypatch.setattr(resources.time, "monotonic", lambda: now[0])
    return now


def test_the_examples_are_true():
    assert doctest.testmod(resources).failed == 0


def test_time_left_is_that_of_the_steps_after_the_first(clock):
    left = TimeLeft()
    assert left(0, 10) == ""
    clock[0] = 50.0  # start-up
    assert left(1, 10) == "at most 8 min left"
    clock[0] = 60.0
    assert left(2, 10) == "at most 80 s left"
    clock[0] = 80.0
    assert left(4, 10) == "at most 60 s left"
    assert left(10, 10) == ""


def test_steps_of_an_earlier_process_do_not_count(clock):
    left = TimeLeft(done=7)
    assert left(7, 10) == ""
    clock[0] = 30.0
    assert left(8, 10) == "at most 60 s left"


def test_a_slow_prediction_is_not_0_a_second(clock):
    with Progress(3, "observation") as progress:
        clock[0] = 2.3
        progress(1)
        assert progress.summary == "1 observation in 2.3 s"
        clock[0] = 60.0
        progress(2)
        assert progress.summary == "3 observations in 60.0 s, 3.0 a minute"


def write_group(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name.replace("_", ".", 1)).write_text(f"{value}\n")


def test_free_memory_is_what_every_control_group_above_a_process_leaves(tmp_path):
    """The limit of a SLURM job or of a systemd slice is that of a group within the tree, not of its root."""
    root, own = tmp_path / "cgroup", tmp_path / "self"
    own.write_text("0::/slurm/job_7/step_0\n")
    write_group(root / "slurm", memory_max="max", memory_current=9000)
    write_group(root / "slurm/job_7", memory_max=8000, memory_current=5000, memory_stat="anon 1000\ninactive_file 400")
    assert resources._free_of_group(root, own) == [3400]
    own.write_text("0::/\n")
    assert resources._free_of_group(root, own) == []


def test_free_memory_of_control_groups_of_version_1(tmp_path):
    root, own = tmp_path / "cgroup", tmp_path / "self"
    own.write_text("4:memory:/job\n1:name=systemd:/other\n")
    group = root / "memory/job"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text("1000\n")
    (group / "memory.usage_in_bytes").write_text("300\n")
    assert resources._free_of_group(root, own) == [700]

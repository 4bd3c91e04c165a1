"""Random damage to every kind of file: the same value, or one clear error; never another value, never a traceback."""

import random

import pytest
from support import promises
from support.damage import trials
from support.damage.subjects import subjects

from ariel_tf.core import atomic_files

# Trials of each of five faults: in `make test`, and in `make soak`.
FEW, MANY = 1, 200


@pytest.fixture(scope="module")
def every(tmp_path_factory, make_planet):
    """Made without flushes: none of thousands of files needs to survive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic_files, "flush", lambda path: None)
        yield subjects(tmp_path_factory.mktemp("damaged"), make_planet)


def test_every_kind_of_file_has_a_reader_that_notices_damage(every, tmp_path):
    assert len({subject.name for subject in every}) == len(every) >= 30
    reports = {subject.name: trials.run(subject, tmp_path, FEW) for subject in every}
    assert [line for report in reports.values() for line in report.failed] == []
    assert all(report.tried == 5 * FEW + 2 for report in reports.values())
    # The others are made again from what is sound.
    assert sum(report.refused > 0 for report in reports.values()) >= 25


@pytest.mark.soak
def test_every_kind_of_file_under_much_damage(every, tmp_path):
    failed = []
    for subject in every:
        report = trials.run(subject, tmp_path, MANY)
        promises.record("a damaged file", subject.name, report.tried, len(report.failed))
        failed += report.failed
    assert failed == []


def test_the_trials_notice_a_silent_reader_and_a_traceback(tmp_path):
    """Each promise is broken once on purpose."""
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "file").write_bytes(bytes(range(256)))

    def first_half(copy):
        content = (copy / "file").read_bytes()
        return (*content[:128], content[3])

    report = trials.run(trials.Subject("a silent one", folder, "file", first_half), tmp_path, 20)
    assert any("read silently as another value" in line for line in report.failed)
    assert any("IndexError" in line for line in report.failed)


@pytest.mark.parametrize("fault", trials.FAULTS)
def test_each_fault_changes_some_bytes(fault):
    content = bytes(range(256))
    for seed in range(50):
        found = trials.damaged(content, fault, random.Random(seed))
        assert found != content
        assert len(found) == len(content) or fault in ("cut", "delete")
        assert sorted(found) == sorted(content) or fault != "swap"

"""Saving takes a small share of the time, however long a save or an epoch takes."""

import pytest

from ariel_tf.training import schedule


@pytest.mark.parametrize(
    ("epoch", "save", "saves"), [(100.0, 1.0, 1000), (1.0, 1.0, 53), (0.1, 2.0, 3), (10.0, 0.1, 1000)]
)
def test_saves_are_as_many_as_their_share_of_the_time_allows(epoch, save, saves, monkeypatch):
    now, count, paced = [0.0], 0, schedule.CheckpointSchedule()
    monkeypatch.setattr(schedule.time, "perf_counter", lambda: now[0])
    for _ in range(1000):
        now[0] += epoch
        if paced.due():
            count += 1
            with paced.saving():
                now[0] += save
    assert count == pytest.approx(saves, abs=1)
    assert (count - 1) * save <= schedule.SHARE * now[0], "all but the first, which is always due"


def test_a_save_that_failed_is_due_again():
    paced = schedule.CheckpointSchedule()
    with pytest.raises(OSError, match="full"), paced.saving():
        raise OSError("full")
    assert paced.due()

"""Trainings on rows of two data sets."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.run_folders import table

from ariel_tf import train
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.sources import open_source
from ariel_tf.training.data import TrainingData

DATA, OTHER = "simulated:planets=20,spots=1,photons=2,seed=1", "simulated:planets=10,spots=1,photons=1,seed=2"
SMALL = ["--model=linear", f"--data={DATA}", f"--also={OTHER}", "--share=.4", "--batch-size=10", "--epochs=4"]

pytestmark = pytest.mark.usefixtures("own_folder")


def rows_of(**options):
    config = TrainConfig(model="linear", data=DATA, also=OTHER, share=0.4, batch_size=10, epochs=3, **options).resolve()
    return TrainingData(open_source(DATA, (12,)), config, also=open_source(OTHER, (12,)))


def test_each_batch_has_its_share_of_the_second_data_set_and_an_epoch_all_rows_of_the_first():
    rows = rows_of()
    own, more = radii(DATA), radii(OTHER)
    assert rows.count == 32
    assert rows.steps == 6
    batches = [radius.numpy()[:, 0] for _, radius in rows.training(0)]
    assert len(batches) == 18
    epochs = [batches[first : first + 6] for first in (0, 6, 12)]
    for epoch in epochs:
        assert [len(batch) for batch in epoch] == [10, 10, 10, 10, 10, 6]
        assert all(np.isin(batch[-4:], more).all() for batch in epoch)
        first = np.concatenate([batch[:-4] for batch in epoch])
        assert sorted(first) == sorted(np.repeat(own, 2))
        second = np.concatenate([batch[-4:] for batch in epoch])
        assert set(np.unique(second, return_counts=True)[1]) == {3}, "8 rows, 24 places: each three times"
    assert not np.array_equal(epochs[0][0], epochs[1][0])
    resumed = [radius.numpy()[:, 0] for _, radius in rows.training(2)]
    for one, other in zip(resumed, epochs[2], strict=True):
        np.testing.assert_array_equal(one, other)


def radii(data):
    """Return those of its training planets, float32."""
    planets = open_source(data, (12,)).planets(range(8))
    return np.array([planet.radii[12] for planet in planets], np.float32)


def test_a_training_on_two_data_sets_resumes_to_the_bit_and_records_both(monkeypatch):
    train.main([*SMALL, "--run=whole"])
    config = json.loads(Path("whole/config.json").read_text())
    assert (config["also"], config["share"]) == (OTHER, 0.4)
    assert config["also_source"] == {"fingerprint": open_source(OTHER, (12,)).fingerprint}
    train.main(["--config=whole/config.json", "--run=again"])
    rows = [[row["loss"] for row in table(Path(name, "metrics.csv"))] for name in ("whole", "again")]
    assert rows[0] == rows[1]
    with h5py.File("whole/checkpoints/epoch-00004.weights.h5") as file:
        steps = int(file["optimizer/vars/0"][()])
    assert steps == 4 * 6, "an epoch of the first data set alone has 4 steps"
    with pytest.raises(UsageError, match="also_source"):
        train.main([*SMALL[:2], f"--also={DATA}", *SMALL[3:], "--run=whole"])


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        (["--also=simulator:rows=100"], UsageError, "--also simulator.*: expected rows that fit in memory"),
        (["--batch-size=1"], UsageError, "--also: expected a --batch-size of 2 or more"),
        (["--share=1"], UsageError, "--share"),
        (["--also=nowhere"], DataError, "nowhere"),
    ],
)
def test_what_cannot_be_mixed_in_is_refused(more, error, said):
    with pytest.raises((error, SystemExit), match=None if "--share=1" in more else said):
        train.main([*SMALL, *more])
    assert not Path("runs").exists()

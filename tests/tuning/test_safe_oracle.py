"""A search's state that is older than its trials is completed from them."""

import keras_tuner
import pytest
from keras_tuner.engine.trial import TrialStatus

from ariel_tf.core.atomic_files import read_json
from tuning import oracles


def made(run):
    hp = keras_tuner.HyperParameters()
    hp.Float("learning_rate", 0.0, 1.0)
    oracle = oracles.make_oracle("random", hp, trials=4, epochs=1, seed=0)
    oracle.place(run)
    return oracle


def tried(oracle):
    """The values of the next trial, which then ends with a score."""
    trial = oracle.create_trial("worker0")
    values = trial.hyperparameters.values["learning_rate"]
    oracle.update_trial(trial.trial_id, {"val_score": 100 * values})
    trial.status = TrialStatus.COMPLETED
    oracle.end_trial(trial)
    return values


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_state_of_before_some_trials_goes_on_as_if_it_were_the_last(tmp_path, after):
    unbroken = made(tmp_path / "unbroken")
    expected = [tried(unbroken) for _ in range(4)]

    run = tmp_path / "run"
    oracle = made(run)
    values = [tried(oracle) for _ in range(after)]
    oracle.save = lambda: None  # as if the process ended before the state was written
    values += [tried(oracle) for _ in range(3 - after)]
    values.append(tried(made(run)))
    assert values == expected
    found, whole = (read_json(path / "oracle" / "oracle.json", dict) for path in (run, tmp_path / "unbroken"))
    assert found["seed_state"] == whole["seed_state"]
    assert found["run_times"] == whole["run_times"]

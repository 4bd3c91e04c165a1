"""The search algorithms: keras-tuner's oracles of random, Bayesian and Hyperband searches, each with a `SafeOracle`."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras_tuner
import numpy as np

from tuning.safe_oracle import OBJECTIVE, SafeOracle


class RandomOracle(SafeOracle, keras_tuner.oracles.RandomSearchOracle):
    """Random search."""


class BayesianOracle(SafeOracle, keras_tuner.oracles.BayesianOptimizationOracle):
    """A Gaussian process fitted to the scores so far."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about bounds and fits that did not converge, which do no harm
            response = super().populate_space(trial_id)
        return response | {"values": response["values"] and self.tidy(response["values"])}

    def _vectorize_trials(self) -> tuple[np.ndarray, np.ndarray]:
        """Like keras-tuner, but with equal scores for all hopeless trials.

        A diverging learning rate can cost a million points, and a process fitted to it does not resolve the differences
        between the good trials.
        """
        x, y = super()._vectorize_trials()
        middle = np.median(y)
        return x, np.minimum(y, middle + 3 * max(middle - y.min(), 1.0))


class HyperbandOracle(SafeOracle, keras_tuner.oracles.HyperbandOracle):
    """Hyperband: many short trials, the best of which are continued."""

    _brackets: list[dict[str, Any]]

    def reconcile(self) -> None:
        super().reconcile()
        placed = {info["id"] for bracket in self._brackets for infos in bracket["rounds"] for info in infos}
        # Completed brackets are removed from the state, but that of the last trial is always there.
        if self.trials and list(self.trials)[-1] not in placed:
            self.rebuild_brackets()

    def rebuild_brackets(self) -> None:
        """Put every trial into the bracket and the round recorded in its values."""
        self._brackets, self._current_iteration = [], 0
        self._current_bracket = self._get_num_brackets() - 1
        self._start_new_bracket()
        home: dict[str, dict[str, Any]] = {}
        for name, trial in self.trials.items():
            values = trial.hyperparameters.values
            number = values.get("tuner/round")
            if number is None:
                continue
            past = values.get("tuner/trial_id")
            if past is None:
                bracket = self._brackets[-1]
                if len(bracket["rounds"][0]) >= self._get_size(bracket["bracket_num"], 0):
                    self._increment_bracket_num()
                    self._start_new_bracket()
                    bracket = self._brackets[-1]
            else:
                bracket = home.get(past, self._brackets[-1])
            home[name] = bracket
            bracket["rounds"][number].append({"past_id": past, "id": name})


ALGORITHMS: dict[str, type[SafeOracle]] = {
    "random": RandomOracle,
    "bayesian": BayesianOracle,
    "hyperband": HyperbandOracle,
}


def make_oracle(
    algorithm: str, hp: Any, trials: int, epochs: int, seed: int, first: Sequence[Mapping[str, Any]] = ()
) -> SafeOracle:
    """Return an oracle that maximises the validation score.

    Args:
        algorithm: one of `ALGORITHMS`.
        hp: the space, from `hyperparameters.reveal`.
        trials: maximum number of trials; for Hyperband promotions count too.
        epochs: epochs of a whole training.
        seed: random seed of the search.
        first: values to try before any others.
    """
    arguments: dict[str, Any] = {
        "objective": keras_tuner.Objective(OBJECTIVE, "max"),
        "hyperparameters": hp,
        "seed": seed + 1,  # keras-tuner treats 0 as no seed
        "max_consecutive_failed_trials": 1 << 30,  # a failed trial is a row of the table and does not end the search
    }
    if algorithm == "hyperband":
        oracle = HyperbandOracle(max_epochs=epochs, hyperband_iterations=1 << 30, **arguments)
        oracle.max_trials = trials
    else:
        if algorithm == "bayesian":
            dimensions = len(hp.space)
            arguments["num_initial_points"] = max(3, min(3 * dimensions, trials // 3))
        oracle = ALGORITHMS[algorithm](max_trials=trials, **arguments)
    oracle.first = first
    return oracle

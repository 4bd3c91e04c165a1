"""Whether runs can be combined: trained on the same data, and none on planets that another holds out as its test."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ariel_tf.core.errors import UsageError
from ariel_tf.data.folds import Folds


class TrainedRun(Protocol):
    """A loaded run or a predictor."""

    @property
    def path(self) -> Path: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def folds(self) -> Folds: ...


def folds_of(each: Sequence[TrainedRun]) -> Folds:
    """Return the folds that any of the runs was trained on, that selected an epoch, and that are test folds of all.

    Raises:
        UsageError: a run was trained on, or its epoch selected by, test folds of another.
    """
    train = {fold for one in each for fold in one.folds.train}
    chosen = {fold for one in each for fold in one.folds.validation} - train
    test = set(each[0].folds.test).intersection(*(one.folds.test for one in each))
    for one in each:
        for other in each:
            if leak := set(one.folds.test) & {*other.folds.train, *other.folds.validation}:
                raise UsageError(
                    f"{other.path} was trained on folds {sorted(leak)}, which {one.path} holds out as its test: "
                    "a score of both together would not be a test score. Take runs with the same --test-folds."
                )
    return Folds(tuple(sorted(train)), tuple(sorted(chosen)), tuple(sorted(test)))


def refuse_other_data(each: Sequence[TrainedRun]) -> None:
    """Refuse runs of different data: a planet may be in different folds, so folds do not separate training and test."""
    for one in each[1:]:
        if one.fingerprint != each[0].fingerprint:
            raise UsageError(
                f"{each[0].path} and {one.path} were trained on different data ({each[0].fingerprint[:12]}, "
                f"{one.fingerprint[:12]}), so a test planet of one may be a training planet of the other."
            )

"""Ensembles that train their members: k folds, bagging, stacking; `python -m ariel_tf.ensemble` starts them.

    OUT/                     the ensemble's own run folder
        members/k0, k1 ...   an ordinary run folder each, trained by `ariel_tf.train`; a finished one is left alone

Stopped in any way, the same command goes on.
"""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ariel_tf.config import train_options as flags
from ariel_tf.config.train_config import Configuration
from ariel_tf.core.atomic_files import write_json
from ariel_tf.core.errors import Stopped, UsageError
from ariel_tf.core.tf_startup import import_tensorflow
from ariel_tf.data.folds import N_FOLDS
from ariel_tf.ensembles.combine import finish
from ariel_tf.ensembles.run import configuration_of, report
from ariel_tf.runs.folder import RunFolder, is_finished, recorded_fingerprint
from ariel_tf.training import job as training_job


@dataclasses.dataclass(frozen=True)
class Plan:
    """What an ensemble trains.

    Attributes:
        config: resolved; of every member, but for what a member's changes say.
        rest: what `train` takes beside a configuration.
        command: what the user repeats to go on.
        train: the module of the command that trains a member.
    """

    config: Configuration
    rest: list[str]
    command: str
    train: Any

    @property
    def known(self) -> tuple[int, ...]:
        """Folds that are no test."""
        return tuple(fold for fold in range(N_FOLDS) if fold not in self.config.test_folds)

    def as_json(self) -> dict[str, Any]:
        return self.config.as_json()

    def member(self, path: Path, **changes: Any) -> None:
        """Train a member in a folder of its own, or go on with it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.parent / f"{path.name}.json"
        write_json(file, self.as_json() | changes)
        try:
            self.train.main(["--config", str(file), "--run", str(path), *self.rest])
        except Stopped as stop:
            number = stop.exit_code - 128
            raise Stopped(
                f"stopped in member {path}. To go on, repeat the command:\n  {self.command}", number
            ) from stop


def train_ensemble(options: argparse.Namespace, rest: list[str], command: str, train: Any) -> None:
    """Train the members of an ensemble, combine them and score the result.

    Args:
        options: of the command.
        rest: what `train` takes beside a configuration.
        command: what the user repeats to go on.

    Raises:
        ArielError: whatever the user can mend, in one sentence.
    """
    plan = plan_of(options, rest, command, train)
    import_tensorflow(start_devices=False)  # before what is imported here brings it along, with its notices
    how = {"how": options.how, **_own(options, plan), "trained": plan.as_json()}
    if options.how == "stacking":
        from ariel_tf.ensembles.stacking import train_stacking

        train_stacking(options, plan, how, command)
        return
    changes = kfold(plan, options.splits) if options.how == "kfold" else bagging(plan, options.members)
    validation = () if options.how == "kfold" else plan.config.validation_folds
    fingerprint = recorded_fingerprint(options.run)
    with RunFolder(options.run, describe(plan, how, validation), fingerprint, options.overwrite) as run:
        if not run.state["finished"]:
            each = train_members(run.path / "members", plan, changes)
            finish(run, each, command)
        report(run)


def plan_of(options: argparse.Namespace, rest: list[str], command: str, train: Any) -> Plan:
    """What the flags say of the members."""
    if getattr(options, "level_0", None):
        from ariel_tf.ensembles.stacking import configuration_file, refuse_training_options

        refuse_training_options(options)
        options.config = configuration_file(options.level_0[0])  # wavelengths, data and folds are the first run's
    return Plan(training_job.with_data(flags.from_arguments(options)), rest, command, train)


def _own(options: argparse.Namespace, plan: Plan) -> dict[str, Any]:
    """The ensemble's own options, checked."""
    names = {"kfold": ("splits",), "bagging": ("members",), "stacking": ("splits",)}[options.how]
    # Out of fold are the training folds; k folds share the validation folds out as well.
    most = len(plan.known) if options.how == "kfold" else len(plan.config.train_folds)
    bounds = {"splits": (2, most), "members": (2, 1000)}
    for name in names:
        low, high = bounds[name]
        if not low <= getattr(options, name) <= high:
            raise UsageError(f"--{name}: expected {low} to {high}. Received: {getattr(options, name)}")
    return {name: getattr(options, name) for name in names}


def describe(plan: Plan, how: dict[str, Any], validation: Sequence[int]) -> dict[str, Any]:
    """The ensemble's configuration, known before any member is trained."""
    config = plan.config
    signature = config.signature
    train_folds = [fold for fold in plan.known if fold not in validation]
    return configuration_of(how, config.model, signature, config.data, (train_folds, validation, config.test_folds))


def parts(folds: Sequence[int], count: int) -> list[list[int]]:
    """Folds in `count` parts whose sizes differ by one at most.

    >>> parts(range(8), 3)
    [[0, 3, 6], [1, 4, 7], [2, 5]]
    """
    return [list(folds[start::count]) for start in range(count)]


def kfold(plan: Plan, splits: int) -> dict[str, dict[str, Any]]:
    """What differs between members: each part of the folds that are no test is the validation of one."""
    return {f"k{index}": {"validation_folds": part} for index, part in enumerate(parts(plan.known, splits))}


def bagging(plan: Plan, members: int) -> dict[str, dict[str, Any]]:
    """What differs between members: the seed, and with it the draw of the planets."""
    return {f"k{index}": {"bootstrap": "yes", "seed": plan.config.seed + index} for index in range(members)}


def train_members(folder: Path, plan: Plan, changes: Mapping[str, dict[str, Any]]) -> list[Any]:
    """Train every member that is not finished, and read them all.

    Args:
        folder: of the members.
        changes: by the name of a member's folder: what its configuration has instead of the plan's.
    """
    from ariel_tf.runs.predictor import Predictor, refuse_other_data

    for number, (name, change) in enumerate(changes.items(), 1):
        if not is_finished(folder / name):
            print(f"member {number} of {len(changes)}: {name}", flush=True)
            plan.member(folder / name, **change)
    each = [Predictor.load(folder / name) for name in changes]
    refuse_other_data(each)
    return each

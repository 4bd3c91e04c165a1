"""Ensembles of one configuration: trained on k choices of validation folds, or on planets drawn with replacement."""

from pathlib import Path
from typing import Any

from ariel_tf.core.errors import UsageError
from ariel_tf.ensembles.combine import finish
from ariel_tf.ensembles.members import Members, parts
from ariel_tf.ensembles.run import configuration_for, report
from ariel_tf.runs.committed import recorded_fingerprint
from ariel_tf.runs.folder import RunFolder


def train_kfold(members: Members, splits: int, run: Path, overwrite: bool = False) -> None:
    """Train a member for each part of the folds that are not test folds, validated on that part; average them.

    Args:
        members: configuration and options of the members.
        splits: number of parts.
        run: run folder of the ensemble.
        overwrite: whether to move an earlier run there aside.

    Raises:
        ArielError: an error that the user can mend, in one sentence.
    """
    known = members.known_folds
    check_count("--splits", splits, len(known))
    how = {"how": "kfold", "splits": splits, "trained": members.config.as_json()}
    changes = {f"k{index}": {"validation_folds": part} for index, part in enumerate(parts(known, splits))}
    _train(members, configuration_for(members, how, ()), changes, run, overwrite)


def train_bagging(members: Members, count: int, run: Path, overwrite: bool = False) -> None:
    """Train members on planets drawn with replacement, each with its own seed; average them (Breiman 1996).

    Args:
        members: configuration and options of the members.
        count: number of members.
        run: run folder of the ensemble.
        overwrite: whether to move an earlier run there aside.

    Raises:
        ArielError: an error that the user can mend, in one sentence.
    """
    check_count("--members", count, 1000)
    config = members.config
    how = {"how": "bagging", "members": count, "trained": config.as_json()}
    changes: dict[str, dict[str, Any]] = {
        f"k{index}": {"bootstrap": "yes", "seed": config.seed + index} for index in range(count)
    }
    _train(members, configuration_for(members, how, config.validation_folds), changes, run, overwrite)


def check_count(flag: str, count: int, most: int) -> None:
    """Refuse a number of members that is outside 2 to `most`."""
    if not 2 <= count <= most:
        raise UsageError(f"{flag}: expected 2 to {most}. Received: {count}")


def _train(
    members: Members, configuration: dict[str, Any], changes: dict[str, dict[str, Any]], path: Path, overwrite: bool
) -> None:
    fingerprint = "" if overwrite else recorded_fingerprint(path)
    with RunFolder(path, configuration, fingerprint, overwrite) as run:
        if not run.state["finished"]:
            finish(run, members.train(run.path / "members", changes), members.command)
        report(run)

"""Members of an ensemble that are trained for it, each in its own run folder.

OUT/members/k0.json     the configuration of a member, as `train --config` reads it
OUT/members/k0/         its run folder; a finished one is not changed
"""

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ariel_tf.config.run_options import RunOptions
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core import messages
from ariel_tf.core.atomic_files import write_json
from ariel_tf.core.errors import Stopped
from ariel_tf.core.printable import masked
from ariel_tf.core.resources import TimeLeft
from ariel_tf.data.folds import N_FOLDS
from ariel_tf.data.remote import naming
from ariel_tf.runs.compatibility import refuse_other_data
from ariel_tf.runs.state import is_finished
from ariel_tf.training.opening import locate_data
from ariel_tf.training.start import check, train


@dataclasses.dataclass(frozen=True)
class Members:
    """Models to train for an ensemble.

    Attributes:
        config: resolved, with named data; shared by all members except for their changes.
        options: devices, stack and jobs of each member's training.
        command: command of the ensemble, which a user repeats to resume.
    """

    config: TrainConfig
    options: RunOptions
    command: str

    @property
    def known_folds(self) -> tuple[int, ...]:
        """Return the folds that are not test folds."""
        return tuple(fold for fold in range(N_FOLDS) if fold not in self.config.test_folds)

    def train(self, folder: Path, changes: Mapping[str, Mapping[str, Any]]) -> list[Any]:
        """Train every member that is not finished, and load all of them.

        Args:
            folder: folder of the members.
            changes: by name of a member's folder, the values of its configuration that differ, as in config.json.

        Returns:
            A predictor for each member, in the order of `changes`.

        Raises:
            Stopped: a signal was received; the members keep their whole epochs.
            ArielError: an error that the user can mend, in one sentence.
        """
        from ariel_tf.runs.predictor import Predictor

        missing = [name for name in changes if not is_finished(folder / name)]
        left = TimeLeft()
        for number, (name, change) in enumerate(changes.items(), 1):
            if name in missing:
                text = left(missing.index(name), len(missing))
                messages.info(f"member {number} of {len(changes)}: {name}{f', {text}' * bool(text)}")
                self._train_one(folder / name, change)
        each = [Predictor.load(folder / name) for name in changes]
        refuse_other_data(each)
        return each

    def _train_one(self, path: Path, change: Mapping[str, Any]) -> None:
        """Train one member in its run folder, or resume it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.parent / f"{path.name}.json"
        write_json(file, masked({**self.config.as_json(), **change}))
        arguments = (
            "--config",
            str(file),
            *naming(self.config.data, self.config.model),
            "--run",
            str(path),
            *self._flags(),
        )
        command = shlex.join(["python", "-m", "ariel_tf.train", *arguments])
        config = TrainConfig.from_json({**self.config.as_json(), **change}).resolve()
        options = self.options.replace(run=path, command=command, arguments=arguments)
        check(config, options)
        try:
            train(locate_data(config), options)
        except Stopped as stop:
            number = stop.exit_code - 128
            raise Stopped(
                f"stopped in member {path}. To resume, repeat the command:\n  {self.command}", number
            ) from stop

    def _flags(self) -> Sequence[str]:
        """Return options of `train` for a member's training."""
        usual = RunOptions()
        values = {name: getattr(self.options, name) for name in ("stack", "devices", "jobs")}
        given = {name: value for name, value in values.items() if value != getattr(usual, name)}
        return [text for name, value in given.items() for text in (f"--{name}", str(value))]


def parts(folds: Sequence[int], count: int) -> list[list[int]]:
    """Divide folds into `count` parts whose sizes differ by at most one.

    >>> parts(range(8), 3)
    [[0, 3, 6], [1, 4, 7], [2, 5]]
    """
    return [list(folds[start::count]) for start in range(count)]

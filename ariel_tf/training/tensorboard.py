"""A run's TensorBoard logs: scalars, hyper-parameters, pictures.

`tensorboard --logdir runs` shows every run of a folder side by side; training and validation curves are
two lines of one plot.
"""

import hashlib
import time
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from ariel_tf.core.printable import masked
from ariel_tf.data.shards import disk_errors
from ariel_tf.runs.folder import RunFolder

SCORE, BEST_SCORE, TEST_SCORE = "score", "best_score", "test_score"


def hyper_parameters(configuration: dict[str, Any]) -> dict[str, Any]:
    """Options and settings side by side; what is neither a number nor a boolean as text."""
    flat = {name: value for name, value in configuration.items() if name != "settings"} | configuration["settings"]
    return {name: value if isinstance(value, bool | int | float) else str(value) for name, value in flat.items()}


def trial_id(run: Path) -> str:
    """A name that no other run has: the HParams tab averages the scores of all runs of one name.

    A folder's last name does not do, since every search has a trial 0000 and every list a w12; nor does its path, since
    `--overwrite` moves a run aside and makes another one there.
    """
    identity = f"{run.resolve()} {time.time_ns()}"
    return f"{run.name}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"


class TensorBoardLog(keras.callbacks.Callback):
    """Write each epoch's row of `metrics.csv` as scalars.

    Args:
        run: whose rows; the logs lie in RUN/tensorboard.
        configuration: of the run; the HParams tab shows its options and settings.
    """

    def __init__(self, run: RunFolder, configuration: dict[str, Any]):
        super().__init__()
        self.run = run
        folder = run.path / "tensorboard"
        self.folder = folder
        with disk_errors(folder):
            self.training = tf.summary.create_file_writer(str(folder / "train"))
            self.validation = tf.summary.create_file_writer(str(folder / "validation"))
            if not run.resumed:
                # No hparams_config: TensorBoard then lists whatever settings the runs have, which differ by model.
                with self.validation.as_default():
                    hparams.hparams(hyper_parameters(masked(configuration)), trial_id=trial_id(run.path))

    def on_epoch_end(self, epoch, logs=None):
        with disk_errors(self.folder):
            self._write(self.run.rows[-1])

    def _write(self, row: dict[str, Any]) -> None:
        with self.training.as_default(step=int(row["epoch"])):
            for name in ("loss", SCORE, "learning_rate", "observations_per_second"):
                tf.summary.scalar(name, row[name])
        with self.validation.as_default(step=int(row["epoch"])):
            tf.summary.scalar("loss", row["val_loss"])
            tf.summary.scalar(SCORE, row["val_score"])
            # The HParams tab shows a scalar's last value: by this one it ranks runs by their best epoch.
            tf.summary.scalar(BEST_SCORE, max(row["val_score"] for row in self.run.rows))
        self.flush()

    def test_score(self, score: float) -> None:
        """Write the score on the test planets, after the last epoch."""
        with disk_errors(self.folder), self.validation.as_default(step=len(self.run.rows)):
            tf.summary.scalar(TEST_SCORE, score)

    def picture(self, name: str, path: Path, epoch: int) -> None:
        """Show a PNG file under `name` at `epoch`."""
        image = tf.io.decode_png(path.read_bytes(), channels=3)
        with disk_errors(self.folder), self.validation.as_default(step=epoch):
            tf.summary.image(name, image[None])

    def flush(self) -> None:
        with disk_errors(self.folder):
            self.training.flush()
            self.validation.flush()

    def close(self) -> None:
        with disk_errors(self.folder):
            self.training.close()
            self.validation.close()

"""A run's TensorBoard logs: scalars, hyper-parameters, pictures.

`tensorboard --logdir runs` shows every run of a folder side by side; training and validation curves are
two lines of one plot.
"""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from ariel_tf.runs.folder import RunFolder

SCORE = "score"


def hyper_parameters(configuration: dict[str, Any]) -> dict[str, Any]:
    """Options and settings side by side; what is neither a number nor a boolean as text."""
    flat = {name: value for name, value in configuration.items() if name != "settings"} | configuration["settings"]
    return {name: value if isinstance(value, bool | int | float) else str(value) for name, value in flat.items()}


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
        self.training = tf.summary.create_file_writer(str(folder / "train"))
        self.validation = tf.summary.create_file_writer(str(folder / "validation"))
        if not run.resumed:
            # No hparams_config: TensorBoard then lists whatever settings the runs have, which differ by model.
            with self.validation.as_default():
                hparams.hparams(hyper_parameters(configuration), trial_id=run.path.name)

    def on_epoch_end(self, epoch, logs=None):
        row = self.run.rows[-1]
        with self.training.as_default(step=int(row["epoch"])):
            for name in ("loss", SCORE, "learning_rate", "observations_per_second"):
                tf.summary.scalar(name, row[name])
        with self.validation.as_default(step=int(row["epoch"])):
            tf.summary.scalar("loss", row["val_loss"])
            tf.summary.scalar(SCORE, row["val_score"])
        self.flush()

    def picture(self, name: str, path: Path, epoch: int) -> None:
        """Show a PNG file under `name` at `epoch`."""
        image = tf.io.decode_png(path.read_bytes(), channels=3)
        with self.validation.as_default(step=epoch):
            tf.summary.image(name, image[None])

    def flush(self) -> None:
        self.training.flush()
        self.validation.flush()

    def close(self) -> None:
        self.training.close()
        self.validation.close()

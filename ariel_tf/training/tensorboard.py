"""A run's TensorBoard logs: scalars, hyper-parameters, images, texts (configuration, model card), the model's graph.

`tensorboard --logdir runs` shows every run of a folder; training and validation curves are two lines of one plot.
`tensorboard --logdir RUN/tensorboard` names the two `train` and `validation`, short enough for a narrow list of runs.
"""

import hashlib
import json
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
    """Return options and settings in one dictionary; values that are neither numbers nor booleans as text."""
    flat = {name: value for name, value in configuration.items() if name != "settings"} | configuration["settings"]
    return {name: value if isinstance(value, bool | int | float) else str(value) for name, value in flat.items()}


def trial_id(run: Path) -> str:
    """Return a name unique to a run: the HParams tab averages the scores of all runs with the same name.

    The name of the folder is not unique, since every search has a trial 0000 and every list a w12; nor is its path,
    since `--overwrite` moves a run aside and creates another one there.
    """
    identity = f"{run.resolve()} {time.time_ns()}"
    return f"{run.name}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"


def table(values: dict[str, Any]) -> str:
    """Return names and values as a Markdown table."""
    rows = [f"| {name} | {str(value).replace('|', ' ')} |" for name, value in values.items()]
    return "\n".join(["| option | value |", "|---|---|", *rows])


def conceptual(model: keras.Model) -> str:
    """Return the layers and operations of a functional model as JSON for TensorBoard's Graphs tab."""
    layers = []
    for operation in model.operations:
        nodes = [node for node in operation._inbound_nodes if not node.is_input]
        parents = [tensor._keras_history.operation.name for node in nodes for tensor in node.input_tensors]
        inbound = [{"config": {"keras_history": [parent, 0, 0]}} for parent in dict.fromkeys(parents)]
        layers.append(
            {
                "class_name": type(operation).__name__,
                "config": {"name": operation.name, "dtype": "float32"},
                "inbound_nodes": [{"args": [inbound], "kwargs": {}}] if inbound else [],
            }
        )
    return json.dumps({"class_name": "Functional", "config": {"name": model.name, "layers": layers}})


class Profile(keras.callbacks.Callback):
    """Profile some steps of this process, for TensorBoard's Profile tab.

    Args:
        folder: folder of the logs.
        first, last: steps, counted from 1 at the start or resumption of the training.
    """

    def __init__(self, folder: Path, first: int, last: int):
        super().__init__()
        self.folder, self.first, self.last = folder, first, last
        self.step, self.running = 0, False

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.step += 1
        if self.step == self.first:
            tf.profiler.experimental.start(str(self.folder))
            self.running = True

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.step >= self.last:
            self._stop()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.running:
            self.running = False
            tf.profiler.experimental.stop()


class TensorBoardLog(keras.callbacks.Callback):
    """Writes each epoch's row of `metrics.csv` as scalars.

    Args:
        run: run whose rows are written; the logs are in RUN/tensorboard.
        configuration: configuration of the run; the HParams tab shows its options and settings.
        histograms: whether to write a histogram of each weight after each epoch.
    """

    def __init__(self, run: RunFolder, configuration: dict[str, Any], histograms: bool = False):
        super().__init__()
        self.run, self.histograms = run, histograms
        folder = run.path / "tensorboard"
        self.folder = folder
        with disk_errors(folder):
            self.training = tf.summary.create_file_writer(str(folder / "train"))
            self.validation = tf.summary.create_file_writer(str(folder / "validation"))
            if not run.resumed:
                # No hparams_config: TensorBoard then lists the settings of the runs, which differ by model.
                with self.validation.as_default():
                    hparams.hparams(hyper_parameters(masked(configuration)), trial_id=trial_id(run.path))
                    tf.summary.text("configuration", table(hyper_parameters(masked(configuration))), step=0)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        with disk_errors(self.folder):
            self._write(self.run.rows[-1])
            if self.histograms:
                with self.training.as_default(step=int(self.run.rows[-1]["epoch"])):
                    for variable in self.model.trainable_variables:
                        tf.summary.histogram(f"weights/{variable.path}", variable.value)

    def _write(self, row: dict[str, Any]) -> None:
        with self.training.as_default(step=int(row["epoch"])):
            for name in ("loss", SCORE, "learning_rate", "observations_per_second"):
                tf.summary.scalar(name, row[name])
        with self.validation.as_default(step=int(row["epoch"])):
            tf.summary.scalar("loss", row["val_loss"])
            tf.summary.scalar(SCORE, row["val_score"])
            # The HParams tab shows a scalar's last value: with this one it ranks runs by their best epoch.
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

    def text(self, name: str, markdown: str, epoch: int) -> None:
        """Show Markdown under `name` at `epoch`."""
        with disk_errors(self.folder), self.validation.as_default(step=epoch):
            tf.summary.text(name, markdown)

    def graph(self, model: keras.Model) -> None:
        """Show the layers of a model and their connections in the Graphs tab; nothing for a resumed run."""
        if self.run.resumed:
            return
        metadata = tf.compat.v1.SummaryMetadata()
        metadata.plugin_data.plugin_name, metadata.plugin_data.content = "graph_keras_model", b"1"
        with disk_errors(self.folder), self.training.as_default(step=0):
            tf.summary.write("keras", tf.constant(conceptual(model), tf.string), metadata=metadata)

    def flush(self) -> None:
        with disk_errors(self.folder):
            self.training.flush()
            self.validation.flush()

    def close(self) -> None:
        with disk_errors(self.folder):
            self.training.close()
            self.validation.close()

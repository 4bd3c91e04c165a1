"""Train the network of `models.spectrum` on measured rows, with Keras's own `fit` on any of its backends."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from ariel_tf.challenge import N_WAVELENGTHS, score
from ariel_tf.core.atomic_files import write_json
from ariel_tf.models.spectrum import Measured, correct, correct_each
from ariel_tf.runs.correlation import leading_factors

SCALE = 0.012  # depth; the unit of the error in the loss
SATURATION = 0.02  # depth; much larger errors count by their logarithm, such as those of very extended atmospheres
RELATIVE, LIKELIHOOD, IMPACT = 0.01, 0.02, 0.02  # weights of the loss's other parts
CLIP_NORM = 1.0
WARMUP_STEPS = 300
_TARGETS = ("radii", "impact_true")


class Settings(NamedTuple):
    """Settings of the training: options of `pretrain` with these names."""

    epochs: int
    batch_size: int
    learning_rate: float
    units: int
    layers: int
    seed: int
    each: bool = False


def training_folder(folder: Path, settings: Settings, rows: int) -> Path:
    """Return the folder of a training's checkpoint and history: one for each combination of settings and rows."""
    recorded = json.dumps({**settings._asdict(), "rows": rows}, sort_keys=True)
    return folder / "training" / hashlib.sha256(recorded.encode()).hexdigest()[:12]


class Rows(keras.utils.PyDataset):
    """Batches of measured rows, in an order that depends only on seed and epoch."""

    def __init__(self, table: Mapping[str, np.ndarray], batch_size: int, seed: int, first_epoch: int = 0):
        super().__init__()
        self._table, self._batch_size, self._seed, self._epoch = table, batch_size, seed, first_epoch
        self._shuffle()

    def __len__(self) -> int:
        return len(self._order) // self._batch_size

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        chosen = np.sort(self._order[index * self._batch_size : (index + 1) * self._batch_size])
        inputs = {_input(name): self._table[name][chosen] for name in Measured._fields}
        return inputs, np.concatenate([self._table[name][chosen] for name in _TARGETS], axis=1)

    def on_epoch_end(self) -> None:
        self._epoch += 1
        self._shuffle()

    def _shuffle(self) -> None:
        count = len(self._table["radii"])
        self._order = np.random.default_rng((self._seed, self._epoch)).permutation(count)


def network(table: Mapping[str, np.ndarray], settings: Settings) -> keras.Model:
    """Return the network from measured rows to depth, ln sigma and impact parameter, concatenated to [batch, 111]."""
    inputs = {name: keras.Input(table[name].shape[1:], name=_input(name)) for name in Measured._fields}
    answer = (correct_each if settings.each else correct)(Measured(**inputs), settings.units, settings.layers)
    joined = ops.concatenate([answer.depth, answer.log_sigma, answer.impact], axis=1)
    return keras.Model({_input(name): values for name, values in inputs.items()}, joined)


def _input(name: str) -> str:
    return f"measured_{name}"  # a layer of the network is also called "impact"


def loss(true: Any, answer: Any) -> Any:
    """Return the loss: absolute error in depth, as in the score; likelihood of sigma; error of the impact parameter.

    The likelihood of sigma uses the error without changing it: see `spectrum.correct`.

    Args:
        true: radii and impact parameter, [batch, 56].
        answer: output of `network`.
    """
    depth, log_sigma = answer[:, :N_WAVELENGTHS], answer[:, N_WAVELENGTHS : 2 * N_WAVELENGTHS]
    expected = ops.square(true[:, :N_WAVELENGTHS])
    error = ops.abs(depth - expected)
    absolute = ops.mean(SATURATION * ops.log1p(error / SATURATION), axis=1) / SCALE
    relative = ops.mean(ops.minimum(error / (expected + 1e-4), 1.0), axis=1)
    in_log = ops.stop_gradient(error / ops.maximum(depth, 1e-9))
    unlikely = ops.mean(log_sigma + ops.minimum(ops.square(in_log) * ops.exp(-2 * log_sigma), 50.0) / 2, axis=1)
    impact = ops.abs(answer[:, -1] - true[:, -1])
    return absolute + RELATIVE * relative + LIKELIHOOD * unlikely + IMPACT * impact


def fit(folder: Path, table: Mapping[str, np.ndarray], settings: Settings) -> keras.Model:
    """Train from the last finished epoch in `folder` to the end; each epoch is saved.

    Args:
        folder: folder of the checkpoint and `history.csv`, `training_folder`; created.
        table: measured rows.
        settings: settings of the training.

    Raises:
        UsageError: fewer rows than a batch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "settings.json", {**settings._asdict(), "rows": len(table["radii"])})
    keras.utils.set_random_seed(settings.seed)
    model = network(table, settings)
    steps = max(1, len(table["radii"]) // settings.batch_size)
    total = steps * settings.epochs
    warmup = min(WARMUP_STEPS, max(1, total // 10))
    rate = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / 25, max(1, total - warmup), alpha=1e-3,
        warmup_target=settings.learning_rate, warmup_steps=warmup,
    )  # fmt: skip
    if settings.each:  # a norm over all weights would join the networks; the mean over wavelengths divides gradients
        optimizer = keras.optimizers.Adam(rate, epsilon=keras.config.epsilon() / N_WAVELENGTHS)
    else:
        optimizer = keras.optimizers.Adam(rate, global_clipnorm=CLIP_NORM)
    model.compile(optimizer, loss)
    backup = keras.callbacks.BackupAndRestore(str(folder / "checkpoint"), delete_checkpoint=False)
    done = _epochs_done(folder / "history.csv")
    rows = Rows(table, min(settings.batch_size, len(table["radii"])), settings.seed, done)
    log = keras.callbacks.CSVLogger(str(folder / "history.csv"), append=True)
    model.fit(rows, epochs=settings.epochs, callbacks=[backup, log, keras.callbacks.TerminateOnNaN()], verbose=2)
    return model


def _epochs_done(history: Path) -> int:
    """Return the number of epochs in a history file: its lines below the header."""
    return max(0, len(history.read_text().splitlines()) - 1) if history.is_file() else 0


def answers(model: keras.Model, table: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return depth and ln sigma of ln depth of measured rows, float64 [n, 55] each."""
    found = model.predict({_input(name): table[name] for name in Measured._fields}, batch_size=2048, verbose=0)
    found = np.asarray(found, np.float64)
    return found[:, :N_WAVELENGTHS], found[:, N_WAVELENGTHS : 2 * N_WAVELENGTHS]


def quality(model: keras.Model, table: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return score and coverage on measured rows: the score, and the share of radii within 1 and 1.96 sigma."""
    depth, log_sigma = answers(model, table)
    deviations = np.abs(depth - np.square(table["radii"])) / (depth * np.exp(log_sigma))
    return {
        "score": round(score(table["radii"], np.sqrt(depth)), 1),
        "coverage_68": round(float((deviations < 1).mean()), 3),
        "coverage_95": round(float((deviations < 1.96).mean()), 3),
        "rows": len(depth),
    }


def correlation(model: keras.Model, table: Mapping[str, np.ndarray]) -> list[list[float]]:
    """Return the leading factors of the correlation of errors between wavelengths, `runs.correlation`, rounded."""
    depth, log_sigma = answers(model, table)
    deviations = (depth - np.square(table["radii"])) / (depth * np.exp(log_sigma))
    return [[round(float(value), 3) for value in row] for row in leading_factors(deviations)]


def calibration(model: keras.Model, tables: Mapping[str, Mapping[str, np.ndarray]]) -> float:
    """Return the number to add to ln sigma so that 68.3 % of all radii are within one standard deviation."""
    logs = []
    for table in tables.values():
        depth, log_sigma = answers(model, table)
        error = np.abs(depth - np.square(table["radii"])) / depth
        logs.append((np.log(np.maximum(error, 1e-12)) - log_sigma).ravel())
    return float(np.quantile(np.concatenate(logs), math.erf(1 / math.sqrt(2))))


def shipped_model(trained: keras.Model, settings: Settings, added: float) -> keras.Model:
    """Return the model to ship, raw flux and star to radius, sigma and impact parameter, with the trained weights.

    Args:
        trained: trained `network`.
        settings: its settings.
        added: result of `calibration`, added to ln sigma.
    """
    from ariel_tf.models.spectrum import with_uncertainty

    whole = with_uncertainty(settings.units, settings.layers, settings.each)
    for layer in trained.layers:
        if layer.get_weights():
            whole.get_layer(layer.name).set_weights(layer.get_weights())
    spread = whole.get_layer("log_sigma")
    kernel, bias = spread.get_weights()
    spread.set_weights([kernel, bias + added])
    return whole

"""Ways to combine a planet's ten spot instances: means, and networks over the set of its spots.

    KERAS_BACKEND=jax python -m benchmarks.spot_networks             6,144 planets, about half an hour on one core

Each planet has ten spot instances of ten observations. The model included in the package predicts from the mean light
curves of each instance and of all. The networks correct the mean of both predictions: one that has no spots as input,
one that averages over spots (deep sets, Zaheer et al. 2017, arXiv:1703.06114), and one with self-attention between
spots before. They are trained on all but 1,500 planets; 500 select the epoch, and 1,000 are for the table.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from tqdm import tqdm

from ariel_tf.challenge import N_WAVELENGTHS, score
from ariel_tf.models.spectrum import Measured
from ariel_tf.physics.light_curves import flux_of, rows_of
from ariel_tf.physics.population import draw_population
from ariel_tf.physics.priors import Priors
from ariel_tf.physics.stream import draw_spot_maps
from ariel_tf.runs import shipped
from ariel_tf.runs.model_file import load_model
from ariel_tf.training.pretraining import fit
from ariel_tf.training.pretraining.rows import measuring_model

SPOTS, OBSERVATIONS = 10, 10
BLOCK = 128
HELD_OUT, SELECTING = 1500, 500
UNITS, BATCH, WEIGHT_DECAY = 64, 128, 1e-3
SCALE = 20.0  # from ln depth to an input, and back to a correction


def measured_spots(planets: int, seed: int) -> dict[str, np.ndarray]:
    """Simulate and measure planets: arrays [planets, 1 + spots, ...] by the names of `Measured`, and radii."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in (*Measured._fields, "radii")}
    model = measuring_model()
    for block in tqdm(range(planets // BLOCK), unit=" blocks", disable=None):
        rng = np.random.default_rng((seed, block))
        population = draw_population(rng, BLOCK, Priors())
        maps = draw_spot_maps(rng, population, SPOTS, Priors())
        every = []
        for spot in range(SPOTS):
            only = np.zeros((BLOCK, SPOTS))
            only[:, spot] = 1
            rows = rows_of(population, maps, only, np.full(BLOCK, 1 / np.sqrt(OBSERVATIONS)))
            every.append(flux_of(rows, rng))
        flux = np.stack([np.mean(every, axis=0), *every], axis=1).astype(np.float32)
        star = np.repeat(np.asarray(rows["star"], np.float32), SPOTS + 1, axis=0)
        found = model.predict([flux.reshape(-1, *flux.shape[2:]), star], batch_size=256, verbose=0)
        for name, values in zip(Measured._fields, found, strict=True):
            parts[name].append(np.asarray(values, np.float32).reshape(BLOCK, SPOTS + 1, -1))
        parts["radii"].append(rows["radii"])
    table = {name: np.concatenate(values) for name, values in parts.items()}
    finite = np.all([np.isfinite(values.reshape(len(values), -1)).all(axis=1) for values in table.values()], axis=0)
    return {name: values[finite] for name, values in table.items()}


def predicted(table: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return depth and ln sigma of the included model for all and for each spot, [planets, 1 + spots, 55]."""
    flat = {name: table[name].reshape(-1, table[name].shape[-1]) for name in Measured._fields}
    file = shipped.FOLDER / "transit-joint.keras"
    whole, facts = load_model(shipped.verified(file)), shipped.card(file)
    network = fit.network(flat, fit.Settings(1, 512, 1e-3, facts["units"], facts["layers"], 0))
    for layer in network.layers:
        if layer.get_weights():
            layer.set_weights(whole.get_layer(layer.name).get_weights())
    return tuple(part.reshape(-1, SPOTS + 1, N_WAVELENGTHS) for part in fit.answers(network, flat))  # type: ignore[return-value]


def correcting_network(kind: str, spot: Any, whole: Any) -> keras.Model:
    """Return a network from inputs of spots [10, a], of the whole [b] and a depth [55] to a corrected depth.

    Args:
        kind: "no spots", "deep sets" or "attention".
        spot, whole: arrays of inputs, for their shapes.
    """
    spots, every, depth = (keras.Input(shape) for shape in (spot.shape[1:], whole.shape[1:], (N_WAVELENGTHS,)))
    x = layers.Dense(UNITS, activation="gelu")(spots)
    x = x + layers.Dense(UNITS, activation="gelu")(x)
    if kind == "attention":
        x = x + layers.MultiHeadAttention(4, UNITS // 4)(*[layers.LayerNormalization()(x) for _ in range(2)])
    if kind == "no spots":
        y = every
    else:
        y = layers.Dropout(0.1)(layers.Concatenate()([ops.mean(x, 1), ops.max(x, 1), every]))
    y = layers.Dense(UNITS, activation="gelu")(y)
    y = y + layers.Dense(UNITS, activation="gelu")(y)
    own, common = (layers.Dense(units, kernel_initializer="zeros")(y) for units in (N_WAVELENGTHS, 1))
    return keras.Model([spots, every, depth], depth * ops.exp(ops.clip((own + common) / SCALE, -2, 2)))


def trained(kind: str, inputs: list[np.ndarray], radii: np.ndarray, epochs: int) -> tuple[float, float, int]:
    """Return the scores of the selecting and of the test planets at the best of every fourth epoch, and that epoch."""
    keras.utils.set_random_seed(1)
    model = correcting_network(kind, *inputs[:2])
    learning = len(radii) - HELD_OUT
    steps = epochs * max(1, learning // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(1e-5, steps, alpha=1e-3, warmup_target=1e-3, warmup_steps=steps // 7)

    def loss(true: Any, depth: Any) -> Any:
        return ops.mean(ops.abs(depth - ops.square(true))) / fit.SCALE

    model.compile(keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY), loss)
    found = []
    for epoch in range(4, epochs + 1, 4):
        model.fit([part[:learning] for part in inputs], radii[:learning], batch_size=BATCH, epochs=4, verbose=0)
        depth = model.predict([part[learning:] for part in inputs], verbose=0)
        errors = radii[learning:], np.sqrt(depth)
        chosen, test = (score(*(part[rows] for part in errors)) for rows in (slice(SELECTING), slice(SELECTING, None)))
        found.append((chosen, test, epoch))
    return max(found)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--planets", type=int, default=6144, help="number of planets, more than 1,628 (default: 6144)")
    parser.add_argument("--epochs", type=int, default=40, help="passes of each network (default: 40)")
    parser.add_argument("--seed", type=int, default=900, help="seed of the planets (default: 900)")
    options = parser.parse_args(arguments)
    table = measured_spots(options.planets, options.seed)
    depth, log_sigma = predicted(table)
    every, spots = depth[:, 0], depth[:, 1:]
    both = (every + spots.mean(axis=1)) / 2
    weight = np.exp(-2 * log_sigma[:, 1:])
    means = {
        "mean of all light curves": every,
        "mean over spots": spots.mean(axis=1),
        "median over spots": np.median(spots, axis=1),
        "mean over spots, weighted by 1 / sigma^2": (spots * weight).sum(axis=1) / weight.sum(axis=1),
        "mean of the first two, as `predict` does": both,
    }
    radii = table["radii"]
    print("| combination | 500 planets that select the epoch | 1,000 others |\n|---|---|---|")
    for name, values in means.items():
        parts = (slice(-HELD_OUT, SELECTING - HELD_OUT), slice(SELECTING - HELD_OUT, None))
        scores = [score(radii[rows], np.sqrt(values[rows])) for rows in parts]
        print(f"| {name} | {scores[0]:.1f} | {scores[1]:.1f} |")
    spread = np.log(spots).std(axis=1)
    features = table["features"]
    of_spots = [SCALE * np.log(spots / both[:, None]), log_sigma[:, 1:] / 3 + 1, features[:, 1:]]
    of_all = [features[:, 0], SCALE * np.log(every / both), SCALE * spread]
    inputs = [np.clip(np.concatenate(parts, axis=-1), -6, 6).astype(np.float32) for parts in (of_spots, of_all)]
    for kind in ("no spots", "deep sets", "attention"):
        chosen, test, epoch = trained(kind, [*inputs, both.astype(np.float32)], radii, options.epochs)
        print(f"| network, {kind}, epoch {epoch} | {chosen:.1f} | {test:.1f} |", flush=True)


if __name__ == "__main__":
    main()

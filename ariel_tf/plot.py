"""Pictures as PNG files; `python -m ariel_tf.plot --data DATA --planet 52 --out curve.png` draws light curves."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, Key
from ariel_tf.core.errors import UsageError, run_command


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m ariel_tf.plot", description="Draw light curves of one observation."
    )
    parser.add_argument("--data", required=True, help="folder of shards and manifest, or simulated[:...]")
    parser.add_argument("--planet", required=True, type=int)
    parser.add_argument("--spot", type=int, default=1, help="spot instance (default: 1)")
    parser.add_argument("--photon", type=int, default=1, help="photon-noise instance (default: 1)")
    parser.add_argument("--wavelengths", default="2,12,40", help="indices with commas (default: 2,12,40)")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="PNG file to write")
    options = parser.parse_args(arguments)
    if options.out.suffix != ".png" or options.out.exists() or not options.out.parent.is_dir():
        raise UsageError(f"--out {options.out}: expected the name of a new .png file in a folder that exists.")
    wavelengths = options.wavelengths.split(",")
    if not all(text.isdecimal() and int(text) < N_WAVELENGTHS for text in wavelengths):
        raise UsageError(f"--wavelengths: expected numbers in 0-{N_WAVELENGTHS - 1}. Received: {options.wavelengths}")
    key = Key(options.planet, options.spot, options.photon)
    draw_observation(options.data, key, [int(text) for text in wavelengths], options.out)


def draw_observation(data: str, key: Key, wavelengths: Sequence[int], path: Path) -> None:
    """Draw one observation of a data set.

    Raises:
        UsageError: the data set holds no such observation.
    """
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.data import dataset
    from ariel_tf.data.selection import Selection
    from ariel_tf.data.sources import open_source
    from ariel_tf.evaluation.light_curve_figures import draw_light_curves

    source = open_source(data, wavelengths)
    fold = source.folds.get(key.planet)
    selection = Selection.of((fold or 0,), wavelengths)
    batches = [] if fold is None else dataset.evaluation_batches(source, selection)
    for rows in batches:
        for row in np.flatnonzero((rows["key"] == list(key)).all(axis=1)):
            flux = np.full((N_WAVELENGTHS, N_STEPS), np.nan)
            flux[list(wavelengths)] = rows["flux"][row].T
            draw_light_curves(flux, wavelengths, f"observation {key.name}", path)
            print(path)
            return
    raise UsageError(f"--data {data}: holds no observation {key.name}.")


if __name__ == "__main__":
    run_command(main)

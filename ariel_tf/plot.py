"""Draw light curves of one observation as a PNG file.

python -m ariel_tf.plot --data DATA --planet 52 --out curve.png
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, Key
from ariel_tf.core import cli
from ariel_tf.core.errors import UsageError, run_command
from ariel_tf.core.schema import Schema, option


class Options(Schema):
    """What `python -m ariel_tf.plot` takes."""

    data: str = cli.data(...)
    planet: int = option(..., "planet number", metavar="N")
    spot: int = option(1, "spot instance", metavar="N")
    photon: int = option(1, "photon-noise instance", metavar="N")
    wavelengths: tuple[int, ...] = option(
        (2, 12, 40), "wavelength indices with commas", metavar="LIST", parse=lambda text: _indices(text)
    )
    out: Path = cli.out("PNG file to write")


def _indices(text: str) -> tuple[int, ...]:
    """Wavelengths in the order given."""
    parts = text.split(",")
    if not all(part.isdecimal() and int(part) < N_WAVELENGTHS for part in parts):
        raise UsageError(f"--wavelengths: expected numbers in 0-{N_WAVELENGTHS - 1}. Received: {text}")
    return tuple(map(int, parts))


def parser() -> cli.Parser:
    examples = ["--data DATA --planet 52 --out curve.png", "--data simulated --planet 1 --wavelengths 0,54 --out b.png"]
    return cli.Parser("ariel_tf.plot", __doc__, Options, examples=examples)


def main(arguments: Sequence[str] | None = None) -> None:
    options = Options.from_flags(parser().parse_args(arguments))
    if options.out.suffix != ".png" or options.out.exists() or not options.out.parent.is_dir():
        raise UsageError(f"--out {options.out}: expected the name of a new .png file in a folder that exists.")
    draw_observation(options.data, Key(options.planet, options.spot, options.photon), options.wavelengths, options.out)


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

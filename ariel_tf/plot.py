"""Draw light curves of one observation as a PNG, SVG or PDF file.

python -m ariel_tf.plot --data DATA --planet 52 --out curve.png             light curves of some wavelengths
python -m ariel_tf.plot --data DATA --planet 52 --image --out image.png     all of them, wavelength by time
python -m ariel_tf.plot --data DATA --planet 52 --transit RUN --out fit.pdf with transits of true and predicted radii
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, Key
from ariel_tf.config.model_registry import short_name
from ariel_tf.core import cli
from ariel_tf.core.errors import DataError, UsageError, run_command
from ariel_tf.core.figures import refuse_picture_path
from ariel_tf.core.numbers import whole_numbers
from ariel_tf.core.schema import Schema, option

if TYPE_CHECKING:
    from pandas import DataFrame

DEFAULT_WAVELENGTHS = (2, 12, 40)


class Options(Schema):
    """Options of `python -m ariel_tf.plot`."""

    data: str = cli.data(...)
    planet: int = option(..., "planet number", metavar="N")
    spot: int = option(1, "spot instance", metavar="N")
    photon: int = option(1, "photon-noise instance", metavar="N")
    wavelengths: tuple[int, ...] | None = option(
        None, "wavelength indices, separated by commas", metavar="LIST", parse=lambda text: _indices(text),
        shown="2,12,40; with --transit those of the run"
    )  # fmt: skip
    image: bool = option(False, "draw all wavelengths as an image, wavelength by time")
    transit: Path | None = option(
        None,
        "draw the transits of the true radii and of the radii that this run predicts, with residuals",
        metavar="RUN",
    )
    out: Path = cli.out("PNG, SVG or PDF file to write")


def _indices(text: str) -> tuple[int, ...]:
    """Parse wavelengths; the order is kept."""
    found = whole_numbers(text)
    if found is None or max(found) >= N_WAVELENGTHS:
        raise UsageError(f"--wavelengths: expected numbers in 0-{N_WAVELENGTHS - 1}. Received: {text}")
    return found


def parser() -> cli.Parser:
    examples = [
        "--data DATA --planet 52 --out curve.png",
        "--data simulated --planet 1 --wavelengths 0,54 --out b.pdf",
        "--data simulated --planet 1 --image --out image.png",
        "--data DATA --planet 52 --transit runs/transit --out fit.svg",
    ]
    return cli.Parser("ariel_tf.plot", __doc__, Options, examples=examples)


def main(arguments: Sequence[str] | None = None) -> None:
    options = Options.from_flags(parser().parse_args(arguments))
    refuse_picture_path(options.out)
    if options.image and (options.transit or options.wavelengths):
        raise UsageError("--image: shows all wavelengths; expected neither --transit nor --wavelengths.")
    key = Key(options.planet, options.spot, options.photon)
    if options.transit is not None:
        draw_transits_of_run(options.data, key, options.wavelengths, options.transit, options.out)
    else:
        wavelengths = range(N_WAVELENGTHS) if options.image else options.wavelengths or DEFAULT_WAVELENGTHS
        draw_observation(options.data, key, wavelengths, options.out, options.image)


def draw_observation(data: str, key: Key, wavelengths: Sequence[int], path: Path, image: bool = False) -> None:
    """Draw one observation of a data set.

    Args:
        data: a value of `--data`.
        key: key of the observation.
        wavelengths: wavelengths to read; all of them for an image.
        path: file to write.
        image: whether to draw wavelength by time.

    Raises:
        UsageError: the data set does not contain the observation.
    """
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.data import dataset
    from ariel_tf.data.selection import Selection
    from ariel_tf.data.sources import open_source
    from ariel_tf.evaluation.light_curve_figures import draw_image, draw_light_curves

    source = open_source(data, wavelengths)
    fold = source.folds.get(key.planet)
    selection = Selection.of((fold or 0,), wavelengths)
    batches = [] if fold is None else dataset.evaluation_batches(source, selection)
    title = f"Observation {key.name} of {source.description}"
    for rows in batches:
        for row in np.flatnonzero((rows["key"] == list(key)).all(axis=1)):
            flux = np.full((N_WAVELENGTHS, N_STEPS), np.nan)
            flux[list(wavelengths)] = rows["flux"][row].T
            if image:
                draw_image(flux, title, path)
            else:
                draw_light_curves(flux, wavelengths, title, path)
            print(path)
            return
    raise _absent(data, key)


def draw_transits_of_run(data: str, key: Key, wavelengths: Sequence[int] | None, run: Path, path: Path) -> None:
    """Draw one observation with the transits of its true radii, if known, and of the radii that a run predicts.

    Args:
        data: a value of `--data`.
        key: key of the observation.
        wavelengths: one panel each; by default the first of 2, 12, 40 or of the run's own that the run predicts.
        run: a run folder.
        path: file to write.

    Raises:
        UsageError: no such observation, or wavelengths that the run does not predict.
        DataError: the planet's orbit is unknown.
    """
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.data.planets import Data
    from ariel_tf.evaluation.light_curve_figures import draw_transits
    from ariel_tf.runs.predictor import Predictor

    trained = Predictor.load(run)
    known = [one for one in DEFAULT_WAVELENGTHS if one in trained.targets] or list(trained.targets[:3])
    if absent := set(wavelengths or ()) - set(trained.targets):
        raise UsageError(f"--wavelengths: {run} does not predict {sorted(absent)}.")
    source = Data(data)
    if key.planet not in source:
        raise _absent(data, key)
    planet = source[key.planet]
    if key not in planet.keys:
        raise _absent(data, key)
    if not np.isfinite(planet.orbit).all():
        raise DataError(f"--transit: planet {key.planet:04d} of {data} has no known orbit, so its transit is unknown.")
    radii = np.full(N_WAVELENGTHS, np.nan)
    radii[list(trained.targets)] = _predicted(trained.predict(planet), key)
    name = trained.configuration.get("model") or run.name
    title = f"{short_name(str(name))}: radii predicted for {source.source.description}\n"
    draw_transits(planet, planet.keys.index(key), radii, wavelengths or known, title.rstrip(), path)
    print(path)


def _predicted(table: "DataFrame", key: Key) -> np.ndarray:
    """Return the row of an observation, or the row that includes it."""
    spots, photons = (table.index.get_level_values(name) for name in ("spot", "photon"))
    mine = np.isin(spots, (key.spot, 0)) & np.isin(photons, (key.photon, 0))
    return table.to_numpy()[np.flatnonzero(mine)[0]]


def _absent(data: str, key: Key) -> UsageError:
    return UsageError(f"--data {data}: holds no observation {key.name}.")


if __name__ == "__main__":
    run_command(main)

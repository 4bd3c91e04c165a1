"""Check a file of predictions against a data set, and score it if the radii are known.

    python -m ariel_tf.submission submission.txt --light-curves noisy_train --params params_train

The file may come from any program. Its shape, its range and the order of its rows are checked. A .txt contains no keys,
so the order is inferred from the numbers: observations of one planet have the same target, so their rows should differ
less than those of different planets.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ariel_tf.challenge import N_WAVELENGTHS, Key
from ariel_tf.core import cli
from ariel_tf.core.errors import DataError, UsageError, run_command
from ariel_tf.core.json_output import json_output
from ariel_tf.core.resources import Progress, format_count
from ariel_tf.core.schema import Schema, option
from ariel_tf.data.folds import N_FOLDS
from ariel_tf.data.selection import Selection
from ariel_tf.runs.prediction_files import SUFFIXES
from ariel_tf.runs.prediction_reader import read_predictions, refuse_size

# In random order, rows vary within planets as much as between them (ratio 1); the worst sensible model is far below.
UNORDERED = 0.8
# With fewer rows than this beyond one per planet, the ratio is random.
ENOUGH_ROWS = 20


class Options(Schema):
    """Options of `python -m ariel_tf.submission`."""

    file: Path = option(..., "predictions of all 55 wavelengths", metavar="FILE", positional=True)
    data: str | None = cli.data()
    light_curves: Path | None = cli.light_curves()
    params: Path | None = option(None, "folder of the targets of --light-curves, params_train", metavar="DIR")
    json_object: bool = cli.as_json("the findings and the scores")


def parser() -> cli.Parser:
    examples = ["submission.txt --light-curves noisy_test", "radii.csv --data DATA"]
    return cli.Parser("ariel_tf.submission", __doc__, Options, examples=examples)


def main(arguments: Sequence[str] | None = None) -> None:
    options = Options.from_flags(parser().parse_args(arguments))
    with json_output(options.json_object) as result:
        check_file(options, result)


def check_file(options: Options, result: dict[str, Any]) -> None:
    """Check the file and print the result.

    Args:
        options: options of the command.
        result: filled with the content of --json.
    """
    data = cli.one_of_data_and_light_curves(options.data, options.light_curves)
    if options.file.suffix not in SUFFIXES:
        raise UsageError(f"{options.file}: expected a name that ends in {', '.join(SUFFIXES)}.")
    if options.params and not options.light_curves:
        raise UsageError("--params: requires --light-curves.")
    result |= {"file": options.file, "data": data, "sound": False}
    scores = check(options.file, data, options.params, result)
    result |= {"sound": True, "scores": scores or None}


def check(
    path: Path, data: str | Path, params: Path | None = None, counted: dict[str, Any] | None = None
) -> dict[str, float]:
    """Print the content of a file of predictions, and its score if the radii are known.

    Args:
        path: .txt, .csv or .parquet file.
        data: a value of `--data`; a `Path` is a folder of text files.
        params: folder of the targets, with text files.
        counted: filled with "planets" and "rows" of a valid file.

    Returns:
        The scores; empty without known radii.

    Raises:
        DataError: wrong shape, order or range; lists every fault.
    """
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    refuse_size(path)  # before TensorFlow is imported
    source = open_truth(data, params)
    # A file of too many rows is not read to its end.
    keys, radii = read_predictions(path, 2 * source.observations(range(N_FOLDS)) + 1000)
    truth = read_truth(source)
    faults = _shape_faults(keys, radii, truth["key"])
    if not faults:
        faults = _order_faults(keys, radii, truth["key"])
    faults += _range_faults(radii)
    if faults:
        raise DataError(f"{path} is not a valid submission for {data}.", faults)
    planets = len(np.unique(truth["key"][:, 0]))
    if counted is not None:
        counted |= {"planets": planets, "rows": len(radii)}
    size = f"{format_count(len(radii), 'row')} of {N_WAVELENGTHS} radii for {format_count(planets, 'planet')}"
    print(f"{path}: {size}; shape, order and range are valid")
    if "radius" not in truth:
        print("the radii of these planets are unknown, so it cannot be scored")
        return {}
    from ariel_tf.runs.model_card import LABELS
    from ariel_tf.runs.predictions import Predictions

    predictions = Predictions.of(truth["key"], truth["radius"], radii, truth["scatter"])
    scores = predictions.scores()
    for name, value in scores.items():
        print(f"  {LABELS[name]:46s}{value:9.1f}")
    return scores


def open_truth(data: str | Path, params: Path | None = None) -> Any:
    """Return the data set, or the text files, to compare predictions with; arguments as in `check`."""
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.data.sources import open_source
    from ariel_tf.data.sources.text import TextSource

    return TextSource(data, params) if isinstance(data, Path) else open_source(data, range(N_WAVELENGTHS))


def read_truth(source: Any) -> dict[str, Any]:
    """Return the known values of every observation, in ascending order of the keys.

    Args:
        source: source that `open_truth` returned.

    Returns:
        key int32 [rows, 3]; if the radii are known also radius and scatter, float32 [rows, 55].
    """
    names = ("key", "radius", "scatter") if source.labelled else ("key",)
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    with Progress(source.observations(range(N_FOLDS)), "observation") as progress:
        for planet in planets_of(source):
            n = len(planet["instances"])
            rows = {
                "key": np.column_stack([np.full(n, planet["planet"], np.int32), planet["instances"]]),
                "radius": np.tile(planet["radii"], (n, 1)),
                "scatter": planet["scatter"],
            }
            for name in names:
                found[name].append(rows[name])
            progress(n)
    table = {name: np.concatenate(parts) for name, parts in found.items()}
    order = np.lexsort(table["key"].T[::-1])
    return {name: values[order] for name, values in table.items()}


def planets_of(source: Any) -> Iterator[dict[str, np.ndarray]]:
    """Yield every planet's record as NumPy values; without light curves for unlabelled data."""
    import tensorflow as tf

    from ariel_tf.data.integrity import damaged

    wavelengths = range(N_WAVELENGTHS) if source.labelled else ()
    records = source.records(Selection.of(range(N_FOLDS), wavelengths))
    try:
        yield from records.map(lambda planet: {n: planet[n] for n in planet if n != "flux"}).as_numpy_iterator()
    except tf.errors.OpError as error:
        raise damaged(source, error) from error


def _shape_faults(keys: np.ndarray | None, radii: np.ndarray, expected: np.ndarray) -> list[str]:
    if keys is not None and (keys[:, 1:] == 0).all():
        return ["its rows are planets, combined; a submission has a row for each observation (--combine with .txt)"]
    if len(radii) != len(expected):
        return [f"expected {len(expected)} rows, one for each observation, found {len(radii)}"]
    return []


def _order_faults(keys: np.ndarray | None, radii: np.ndarray, expected: np.ndarray) -> list[str]:
    if keys is not None:
        wrong = np.flatnonzero((keys != expected).any(axis=1))
        if not len(wrong):
            return []
        row = int(wrong[0])
        names = (Key(*map(int, table[row])).name for table in (expected, keys))
        return ["row {}: expected {} in ascending order, found {}".format(row + 1, *names)]
    if (ratio := spread_within(radii, expected[:, 0])) > UNORDERED:
        return [
            f"rows of one planet differ as much as rows of different planets ({ratio:.0%} of it): they do not seem "
            "to be in ascending order of AAAA_BB_CC"
        ]
    return []


def spread_within(radii: np.ndarray, planets: np.ndarray) -> float:
    """Return the variance within planets over that of all rows, the median over wavelengths; 1 for a random order.

    Args:
        radii: float [rows, wavelengths].
        planets: int [rows].

    Returns:
        0 if too few rows, or identical rows, allow no conclusion.
    """
    _, group = np.unique(planets, return_inverse=True)
    count = np.bincount(group)
    if len(radii) - len(count) < ENOUGH_ROWS or len(count) < 2:
        return 0.0
    total = np.zeros((len(count), radii.shape[1]))
    np.add.at(total, group, radii)
    within = np.square(radii - (total / count[:, None])[group]).sum(axis=0) / (len(radii) - len(count))
    overall = radii.var(axis=0, ddof=1)
    varied = overall > 1e-18
    return float(np.median(within[varied] / overall[varied])) if varied.any() else 0.0


def _range_faults(radii: np.ndarray) -> list[str]:
    faults = []
    finite = np.isfinite(radii)
    for wrong, what in ((~finite, "not finite"), (finite & ~((radii > 0) & (radii <= 1)), "outside (0, 1]")):
        if count := int(wrong.sum()):
            row, wavelength = map(int, np.argwhere(wrong)[0])
            first = f"the first is {radii[row, wavelength]} in row {row + 1}, wavelength {wavelength}"
            hint = "" if what == "not finite" else "; `ariel predict --clip` clips radii to (0, 1]"
            faults.append(f"{format_count(count, 'value')} {what}; {first}{hint}")
    return faults


if __name__ == "__main__":
    run_command(main)

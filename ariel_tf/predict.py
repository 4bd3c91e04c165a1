"""Predict relative radii with trained models and write them to a file.

    python -m ariel_tf.predict --light-curves noisy_test --out spectra.csv
    python -m ariel_tf.predict RUN --light-curves noisy_test --out submission.txt --combine median
    python -m ariel_tf.predict RUN RUN ... --data DATA --out radii.parquet
    python -m ariel_tf.predict RUN --data TEST --out submission.csv --format datalabs

RUN is a run folder of one wavelength, of a list, of all wavelengths jointly, or an ensemble; several runs can be given
if they predict different wavelengths. Without RUN, the model included in the package, transit-joint, measures all 55
radii and their uncertainties from all observations of each planet together. The suffix of the file selects its format
(`ariel_tf.runs.prediction_files`). Planets unlike the training planets, and corrections of light curves, are reported
and listed in FILE.notes.txt. Rows are in ascending order of their keys, whatever the order of the data, and memory
does not grow with the number of rows.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ariel_tf.core import cli
from ariel_tf.core.errors import UsageError, run_command
from ariel_tf.core.schema import Schema, option
from ariel_tf.data.bigquery import address
from ariel_tf.data.folds import N_FOLDS, folds_option
from ariel_tf.runs.prediction_files import LAYOUTS, refuse_path
from ariel_tf.runs.prediction_task import Output, PredictionTask


class Options(Schema):
    """Options of `python -m ariel_tf.predict`."""

    runs: tuple[Path, ...] = cli.runs(
        "run folders; several must predict different wavelengths; by default the model included in the package",
        nargs="*",
    )
    data: str | None = cli.data()
    light_curves: Path | None = cli.light_curves()
    folds: tuple[int, ...] = folds_option(tuple(range(N_FOLDS)), "predict only planets of these folds", shown="all")
    out: Path = cli.out("file to write; its name ends in .txt, .csv or .parquet")
    format: str = option(
        "keys", "columns of a .csv; keys: planet, spot, photon, radius_00 ...; datalabs: files, w1 ..., as in the "
        "submission of ESA Datalabs", choices=LAYOUTS
    )  # fmt: skip
    combine: str | None = option(
        None,
        "combination of a planet's observations: median or mean of their predictions, or their light curves pooled "
        "before the prediction; by default pooled if the model supports it, else none",
        choices=("none", "median", "mean", "pooled"),
    )
    clip: bool = option(False, "clip radii to (0, 1]")
    overwrite: bool = cli.overwrite("replace an existing file", group="options")


def parser() -> cli.Parser:
    examples = [
        "--light-curves noisy_test --out spectra.csv",
        "runs/baseline --data DATA --folds 9 --out radii.csv",
        "runs/joint --light-curves noisy_test --combine median --out submission.txt",
    ]
    made = cli.Parser("ariel_tf.predict", __doc__, Options, examples=examples)
    address.add_flags(made)
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    given = parser().parse_args(arguments)
    options = Options.from_flags(given)
    output = output_of(options)
    predict(options.runs, data_of(options, given), output, options.folds)


def data_of(options: Options, given: argparse.Namespace) -> str | Path:
    """Return the requested data: a value of `--data`, or a `Path` of text files.

    Raises:
        UsageError: options that do not fit together.
    """
    if options.light_curves and len(options.folds) < N_FOLDS:
        raise UsageError("--folds: text files have no folds; use it with --data.")
    return cli.one_of_data_and_light_curves(address.with_flags(options.data, given), options.light_curves)


def output_of(options: Options) -> Output:
    """Return the requested output file.

    Raises:
        UsageError: it cannot be written.
    """
    refuse_path(options.out, options.overwrite)
    if options.format != LAYOUTS[0] and options.out.suffix != ".csv":
        raise UsageError(f"--format {options.format}: requires a name of --out that ends in .csv.")
    return Output(options.out, options.combine, options.clip, datalabs=options.format == "datalabs")


def predict(runs: Sequence[Path], data: str | Path, output: Output, folds: Sequence[int] = range(N_FOLDS)) -> None:
    """Write the predictions for a data set.

    Args:
        runs: run folders.
        data: a value of `--data`; a `Path` is a folder of text files.
        output: the file to write.
        folds: predict only planets of these folds.

    Raises:
        ArielError: an error that the user can mend, in one sentence.
    """
    task = PredictionTask.open(runs, data, output, folds)
    task.write(output, task.found())


if __name__ == "__main__":
    run_command(main)

"""Predict radii: `python -m ariel_tf.predict RUN --data DATA --out submission.txt`.

    python -m ariel_tf.predict RUN --light-curves noisy_test --out submission.txt --combine median
    python -m ariel_tf.predict RUN RUN ... --data DATA --out radii.parquet

RUN is any run folder: of one wavelength, of a list, of all jointly, or an ensemble; several of them go together when
they predict different wavelengths. The ending of the file's name chooses its format (`ariel_tf.runs.prediction_files`).
Rows are in ascending order of their keys whatever order the data came in, and memory does not grow with their number.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.core.errors import UsageError, run_command
from ariel_tf.core.resources import Progress, format_count
from ariel_tf.data.bigquery import address
from ariel_tf.data.folds import N_FOLDS, parse_folds
from ariel_tf.runs.prediction_files import SMALLEST, Store, refuse_path


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m ariel_tf.predict", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", type=Path, nargs="+", metavar="RUN", help="folder of a trained model")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", help="folder of shards and manifest, or another source as of `train --data`")
    source.add_argument("--light-curves", type=Path, metavar="DIR", help="challenge text files AAAA_BB_CC.txt")
    parser.add_argument("--folds", default="all", help="like 8,9: planets of these folds only (default: all)")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="ends in .txt, .csv or .parquet")
    parser.add_argument(
        "--combine", choices=("none", "median", "mean"), default="none", help="over a planet's observations"
    )
    parser.add_argument("--clip", action="store_true", help="bring radii outside (0, 1] into it")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is already there")
    address.add_flags(parser)
    options = parser.parse_args(arguments)
    refuse_path(options.out, options.overwrite)
    folds = parse_folds(options.folds, "--folds")
    if options.light_curves and len(folds) < N_FOLDS:
        raise UsageError("--folds: text files have none; it goes with --data.")
    data = address.with_flags(options.data, options)
    predict(options.run, data or options.light_curves, options.out, options.combine, options.clip, folds)


def predict(
    runs: Sequence[Path],
    data: str | Path,
    out: Path,
    combine: str = "none",
    clip: bool = False,
    folds: Sequence[int] = range(N_FOLDS),
) -> None:
    """Write the predictions for a data set.

    Args:
        runs: run folders.
        data: what `--data` says; a `Path` is a folder of text files.
        out: the file.
        combine: "none", "median" or "mean" over a planet's observations. A .txt keeps a row for each observation.
        clip: bring radii outside (0, 1] into it.
        folds: planets of these only.

    Raises:
        ArielError: whatever the user can mend, in one sentence.
    """
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.data.sources import open_source
    from ariel_tf.data.sources.text import TextSource
    from ariel_tf.runs.predictor import Predictor

    trained = Predictor.load(*runs)
    if out.suffix == ".txt" and (absent := N_WAVELENGTHS - len(trained.targets)):
        raise UsageError(
            f"--out {out}: a submission has all {N_WAVELENGTHS} wavelengths, and these runs leave {absent} of them "
            "out; name the runs of the others too, or write .csv or .parquet."
        )
    source = TextSource(data) if isinstance(data, Path) else open_source(data, trained.signature.inputs)
    rows = source.observations(folds)
    with Store(out.parent, rows, trained.targets) as store:
        with Progress(rows, "observation") as progress:
            for batch, radii in trained.predict_rows(source, folds):
                # A row of some models is several observations.
                instances = batch["flux"].shape[1] if batch["flux"].ndim > 3 else 1
                store.add(batch["key"], radii, instances)
                progress(len(radii) * instances)
        outside = store.outside()
        if clip:
            store.clip()
        written = store.write(out, combine)
    wavelengths = format_count(len(trained.targets), "wavelength")
    print(f"{format_count(written, 'row')} of {wavelengths} in {out}: {progress.summary}")
    if outside:
        done = f"brought into [{SMALLEST:g}, 1]" if clip else "left as they are; --clip brings them in"
        print(f"{format_count(outside, 'value')} outside (0, 1], {done}")


if __name__ == "__main__":
    run_command(main)

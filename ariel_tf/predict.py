"""Predict radii: `python -m ariel_tf.predict RUN --data DATA --out radii.csv`.

Every row of the CSV carries its key: planet, spot, photon, and a column `radius_NN` for each wavelength.
With `--combine median` a planet's observations become one row whose spot and photon are 0.
"""

import argparse
import csv
import io
from collections.abc import Sequence
from pathlib import Path

from ariel_tf.errors import UsageError, run_command
from ariel_tf.files import write_text


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m ariel_tf.predict", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a trained model")
    parser.add_argument("--data", required=True, help="folder of shards and manifest, or simulated[:...]")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="CSV to write; must not exist yet")
    parser.add_argument("--combine", choices=("none", "median"), default="none", help="over a planet's observations")
    options = parser.parse_args(arguments)
    if options.out.exists() or not options.out.parent.is_dir():
        why = "exists already" if options.out.exists() else "its folder does not exist"
        raise UsageError(f"--out {options.out}: {why}; give another name.")
    predict(options.run, options.data, options.out, options.combine == "median")


def predict(path: Path, data: str, out: Path, combine: bool) -> None:
    """Write the predictions of all planets of a data set.

    Args:
        path: run folder.
        data: what `--data` says.
        out: CSV file.
        combine: one row a planet, the median of its observations' predictions.
    """
    from ariel_tf.quiet import import_tensorflow

    import_tensorflow()
    from ariel_tf.data.sources import open_source
    from ariel_tf.rows import rows_for
    from ariel_tf.training.scoring import Predictions
    from ariel_tf.training.trained import Trained

    trained = Trained.load(path)
    predictions = Predictions.collect(trained, rows_for(trained, open_source(data, trained.seen)))
    if combine:
        predictions = predictions.by_planet()
    write_text(out, as_csv(predictions, trained.targets))
    outside = int(((predictions.predicted <= 0) | (predictions.predicted > 1)).sum())
    print(f"{len(predictions.keys)} rows in {out}" + (f"; {outside} values lie outside (0, 1]" if outside else ""))


def as_csv(predictions, wavelengths: Sequence[int]) -> str:
    """Rows in ascending key order."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["planet", "spot", "photon", *(f"radius_{wavelength:02d}" for wavelength in wavelengths)])
    rows = sorted(zip(predictions.keys.tolist(), predictions.predicted.tolist(), strict=True))
    writer.writerows([*key, *(f"{radius:.10f}" for radius in radii)] for key, radii in rows)
    return text.getvalue()


if __name__ == "__main__":
    run_command(main)

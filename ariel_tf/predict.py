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

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.core import cli
from ariel_tf.core.atomic_files import write_text
from ariel_tf.core.errors import UsageError, run_command
from ariel_tf.core.resources import Progress, format_count
from ariel_tf.core.schema import Schema, option
from ariel_tf.data.bigquery import address
from ariel_tf.data.folds import N_FOLDS, folds_option
from ariel_tf.runs.prediction_files import LAYOUTS, SMALLEST, PredictionWriter, refuse_path

if TYPE_CHECKING:
    import numpy as np

    from ariel_tf.data.sources import Source
    from ariel_tf.runs.predictor import Predictor


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
        "keys", "layout of a .csv: planet, spot, photon, radius_00 ...; or files, w1 ..., as ESA Datalabs",
        choices=LAYOUTS
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
    refuse_path(options.out, options.overwrite)
    if options.light_curves and len(options.folds) < N_FOLDS:
        raise UsageError("--folds: text files have none; it goes with --data.")
    if options.format != LAYOUTS[0] and options.out.suffix != ".csv":
        raise UsageError(f"--format {options.format}: goes with a name of --out that ends in .csv.")
    data = cli.one_of_data_and_light_curves(address.with_flags(options.data, given), options.light_curves)
    output = Output(options.out, options.combine, options.clip, datalabs=options.format == "datalabs")
    predict(options.runs, data, output, options.folds)


@dataclass(frozen=True)
class Output:
    """The output file of predictions.

    Attributes:
        path: path of the file; its suffix selects the format.
        combine: "none", "median" or "mean" over a planet's observations, or "pooled"; None for the model's default. A
            submission keeps a row for each observation.
        clip: clip radii outside (0, 1].
        datalabs: write a .csv in the submission format of ESA Datalabs.
    """

    path: Path
    combine: str | None = "none"
    clip: bool = False
    datalabs: bool = False


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
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.data.sources import open_source
    from ariel_tf.data.sources.text import TextSource
    from ariel_tf.runs import shipped
    from ariel_tf.runs.predictor import Predictor

    out = output.path
    trained = Predictor.load(*(runs or [Path(shipped.DEFAULT)]))
    if (output.datalabs or out.suffix == ".txt") and (absent := N_WAVELENGTHS - len(trained.targets)):
        raise UsageError(
            f"--out {out}: a submission has all {N_WAVELENGTHS} wavelengths, and these runs leave {absent} of them "
            "out; name the runs of the others too, or write .csv or .parquet."
        )
    source = TextSource(data) if isinstance(data, Path) else open_source(data, trained.signature.inputs)
    how = output.combine or ("none" if trained.uncertain is None else "pooled")
    rows = source.observations(folds)
    out.parent.mkdir(parents=True, exist_ok=True)
    notes = Notes(trained.path.name)
    with PredictionWriter(out.parent, rows, trained.targets, sigmas=how == "pooled") as writer:
        with Progress(rows, "observation") as progress:
            for keys, values, instances in _predicted(trained, source, folds, how, notes):
                writer.add(keys, values, instances)
                progress(len(values) * instances)
        outside = writer.outside()
        if output.clip:
            writer.clip()
        # Before the predictions: with them the command is complete, and repeats nothing.
        notes.write(out)
        combine = "none" if how == "pooled" else how
        if output.datalabs:
            observations = None if writer.of_observations else source.keys(folds)
            written = writer.write_datalabs(out, combine, observations)
        else:
            written = writer.write(out, combine)
    wavelengths = format_count(len(trained.targets), "wavelength")
    print(f"{format_count(written, 'row')} of {wavelengths} in {out}: {progress.summary}")
    if outside:
        done = f"brought into [{SMALLEST:g}, 1]" if output.clip else "left as they are; --clip brings them in"
        print(f"{format_count(outside, 'value')} outside (0, 1], {done}")
    notes.report(out)


def _predicted(
    trained: "Predictor", source: "Source", folds: Sequence[int], how: str, notes: "Notes"
) -> "Iterator[tuple[np.ndarray, np.ndarray, int]]":
    """Yield keys [n, 3], their predictions, and the number of observations per row, some rows at a time."""
    from ariel_tf.runs import domain

    if how == "pooled":
        import numpy as np

        from ariel_tf.runs.pooling import estimates

        for planet, found in estimates(trained, source.planets(folds)):
            notes.add(planet.number, domain.unusual(trained.trained_on, planet.star, found), domain.corrections(found))
            key = np.array([[planet.number, 0, 0]])
            yield key, np.concatenate([found.radius, found.sigma])[None], len(planet.instances)
        return
    for batch, radii in trained.predict_rows(source, folds):
        for number, star in dict(zip(batch["key"][:, 0].tolist(), batch["star"], strict=True)).items():
            notes.add(number, domain.outside(trained.trained_on, star), [])
        # A row of some models contains several observations.
        yield batch["key"], radii, batch["flux"].shape[1] if batch["flux"].ndim > 3 else 1


class Notes:
    """Notes for the user on individual planets: those unlike the training planets, and corrected light curves.

    Args:
        model: name of the model.
    """

    MOST = 20

    def __init__(self, model: str):
        self._model = model
        self._outside: dict[int, list[str]] = {}
        self._corrected: dict[int, list[str]] = {}

    def add(self, number: int, outside: list[str], corrected: list[str]) -> None:
        """Add texts about a planet; they replace those of an earlier planet with the same number."""
        if outside:
            self._outside[number] = outside
        if corrected:
            self._corrected[number] = corrected

    def _lines(self) -> list[str]:
        """A line a planet."""
        sections = (("unlike what {} was trained on", self._outside), ("light curves corrected", self._corrected))
        return [
            f"planet {number:04d}, {title.format(self._model)}: {'; '.join(texts)}"
            for title, found in sections
            for number, texts in sorted(found.items())
        ]

    def write(self, out: Path) -> None:
        """Write all of them to a file beside `out`; remove that of an earlier prediction where there are none."""
        path = _notes_path(out)
        if lines := self._lines():
            write_text(path, "\n".join(lines) + "\n")
        else:
            path.unlink(missing_ok=True)

    def report(self, out: Path) -> None:
        """Print the first of them, and the name of the file."""
        if not (lines := self._lines()):
            return
        if self._outside:
            planets = format_count(len(self._outside), "planet")
            print(
                f"warning: {planets} unlike what {self._model} was trained on; predictions may be wrong:",
                file=sys.stderr,
            )
            for line in lines[: min(self.MOST, len(self._outside))]:
                print(f"  {line.replace(f', unlike what {self._model} was trained on', '')}", file=sys.stderr)
        if self._corrected:
            print(f"light curves of {format_count(len(self._corrected), 'planet')} were corrected")
        print(f"notes on planets in {_notes_path(out)}")


def _notes_path(out: Path) -> Path:
    return out.with_name(out.name + ".notes.txt")


if __name__ == "__main__":
    run_command(main)

"""Predictions for a data set: rows, or pooled planets, to one file with notes; whole, or in parts on several machines.

    runs, data --open--> PredictionTask --found, of a part--> keys, radii, notes --write--> FILE, FILE.notes.txt

A part consists of batches of the whole, unchanged, so the predictions of all parts are those of the whole, bit for bit.
"""

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.core.atomic_files import write_text
from ariel_tf.core.errors import UsageError
from ariel_tf.core.resources import Progress, format_count
from ariel_tf.runs.prediction_files import SMALLEST, PredictionWriter

if TYPE_CHECKING:
    import numpy as np

    from ariel_tf.data.sources import Source
    from ariel_tf.runs.predictor import Predictor


# Of a planet: its number, what is unlike the training planets, what was corrected.
Note = tuple[int, list[str], list[str]]


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


class Found(NamedTuple):
    """Predictions for some rows.

    Attributes:
        keys: int [n, 3].
        values: float64 [n, wavelengths], or [n, 2 wavelengths] with standard deviations.
        instances: observations in each row.
        notes: notes on planets.
    """

    keys: "np.ndarray"
    values: "np.ndarray"
    instances: int
    notes: Sequence[Note]


@dataclass(frozen=True)
class PredictionTask:
    """A model and the data that it predicts.

    Attributes:
        trained: the model.
        source: open for its inputs.
        folds: folds to predict.
        how: "none", "median" or "mean" over a planet's observations, or "pooled".
    """

    trained: "Predictor"
    source: "Source"
    folds: tuple[int, ...]
    how: str

    @classmethod
    def open(cls, runs: Sequence[Path], data: str | Path, output: Output, folds: Sequence[int]) -> Self:
        """Load the model and open the data.

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
        return cls(trained, source, tuple(folds), how)

    @property
    def pieces(self) -> int:
        """Number of batches, or of planets if they are pooled, of which parts can be made."""
        from ariel_tf.data.dataset import prediction_batch_size

        if self.how == "pooled":
            return sum(fold in self.folds for fold in self.source.folds.values())
        if self.trained.signature.row != "observation":
            return 1  # these rows are loaded as a whole
        return -(-self.source.observations(self.folds) // prediction_batch_size(self.trained.signature))

    def found(self, part: slice = slice(None)) -> Iterator[Found]:
        """Yield predictions, some rows at a time.

        Args:
            part: pieces to predict, by their numbers; all by default.
        """
        return self._pooled(part) if self.how == "pooled" else self._rows(part)

    def _pooled(self, part: slice) -> Iterator[Found]:
        import numpy as np

        from ariel_tf.runs import domain
        from ariel_tf.runs.pooling import estimates

        planets = itertools.islice(self.source.planets(self.folds), part.start, part.stop)
        for planet, found in estimates(self.trained, planets):
            unusual = domain.unusual(self.trained.trained_on, planet.star, found)
            notes = [(planet.number, unusual, domain.corrections(found))]
            values = np.concatenate([found.radius, found.sigma])[None]
            yield Found(np.array([[planet.number, 0, 0]]), values, len(planet.instances), notes)

    def _rows(self, part: slice) -> Iterator[Found]:
        import numpy as np

        from ariel_tf.runs import domain

        part = part if self.trained.signature.row == "observation" else slice(None)
        for batch, radii in self.trained.predict_rows(self.source, self.folds, part):
            stars = dict(zip(batch["key"][:, 0].tolist(), batch["star"], strict=True))
            notes: list[Note] = [
                (number, domain.outside(self.trained.trained_on, star), []) for number, star in stars.items()
            ]
            if self.trained.spread is not None:
                sigma = self.trained.spread.of_observations(radii, batch["scatter"])
                radii = np.concatenate([radii, sigma], axis=1)
            # A row of some models contains several observations.
            yield Found(batch["key"], radii, batch["flux"].shape[1] if batch["flux"].ndim > 3 else 1, notes)

    def checked(self, found: Iterable[Found]) -> Iterator[Found]:
        """Yield predictions of several parts; refuse them at the end if rows are missing or occur twice.

        Raises:
            DataError: names the first of them.
        """
        import numpy as np

        from ariel_tf.data.integrity import refuse_incomplete

        keys = [np.zeros((0, 3), np.int32)]
        for some in found:
            keys.append(some.keys)
            yield some
        if self.how != "pooled" and self.trained.signature.row == "observation":
            refuse_incomplete(self.source, self.folds, np.concatenate(keys))

    def write(self, output: Output, found: Iterable[Found]) -> None:
        """Write predictions and notes, and print what was written.

        Args:
            output: the file.
            found: predictions for all rows, in any order.
        """
        out, rows = output.path, self.source.observations(self.folds)
        out.parent.mkdir(parents=True, exist_ok=True)
        notes = Notes(self.trained.path.name)
        spread = None if self.how == "pooled" else self.trained.spread
        sigmas, shrink = self.how == "pooled" or spread is not None, spread.of_several if spread else None
        with PredictionWriter(out.parent, rows, self.trained.targets, sigmas, shrink) as writer:
            with Progress(rows, "observation") as progress:
                for some in found:
                    for note in some.notes:
                        notes.add(*note)
                    writer.add(some.keys, some.values, some.instances)
                    progress(len(some.values) * some.instances)
            outside = writer.outside()
            if output.clip:
                writer.clip()
            # Before the predictions: with them the command is complete, and repeats nothing.
            notes.write(out)
            written = self._write_file(writer, output)
        wavelengths = format_count(len(self.trained.targets), "wavelength")
        print(f"{format_count(written, 'row')} of {wavelengths} in {out}: {progress.summary}")
        if outside:
            done = f"clipped to [{SMALLEST:g}, 1]" if output.clip else "left unchanged; --clip clips them"
            print(f"{format_count(outside, 'value')} outside (0, 1], {done}")
        notes.report(out)

    def _write_file(self, writer: PredictionWriter, output: Output) -> int:
        combine = "none" if self.how == "pooled" else self.how
        if not output.datalabs:
            return writer.write(output.path, combine)
        observations = None if writer.of_observations else self.source.keys(self.folds)
        return writer.write_datalabs(output.path, combine, observations)


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

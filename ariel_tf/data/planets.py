"""Planets for notebooks: any source of data as an iterable of whole planets, in NumPy."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.data.folds import N_FOLDS
from ariel_tf.data.integrity import read_planets
from ariel_tf.data.sources import Source, open_source
from ariel_tf.data.sources.text import TextSource
from ariel_tf.data.text.folders import text_folders
from ariel_tf.planet import Planet


class Data:
    """What `ariel_tf.open_data` returns.

    Args:
        data: what `--data` takes, or a folder of challenge text files.
        params: of the targets of text files.

    Attributes:
        source: where planets come from, `sources.base.Source`.
        labelled: whether radii are known.
        folds: planet number to fold.
    """

    def __init__(self, data: Path | str, params: Path | str | None = None):
        found = text_folders(Path(data))
        if params is not None:
            self.source: Source = TextSource(data, params)
        elif found is not None and not found.named:
            self.source = TextSource(data)
        else:
            self.source = open_source(str(data), range(N_WAVELENGTHS))
        self.labelled = self.source.labelled
        self.folds = self.source.folds

    def __len__(self) -> int:
        return len(self.folds)

    def __repr__(self) -> str:
        known = "known" if self.labelled else "unknown"
        return f"{self.source.description}: {len(self)} planets, radii {known}"

    def planets(self, folds: Sequence[int] = range(N_FOLDS)) -> Iterator[Planet]:
        """Each planet of these folds once, one in memory at a time, with its orbit where that is known.

        Raises:
            DataError: a record or a file is damaged.
        """
        return read_planets(self.source, folds)

"""Planets for notebooks: any source of data as an iterable of whole planets, in NumPy."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.data.folds import N_FOLDS
from ariel_tf.data.integrity import read_planets
from ariel_tf.data.manifest import MANIFEST_NAME
from ariel_tf.data.sources import Source, open_source
from ariel_tf.data.sources.text import TextSource
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
        folder = Path(data)
        is_text = params is not None or (folder.is_dir() and not (folder / MANIFEST_NAME).is_file())
        self.source: Source = TextSource(folder, params) if is_text else open_source(str(data), range(N_WAVELENGTHS))
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

"""Planets for notebooks: any source of data as an iterable of whole planets, in NumPy."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ariel_tf.challenge import N_WAVELENGTHS, ORBIT_PARAMETERS
from ariel_tf.data.folds import N_FOLDS
from ariel_tf.data.manifest import MANIFEST_NAME
from ariel_tf.data.sources import open_source
from ariel_tf.data.sources.text import TextSource
from ariel_tf.planet import Planet, white_light


class Data:
    """What `ariel_tf.open_data` returns.

    Args:
        data: what `--data` takes, or a folder of challenge text files.
        params: of the targets of text files.

    Attributes:
        source: where planets come from, as the rest of the suite sees it.
        labelled: whether radii are known.
        folds: planet number to fold.
    """

    def __init__(self, data: Path | str, params: Path | str | None = None):
        folder = Path(data)
        is_text = params is not None or (folder.is_dir() and not (folder / MANIFEST_NAME).is_file())
        self.source = TextSource(folder, params) if is_text else open_source(str(data), range(N_WAVELENGTHS))
        self.labelled = self.source.labelled
        self.folds = self.source.folds

    def __len__(self) -> int:
        return len(self.folds)

    def __repr__(self) -> str:
        known = "known" if self.labelled else "unknown"
        return f"{self.source.description}: {len(self)} planets, radii {known}"

    def planets(self, folds: Sequence[int] = range(N_FOLDS)) -> Iterator[Planet]:
        """Each planet of these folds once, one in memory at a time; its orbit is not kept.

        Raises:
            DataError: a record or a file is damaged.
        """
        import tensorflow as tf

        from ariel_tf.data.integrity import damaged

        records = self.source.records(folds, range(N_WAVELENGTHS))
        try:
            for record in records.as_numpy_iterator():
                yield Planet(
                    number=int(record["planet"]),
                    instances=record["instances"],
                    star=record["star"].astype(np.float64),
                    orbit=np.full(len(ORBIT_PARAMETERS), np.nan),
                    radii=record["radii"].astype(np.float64),
                    flux=record["flux"],
                    scatter=record["scatter"],
                    white=white_light(record["flux"], record["scatter"]),
                )
        except tf.errors.OpError as error:
            raise damaged(self.source, error) from error

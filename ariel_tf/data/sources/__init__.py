"""Where planets come from. Every source yields the same thing, so nothing downstream knows which it is.

A source is described by one text, the value of `--data`:

    DATA                                      a folder of shards and a manifest
    simulated:planets=400,spots=4,photons=2,seed=0     planets made on the spot, in memory
    bigquery://PROJECT/DATASET[?layout=classic&...]    tables in BigQuery (`data.bigquery.address`)

    gs://BUCKET/FOLDER                        such a folder in a bucket

`open_source` opens it for the wavelengths that are wanted.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ariel_tf.data.bigquery.address import Address, is_address

SIMULATED = "simulated"


class Source(Protocol):
    """What a source tells and yields.

    Attributes:
        description: one line for people.
        fingerprint: changes when any value, key or fold changes.
        folds: planet number to fold.
        labelled: whether radii are known.
        failure: what stopped the reading of records, where the source knows it; None before.
    """

    description: str
    fingerprint: str
    folds: dict[int, int]
    labelled: bool
    failure: Exception | None

    def observations(self, folds: Sequence[int]) -> int:
        """Number of observations in these folds."""
        ...

    def statistics(self, folds: Sequence[int]) -> Mapping[str, Any]:
        """Quantity ("flux", "white", "star", "radius", "depth") to `Statistics` over these folds."""
        ...

    def faults(self, folds: Sequence[int] | None = None) -> list[str]:
        """What of these folds' data, or of all, is not as it was written; looked for after a record was unreadable."""
        ...

    def records(self, folds: Sequence[int], wavelengths: Sequence[int], order=None, white: bool = False):
        """A `tf.data.Dataset` of planets, each once, as `records.parse` gives them.

        Args:
            folds: planets of these only.
            wavelengths: which of the 55, in the order wanted.
            order: None for ascending shards; an int32 tensor [2] seeds a shuffled order.
            white: whether to add the white light curves.
        """
        ...


def open_source(description: str, wavelengths: Sequence[int]) -> Source:
    """The source that `--data` describes.

    Args:
        description: a folder, `simulated[:name=value,...]` or `bigquery://PROJECT/DATASET[?name=value&...]`.
        wavelengths: those that will be read; a source need not hold any others.

    Raises:
        UsageError: a description that cannot be read.
        DataError: a folder or tables without a sound manifest.
        ArielError: a database that does not answer, or not to this user.
    """
    if is_address(description):
        from ariel_tf.data.sources.bigquery import BigQuerySource

        return BigQuerySource(Address.parse(description), wavelengths)
    if description.split(":")[0] == SIMULATED:
        from ariel_tf.data.sources.simulated import SimulatedSource

        return SimulatedSource.from_description(description, wavelengths)
    if "://" in description:
        from ariel_tf.data.sources.bucket import BucketSource

        return BucketSource(description)
    from ariel_tf.data.sources.tfrecord import TFRecordSource

    return TFRecordSource(Path(description))

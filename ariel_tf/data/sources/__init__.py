"""Data sources. Every source yields planets in the same form, so that downstream code does not depend on it.

A source is described by one text, the value of `--data`:

    DATA                                      a folder of shards and a manifest
    simulated:planets=400,spots=4,photons=2,seed=0     planets simulated on opening, in memory
    simulator:rows=20000,seed=0               newly simulated planets in each epoch, without end
    bigquery://PROJECT/DATASET[?layout=classic&...]    tables in BigQuery (`data.bigquery.address`)

    gs://BUCKET/FOLDER                        such a folder in a bucket
    noisy_train                               challenge text files, with their targets in params_train beside them
    my_data.py:survey[:ARGUMENT]              a function of the user's file, or of a plug-in, survey[:ARGUMENT]

`open_source` opens a source for the requested wavelengths.
"""

from collections.abc import Sequence
from pathlib import Path

from ariel_tf.core import user_code
from ariel_tf.data.bigquery.address import Address, is_address
from ariel_tf.data.sources.base import ENDLESS, SIMULATED, Source
from ariel_tf.data.text.folders import text_folders

__all__ = ["ENDLESS", "SIMULATED", "Source", "open_source"]


def open_source(description: str, wavelengths: Sequence[int]) -> Source:
    """Open the source that `--data` describes.

    Args:
        description: a folder of shards or of text files, `simulated[:name=value,...]`, `simulator[:...]` or `bigquery://PROJECT/DATASET[?name=value&...]`.
        wavelengths: wavelengths that will be read; a source need not hold any others.

    Raises:
        UsageError: an invalid description.
        DataError: a folder or tables without a valid manifest.
        ArielError: a database that does not respond, or refuses access.
    """
    if user_code.reference(description) is not None:
        return _outside(description)
    if is_address(description):
        from ariel_tf.data.sources.bigquery import BigQuerySource

        return BigQuerySource(Address.parse(description), wavelengths)
    if description.split(":")[0] == SIMULATED:
        from ariel_tf.data.sources.simulated import SimulatedSource

        return SimulatedSource.from_description(description, wavelengths)
    if description.split(":")[0] == ENDLESS:
        from ariel_tf.data.sources.endless import EndlessSource

        return EndlessSource.from_description(description, wavelengths)
    if "://" in description:
        from ariel_tf.data.sources.bucket import BucketSource

        return BucketSource(description)
    if (text := text_folders(Path(description))) is not None:
        from ariel_tf.data.sources.text import TextSource

        return TextSource(text.light_curves, text.params)
    if not Path(description).exists() and description.split(":")[0] in user_code.plugins(user_code.SOURCES):
        return _outside(description)
    from ariel_tf.data.sources.tfrecord import TFRecordSource

    return TFRecordSource(Path(description))


def _outside(description: str) -> Source:
    from ariel_tf.data.sources.planets import outside_source

    found = outside_source(description)
    assert found is not None
    return found

"""One small data set, simulated in memory and as shards on disk, for the tests of reading it."""

import pytest


@pytest.fixture(scope="module")
def simulated():
    from support.small_data import RECIPE

    from ariel_tf.data.sources.simulated import SimulatedSource

    return SimulatedSource(RECIPE, [12, 40], quiet=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same planets as shards of two planets each."""
    from support.small_data import write_shards

    path = tmp_path_factory.mktemp("data")
    write_shards(path)
    return path


@pytest.fixture
def on_disk(folder):
    from ariel_tf.data.sources.tfrecord import TFRecordSource

    return TFRecordSource(folder)

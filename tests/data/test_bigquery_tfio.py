"""tensorflow-io's reader yields the rows of the shards; run by `make test-tfio`, whose environment can hold it."""

import sys

import pytest
import tensorflow as tf
from support import storage_v1beta1

from ariel_tf import train
from ariel_tf.core.errors import UsageError
from ariel_tf.data.selection import Selection
from ariel_tf.data.sources import open_source


@pytest.fixture
def bridged(emulator, uploaded, monkeypatch):
    """The address, read by tensorflow-io from the bridge, and by others from the emulator as ever."""
    from ariel_tf.data.bigquery import tfio_reader
    from ariel_tf.data.bigquery.address import Address

    with storage_v1beta1.running(f"127.0.0.1:{emulator.grpc}") as port:
        elsewhere = Address.parse(f"{uploaded}?endpoint=127.0.0.1:{emulator.rest}&storage=127.0.0.1:{port}")
        open_client = tfio_reader.open_client
        monkeypatch.setattr(tfio_reader, "open_client", lambda _: open_client(elsewhere))
        yield f"{uploaded}?reader=tfio"


def test_without_tensorflow_io_one_sentence_says_what_to_install(uploaded, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    with pytest.raises(
        UsageError, match=r"--reader tfio: tensorflow-io's reader cannot run .* --editable '\.\[tfio\]'"
    ):
        open_source(f"{uploaded}?reader=tfio", [0])


@pytest.mark.tfio
@pytest.mark.parametrize("order", [None, (3, 4)])
def test_the_rows_are_those_of_the_shards(bridged, bigquery_shards, same_planets, order):
    seed = None if order is None else tf.constant(order)
    ours, theirs = (open_source(text, [5, 40]) for text in (bridged, str(bigquery_shards / "train")))
    assert ours.fingerprint == theirs.fingerprint
    wanted = Selection.of(range(10), [40, 5], white_light=True)
    same_planets(ours.records(wanted, seed), theirs.records(wanted, seed))


@pytest.mark.tfio
def test_a_test_set_without_radii(bridged, bigquery_shards, same_planets):
    from pipelines import upload

    upload.main([str(bigquery_shards / "test"), "--project", "proj", "--dataset", "tfio_test"])
    ours = open_source("bigquery://proj/tfio_test?reader=tfio", [5])
    wanted = Selection.of(range(10), [5])
    same_planets(ours.records(wanted), open_source(str(bigquery_shards / "test"), [5]).records(wanted))


@pytest.mark.tfio
def test_training_reads_with_it(bridged, bigquery_shards, tmp_path):
    address, _, _ = bridged.partition("?")
    options = ["--wavelength", "12", "--epochs", "1", "--model", "squid"]
    train.main(["--data", address, "--reader", "tfio", *options, "--run", str(tmp_path / "one")])
    train.main(["--data", str(bigquery_shards / "train"), *options, "--run", str(tmp_path / "other")])
    assert (tmp_path / "one" / "scores.json").read_bytes() == (tmp_path / "other" / "scores.json").read_bytes()

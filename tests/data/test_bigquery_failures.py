"""Streams that break or end early are read exactly, or not at all; what can't be reached says so within seconds."""

import time

import numpy as np
import pytest
import tensorflow as tf
from support import flaky_storage

from ariel_tf import train
from ariel_tf.core.errors import ArielError, DataError
from ariel_tf.data.bigquery import streams
from ariel_tf.data.bigquery.address import Address
from ariel_tf.data.selection import Selection
from ariel_tf.data.sources import open_source

SECONDS = 60  # on a machine that does other work; alone it is a quarter of that


@pytest.fixture
def flaky(emulator, uploaded, monkeypatch):
    with flaky_storage.running(f"127.0.0.1:{emulator.grpc}") as (handler, server, port):
        monkeypatch.setenv("BIGQUERY_STORAGE_EMULATOR_HOST", f"127.0.0.1:{port}")
        handler.server = server
        yield handler


def planets(source):
    try:
        return list(source.records(Selection.of(range(10), [4, 9])).as_numpy_iterator())
    except tf.errors.OpError:
        raise source.failure from None


def same(ours, theirs):
    assert len(ours) == len(theirs) == 21
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one["instances"], other["instances"])
        np.testing.assert_array_equal(one["flux"], other["flux"])


@pytest.fixture
def expected(bigquery_shards):
    return planets(open_source(str(bigquery_shards / "train"), [4, 9]))


def test_a_broken_stream_goes_on_from_its_offset(flaky, uploaded, expected):
    source = open_source(uploaded, [4, 9])
    flaky.aborts = 3
    flaky.offsets.clear()
    same(planets(source), expected)
    assert flaky.aborts == 0
    assert {14} <= {*flaky.offsets}


def test_a_stream_that_ends_early_is_asked_for_the_rest(flaky, uploaded, expected):
    source = open_source(uploaded, [4, 9])
    planets(source)  # stars and radii are here now
    flaky.ends = 2
    flaky.offsets.clear()
    same(planets(source), expected)
    assert flaky.ends == 0
    assert 14 in flaky.offsets


def test_a_stream_that_always_ends_early_is_an_error(flaky, uploaded):
    source = open_source(uploaded, [4, 9])
    planets(source)
    flaky.ends = 1000
    with pytest.raises(DataError, match="bigquery://proj/train: "):
        planets(source)


def test_a_stream_that_never_gets_on_is_an_error(flaky, uploaded, monkeypatch):
    monkeypatch.setattr(streams, "PAUSES_S", (0.0, 0.0))
    source = open_source(f"{uploaded}?outage=0", [4, 9])
    flaky.aborts, flaky.after = 10**6, 0
    with pytest.raises(ArielError, match=r"no answer from 127\.0\.0\.1:\d+ about"):
        planets(source)
    assert flaky.offsets[-1] == 0


def test_a_server_that_dies_in_the_middle_of_a_training(flaky, uploaded, monkeypatch, tmp_path):
    """It ends the training with one sentence, whatever has been read by then."""
    monkeypatch.setattr(streams, "PAUSES_S", (0.0, 0.1))
    flaky.broken = lambda: flaky.server.stop(None)
    start = time.monotonic()
    command = ["--data", uploaded, "--outage", "0", "--wavelength", "4", "--epochs", "1"]
    with pytest.raises(ArielError, match=r"no answer from 127\.0\.0\.1:\d+ about .*check the network"):
        train.main([*command, "--run", str(tmp_path / "run")])
    assert time.monotonic() - start < SECONDS


@pytest.mark.parametrize("setting", ["endpoint=127.0.0.1:1", "endpoint=http://no-such-host.invalid:9050"])
def test_no_network(setting):
    start = time.monotonic()
    with pytest.raises(
        ArielError, match=r"no answer from http://.* check the network, the host and the port"
    ) as caught:
        open_source(f"bigquery://proj/train?{setting}", [0])
    assert caught.value.exit_code == 1
    assert time.monotonic() - start < SECONDS


def test_no_credentials(monkeypatch, tmp_path):
    for name in ("BIGQUERY_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(
        ArielError, match="no credentials that Google accepts; run `gcloud auth application-default login`"
    ):
        open_source("bigquery://proj/train", [0])


def test_a_key_file_that_is_none_is_not_quoted(monkeypatch, tmp_path):
    monkeypatch.delenv("BIGQUERY_EMULATOR_HOST", raising=False)
    key = tmp_path / "key.json"
    key.write_text('{"type": "service_account", "private_key": "SECRET"}')
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    with pytest.raises(ArielError, match="no credentials that Google accepts") as caught:
        open_source("bigquery://proj/train", [0])
    assert "SECRET" not in str(caught.value)


def test_no_such_dataset(emulator):
    with pytest.raises(DataError, match="bigquery://proj/nowhere: expected a data set there, found no table manifest"):
        open_source("bigquery://proj/nowhere", [0])


def test_an_offset_is_never_beyond_what_was_read(flaky, uploaded):
    reader = streams.ArrowReader(open_source(uploaded, [4]).connection, 2)
    flaky.aborts = 2
    flaky.offsets.clear()
    table = reader.read("white_light", ("planet", "spot", "photon"), "planet < 20")
    assert table.num_rows == 38
    assert table.column_names == ["planet", "spot", "photon"]
    assert sorted(table.column("planet").to_pylist()) == sorted([*range(1, 20)] * 2)
    assert flaky.offsets == [0, 14, 28]
    assert Address.parse(uploaded).dataset == "train"

"""Outages of a server of BigQuery, on a clock of the test's own: waited for as long as asked, and no longer."""

from types import SimpleNamespace

import pytest
from google.api_core.exceptions import NotFound, ServiceUnavailable
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo

from ariel_tf.core.errors import ArielError
from ariel_tf.data.bigquery import streams
from ariel_tf.data.bigquery.address import Address
from ariel_tf.data.bigquery.connection import Connection


@pytest.fixture
def clock(monkeypatch):
    """Seconds by which `time.sleep` moves on."""
    now = SimpleNamespace(seconds=100.0, pauses=[])

    def sleep(seconds):
        now.seconds += seconds
        now.pauses.append(seconds)

    monkeypatch.setattr(streams, "time", SimpleNamespace(monotonic=lambda: now.seconds, sleep=sleep))
    return now


def stream(clock, *outages, wait):
    """A stream of three pages of two rows, whose server is away between these pairs of seconds."""
    opened = []

    def open_at(name, offset):
        opened.append(offset)
        for page in range(offset // 2, 3):
            if any(first <= clock.seconds < last for first, last in outages):
                raise ServiceUnavailable("away")
            yield page
            clock.seconds += 10

    made = streams._Stream(open_at, "name", None, wait)

    def add(page):
        made.batches.append(page)
        made.rows += 2

    made._add = add
    return made, opened


def test_a_server_that_is_away_for_a_minute_is_waited_for(clock):
    """An outage of 15 s once ended a training."""
    made, opened = stream(clock, (105, 165), wait=60)
    made.finish()
    assert made.batches == [0, 1, 2]
    assert opened[0] == 0
    assert set(opened[1:]) == {2}, "from the offset where it broke"


def test_every_outage_is_waited_for_anew(clock):
    made, _ = stream(clock, (105, 150), (160, 200), wait=45)
    made.finish()
    assert made.batches == [0, 1, 2]


def test_an_outage_that_lasts_longer_is_an_error(clock):
    made, _ = stream(clock, (105, 10_000), wait=60)
    with pytest.raises(ServiceUnavailable):
        made.finish()
    assert 60 <= sum(clock.pauses) < 70


def test_without_patience_a_few_short_tries_are_made(clock):
    made, _ = stream(clock, (105, 10_000), wait=0)
    with pytest.raises(ServiceUnavailable):
        made.finish()
    assert clock.pauses == list(streams.PAUSES_S)


@pytest.mark.parametrize(("asked", "waited"), [(7, 7.0), (3600, streams.MOST_ASKED_S)])
def test_a_server_that_says_when_to_come_back_is_obeyed(clock, asked, waited):
    busy = ServiceUnavailable("busy", details=[RetryInfo(retry_delay=Duration(seconds=asked))])
    streams.Waiting(60).after(busy)
    assert clock.pauses == [waited]


def reader(calls, clock, **settings):
    """A reader whose server answers `calls`, one after another, to a wish for a session."""
    address = Address(project="data", dataset="set", storage="storage.example:443", **settings)
    wishes = []

    def create_read_session(**arguments):
        wishes.append(arguments)
        answer = calls.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    connection = Connection(address)
    connection.storage = SimpleNamespace(create_read_session=create_read_session)
    return streams.ArrowReader(connection, 2), wishes


def test_sessions_are_asked_for_again_once_data_have_been_read(clock):
    """At the start a mistyped address is told at once."""
    made, wishes = reader([ServiceUnavailable("away")] * 6 + ["session"], clock)
    with pytest.raises(ArielError, match=r"no answer from storage\.example:443 about stars"):
        made.session("stars", ["planet"], "")
    del wishes[:]
    made._reached = True
    assert made.session("stars", ["planet"], "") == "session"
    made, wishes = reader([NotFound("no table")], clock)
    made._reached = True
    with pytest.raises(ArielError, match="expected stars there, found none"):
        made.session("stars", ["planet"], "")
    assert len(wishes) == 1, "what does not pass is told at once"


def test_another_project_may_pay(clock):
    made, wishes = reader(["session"], clock, billing_project="payer")
    made.session("stars", ["planet"], "")
    assert wishes[0]["parent"] == "projects/payer"
    assert wishes[0]["read_session"].table == "projects/data/datasets/set/tables/stars"
    address = Address.parse("bigquery://data/set?billing_project=payer&outage=5")
    assert (address.payer, address.outage) == ("payer", 5)
    assert address.description == "bigquery://data/set", "who pays changes no data"
    assert Address.parse("bigquery://data/set").payer == "data"

"""Addresses: what a text may say, what it never does, and where the endpoints are."""

import argparse
import re

import pytest

from ariel_tf.core.errors import UsageError
from ariel_tf.data.bigquery.address import Address, add_flags, is_address, with_flags


def test_a_plain_address():
    address = Address.parse("bigquery://my-project/my_data")
    assert (address.project, address.dataset, address.layout) == ("my-project", "my_data", "planets")
    assert str(address) == address.description == "bigquery://my-project/my_data"
    assert address.table("stars") == "my-project.my_data.stars"
    assert not is_address("data")


def test_how_it_is_read_is_no_part_of_its_description():
    text = "bigquery://proj/d?layout=classic&stars=extra&cache=/tmp/c&reader=tfio&streams=2"
    address = Address.parse(text)
    assert (address.cache, address.reader, address.streams) == ("/tmp/c", "tfio", 2)
    assert str(address) == text
    assert address.description == "bigquery://proj/d?layout=classic&stars=extra"


@pytest.mark.parametrize(
    ("text", "fault"),
    {
        "bigquery://proj": "expected bigquery://PROJECT/DATASET",
        "bigquery://proj/a`; DROP TABLE x": "dataset: expected letters, digits and underscores",
        "bigquery://proj/a b": "dataset: expected letters, digits and underscores",
        "bigquery://proj/a.b": "dataset: expected letters, digits and underscores",
        "bigquery://proj/a/b": "dataset: expected letters, digits and underscores",
        "bigquery://proj/données": "dataset: expected letters, digits and underscores",
        "bigquery://proj/": "expected bigquery://PROJECT/DATASET",
        "bigquery://Proj`/d": "project: expected lower-case letters, digits and hyphens",
        "bigquery:///d": "expected bigquery://PROJECT/DATASET",
        "bigquery://proj/d?layuot=classic": "unknown option layuot. Did you mean layout?",
        "bigquery://proj/d?layout=wide": "layout: expected one of planets, classic. Received: wide",
        "bigquery://proj/d?streams=0": "streams: expected a whole number, 1 or more. Received: 0",
        "bigquery://proj/d?layout": "expected name=value pairs",
        "bigquery://proj/d?stars=a`b": "stars: expected letters, digits and underscores",
        "bigquery://proj/d?endpoint=http://x y": "endpoint: expected host:port",
        "bigquery://proj/d?endpoint=http://user:word@host:1": "endpoint: expected host:port",
    }.items(),
)
def test_anything_else_is_refused(text, fault):
    with pytest.raises(UsageError, match=re.escape(fault)):
        Address.parse(text)


def test_endpoints(monkeypatch):
    monkeypatch.delenv("BIGQUERY_EMULATOR_HOST", raising=False)
    monkeypatch.delenv("BIGQUERY_STORAGE_EMULATOR_HOST", raising=False)
    google = Address.parse("bigquery://proj/d")
    assert (google.rest, google.grpc, google.is_emulator) == ("", "", False)
    local = Address.parse("bigquery://proj/d?endpoint=localhost:9050")
    assert (local.rest, local.grpc, local.is_emulator) == ("http://localhost:9050", "localhost:9060", True)
    private = Address.parse("bigquery://proj/d?endpoint=https://bq.example&storage=bqs.example:8443")
    assert (private.rest, private.grpc, private.is_emulator) == ("https://bq.example", "bqs.example:8443", False)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", "127.0.0.1:7")
    assert (google.rest, google.grpc, google.is_emulator) == ("http://127.0.0.1:7", "127.0.0.1:17", True)
    monkeypatch.setenv("BIGQUERY_STORAGE_EMULATOR_HOST", "127.0.0.1:9")
    assert google.grpc == "127.0.0.1:9"
    assert private.rest == "https://bq.example"


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return parser.parse_args(arguments)


def test_flags_become_part_of_the_address():
    address = "bigquery://proj/d?layout=planets&streams=2"
    assert with_flags(address, parsed()) == address
    assert with_flags(address, parsed("--layout", "classic")) == "bigquery://proj/d?layout=classic&streams=2"
    assert with_flags("folder", parsed()) == "folder"


@pytest.mark.parametrize(("data", "received"), [("folder", "--data folder"), (None, "no --data"), ("", "no --data")])
def test_flags_without_data_in_bigquery(data, received):
    with pytest.raises(UsageError, match=f"DATASET with it. Received: {received}$"):
        with_flags(data, parsed("--cache", "x"))

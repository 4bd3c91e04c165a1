"""Address of a data set in BigQuery and how it is read: one text, validated, so that no name can inject SQL.

    bigquery://PROJECT/DATASET
    bigquery://PROJECT/DATASET?layout=classic&stars=extra_params
    bigquery://PROJECT/DATASET?endpoint=http://localhost:9050&cache=snapshots

Parameters after the question mark can also be given as flags (`--layout classic`); flags take precedence.
"""

import argparse
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import parse_qsl, urlencode

from ariel_tf.core import resources, schema
from ariel_tf.core.errors import UsageError
from ariel_tf.core.schema import Schema, option

SCHEME = "bigquery://"
EMULATOR = "BIGQUERY_EMULATOR_HOST"  # Google's own clients read it too
STORAGE_EMULATOR = "BIGQUERY_STORAGE_EMULATOR_HOST"
# Emulators listen at 9050 for REST and at 9060 for gRPC by default.
PORTS_APART = 10

_PROJECT = re.compile(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{1,61}[a-z0-9]", re.ASCII)
_DATASET = re.compile(r"[A-Za-z0-9_]{1,1024}", re.ASCII)
_HOST = re.compile(r"(?P<scheme>https?://)?(?P<host>[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:(?P<port>\d{1,5}))?/?", re.ASCII)
# Title of the flags' group.
GROUP = "data in BigQuery (--data bigquery://PROJECT/DATASET)"
_NAME = "letters, digits and underscores"
_Text = TypeVar("_Text", str, str | None)


def is_address(text: str) -> bool:
    """Whether a value of `--data` names a data set in BigQuery."""
    return text.startswith(SCHEME)


def is_table_name(name: str) -> bool:
    return _DATASET.fullmatch(name) is not None


def _name(help: str, pattern: re.Pattern[str], expected: str, default: Any = ...) -> Any:
    return option(default, help, group=GROUP, check=pattern.fullmatch, expected=expected)


def _endpoint(help: str) -> Any:
    return option(
        "", help, group=GROUP, check=lambda value: not value or _HOST.fullmatch(value),
        expected="host:port, like localhost:9050"
    )  # fmt: skip


class Address(Schema):
    """Address of a data set in BigQuery.

    Fields that identify the data are part of its `description`; fields in `READING` only control how they are read.
    """

    project: str = _name("project of Google Cloud", _PROJECT, "lower-case letters, digits and hyphens")
    dataset: str = _name("dataset", _DATASET, _NAME)
    layout: str = option(
        "planets", "planets: tables that `pipelines.upload` writes; classic: 55 tables train_table_N", group=GROUP,
        choices=("planets", "classic")
    )  # fmt: skip
    endpoint: str = _endpoint(f"REST endpoint, host:port or a URL; http:// needs no credentials (else ${EMULATOR})")
    storage: str = _endpoint("gRPC endpoint, host:port (default: Google's, or the REST port + 10 of an emulator)")
    stars: str = _name("classic layout: table of stellar parameters, joined on AAAA", _DATASET, _NAME, "extra_params")
    fold_seed: int = option(0, "classic layout: seed of the planets' folds", group=GROUP, low=0, metavar="N")
    cache: str = option("", "folder in which the data read are stored as shards, for later runs", group=GROUP)
    reader: str = option("arrow", "reader: arrow, or tfio for tensorflow-io's", group=GROUP, choices=("arrow", "tfio"))
    streams: int = option(4, "number of streams of a read session", group=GROUP, low=1, metavar="N")
    session: str = option(
        "", "size of the light curves of a read session, held in memory; larger means fewer sessions (default: 32M)",
        group=GROUP, check=lambda text: not text or resources.parse_bytes(text), expected="a size like 256M",
        metavar="SIZE"
    )  # fmt: skip
    billing_project: str = _name(
        "project that pays for queries and reading (default: that of the data)", re.compile(f"(?:{_PROJECT.pattern})?"),
        "lower-case letters, digits and hyphens", ""
    )  # fmt: skip
    outage: int = option(
        60, "time for which a server may be unavailable while data are read", group=GROUP, low=0, metavar="SECONDS"
    )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `bigquery://PROJECT/DATASET[?name=value&...]`.

        Raises:
            UsageError: any other form.
        """
        place, _, settings = text.removeprefix(SCHEME).partition("?")
        project, slash, dataset = place.strip("/").partition("/")
        if not text.startswith(SCHEME) or not slash:
            raise UsageError(f"--data: expected bigquery://PROJECT/DATASET. Received: {text}")
        try:
            values = dict(parse_qsl(settings, keep_blank_values=True, strict_parsing=True)) if settings else {}
        except ValueError:
            raise UsageError(f"--data {text}: expected name=value pairs with & after the question mark") from None
        return cls.from_text(values, f"--data {text}", project=project, dataset=dataset)

    def with_options(self, options: argparse.Namespace) -> Self:
        """Return the same address with the values of the flags of `add_flags`."""
        return self.replace(**_given(options))

    @property
    def description(self) -> str:
        """Return the address of the data alone, independent of how they are read."""
        return self._text(how=False)

    def __str__(self) -> str:
        return self._text(how=True)

    def _text(self, how: bool) -> str:
        values = {
            name: value
            for name in SETTINGS
            if (value := getattr(self, name)) != Address.model_fields[name].default and (how or name not in READING)
        }
        return f"{SCHEME}{self.project}/{self.dataset}" + (f"?{urlencode(values, safe='/:')}" if values else "")

    @property
    def rest(self) -> str:
        """Return the URL of the REST endpoint; empty for Google's own."""
        value = self.endpoint or os.environ.get(EMULATOR, "")
        if not value:
            return ""
        match = _HOST.fullmatch(value)
        if match is None:
            raise UsageError(f"{EMULATOR}: expected host:port, like localhost:9050. Received: {value!r}")
        return f"{match['scheme'] or 'http://'}{match['host']}" + (f":{match['port']}" if match["port"] else "")

    @property
    def grpc(self) -> str:
        """Return host:port of the gRPC endpoint; empty for Google's own."""
        value = self.storage or ("" if self.endpoint else os.environ.get(STORAGE_EMULATOR, ""))
        match = _HOST.fullmatch(value or self.rest)
        if match is None:
            return ""
        if value:
            return f"{match['host']}:{match['port'] or 443}"
        # The gRPC name of a private https endpoint cannot be guessed: without `storage`, Google's own is used.
        return f"{match['host']}:{int(match['port'] or 80) + PORTS_APART}" if self.is_emulator else ""

    @property
    def payer(self) -> str:
        """Return the project to which queries and read sessions are charged."""
        return self.billing_project or self.project

    @property
    def session_bytes(self) -> int:
        """Return the bytes of light curves in a read session, float64 as received; 0 for the default size."""
        return resources.parse_bytes(self.session) or 0

    @property
    def is_emulator(self) -> bool:
        """Whether the connection uses plain text and no credentials."""
        return self.rest.startswith("http://")

    def table(self, name: str) -> str:
        """Return `project.dataset.name`, for the REST client and, in backquotes, for SQL."""
        if not is_table_name(name):
            raise UsageError(f"{self}: expected letters, digits and underscores as a table. Received: {name!r}")
        return f"{self.project}.{self.dataset}.{name}"

    def here(self) -> Self:
        """Return the same address with the full path of the cache folder."""
        return self.replace(cache=str(Path(self.cache).resolve())) if self.cache else self


# Parameters of an address, and those of them that only control how the data are read.
SETTINGS = tuple(name for name in Address.flags() if name not in ("project", "dataset"))
READING = ("cache", "reader", "streams", "session", "billing_project", "outage")


def add_flags(
    parser: argparse.ArgumentParser,
    names: Iterable[str] = ("layout", "endpoint", "storage", "cache", "reader", "billing_project", "outage"),
) -> None:
    """Add flags for settings of an address."""
    schema.add_flags(parser, Address, names)


def with_flags(text: _Text, options: argparse.Namespace) -> _Text:
    """Return the value of `--data` with the flags of `add_flags` added.

    Raises:
        UsageError: such a flag without data in BigQuery, or an invalid value.
    """
    given = _given(options)
    if not given:
        return text
    if text is None or not is_address(text):
        flag = next(iter(given)).replace("_", "-")
        received = f"--data {text}" if text else "no --data"
        raise UsageError(f"--{flag}: expected --data bigquery://PROJECT/DATASET with it. Received: {received}")
    return str(Address.parse(text).with_options(options))


def _given(options: argparse.Namespace) -> dict[str, Any]:
    given = Address.given(options)
    return {name: given[name] for name in SETTINGS if name in given}

"""Where in BigQuery a data set lies and how it is read: one text, checked, so that no name is ever SQL.

    bigquery://PROJECT/DATASET
    bigquery://PROJECT/DATASET?layout=classic&stars=extra_params
    bigquery://PROJECT/DATASET?endpoint=http://localhost:9050&cache=snapshots

What follows the question mark can be given as flags instead (`--layout classic`); flags win.
"""

import argparse
import dataclasses
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import parse_qsl, urlencode

from ariel_tf.core.errors import UsageError, nearest

SCHEME = "bigquery://"
EMULATOR = "BIGQUERY_EMULATOR_HOST"  # Google's own clients read it too
STORAGE_EMULATOR = "BIGQUERY_STORAGE_EMULATOR_HOST"
# Emulators serve REST at 9050 and gRPC at 9060 by default.
PORTS_APART = 10

_PROJECT = re.compile(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{1,61}[a-z0-9]", re.ASCII)
_DATASET = re.compile(r"[A-Za-z0-9_]{1,1024}", re.ASCII)
_HOST = re.compile(r"(?P<scheme>https?://)?(?P<host>[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:(?P<port>\d{1,5}))?/?", re.ASCII)


_Text = TypeVar("_Text", str, str | None)


def is_address(text: str) -> bool:
    """Whether a value of `--data` names a data set in BigQuery."""
    return text.startswith(SCHEME)


def is_table_name(name: str) -> bool:
    return _DATASET.fullmatch(name) is not None


def _setting(default: Any, text: str, **metadata: Any) -> Any:
    return field(default=default, metadata={"help": text, **metadata})


@dataclass(frozen=True)
class Address:
    """A data set in BigQuery.

    Attributes that say where the data are belong to its `description`; the others only say how they are read.
    """

    project: str
    dataset: str
    layout: str = _setting(
        "planets",
        "planets: as `pipelines.upload` writes it; classic: 55 tables train_table_N",
        choices=("planets", "classic"),
    )
    endpoint: str = _setting(
        "", f"REST endpoint, host:port or a URL; http:// goes without credentials (else ${EMULATOR})"
    )
    storage: str = _setting("", "gRPC endpoint, host:port (default: of Google, or the REST port + 10 of an emulator)")
    stars: str = _setting("extra_params", "classic layout: table of the stellar parameters, joined on AAAA")
    fold_seed: int = _setting(0, "classic layout: seed of the planets' folds", low=0)
    cache: str = _setting("", "keep what was read in this folder, as shards, and read it there from then on", how=True)
    reader: str = _setting("arrow", "arrow, or tfio: tensorflow-io's", choices=("arrow", "tfio"), how=True)
    streams: int = _setting(4, "streams of a read session", low=1, how=True)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `bigquery://PROJECT/DATASET[?name=value&...]`.

        Raises:
            UsageError: anything else.
        """
        place, _, settings = text.removeprefix(SCHEME).partition("?")
        project, slash, dataset = place.strip("/").partition("/")
        if not text.startswith(SCHEME) or not slash:
            raise UsageError(f"--data: expected bigquery://PROJECT/DATASET. Received: {text}")
        try:
            values = dict(parse_qsl(settings, keep_blank_values=True, strict_parsing=True)) if settings else {}
        except ValueError:
            raise UsageError(f"--data {text}: expected name=value pairs with & after the question mark") from None
        return cls(project, dataset)._with(values, f"--data {text}")._checked(f"--data {text}")

    def with_options(self, options: argparse.Namespace) -> Self:
        """The same with what the flags of `add_flags` say."""
        return self._with(_given(options), "options")._checked("options")

    def _with(self, values: Mapping[str, str], where: str) -> Self:
        known = {item.name: item for item in fields(self) if item.metadata}
        changes: dict[str, Any] = {}
        for name, value in values.items():
            if name not in known:
                raise UsageError(f"{where}: unknown setting {name}{nearest(name, known)}")
            item = known[name]
            if "low" in item.metadata:
                if not value.isdecimal() or int(value) < item.metadata["low"]:
                    low = item.metadata["low"]
                    raise UsageError(f"{where}: expected a whole number from {low} on for {name}. Received: {value}")
                changes[name] = int(value)
            else:
                changes[name] = value
            if value not in item.metadata.get("choices", (value,)):
                choices = " or ".join(item.metadata["choices"])
                raise UsageError(f"{where}: expected {choices} for {name}. Received: {value}")
        return dataclasses.replace(self, **changes)

    def _checked(self, where: str) -> Self:
        checks = {
            "project": (_PROJECT, "lower-case letters, digits and hyphens"),
            "dataset": (_DATASET, "letters, digits and underscores"),
            "stars": (_DATASET, "letters, digits and underscores"),
        }
        for name, (pattern, grammar) in checks.items():
            if not pattern.fullmatch(getattr(self, name)):
                raise UsageError(f"{where}: expected {grammar} as {name}. Received: {getattr(self, name)!r}")
        for name in ("endpoint", "storage"):
            value = getattr(self, name)
            if value and not _HOST.fullmatch(value):
                raise UsageError(f"{where}: expected host:port for {name}, like localhost:9050. Received: {value!r}")
        return self

    @property
    def description(self) -> str:
        """The address of the data alone: the same however they are read."""
        return self._text(how=False)

    def __str__(self) -> str:
        return self._text(how=True)

    def _text(self, how: bool) -> str:
        values = {
            item.name: getattr(self, item.name)
            for item in fields(self)
            if item.metadata and getattr(self, item.name) != item.default and (how or "how" not in item.metadata)
        }
        return f"{SCHEME}{self.project}/{self.dataset}" + (f"?{urlencode(values, safe='/:')}" if values else "")

    @property
    def rest(self) -> str:
        """URL of the REST endpoint; empty for Google's own."""
        value = self.endpoint or os.environ.get(EMULATOR, "")
        if not value:
            return ""
        match = _HOST.fullmatch(value)
        if match is None:
            raise UsageError(f"{EMULATOR}: expected host:port, like localhost:9050. Received: {value!r}")
        return f"{match['scheme'] or 'http://'}{match['host']}" + (f":{match['port']}" if match["port"] else "")

    @property
    def grpc(self) -> str:
        """host:port of the gRPC endpoint; empty for Google's own."""
        value = self.storage or ("" if self.endpoint else os.environ.get(STORAGE_EMULATOR, ""))
        match = _HOST.fullmatch(value or self.rest)
        if match is None:
            return ""
        if value:
            return f"{match['host']}:{match['port'] or 443}"
        # A private https endpoint's gRPC name can't be guessed: without `storage`, Google's own is used.
        return f"{match['host']}:{int(match['port'] or 80) + PORTS_APART}" if self.is_emulator else ""

    @property
    def is_emulator(self) -> bool:
        """Whether it is spoken to in plain text and without credentials."""
        return self.rest.startswith("http://")

    def table(self, name: str) -> str:
        """`project.dataset.name`, for the REST client and, in backquotes, for SQL."""
        if not is_table_name(name):
            raise UsageError(f"{self}: expected letters, digits and underscores as a table. Received: {name!r}")
        return f"{self.project}.{self.dataset}.{name}"

    def here(self) -> Self:
        """The same with the cache's folder by its full path."""
        return dataclasses.replace(self, cache=str(Path(self.cache).resolve())) if self.cache else self


def add_flags(
    parser: argparse.ArgumentParser, names: tuple[str, ...] = ("layout", "endpoint", "storage", "cache", "reader")
) -> None:
    """Flags for what can also stand in the address; one that is not given leaves no trace."""
    group = parser.add_argument_group("data in BigQuery (--data bigquery://PROJECT/DATASET)")
    for item in fields(Address):
        if item.name in names:
            group.add_argument(
                f"--{item.name.replace('_', '-')}",
                default=argparse.SUPPRESS,
                choices=item.metadata.get("choices"),
                metavar=None if "choices" in item.metadata else item.name.upper(),
                help=item.metadata["help"],
            )


def with_flags(text: _Text, options: argparse.Namespace) -> _Text:
    """The value of `--data` with the flags of `add_flags` in it.

    Raises:
        UsageError: such a flag without data in BigQuery, or a value that does not fit.
    """
    given = _given(options)
    if not given:
        return text
    if text is None or not is_address(text):
        flag = next(iter(given)).replace("_", "-")
        raise UsageError(f"--{flag}: expected --data bigquery://PROJECT/DATASET with it. Received: --data {text}")
    return str(Address.parse(text).with_options(options))


def _given(options: argparse.Namespace) -> dict[str, str]:
    names = [item.name for item in fields(Address) if item.metadata]
    return {name: str(getattr(options, name)) for name in names if hasattr(options, name)}

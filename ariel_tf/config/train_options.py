"""Flags and configuration files to a `Configuration`; no TensorFlow, so `--help` and mistakes answer at once."""

import argparse
import dataclasses
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from ariel_tf.config.train_config import FALLBACK, Configuration, flag_of
from ariel_tf.core.atomic_files import read_json
from ariel_tf.core.errors import UsageError, nearest
from ariel_tf.data.bigquery import address


def add_options(parser: argparse.ArgumentParser) -> None:
    """A flag for each field, in groups; a flag that is not given leaves no trace (`argparse.SUPPRESS`)."""
    groups: dict[str, Any] = {}
    for item in fields(Configuration):
        if "help" not in item.metadata:
            continue
        title = item.metadata["group"]
        group = groups.setdefault(title, parser.add_argument_group(title))
        shown = _shown_default(item)
        group.add_argument(
            flag_of(item.name),
            dest=item.name,
            default=argparse.SUPPRESS,
            metavar=(item.metadata.get("choices") and "|".join(item.metadata["choices"])) or item.name.upper(),
            help=f"{item.metadata['help']} (default: {shown})",
        )
    address.add_flags(parser)
    groups["what to train"].add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the model; --dry-run lists them"
    )
    groups["what to train"].add_argument(
        "--config", type=Path, metavar="FILE", help="a config.json whose values stand unless a flag says otherwise"
    )


def _shown_default(item: dataclasses.Field) -> str:
    if item.name == "data":
        return "the folder ./data if it holds a manifest, else simulated"
    if item.default is None:
        return f"the model's, else {FALLBACK[item.name]}"
    default: Any = item.default
    return ",".join(map(str, default)) if item.metadata.get("list") else str(default)


def from_arguments(arguments: argparse.Namespace) -> Configuration:
    """The resolved configuration: flags over `--config` over the model's recipe over the defaults.

    Raises:
        UsageError: a value that does not fit, named with its flag.
        DataError: a `--config` file that is not JSON.
    """
    values = _from_file(arguments.config) if arguments.config else {}
    if getattr(arguments, "model", values.get("model")) != values.get("model"):
        values.pop("settings", None)  # those of another model
    for item in fields(Configuration):
        if hasattr(arguments, item.name):
            values[item.name] = _from_text(item, getattr(arguments, item.name))
    values["settings"] = {**values.get("settings", {}), **parse_settings(arguments.set)}
    config = Configuration.from_json(values).resolved()
    return dataclasses.replace(config, data=address.with_flags(config.data, arguments))


def _from_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UsageError(f"--config {path}: expected a file, such as a run's config.json.")
    values = read_json(path, dict)
    known = {item.name for item in fields(Configuration)}
    if not isinstance(values.get("settings", {}), dict):
        raise UsageError(f"--config {path}: expected settings as names and values. Received: {values['settings']!r}")
    if unknown := sorted(set(values) - known):
        raise UsageError(f"--config {path}: unknown option {unknown[0]}{nearest(unknown[0], known)}")
    return values


def _from_text(item: dataclasses.Field, text: str) -> Any:
    if item.metadata.get("list"):
        parts = text.split(",")
        return tuple(int(part) if part.isdecimal() else part for part in parts)
    if "low" in item.metadata:
        return int(text) if text.isdecimal() else text
    return text


def parse_settings(pairs: Iterable[str]) -> dict[str, str]:
    """`["first=10"]` to {"first": "10"}; values are checked by the model that asks for them."""
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise UsageError(f"--set: expected NAME=VALUE, like --set first=10. Received: {pair}")
        settings[name] = value
    return settings

"""What reading a data set from BigQuery would scan and cost, asked before anything is read.

The Storage Read API charges for the bytes of the columns and rows that a session may return. To open a session costs
nothing, and tells how many those are. Prices differ by region and contract, so the user gives them.
"""

import argparse
import json
from collections.abc import Sequence
from typing import Any

from ariel_tf.data.folds import N_FOLDS

TIB = 2**40


def add_price_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--price", type=_price, metavar="AMOUNT", help="of a TiB scanned, in any currency, for --dry-run's estimate"
    )


def _price(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"expected a price from 0 on, received {text!r}")
    return value


def bytes_scanned(source: Any, folds: Sequence[int], wavelengths: Sequence[int], white: bool) -> int:
    """Bytes that one pass over the planets of these folds would scan; 0 without planets.

    Args:
        source: an open `BigQuerySource`.
        folds, wavelengths, white: as of its `records`.
    """
    planets = [planet for planet, fold in source.folds.items() if fold in set(folds)]
    parts = source.layout.wanted(planets, sorted(wavelengths), white) if planets else ()
    return sum(source.scanned(*part) for part in parts)


def size_in_words(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e7 else f"{size / 1e6:.2f} MB"


def cost_line(size: int, price: float | None) -> str:
    """Bytes and cost in words: `3.20 GB scanned, at 1.1 a TiB: 0.0032`."""
    if price is None:
        return f"{size_in_words(size)} scanned; --price, of a TiB, gives the cost"
    return f"{size_in_words(size)} scanned, at {price:g} a TiB: {size / TIB * price:.4f}"


def say_cost(source: Any, wavelengths: Sequence[int], white: bool, price: float | None) -> None:
    """Print what one pass over all planets would scan and cost."""
    line = cost_line(bytes_scanned(source, range(N_FOLDS), wavelengths, white), price)
    print(f"{source.description}: {line}; nothing was read")


def say_training_cost(config: Any, price: float | None) -> None:
    """Print what a training would scan and cost.

    Args:
        config: `Configuration`, resolved, whose data is an address.
        price: of a TiB.
    """
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.data.dataset import Choice, fits_in_memory
    from ariel_tf.data.sources import open_source

    wavelengths = config.seen
    source = open_source(config.data, wavelengths)
    print(json.dumps(config.as_json() | {"data": source.description, "fingerprint": source.fingerprint}, indent=2))
    total = 0
    for name in ("train", "validation", "test"):
        folds = getattr(config, f"{name}_folds")
        size = bytes_scanned(source, folds, wavelengths, config.sees_white)
        choice = Choice(folds, config.targets, wavelengths, config.sees_white, "observation", config.every)
        passes = config.epochs if name == "train" and not fits_in_memory(source, choice) else 1
        total += size * passes
        print(f"{name:12s}{source.observations(folds):>10,} observations, {size_in_words(size)}, read {_times(passes)}")
    print(f"{source.description}: {cost_line(total, price)}; nothing was read")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times (--cache keeps it after the first)"

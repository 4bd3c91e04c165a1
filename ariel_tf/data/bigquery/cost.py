"""Bytes and cost of reading a data set from BigQuery, determined before anything is read.

The Storage Read API charges for the bytes of the columns and rows that a session may return. Opening a session is free
and returns that number. Prices differ by region and contract, so the user gives them.
"""

from collections.abc import Mapping
from typing import Any

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.data.folds import N_FOLDS
from ariel_tf.data.selection import Selection

TIB = 2**40


def bytes_scanned(source: Any, selection: Selection) -> int:
    """Return the bytes that one pass over the planets of a selection would scan; 0 without planets.

    Args:
        source: an open `BigQuerySource`.
        selection: its folds, inputs and white light determine what is scanned.
    """
    planets = [planet for planet, fold in source.folds.items() if fold in selection.folds]
    signature = selection.signature
    parts = source.layout.wanted(planets, sorted(signature.inputs), signature.white_light) if planets else ()
    return sum(source.scanned(*part) for part in parts)


def size_in_words(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e7 else f"{size / 1e6:.2f} MB"


def cost_line(size: int, price: float | None) -> str:
    """Format bytes and cost: `3.20 GB scanned, at 1.1 a TiB: 0.0032`."""
    if price is None:
        return f"{size_in_words(size)} scanned; --price, of a TiB, gives the cost"
    return f"{size_in_words(size)} scanned, at {price:g} a TiB: {size / TIB * price:.4f}"


def print_cost(source: Any, price: float | None) -> None:
    """Print what one pass over the whole data set would scan and cost."""
    everything = Selection.of(range(N_FOLDS), range(N_WAVELENGTHS), white_light=True)
    print(f"{source.description}: {cost_line(bytes_scanned(source, everything), price)}; nothing was read")


def print_training_cost(
    source: Any,
    own: Mapping[Any, Selection],
    together: Mapping[Any, Selection],
    epochs: int,
    in_memory: bool,
    price: float | None,
) -> None:
    """Print what a training would scan and cost.

    Models of several wavelengths read their rows together, once, if the rows of one of them fit in memory. Otherwise
    they are trained one after another, and each reads its own rows again in every epoch.

    Args:
        source: an open `BigQuerySource`.
        own: rows of one model by role ("train", "validation", "test").
        together: rows of all models by role; the same as `own` for one model.
        epochs: passes over the training rows, unless they are held in memory.
        in_memory: whether the training rows of one model are held in memory.
        price: price of a TiB.
    """
    models = len(together["train"].signature.targets) // len(own["train"].signature.targets)
    total = 0
    for role in own:
        size = bytes_scanned(source, together[role]) if in_memory else models * bytes_scanned(source, own[role])
        times = epochs if role == "train" and not in_memory else 1
        total += size * times
        count = source.observations(own[role].folds)
        print(f"{role:12s}{count:>10,} observations, {size_in_words(size)}, read {_times(times)}")
        if times > 1:
            sessions = times * models * source.sessions(own[role])
            print(f"{'':12s}{sessions:>10,} read sessions in all; fewer with ?session=256M in the address")
    print(f"{source.description}: {cost_line(total, price)}; nothing was read")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times (--cache keeps it after the first)"

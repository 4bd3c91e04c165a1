"""Rows of a selection in memory, in NumPy: in key order, drawn with replacement, or grouped by planet or spot."""

from collections import Counter

import numpy as np

from ariel_tf.core.errors import DataError


def reorder(values: np.ndarray, order: np.ndarray) -> None:
    """Set `values[:] = values[order]`, row by row along the cycles of the permutation, without a second copy."""
    order = order.copy()
    for start in np.flatnonzero(order != np.arange(len(order))):
        if order[start] == start:  # moved with an earlier cycle
            continue
        first, row = values[start].copy(), start
        while order[row] != start:
            source = order[row]
            values[row], order[row], row = values[source], row, source
        values[row] = first
        order[row] = row


def drawn(table: dict[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """Draw a bootstrap sample of the planets (Efron 1979): as many, with replacement, each with all its rows."""
    planets = table["key"][:, 0]
    _, starts, counts = np.unique(planets, return_index=True, return_counts=True)
    chosen = np.sort(np.random.default_rng(seed).integers(len(starts), size=len(starts)))
    index = np.concatenate([np.arange(starts[one], starts[one] + counts[one]) for one in chosen])
    return {name: values[index] for name, values in table.items()}


def grouped(table: dict[str, np.ndarray], unit: str) -> dict[str, np.ndarray]:
    """Group observations in key order to rows of a planet, or of one of its spot instances.

    A row's key is (planet, 0, 0) or (planet, spot, 0), its flux [instances, 300, channels] in key order, and its
    scatter the mean over them.

    Raises:
        DataError: groups of different sizes; names the planets that differ from the most common size.
    """
    depth = {"planet": 1, "spot": 2}[unit]
    groups, first, counts = np.unique(table["key"][:, :depth], axis=0, return_index=True, return_counts=True)
    common = Counter(counts.tolist()).most_common(1)[0][0]
    if (counts != common).any():
        odd = [f"{group[0]:04d} ({count})" for group, count in zip(groups, counts, strict=True) if count != common]
        raise DataError(
            f"a row of this model is all observations of a {unit}, and most have {common}; these have another "
            f"number: {', '.join(odd[:10])}{' ...' if len(odd) > 10 else ''}. Leave them out, or take another model."
        )
    key = np.zeros((len(groups), 3), table["key"].dtype)
    key[:, :depth] = groups
    shape = (len(groups), common)
    return {
        "key": key,
        "star": table["star"][first],
        "radius": table["radius"][first],
        "scatter": table["scatter"].reshape(*shape, -1).mean(axis=1),
        "flux": table["flux"].reshape(*shape, *table["flux"].shape[1:]),
    }

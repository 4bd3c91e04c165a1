"""A comparison as lines of text and as CSV files."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ariel_tf.challenge import STAR_NAMES, WAVELENGTHS_UM
from ariel_tf.core.atomic_files import write_text
from ariel_tf.evaluation import breakdown, calibration
from ariel_tf.evaluation.bootstrap import difference, score_interval
from ariel_tf.evaluation.losses import KINDS
from ariel_tf.runs.model_card import LABELS

if TYPE_CHECKING:
    from pandas import DataFrame

    from ariel_tf.evaluation.comparison import Comparison

GROUPS = {"K magnitude": breakdown.by_magnitude, "depth (ppm)": breakdown.by_depth}


def score_lines(comparison: "Comparison") -> list[str]:
    """Return each run's four scores, with intervals over planets."""
    lines = []
    for entry in comparison.runs:
        lines += [entry.name, f"  {comparison.roles[entry.name]}"]
        for name, label in LABELS.items():
            kind, weighted = name.removesuffix("_weighted"), name.endswith("_weighted")
            interval = score_interval(entry.losses, kind, weighted)
            if entry.trained.uncertain is not None:
                label = label.replace("median over a planet's observations", "a planet's observations pooled")
            lines.append(f"  {label:46s}{interval.value:9.1f}   [{interval.low:.1f}, {interval.high:.1f}]")
        if entry.measured is not None:
            lines += calibration.lines(entry.measured)
    return lines


def ladder_lines(comparison: "Comparison") -> list[str]:
    """Return all entries from the worst to the best, unweighted."""
    width = max(len(entry.name) for entry in comparison.entries) + 2
    lines = [f"{'from naive to the limit':{width}s}  one observation      a planet's   [95 % of resampled planets]"]
    for entry in comparison.ladder:
        planet = score_interval(entry.losses, "planet")
        mark = "*" if entry in comparison.runs else " "
        lines.append(
            f"{mark} {entry.name:{width}s}{entry.losses.score('observation'):15.1f} {planet.value:15.1f}   "
            f"[{planet.low:.1f}, {planet.high:.1f}]"
        )
    return lines


def difference_lines(comparison: "Comparison") -> list[str]:
    """Return the first run compared with every other entry, planet by planet."""
    first, *others = comparison.entries
    width = max(len(entry.name) for entry in others) + 2
    lines = [f"{first.name} against others on the same planets: difference in score, planets on which it is better"]
    for entry in others:
        change, better = difference(first.losses, entry.losses, "planet")
        lines.append(
            f"  {entry.name:{width}s}{change.value:+9.1f}   [{change.low:+.1f}, {change.high:+.1f}]   {better:.0%}"
        )
    return lines


def group_lines(comparison: "Comparison") -> list[str]:
    """Return scores of planets by magnitude and by depth, one column per entry."""
    lines = []
    shown = comparison.for_table()
    for title, grouped in GROUPS.items():
        lines.append(f"{title:20s}planets  " + "".join(f"{entry.name[-18:]:>20s}" for entry in shown))
        for group in grouped(comparison.population):
            scores = "".join(f"{breakdown.score_of(entry.losses, group, 'planet'):20.1f}" for entry in shown)
            lines.append(f"  {group.label:18s}{len(group.rows):7d}  {scores}")
    return lines


def write_tables(comparison: "Comparison", folder: Path) -> list[Path]:
    """Write `scores.csv`, `differences.csv`, `by_wavelength.csv`, `by_group.csv` and `planets.csv` to a folder.

    Floats have ten significant digits: enough for calculations, without rounding noise.
    """
    tables = {
        "scores.csv": _scores(comparison),
        "differences.csv": _differences(comparison),
        "by_wavelength.csv": _by_wavelength(comparison),
        "by_group.csv": _by_group(comparison),
        "planets.csv": _planets(comparison),
    }
    for name, table in tables.items():
        write_text(folder / name, table.to_csv(index=False, float_format="%.10g", lineterminator="\n"))
    return [folder / name for name in tables]


def as_dictionary(comparison: "Comparison") -> dict[str, Any]:
    """Return the content of `evaluate --json`: data, every entry's scores with intervals, and paired differences."""
    tables = {name: table.to_dict("records") for name, table in
              (("scores", _scores(comparison)), ("differences", _differences(comparison)))}  # fmt: skip
    return {
        "data": comparison.source.description,
        "fingerprint": comparison.source.fingerprint,
        "folds": comparison.folds,
        "wavelengths": comparison.wavelengths,
        "planets": len(comparison.population.planets),
        "observations": comparison.entries[0].losses.rows.sum(),
        "roles": comparison.roles,
        "references_learnt_from": comparison.learnt_from or None,
        **tables,
        "by_wavelength": {entry.name: entry.losses.by_wavelength("planet") for entry in comparison.entries},
        "uncertainty": {name: calibration.as_dictionary(its) for name, its in comparison.uncertain.items()},
    }


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> "DataFrame":
    from pandas import DataFrame

    return DataFrame(list(rows), columns=list(columns))


def _scores(comparison: "Comparison") -> "DataFrame":
    return _table(
        ("name", "what", "of", "weighted", "score", "low", "high"),
        (
            (entry.name, "run" if entry in comparison.runs else "reference", kind, int(weighted), *interval)
            for entry in comparison.entries
            for kind in KINDS
            for weighted in (False, True)
            for interval in [score_interval(entry.losses, kind, weighted)]
        ),
    )


def _differences(comparison: "Comparison") -> "DataFrame":
    return _table(
        ("name", "other", "difference", "low", "high", "better_on"),
        (
            (one.name, other.name, *interval, better)
            for one, other in itertools.combinations(comparison.entries, 2)
            for interval, better in [difference(one.losses, other.losses, "planet")]
        ),
    )


def _by_wavelength(comparison: "Comparison") -> "DataFrame":
    return _table(
        ("name", "of", "wavelength", "um", "score"),
        (
            (entry.name, kind, wavelength, WAVELENGTHS_UM[wavelength], score)
            for entry in comparison.entries
            for kind in KINDS
            for wavelength, score in zip(comparison.wavelengths, entry.losses.by_wavelength(kind), strict=True)
        ),
    )


def _by_group(comparison: "Comparison") -> "DataFrame":
    return _table(
        ("name", "of", "by", "group", "planets", "score"),
        (
            (entry.name, kind, title, group.label, len(group.rows), breakdown.score_of(entry.losses, group, kind))
            for entry in comparison.entries
            for kind in KINDS
            for title, grouped in GROUPS.items()
            for group in grouped(comparison.population)
        ),
    )


def _planets(comparison: "Comparison") -> "DataFrame":
    """Return one row per planet: its star and depth, and each entry's mean depth error over the wavelengths."""
    population = comparison.population
    columns = {
        "planet": population.planets,
        **dict(zip(STAR_NAMES, population.star.T, strict=True)),
        "depth_ppm": population.depth,
    }
    for entry in comparison.entries:
        for kind in KINDS:
            columns[f"{entry.name} ({kind}, ppm)"] = getattr(entry.losses, kind).mean(axis=1)
    from pandas import DataFrame

    return DataFrame(columns)

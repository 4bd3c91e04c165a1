"""Score trained models: `python -m ariel_tf.evaluate RUN [RUN ...] [--data DATA] [--folds 9] [--against all]`.

A run is scored on its own test folds; several runs on the planets that all of them hold out, with the differences
planet by planet. `--against` puts reference estimators beside them, from a constant to the limit of photon noise.
A folder of runs, like `runs`, gives their leaderboard.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import parse_names
from ariel_tf.core.errors import UsageError, run_command
from ariel_tf.data.bigquery import address
from ariel_tf.data.folds import parse_folds
from ariel_tf.evaluation import leaderboard

if TYPE_CHECKING:
    from ariel_tf.evaluation.comparison import Comparison

PLANETS_SHOWN = 20


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m ariel_tf.evaluate", description=(__doc__ or "").split("\n")[0])
    add_options(parser)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write tables and pictures; a new or empty folder")
    options = parser.parse_args(arguments)
    if len(options.runs) == 1 and not leaderboard.is_run(options.runs[0]):
        show_leaderboard(options)
        return
    chosen = parsed(options)
    if options.out is not None:
        refuse_used(options.out)
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.evaluation.comparison import compare

    comparison = compare(options.runs, options.data, *chosen)
    print("\n".join(report_lines(comparison)))
    if options.out is not None:
        from ariel_tf.evaluation.figures import draw_all
        from ariel_tf.evaluation.tables import write_tables

        options.out.mkdir(parents=True, exist_ok=True)
        for path in [*write_tables(comparison, options.out), *draw_all(comparison, options.out)]:
            print(path)


def add_options(parser: argparse.ArgumentParser, against: str = "none") -> None:
    """What `evaluate` and `report` share; `against` is the default of its option."""
    parser.add_argument("runs", type=Path, metavar="RUN", nargs="*", help="folders of trained models; or one of runs")
    parser.add_argument("--data", help="folder of shards and manifest, or simulated[:...] (default: the runs' own)")
    parser.add_argument("--folds", help="like 8,9 or all (default: all planets that no run saw in training)")
    parser.add_argument("--wavelength", help="only these of the wavelengths that all runs predict, like 12 or 0-54")
    parser.add_argument(
        "--against",
        default=against,
        metavar="NAMES",
        help="references beside the runs: all, or constant, median-depth, ridge, ridge+white, transit-fit, "
        f"transit-fit+shape, photon-limit, photon-limit+shape with commas (default: {against})",
    )
    parser.add_argument(
        "--learn-from", metavar="DATA", help="data whose folds 0-7 teach the references (default: the run's own)"
    )
    address.add_flags(parser)


def parsed(options: argparse.Namespace):
    """Folds, baselines, wavelengths and `--learn-from`, as `comparison.compare` takes them.

    Raises:
        UsageError: one of them does not fit.
    """
    from ariel_tf.evaluation.baselines import NAMES

    options.data = address.with_flags(options.data, options)
    if not options.runs and (not options.data or options.against == "none"):
        raise UsageError("expected a RUN, or --data and --against to score references alone.")
    if len({path.resolve() for path in options.runs}) < len(options.runs):
        raise UsageError("expected each RUN once.")
    folds = parse_folds(options.folds, "--folds") if options.folds else None
    chosen = Targets.parse(options.wavelength).chosen if options.wavelength else None
    return folds, parse_names("--against", options.against, NAMES), chosen, options.learn_from


def refuse_used(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--out {folder}: expected a new or an empty folder; nothing is overwritten.")


def show_leaderboard(options: argparse.Namespace) -> None:
    """Rank the runs below a folder."""
    folder = options.runs[0]
    standings, unfinished = leaderboard.read(folder)
    given = [flag for flag in ("data", "folds", "wavelength", "out") if getattr(options, flag) is not None]
    if given or options.against != "none":
        raise UsageError(f"{folder}: holds runs; name the runs themselves, like {folder}/*, to give other options.")
    print("\n".join(leaderboard.lines(standings, unfinished)))


def report_lines(comparison: "Comparison") -> list[str]:
    """All that the command prints."""
    from ariel_tf.evaluation import tables

    planets = len(comparison.population.planets)
    lines = [
        f"{planets} planets, {comparison.entries[0].losses.rows.sum()} observations of {comparison.source.description}"
    ]
    lines[0] += f", {_which(comparison.wavelengths)}"
    lines += tables.score_lines(comparison)
    if comparison.references:
        lines.append(f"references learnt from {comparison.learnt_from}")
    if len(comparison.entries) > 1:
        lines += ["", *tables.ladder_lines(comparison)]
    if comparison.runs and len(comparison.entries) > 1:
        lines += ["", *tables.difference_lines(comparison)]
    if planets >= PLANETS_SHOWN:
        lines += ["", *tables.group_lines(comparison)]
    return [*lines, "", *planet_lines(comparison)]


def _which(chosen: Sequence[int]) -> str:
    """Wavelengths in words."""
    return Targets.each(chosen).describe()


def planet_lines(comparison: "Comparison") -> list[str]:
    """A line a planet: what it is, and each entry's loss in depth, the quantity that the score averages."""
    population, shown = comparison.population, comparison.for_table()
    mean = "" if len(comparison.wavelengths) == 1 else ", means over wavelengths"
    lines = [f"loss of each planet's combined prediction, ppm in depth{mean}"]
    lines.append("  planet  K mag    true Rp/Rs  " + "".join(f"{entry.name[-18:]:>20s}" for entry in shown))
    for row, planet in list(enumerate(population.planets))[:PLANETS_SHOWN]:
        losses = "".join(f"{entry.losses.planet[row].mean():20.1f}" for entry in shown)
        lines.append(
            f"  {planet:04d}  {population.k_magnitude[row]:6.2f}  {population.radii[row].mean():12.6f}  {losses}"
        )
    if (more := len(population.planets) - PLANETS_SHOWN) > 0:
        lines.append(f"  ... and {more} more")
    return lines


if __name__ == "__main__":
    run_command(main)

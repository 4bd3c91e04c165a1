"""Score trained models, alone or compared with each other and with reference estimators.

    python -m ariel_tf.evaluate RUN [RUN ...] [--data DATA] [--folds 9] [--against all]

A single run is scored on its own test folds; several runs on the planets that none of them was trained on, with their
differences per planet. `--against` adds reference estimators, from a constant to the photon-noise limit. For a folder
of runs, such as `runs`, the command prints a leaderboard.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ariel_tf.config.targets import Targets, list_option
from ariel_tf.core import cli
from ariel_tf.core.errors import DataError, UsageError, run_command
from ariel_tf.core.fields import parse_names
from ariel_tf.core.figures import FORMATS
from ariel_tf.core.json_output import json_output
from ariel_tf.core.printable import printable_line
from ariel_tf.core.schema import Schema, option
from ariel_tf.core.user_code import name_by_user
from ariel_tf.data.bigquery import address
from ariel_tf.data.folds import folds_option
from ariel_tf.evaluation import leaderboard

if TYPE_CHECKING:
    from ariel_tf.evaluation.comparison import Comparison

PLANETS_SHOWN = 20


def against(default: str) -> Any:
    """Return the option --against."""
    return option(
        default,
        "reference estimators to compare with: all, or some of constant, median-depth, ridge, ridge+white, ridge-501, "
        "transit-fit, transit-fit+shape, photon-limit, photon-limit+shape, bayes-limit, separated by commas",
        metavar="NAMES",
    )


class ScoreOptions(Schema):
    """Options shared by `evaluate` and `report`."""

    runs: tuple[Path, ...] = cli.runs("run folders of trained models, or one folder of runs", nargs="*")
    data: str | None = cli.data(shown="the data of the runs")
    folds: tuple[int, ...] | None = folds_option(
        None, "folds to score on, like 8,9 or all", shown="all planets that no run was trained on"
    )
    wavelength: tuple[int, ...] | None = list_option("score only these wavelengths, like 12 or 0-54")
    against: str = against("none")
    learn_from: str | None = option(
        None, "data set whose folds 0-7 the references are fitted on", metavar="DATA", parse=name_by_user,
        shown="the data of the first run"
    )  # fmt: skip


class Options(ScoreOptions):
    """Options of `python -m ariel_tf.evaluate`."""

    out: Path | None = cli.out("folder for tables and plots; new or empty", "FOLDER", default=None)
    figures: str | None = option(
        None, "format of the plots in --out: png (300 dpi), svg or pdf", choices=FORMATS, shown=FORMATS[0]
    )
    json_object: bool = cli.as_json("scores, intervals and differences")


def parser() -> cli.Parser:
    examples = ["runs/baseline --against all", "runs/a runs/b --folds 9 --out comparison --figures pdf", "runs"]
    made = cli.Parser("ariel_tf.evaluate", __doc__, Options, examples=examples)
    address.add_flags(made)
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    given = parser().parse_args(arguments)
    options = Options.from_flags(given)
    with json_output(options.json_object) as result:
        if len(options.runs) == 1 and not leaderboard.is_run(options.runs[0]):
            show_leaderboard(options, result)
        else:
            evaluate(options.replace(data=address.with_flags(options.data, given)), result)


def evaluate(options: Options, result: dict[str, Any]) -> None:
    """Score the runs, print the tables and draw the plots.

    Args:
        options: options of the command.
        result: filled with the content of --json.
    """
    compared = checked(options)
    if options.out is not None:
        refuse_used(options.out)
    elif options.figures is not None:
        raise UsageError("--figures: requires --out, the folder of the plots.")
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.evaluation.comparison import compare
    from ariel_tf.evaluation.tables import as_dictionary

    comparison = compare(*compared)
    result |= as_dictionary(comparison)
    print("\n".join(map(printable_line, report_lines(comparison))))
    if options.out is not None:
        from ariel_tf.evaluation.figures import draw_all
        from ariel_tf.evaluation.tables import write_tables

        options.out.mkdir(parents=True, exist_ok=True)
        kind = options.figures or FORMATS[0]
        result["files"] = [*write_tables(comparison, options.out), *draw_all(comparison, options.out, kind)]
        print("\n".join(map(str, result["files"])))


def checked(options: ScoreOptions) -> tuple[Any, ...]:
    """Return the arguments of `comparison.compare`.

    Raises:
        UsageError: options that cannot be combined.
    """
    from ariel_tf.evaluation.baselines import NAMES

    if not options.runs and (not options.data or options.against == "none"):
        raise UsageError("expected a RUN, or --data and --against to score references alone.")
    if len({path.resolve() for path in options.runs}) < len(options.runs):
        raise UsageError("expected each RUN once.")
    references = parse_names("--against", options.against, NAMES)
    return options.runs, options.data, options.folds, references, options.wavelength, options.learn_from


def refuse_used(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--out {folder}: expected a new or an empty folder; nothing is overwritten.")


def show_leaderboard(options: Options, result: dict[str, Any]) -> None:
    """Rank the runs below a folder; the arguments are those of `evaluate`."""
    folder = options.runs[0]
    board = leaderboard.read(folder)
    given = [flag for flag in ("data", "folds", "wavelength", "out", "figures") if getattr(options, flag) is not None]
    if given or options.against != "none":
        raise UsageError(f"{folder}: holds runs; name the runs themselves, like {folder}/*, to give other options.")
    result |= dataclasses.asdict(board)
    print("\n".join(leaderboard.lines(board)))
    if board.damaged:
        raise DataError("left out of the leaderboard: " + " ".join(board.damaged))


def report_lines(comparison: "Comparison") -> list[str]:
    """Return all lines that the command prints."""
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
    """Describe wavelengths."""
    return Targets.each(chosen).describe()


def planet_lines(comparison: "Comparison") -> list[str]:
    """Return one line per planet: its properties and each entry's loss in depth, which the score averages."""
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

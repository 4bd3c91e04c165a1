"""Write an HTML page that describes trained models.

    python -m ariel_tf.report RUN [RUN ...] --out report.html

The page contains the configuration, the data, scores with references and limits, plots, and the commands that reproduce
it. It needs neither a network connection nor other files.
"""

import datetime
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ariel_tf import evaluate
from ariel_tf.core import cli
from ariel_tf.core.atomic_files import write_text
from ariel_tf.core.errors import ArielError, DataError, UsageError, run_command
from ariel_tf.data.bigquery import address
from ariel_tf.evaluation import leaderboard


class Options(evaluate.ScoreOptions):
    """Options of `python -m ariel_tf.report`."""

    against: str = evaluate.against("all")
    out: Path = cli.out("HTML file to write; must not exist yet")


def parser() -> cli.Parser:
    examples = ["runs/baseline --out report.html", "runs/a runs/b --folds 9 --against ridge --out report.html"]
    made = cli.Parser("ariel_tf.report", __doc__, Options, examples=examples)
    address.add_flags(made)
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = cli.given(arguments)
    given = parser().parse_args(arguments)
    options = Options.from_flags(given)
    if not options.runs:
        raise UsageError("expected a RUN, a folder of a trained model.")
    if options.out.suffix not in (".html", ".htm") or options.out.exists() or not options.out.parent.is_dir():
        raise UsageError(f"--out {options.out}: expected the name of a new .html file in a folder that exists.")
    unreadable: list[str] = []
    runs = tuple(path for folder in options.runs for path in expanded(folder, unreadable))
    if not runs:
        raise DataError("no run here can be reported.", unreadable)
    options = options.replace(runs=runs, data=address.with_flags(options.data, given))
    report(options, cli.repeated("ariel_tf.report", arguments))
    print(options.out)
    if unreadable:
        raise DataError("left out of the report: " + " ".join(unreadable))


def expanded(path: Path, unreadable: list[str]) -> list[Path]:
    """Return a run, or the finished runs in a folder of runs.

    Args:
        path: the folder.
        unreadable: list to which a sentence is added for each run in a folder of runs that cannot be loaded.
    """
    if leaderboard.is_run(path):
        return [path]
    board = leaderboard.read(path)
    unreadable += board.damaged
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.runs.predictor import Predictor

    found = []
    for run in board.runs:
        try:
            Predictor.load(run.path)
        except ArielError as error:
            unreadable.append(str(error))
        else:
            found.append(run.path)
    return found


def report(options: Options, command: str) -> None:
    """Score the runs, draw the plots and write the page."""
    compared = evaluate.checked(options)
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.evaluation.comparison import compare
    from ariel_tf.evaluation.figures import draw_all
    from ariel_tf.evaluation.html_report import page

    comparison = compare(*compared)
    today = f"{datetime.date.today():%d %B %Y}".lstrip("0")
    with tempfile.TemporaryDirectory() as folder:
        write_text(options.out, page(comparison, draw_all(comparison, Path(folder), "svg"), command, today))


if __name__ == "__main__":
    run_command(main)

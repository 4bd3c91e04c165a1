"""Show trained models on one page: `python -m ariel_tf.report RUN [RUN ...] --out report.html`.

One HTML file that holds everything: what was trained, on what, scores beside references and limits, pictures, the
commands to repeat it. It needs no network and no other file.
"""

import argparse
import datetime
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ariel_tf import evaluate
from ariel_tf.core.atomic_files import write_text
from ariel_tf.core.errors import UsageError, run_command
from ariel_tf.evaluation import leaderboard


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(prog="python -m ariel_tf.report", description=(__doc__ or "").split("\n")[0])
    evaluate.add_options(parser, against="all")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="HTML file to write; must not exist yet"
    )
    options = parser.parse_args(arguments)
    if not options.runs:
        raise UsageError("expected a RUN, a folder of a trained model.")
    if options.out.suffix not in (".html", ".htm") or options.out.exists() or not options.out.parent.is_dir():
        raise UsageError(f"--out {options.out}: expected the name of a new .html file in a folder that exists.")
    options.runs = [path for given in options.runs for path in expanded(given)]
    command = shlex.join(["python", "-m", "ariel_tf.report", *arguments])
    report(options, command)
    print(options.out)


def expanded(path: Path) -> list[Path]:
    """A run, or the finished runs of a folder of runs."""
    if leaderboard.is_run(path):
        return [path]
    return [standing.path for standing in leaderboard.read(path)[0]]


def report(options: argparse.Namespace, command: str) -> None:
    """Score, draw and write the page."""
    chosen = evaluate.parsed(options)
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.evaluation.comparison import compare
    from ariel_tf.evaluation.figures import draw_all
    from ariel_tf.evaluation.html_report import page

    comparison = compare(options.runs, options.data, *chosen)
    today = f"{datetime.date.today():%d %B %Y}".lstrip("0")
    with tempfile.TemporaryDirectory() as folder:
        write_text(options.out, page(comparison, draw_all(comparison, Path(folder)), command, today))


if __name__ == "__main__":
    run_command(main)

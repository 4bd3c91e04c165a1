"""Scores of every ensemble, its members and every reference: `python -m benchmarks.ensembles FOLDER`.

Trains joint models, and every kind of ensemble of them, in run folders below FOLDER; finished runs are not changed, so
the command can be repeated to resume. Then it scores them all on the simulated planets that none of them was trained on
and, with --real, on the labelled planets of the challenge's own files, and prints one table.
"""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

from ariel_tf.core.errors import ArielError, run_command
from ariel_tf.core.tf_startup import import_tensorflow
from ariel_tf.evaluation.baselines import NAMES
from ariel_tf.evaluation.bootstrap import difference
from ariel_tf.runs.state import is_finished

PLANETS = ["--planets", "400", "--spots", "4", "--photons", "2", "--seed", "0"]
# Run folder: command. A name in braces refers to that run's folder.
COMMANDS = {
    "linear": "train --model linear --wavelength joint",
    "transit": "train --model transit --wavelength joint",
    "transit_1": "train --model transit --wavelength joint --seed 1",
    "trees": "trees --wavelength all",
    "average": "ensemble average {transit} {transit_1}",
    "median": "ensemble median {transit} {transit_1} {linear}",
    "least_squares": "ensemble weighted {transit} {transit_1} {linear}",
    "softmax": "ensemble weighted {transit} {transit_1} {linear} --weights softmax",
    "mixed": "ensemble weighted {transit} {transit_1} {linear} {trees}",
    "kfold": "ensemble kfold --model transit --wavelength joint --splits 4",
    "bagging": "ensemble bagging --model transit --wavelength joint --members 3",
    "blocks": "ensemble stacking --model dense --set shape=256-1024-256 --epochs 20 --wavelength joint",
    "blocks_dense": "ensemble stacking --model dense --set shape=256-1024-256 --epochs 20 --wavelength joint "
    "--level-1 dense+flux --members-of {blocks}",
    "stack": "ensemble stacking --level-0 {transit} {linear} --splits 2",
    "stack_dense": "ensemble stacking --level-0 {transit} {linear} --splits 2 --level-1 dense --members-of {stack}",
}
BESIDE = "transit"  # run with which the others' scores are compared


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of the data set and the runs")
    parser.add_argument("--real", metavar="DATA", help="labelled planets of the challenge, as `convert` writes them")
    parser.add_argument("--only", metavar="NAMES", help="only these runs, with commas, and their members")
    options = parser.parse_args()
    data = options.folder / "data"
    if not (data / "manifest.json").is_file():
        call("pipelines.simulate", [str(data), *PLANETS])
    wanted = options.only.split(",") if options.only else list(COMMANDS)
    for name in wanted:
        make(options.folder, name, data)
    made = [name for name in COMMANDS if is_finished(options.folder / name)]
    print("\n".join(table(options.folder, made, data, options.real)))


def call(module: str, arguments: list[str]) -> None:
    answer = subprocess.run([sys.executable, "-m", module, *arguments], check=False)
    if answer.returncode:
        raise ArielError(f"{module} {shlex.join(arguments)}: exit code {answer.returncode}")


def make(folder: Path, name: str, data: Path) -> None:
    """Train or combine unfinished runs, their members first."""
    if is_finished(folder / name):
        return
    for other in COMMANDS:
        if f"{{{other}}}" in COMMANDS[name]:
            make(folder, other, data)
    places = {other: str(folder / other) for other in COMMANDS}
    command, *arguments = (word.format_map(places) for word in COMMANDS[name].split())
    if "--wavelength" in arguments:  # others use the data of the runs that they name
        arguments += ["--data", str(data)]
    call(f"ariel_tf.{command}", [*arguments, "--run", str(folder / name)])


def table(folder: Path, names: list[str], data: Path, real: str | None) -> list[str]:
    """Return all runs and references from the worst to the best score of planets."""
    import_tensorflow()
    from ariel_tf.evaluation.comparison import compare

    paths = [folder / name for name in names]
    comparison = compare(paths, str(data), None, NAMES)
    known = compare(paths, real, None, NAMES, None, str(data)) if real else None
    planets = [f"planet {planet:04d}" for planet in known.population.planets] if known else []
    errors = {entry.name: entry.losses.planet.mean(axis=1) for entry in known.entries} if known else {}
    beside = next(entry for entry in comparison.entries if entry.name == BESIDE)
    columns = ["one observation", "a planet's together", f"beside `{BESIDE}`", *planets]
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for entry in comparison.ladder:
        is_run = entry in comparison.runs
        gain, _ = difference(entry.losses, beside.losses, "planet")
        compared = f"{gain.value:+.0f} [{gain.low:+.0f}, {gain.high:+.0f}]" if is_run and entry is not beside else ""
        cells = [f"{entry.losses.score(kind):.0f}" for kind in ("observation", "planet")]
        cells += [compared, *(f"{error:.0f}" for error in errors.get(entry.name, ()))]
        name = f"`{entry.name}`: {COMMANDS[entry.name]}" if is_run else f"*{entry.name}*"
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    run_command(main)

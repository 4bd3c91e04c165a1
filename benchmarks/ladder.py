"""Scores of models between naive estimators and the physical limit, on the same planets: `python -m benchmarks.ladder`.

Trains each model at one wavelength on simulated planets and scores it on the test folds, together with every reference
of `ariel_tf.evaluation.baselines`, fitted to the same training planets.
"""

import argparse
import shlex
import time
from pathlib import Path

from ariel_tf import train
from ariel_tf.core.atomic_files import read_json
from ariel_tf.core.errors import run_command
from ariel_tf.core.tf_startup import import_tensorflow
from ariel_tf.evaluation.baselines import DESCRIPTIONS, NAMES


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("models", nargs="*", default=["baseline", "squid"], help="names; in quotes, with options")
    parser.add_argument("--data", default="simulated:planets=400,spots=4,photons=2,seed=0")
    parser.add_argument("--wavelength", type=int, default=12)
    parser.add_argument("--runs", type=Path, default=Path("runs/ladder"))
    options = parser.parse_args()
    import_tensorflow()
    from ariel_tf.evaluation.comparison import compare

    print(f"| wavelength {options.wavelength}, {options.data} | one observation | a planet's together | seconds |")
    print("|---|---|---|---|")
    for entry in compare([], options.data, None, NAMES, (options.wavelength,)).references:
        single, planet = (entry.losses.score(kind) for kind in ("observation", "planet"))
        print(f"| {entry.name}: {DESCRIPTIONS[entry.name]} | {single:.0f} | {planet:.0f} | |", flush=True)
    for model in options.models:
        name, *extra = shlex.split(model)
        run = options.runs / "_".join([name, *extra])
        arguments = ["--model", name, "--wavelength", str(options.wavelength), "--data", options.data, *extra]
        started = time.perf_counter()
        train.main([*arguments, "--run", str(run)])
        scores = read_json(run / "scores.json")["test"]
        seconds = time.perf_counter() - started
        print(f"| {model} | {scores['observation']:.0f} | {scores['planet']:.0f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    run_command(main)

"""Gain of a search over the defaults, on planets that no trial used: `python -m benchmarks.search_gain`.

A search's first trial is the training with the defaults. This trial and the best one by the validation folds are scored
on the test folds: the difference is the gain, without the bias of selecting the best of many trials.
"""

import argparse
import time
from pathlib import Path

from ariel_tf import train
from ariel_tf.core.atomic_files import read_json
from ariel_tf.core.errors import run_command
from tuning import outcomes, search

SEARCHED = "first=16:1064,second=16:512,dropout,learning_rate,batch_size=16|32|64,head,loss=mse|mae|ariel"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="baseline")
    parser.add_argument("--wavelengths", default="2,12,40")
    parser.add_argument("--data", default="simulated:planets=600,spots=2,photons=1,seed=0")
    parser.add_argument("--search", default=SEARCHED)
    parser.add_argument("--trials", default="30")
    parser.add_argument("--algorithm", default="bayesian")
    parser.add_argument("--runs", type=Path, default=Path("runs/search_gain"))
    options = parser.parse_args()
    lines = [
        f"| {options.model}, {options.trials} trials, {options.algorithm} | validation: defaults | best "
        "| test, one observation: defaults | best | test, per planet: defaults | best | minutes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for wavelength in options.wavelengths.split(","):
        run = options.runs / f"{options.model}-w{wavelength}"
        arguments = ["--model", options.model, "--wavelength", wavelength, "--data", options.data]
        arguments += ["--search", options.search, "--trials", options.trials, "--algorithm", options.algorithm]
        started = time.perf_counter()
        search.main([*arguments, "--run", str(run)])
        minutes = (time.perf_counter() - started) / 60
        tried = outcomes.read_all(run)
        best = outcomes.best(tried)
        assert best is not None
        row = [f"{tried[0].score:.0f}", f"{best.score:.0f}"]
        scores = [scored(run / "trials" / outcome.run) for outcome in (tried[0], best)]
        for what in ("observation", "planet"):
            row += [f"{one['test'][what]:.0f}" for one in scores]
        lines.append(f"| wavelength {wavelength} | {' | '.join(row)} | {minutes:.1f} |")
    print("\n".join(lines))


def scored(folder: Path) -> dict[str, dict[str, float]]:
    """Return a trial's scores on the test folds."""
    train.main(["--config", str(folder / "config.json"), "--run", str(folder)])
    return read_json(folder / "scores.json")


if __name__ == "__main__":
    run_command(main)

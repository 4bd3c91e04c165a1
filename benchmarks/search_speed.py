"""How many trials an hour, by one worker and by two, and what a trial costs beside a bare training of the same.

    python -m benchmarks.search_speed

All trials train the same configuration but for the learning rate, so each does the same work. A bare training is
`train_on` in this process on the same open data, without its test scores and pictures' share told apart.
"""

import argparse
import contextlib
import io
import time
from pathlib import Path

from ariel_tf import train
from ariel_tf.data.sources import open_source
from ariel_tf.errors import run_command
from ariel_tf.training.configuration import Configuration
from tuning import outcomes, search


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="squid")
    parser.add_argument("--data", default="simulated:planets=200,spots=2,photons=2,seed=0")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--runs", type=Path, default=Path("runs/search_speed"))
    options = parser.parse_args()
    config = Configuration(model=options.model, data=options.data, epochs=options.epochs, patience=0).resolved()
    source = open_source(config.data, config.seen)
    bare = []
    for index in range(3):
        started = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            train.train_on(source, config, "", options.runs / f"bare-{index}")
        bare.append(time.perf_counter() - started)
    common = ["--model", options.model, "--data", options.data, "--epochs", str(options.epochs), "--patience", "0"]
    common += ["--search", "learning_rate", "--trials", str(options.trials), "--algorithm", "random"]
    for jobs in (1, 2):
        run = options.runs / f"jobs-{jobs}"
        started = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            search.main([*common, "--jobs", str(jobs), "--run", str(run)])
        seconds = time.perf_counter() - started
        each = sorted(outcome.seconds for outcome in outcomes.read_all(run))
        print(
            f"{jobs} worker(s): {options.trials} trials in {seconds:.0f} s, start and pictures included: "
            f"{3600 * options.trials / seconds:.0f} trials an hour; a trial {each[len(each) // 2]:.2f} s (median), "
            f"{min(each):.2f} s (fastest)",
            flush=True,
        )
    print(f"bare trainings: {', '.join(f'{seconds:.2f}' for seconds in bare)} s, test scores and picture included")


if __name__ == "__main__":
    run_command(main)

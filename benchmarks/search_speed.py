"""Trials per hour with one worker and with two, and the cost of a trial compared with a bare training.

    python -m benchmarks.search_speed

All trials train the same configuration except for the learning rate, so each does the same work. A bare training is
`train_one` in this process on open data, including test scores and plots. CPU seconds of this process are printed
beside elapsed seconds, for machines with other load.
"""

import argparse
import contextlib
import io
import time
from pathlib import Path

from ariel_tf.config.run_options import RunOptions
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.errors import run_command
from ariel_tf.data.sources import open_source
from ariel_tf.training.one_model import train_one
from ariel_tf.training.opening import job_on
from tuning import outcomes, search


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="squid")
    parser.add_argument("--data", default="simulated:planets=200,spots=2,photons=2,seed=0")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--jobs", default="1,2")
    parser.add_argument("--runs", type=Path, default=Path("runs/search_speed"))
    options = parser.parse_args()
    config = TrainConfig(model=options.model, data=options.data, epochs=options.epochs, patience=0).resolve()
    source = open_source(config.data, config.signature.inputs)
    bare = []
    for index in range(3):
        started, cpu = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            train_one(job_on(source, config, RunOptions(run=options.runs / f"bare-{index}")))
        bare.append((time.perf_counter() - started, time.process_time() - cpu))
    common = ["--model", options.model, "--data", options.data, "--epochs", str(options.epochs), "--patience", "0"]
    common += ["--search", "learning_rate", "--trials", str(options.trials), "--algorithm", "random"]
    for jobs in map(int, options.jobs.split(",")):
        run = options.runs / f"jobs-{jobs}"
        started, cpu = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            search.main([*common, "--jobs", str(jobs), "--run", str(run)])
        seconds = time.perf_counter() - started
        cpu = (time.process_time() - cpu) / options.trials
        each = sorted(outcome.seconds for outcome in outcomes.read_all(run))
        print(
            f"{jobs} worker(s): {options.trials} trials in {seconds:.0f} s, start and pictures included: "
            f"{3600 * options.trials / seconds:.0f} trials an hour; a trial {each[len(each) // 2]:.2f} s (median), "
            f"{min(each):.2f} s (fastest){f'; {cpu:.2f} s of CPU a trial' if jobs == 1 else ''}",
            flush=True,
        )
    listed = ", ".join(f"{seconds:.2f} ({cpu:.2f} of CPU)" for seconds, cpu in bare)
    print(f"bare trainings: {listed} s, test scores and picture included")


if __name__ == "__main__":
    run_command(main)

"""Peak memory of trainings compared with the estimate of `train --dry-run`: `python -m benchmarks.memory`.

Every training is run twice as a child process on one simulated data set in a temporary folder: with --dry-run, for the
estimate, and for two epochs, for its peak (`ru_maxrss`, which includes TensorFlow itself).
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ariel_tf.core.resources import format_bytes

TRAININGS = {
    "transit, wavelength 12": ["--model", "transit", "--wavelength", "12"],
    "transit, joint": ["--model", "transit", "--wavelength", "joint"],
    "dense, joint": ["--model", "dense", "--wavelength", "joint"],
    "cnn, wavelength 12": ["--model", "cnn", "--wavelength", "12"],
    "cnn, joint": ["--model", "cnn", "--wavelength", "joint"],
    "lstm_cnn, joint, batch 16": ["--model", "lstm_cnn", "--wavelength", "joint", "--batch-size", "16"],
    "baseline, stack of 55": ["--model", "baseline", "--wavelength", "all", "--stack", "yes"],
    "squid, stack of 55": ["--model", "squid", "--wavelength", "all", "--stack", "yes"],
}
UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", help=f"texts contained in the names of trainings: {', '.join(TRAININGS)}")
    parser.add_argument("--planets", type=int, default=200, help="simulated planets, with 8 observations each")
    options = parser.parse_args(arguments)
    chosen = [name for name in TRAININGS if not options.names or any(text in name for text in options.names)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate = [sys.executable, "-m", "pipelines.simulate", str(folder / "data"), "--spots=4", "--photons=2"]
        subprocess.run([*simulate, f"--planets={options.planets}"], stdout=subprocess.DEVNULL, check=True)
        print("| training | estimate | peak | estimate / peak |\n|---|---|---|---|")
        for number, training in enumerate(chosen):
            command = [*TRAININGS[training], "--data", str(folder / "data"), "--run", str(folder / f"run{number}")]
            estimate = estimate_of(command)
            peak = peak_of([*command, "--epochs", "2"])
            print(
                f"| {training} | {format_bytes(estimate)} | {format_bytes(peak)} | {estimate / peak:.2f} |", flush=True
            )


def estimate_of(command: Sequence[str]) -> int:
    """Return the estimate of a training in bytes."""
    arguments = [sys.executable, "-m", "ariel_tf.train", *command, "--dry-run"]
    printed = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^memory of .*: about ([\d.]+) (\w+)$", printed, re.MULTILINE)
    value, unit = found[-1]
    return int(float(value) * UNITS[unit])


def peak_of(command: Sequence[str]) -> int:
    """Return the peak memory of a training in bytes."""
    with subprocess.Popen([sys.executable, "-m", "ariel_tf.train", *command], stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"error: the training ended with exit code {process.returncode}: {' '.join(command)}")
    return usage.ru_maxrss << 10


if __name__ == "__main__":
    main()

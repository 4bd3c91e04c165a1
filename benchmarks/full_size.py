"""Every stage of a whole project at full size, or at a part of it: `python -m benchmarks.full_size --scale 0.1`.

At scale 1 there are 1,256 training planets and 539 test planets of 100 observations each, 8.5 and 3.6 GB. Each stage is
a command in a process of its own; its wall-clock time, CPU time, peak memory and disk use are printed. The disk space
that all stages need is printed, and compared with the free space, before the first one starts.

    simulate, check                    training planets
    simulate text, convert             a tenth of them as challenge text files, and back
    arrays                             DATA/arrays
    squid                              55 models, stacked
    joint                              `dense` of all wavelengths
    simulate test, predict, submission the test planets, predicted by the joint model, and its score
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ariel_tf.core import resources
from ariel_tf.core.errors import ArielError, UsageError, run_command

PLANETS, TEST_PLANETS, SPOTS, PHOTONS = 1256, 539, 10, 10
# Bytes of an observation as a record and as text; arrays take twice as many bytes as records.
ROW_BYTES, TEXT_BYTES = 67_500, 320_000
RUN_BYTES = 1_500_000_000  # checkpoints of the joint model, 55 models


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--scale", type=float, default=0.1, help="fraction of the challenge's number of planets")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of both trainings")
    parser.add_argument("--memory", default="2G", help="memory for training rows, as in `ariel train --memory`")
    parser.add_argument("--jobs", type=int, default=resources.available_cpus())
    parser.add_argument(
        "--folder", type=Path, help="working folder (default: a temporary one, which is removed at the end)"
    )
    parser.add_argument(
        "--stages",
        default="",
        help="stages to run, with commas, on the results of earlier stages in --folder (default: all)",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = SPOTS * PHOTONS * round(PLANETS * options.scale)
        refuse_full_disk(folder, rows, SPOTS * PHOTONS * round(TEST_PLANETS * options.scale))
        chosen = {word for word in options.stages.split(",") if word}
        made = stages(folder, options)
        if unknown := chosen - made.keys():
            raise UsageError(f"--stages: expected some of {', '.join(made)}. Received: {', '.join(unknown)}")
        print(
            f"\nscale {options.scale}: {rows:,} training observations, --jobs {options.jobs}, --memory {options.memory}"
        )
        print("| stage | time, s | CPU, s | peak memory | disk |\n|---|---|---|---|---|", flush=True)
        for name, arguments in made.items():
            if not chosen or name in chosen:
                measure(name, arguments, folder)


def refuse_full_disk(folder: Path, rows: int, test_rows: int) -> None:
    """Print the disk space that all stages need; refuse to start with less, beside what the folder already holds.

    Args:
        folder: working folder.
        rows, test_rows: observations of training and test planets.
    """
    needed = 3 * rows * ROW_BYTES + test_rows * ROW_BYTES + rows // 10 * (TEXT_BYTES + ROW_BYTES) + RUN_BYTES
    free = shutil.disk_usage(folder).free
    held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(
        f"{resources.format_bytes(needed)} of disk are needed, {resources.format_bytes(held)} of it are in use, "
        f"{resources.format_bytes(free)} are free"
    )
    if needed > free + held:
        raise UsageError(f"--folder {folder}: not enough space; give another one, or a smaller --scale.")


def stages(folder: Path, options: argparse.Namespace) -> dict[str, list[str]]:
    """Return the command of each stage."""
    planets, test = round(PLANETS * options.scale), round(TEST_PLANETS * options.scale)
    data, text, runs = folder / "data", folder / "text", folder / "runs"
    size = [f"--spots={SPOTS}", f"--photons={PHOTONS}", f"--jobs={options.jobs}"]
    training = [f"--data={data}", f"--epochs={options.epochs}", "--patience=0", f"--memory={options.memory}"]
    curves = [f"--light-curves={text}/noisy_train", f"--params={text}/params_train"]
    tests = folder / "simulated_test"
    return {
        "simulate": ["pipelines.simulate", str(data), f"--planets={planets}", *size],
        "check": ["pipelines.check", str(data)],
        "simulate text": [
            "pipelines.simulate",
            str(text),
            f"--planets={max(10, planets // 10)}",
            *size,
            "--format=text",
        ],
        "convert": ["pipelines.convert", *curves, f"--out={folder / 'converted'}", f"--jobs={options.jobs}"],
        "arrays": ["pipelines.arrays", str(data)],
        "squid": ["ariel_tf.train", "--model=squid", "--wavelength=0-54", *training, f"--run={runs / 'squid'}"],
        "joint": ["ariel_tf.train", "--model=dense", "--wavelength=joint", *training, f"--run={runs / 'joint'}"],
        "simulate test": ["pipelines.simulate", str(tests), f"--planets={max(10, test)}", "--seed=1", *size],
        "predict": [
            "ariel_tf.predict",
            "--clip",
            str(runs / "joint"),
            f"--data={tests}",
            f"--out={folder / 'submission.txt'}",
        ],
        "submission": ["ariel_tf.submission", str(folder / "submission.txt"), f"--data={tests}"],
    }


def measure(name: str, arguments: list[str], folder: Path) -> None:
    """Run a stage and print its line.

    Raises:
        ArielError: the stage failed; the message contains the end of its output.
    """
    before, started = used(folder), time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([sys.executable, "-m", *arguments], stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        if process.returncode:
            output.seek(0)
            said = output.read().decode(errors="replace")[-2000:]
            raise ArielError(f"{' '.join(arguments)} ended with exit code {process.returncode}:\n{said}")
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(
        f"| {name} | {seconds:.0f} | {usage.ru_utime + usage.ru_stime:.0f} | {resources.format_bytes(peak)} | "
        f"{resources.format_bytes(used(folder) - before)} |",
        flush=True,
    )


def used(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    run_command(main)

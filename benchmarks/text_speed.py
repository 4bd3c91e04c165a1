"""Speed of reading, writing and converting challenge text files, compared with NumPy's own readers and writers.

    python -m benchmarks.text_speed

Prints median ratios over interleaved repetitions in one process, so that other load on the machine affects both sides
equally; then the rate of a whole conversion with one process, and the rate of the writing parent process alone, which
is the limit for any number of processes.
"""

import argparse
import contextlib
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ariel_tf.core.tf_startup import import_tensorflow
from ariel_tf.data.manifest import Manifest
from ariel_tf.data.text.format import read_light_curve, write_light_curve
from ariel_tf.physics.simulator import simulate_planet
from pipelines import convert, simulate


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(name: str, ours: Callable[[], object], numpys: Callable[[], object], repeats: int) -> None:
    """Print the median of the ratios of neighbouring runs, and each side's median."""
    ours(), numpys()  # once, uncounted
    times = np.array([(seconds(ours), seconds(numpys)) for _ in range(repeats)])
    ratios = times[:, 1] / times[:, 0]
    low, middle, high = np.percentile(ratios, [10, 50, 90])
    a, b = np.median(times, axis=0)
    print(f"{name}: {middle:.1f} times as fast ({low:.1f}-{high:.1f}); {1 / a:.0f} against {1 / b:.0f} files a second")


def conversion(folder: Path, planets: int) -> None:
    """Print the rate of converting planets of 100 observations each, with one process."""
    text, out = folder / "text", folder / "out"
    with contextlib.redirect_stdout(io.StringIO()):
        size = [f"--planets={planets}", "--spots=10", "--photons=10"]
        simulate.main([str(text), *size, "--format=text"])
        options = [f"--light-curves={text}/noisy_train", f"--params={text}/params_train", f"--out={out}", "--jobs=1"]
        whole = seconds(lambda: convert.main(options))
    observations = Manifest.read(out).rows
    print(f"convert, one process: {observations / whole:.0f} observations a second")

    from ariel_tf.data.writer import DatasetWriter

    planet = simulate_planet(0, 1, 10, 10)
    with DatasetWriter(folder / "parent", {1: 100, 2: 100}, labelled=True, fold_seed=0) as writer:
        number = writer.pending[0]
        alone = seconds(lambda: writer.add(number, planet))
    print(f"of which its parent's part alone (encode, sum, write, checksum): {100 / alone:.0f} observations a second")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeats", type=int, default=100, help="repetitions of each measurement (default: 100)")
    parser.add_argument(
        "--planets", type=int, default=8, help="planets to convert, of 100 observations each (default: 8)"
    )
    arguments = parser.parse_args()
    import_tensorflow(start_devices=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        planet = simulate_planet(0, 1, 1, 1)
        path, other = folder / "0001_01_01.txt", folder / "numpy.txt"
        flux = planet.flux[:, 0].astype(np.float64)
        write_light_curve(path, planet.star, flux)
        compare("read, np.loadtxt", lambda: read_light_curve(path), lambda: np.loadtxt(path), arguments.repeats)
        compare(
            "write, np.savetxt",
            lambda: write_light_curve(path, planet.star, flux),
            lambda: np.savetxt(other, flux, delimiter="\t", newline="\r\n"),
            arguments.repeats,
        )
        conversion(folder, arguments.planets)


if __name__ == "__main__":
    main()

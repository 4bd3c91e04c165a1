"""Make figures of the documentation again, at 300 dots per inch: `python -m benchmarks.pictures [NAME ...]`.

    light_curve   one observation at three wavelengths
    ladder        two models of wavelength 12 and every reference on the same 40 planets; trains the models, minutes
    spectrum      spectra with uncertainties by the model that comes with the package
    board         55 models, trained together, by wavelength; trains them, minutes
    report        a screenshot of the HTML report of a run; needs Chromium or Chrome
    tensorboard   a screenshot of TensorBoard beside a training; needs Chromium or Chrome

docs/prediction.png is the prediction.png of the first training (`make train`), and docs/simulator_against_real.png that
of `python -m benchmarks.simulator_against_real`.
"""

import argparse
import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from ariel_tf import evaluate, plot, report, train
from ariel_tf.core.errors import ArielError, run_command

PLANETS = "simulated:planets=400,spots=4,photons=2,seed=0"
MODELS = ("squid", "transit")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTH, SCALE = 1200, 2  # of a screenshot, in CSS pixels, and its pixels in each of them
STARTED = 60.0  # seconds that TensorBoard may take to respond


def light_curve(docs: Path) -> None:
    """Draw docs/light_curve.png."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "light_curve.png")
        data = "simulated:planets=30,spots=1,photons=1,seed=0"
        plot.main(["--data", data, "--planet", "30", "--wavelengths", "2,12,40", "--out", str(made)])
        shutil.move(made, docs / made.name)


def ladder(docs: Path) -> None:
    """Draw docs/ladder.png."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [str(Path(folder, name)) for name in MODELS]
        for name, run in zip(MODELS, runs, strict=True):
            train.main(["--model", name, "--wavelength", "12", "--data", PLANETS, "--run", run])
        evaluate.main([*runs, "--against", "all", "--out", str(Path(folder, "scores")), "--figures", "png"])
        shutil.move(Path(folder, "scores", "ladder.png"), docs / "ladder.png")


def spectrum(docs: Path) -> None:
    """Draw docs/spectrum.png."""
    with tempfile.TemporaryDirectory() as folder:
        scores = Path(folder, "scores")
        data = "simulated:planets=40,spots=4,photons=2,seed=0"
        evaluate.main(["transit-joint", "--data", data, "--against", "none", "--out", str(scores), "--figures", "png"])
        shutil.move(scores / "spectra.png", docs / "spectrum.png")


def board(docs: Path) -> None:
    """Draw docs/board.png."""
    with tempfile.TemporaryDirectory() as folder:
        run, scores = str(Path(folder, "run")), Path(folder, "scores")
        train.main(["--model", "squid", "--wavelength", "0-54", "--data", PLANETS, "--epochs", "20", "--run", run])
        against = "constant,ridge,photon-limit"
        evaluate.main([run, "--against", against, "--out", str(scores), "--figures", "png"])
        shutil.move(scores / "by_wavelength.png", docs / "board.png")


def html_report(docs: Path) -> None:
    """Take docs/report.png."""
    with tempfile.TemporaryDirectory() as folder:
        run, page = str(Path(folder, "dense")), Path(folder, "report.html")
        train.main(["--model", "dense", "--wavelength", "joint", "--data", PLANETS, "--epochs", "20", "--run", run])
        report.main([run, "--against", "constant,ridge,photon-limit", "--out", str(page)])
        screenshot(page.as_uri(), 1000, docs / "report.png")


def tensorboard(docs: Path) -> None:
    """Take docs/tensorboard.png."""
    with tempfile.TemporaryDirectory() as folder:
        for rate in ("1e-3", "3e-3"):
            options = ["--epochs", "20", "--data", PLANETS, "--set", f"learning_rate={rate}"]
            train.main(["--model", "squid", *options, "--run", str(Path(folder, f"rate {rate}"))])
        with socket.create_server(("localhost", 0)) as free:
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "tensorboard.main", "--logdir", folder, "--port", str(port)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
            try:
                page = f"http://localhost:{port}/"
                wait_for(page)
                screenshot(page + "#timeseries", 900, docs / "tensorboard.png")
            finally:
                server.terminate()


def wait_for(page: str) -> None:
    """Wait until a page responds."""
    last = time.monotonic() + STARTED
    while time.monotonic() < last:
        with contextlib.suppress(OSError), urllib.request.urlopen(page, timeout=5):
            return
        time.sleep(0.5)
    raise ArielError(f"{page} did not respond for {STARTED:.0f} s")


def screenshot(page: str, height: int, path: Path) -> None:
    """Write a PNG of a page.

    Args:
        page: its address.
        height: of the window, CSS pixels.
        path: of the PNG.

    Raises:
        ArielError: no browser is installed, or it took no picture.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise ArielError(f"a screenshot needs one of {', '.join(BROWSERS)} on the PATH; found none")
    with tempfile.TemporaryDirectory() as profile:
        command = [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--hide-scrollbars", f"--user-data-dir={profile}",
            f"--window-size={WIDTH},{height}", f"--force-device-scale-factor={SCALE}", "--virtual-time-budget=20000",
            f"--screenshot={path.resolve()}", page,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode or not path.is_file():
        raise ArielError(f"{browser} took no picture of {page}: {done.stderr.strip()[-300:]}")


PICTURES: dict[str, Callable[[Path], None]] = {
    "light_curve": light_curve,
    "ladder": ladder,
    "spectrum": spectrum,
    "board": board,
    "report": html_report,
    "tensorboard": tensorboard,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", choices=[*PICTURES, []], help="figures to make (default: all)")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="folder of the figures (default: docs)")
    options = parser.parse_args(arguments)
    for name in options.names or PICTURES:
        PICTURES[name](options.docs)


if __name__ == "__main__":
    run_command(main)

"""Make figures of the documentation again, at 300 dots per inch: `python -m benchmarks.pictures [NAME ...]`.

    light_curve   one observation at three wavelengths
    ladder        two models of wavelength 12 and every reference on the same 40 planets; trains the models, minutes

docs/prediction.png is the prediction.png of the first training (`make train`), and docs/simulator_against_real.png that
of `python -m benchmarks.simulator_against_real`.
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ariel_tf import evaluate, plot, train
from ariel_tf.core.errors import run_command

PLANETS = "simulated:planets=400,spots=4,photons=2,seed=0"
MODELS = ("squid", "transit")


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


PICTURES: dict[str, Callable[[Path], None]] = {"light_curve": light_curve, "ladder": ladder}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", choices=[*PICTURES, []], help="figures to make (default: all)")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="folder of the figures (default: docs)")
    options = parser.parse_args(arguments)
    for name in options.names or PICTURES:
        PICTURES[name](options.docs)


if __name__ == "__main__":
    run_command(main)

"""Small runs for tests of what loads them and predicts with them."""

from ariel_tf import train
from ariel_tf.data.sources import open_source
from ariel_tf.runs.predictor import Predictor

DATA = "simulated:planets=12,spots=1,photons=2,seed=1"
SMALL = ["--model=baseline", "--data", DATA, "--set", "first=8", "--set", "second=4", "--head", "depth",
         "--epochs", "1"]  # fmt: skip
SEES_ALL_SORTS = [*SMALL, "--channels", "own+white", "--star", "all"]


def train_list_and_alone(folder):
    """Train `list` (wavelengths 12, 3, 7) and `alone` (wavelength 20, own light curve only) in this folder."""
    train.main([*SEES_ALL_SORTS, "--wavelength", "12,3,7", "--run", str(folder / "list")])
    train.main([*SMALL, "--wavelength", "20", "--run", str(folder / "alone")])


def collected(path, folds=range(10)):
    """Predictions of a run for the planets of its own data."""
    trained = Predictor.load(path)
    return trained.predictions(open_source(trained.data, trained.signature.inputs), folds)

"""Keras/TensorFlow suite that measures exoplanet radii from Ariel light curves.

From a notebook (TensorFlow is imported only when a function needs it):

    ariel_tf.load(run).predict(planet)        radii of a planet or of light curves, by any run folder
    ariel_tf.load("transit-joint").measure(planets)    radii and uncertainties, by the model included in the package
    ariel_tf.open_data(path)                  planets of a data set, of text files or of the simulator
    ariel_tf.train_model("squid", 12, data)   train as the command does; history and scores as tables
    ariel_tf.Run("runs/x")                    a run folder: history, scores, leaderboard, figures on your own axes
    ariel_tf.ArielRegressor("squid", 12)      the same as a scikit-learn estimator, on arrays
    ariel_tf.score(true, predicted)           the challenge's score

>>> import ariel_tf
>>> planet = ariel_tf.open_data("simulated:planets=1,spots=2,photons=1,seed=3")[1]
>>> planet.flux.shape, planet.radii.shape
((55, 2, 300), (55,))
>>> ariel_tf.score(planet.radii, planet.radii)
10000.0
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ariel_tf.challenge import score

if TYPE_CHECKING:
    from ariel_tf.data.planets import Data
    from ariel_tf.evaluation.run import Run
    from ariel_tf.regressor import ArielRegressor
    from ariel_tf.runs.predictor import Predictor
    from ariel_tf.training.api import train_model

__all__ = ["ArielRegressor", "Run", "load", "open_data", "score", "train_model"]
__version__ = "0.2.0"

_ELSEWHERE = {
    "ArielRegressor": "ariel_tf.regressor",
    "Run": "ariel_tf.evaluation.run",
    "train_model": "ariel_tf.training.api",
}


def __getattr__(name: str) -> Any:
    """Import names that need scikit-learn or the training code on first use."""
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ELSEWHERE[name]), name)


def load(*runs: Path | str) -> "Predictor":
    """Load a predictor from a run folder of any kind, or from several that predict different wavelengths.

    Args:
        runs: folders that `python -m ariel_tf.train`, `trees` or `ensemble` wrote, or "transit-joint", the model
            included in the package.

    Returns:
        `Predictor`; its `predict(planet)` returns a DataFrame, and `predict(flux, star)` takes light curves in the
        challenge's layout, flux [n, 55, 300] and star [n, 6], and returns radii [n, wavelengths]; `targets` holds the
        predicted wavelengths. `measure(planets)` of the model included in the package returns radii and their standard
        deviations, from all observations of each planet together.

    Raises:
        UsageError: a folder is not a run folder.
        DataError: a model differs from the one that was saved.

    >>> load("nowhere")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ariel_tf.core.errors.UsageError: nowhere: expected a run folder ...
    """
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.runs.predictor import Predictor

    return Predictor.load(*runs)


def open_data(data: Path | str, params: Path | str | None = None) -> "Data":
    """Open a data set as an iterable of planets.

    Args:
        data: a value of `--data`, or a folder of challenge text files.
        params: folder with the targets of text files, if it is not `params_train` beside `noisy_train`.

    Returns:
        `Data`: iterating yields each planet once, as `planet.Planet` with flux [55, n, 300]; `data[52]` is planet 0052,
        `planets(folds)` yields the planets of some folds, and `to_pandas()` returns a table of stars, orbits and radii.

    Raises:
        UsageError, DataError: no such data set or folder exists.

    >>> data = open_data("simulated:planets=3,spots=1,photons=1,seed=3")
    >>> len(data), data.labelled, [planet.number for planet in data]
    (3, True, [1, 2, 3])
    >>> data[2].flux.shape
    (55, 1, 300)
    >>> list(data.to_pandas("orbits").columns)
    ['sma (m)', 'incl (deg)']
    """
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.core.user_code import name_by_user
    from ariel_tf.data.planets import Data

    return Data(name_by_user(str(data)), params)

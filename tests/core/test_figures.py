"""Pictures leave the user's matplotlib alone, and never cost a result."""

import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from support.pictures import drawn, is_drawn

from ariel_tf.core.errors import DataError
from ariel_tf.core.figures import draw_or_warn, saved_figure
from ariel_tf.evaluation.light_curve_figures import draw_light_curves
from ariel_tf.evaluation.prediction_figures import draw_predictions, draw_spectra
from ariel_tf.runs.predictions import Predictions
from pipelines import correlations
from tuning import pictures
from tuning.outcomes import COMPLETED, Outcome

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def arranged_pictures():
    with drawn(arranged=True):
        yield


def draw_each_kind(folder):
    """A picture by every module that draws without a trained model."""
    rng = np.random.default_rng(0)
    keys = np.array([(planet, 1, photon) for planet in range(6) for photon in range(2)])
    true = rng.uniform(0.05, 0.1, (6, 3))[keys[:, 0]]
    predictions = Predictions(keys, true, true + 0.001, np.ones_like(true))
    draw_predictions(predictions, (2, 12, 40), "title", "data", folder / "prediction.png")
    draw_spectra(predictions, (2, 12, 40), "title", "data", folder / "spectra.png")
    draw_light_curves(1 + 0.001 * rng.standard_normal((55, 300)), (2, 12), "title", folder / "curves.png")
    correlations.picture(np.zeros((55, 300)), folder / "correlations.png")
    trials = [Outcome(i, COMPLETED, {"units": i, "kind": "ab"[i % 2]}, f"trial-{i}", score=9000.0 + i)
              for i in range(4)]  # fmt: skip
    pictures.draw(folder, trials)


def bytes_of(folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {
        f"{name}.png" for name in ("prediction", "spectra", "curves", "correlations", "history", "parallel", "values")
    }
    for path in folder.iterdir():
        assert is_drawn(path)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_users_settings_change_no_picture_and_stay_as_they_are(tmp_path, monkeypatch):
    """`text.usetex` without LaTeX raised after a whole training."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.setenv("PATH", "")
    for name in ("plain", "changed"):
        (tmp_path / name).mkdir()
    draw_each_kind(tmp_path / "plain")
    changed = {"text.usetex": True, "figure.dpi": 300, "savefig.format": "pdf", "axes.grid": True, "font.size": 17.0,
               "lines.linewidth": 3.0}  # fmt: skip
    backend = matplotlib.get_backend()
    try:
        pyplot.switch_backend("svg")
        figure = pyplot.figure()
        with matplotlib.rc_context(changed):
            before = dict(matplotlib.rcParams)
            draw_each_kind(tmp_path / "changed")
            assert dict(matplotlib.rcParams) == before
        assert matplotlib.get_backend() == "svg"
        assert pyplot.get_fignums() == [figure.number]
    finally:
        pyplot.close("all")
        pyplot.switch_backend(backend)
    assert bytes_of(tmp_path / "changed") == bytes_of(tmp_path / "plain")


def test_importing_what_draws_imports_no_matplotlib():
    modules = "ariel_tf.plot, ariel_tf.report, ariel_tf.evaluation.figures, pipelines.correlations, tuning.pictures"
    program = f"import sys, {modules}; print([m for m in sys.modules if m.split('.')[0] == 'matplotlib'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_a_picture_that_fails_is_one_sentence_and_leaves_no_file(tmp_path, capsys):
    def draw(path):
        with saved_figure(path, 2, 2) as figure:
            figure.text(0.5, 0.5, "x")
            raise RuntimeError("latex could\nnot be found")

    assert not draw_or_warn(draw, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == "warning: a picture could not be drawn (RuntimeError: latex could not be found)\n"

    def read(path):
        raise DataError("the data are damaged.")

    with pytest.raises(DataError):
        draw_or_warn(read, tmp_path / "a.png")

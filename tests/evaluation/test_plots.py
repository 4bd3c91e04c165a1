"""A run in a notebook: figures on the user's axes, its leaderboard, and the user's matplotlib as it was."""

import shutil

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from ariel_tf import Run, plot, train
from ariel_tf.challenge import INSTRUMENTS, N_WAVELENGTHS, WAVELENGTHS_UM, Key, band_edges
from ariel_tf.core import figures
from ariel_tf.core.errors import UsageError
from ariel_tf.evaluation import panels
from ariel_tf.evaluation.style import describe_wavelengths

pytestmark = pytest.mark.usefixtures("pretended_training")

DATA = "simulated:planets=20,spots=1,photons=2,seed=1"
JOINT = ["--data", DATA, "--model", "linear", "--wavelength", "joint", "--channels", "all", "--set", "units=4"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, pretended_training):
    """Joint runs `one` and `two`, and `other` of one wavelength; matplotlib's settings before and after."""
    folder = tmp_path_factory.mktemp("runs")
    before = matplotlib.get_backend(), dict(matplotlib.rcParams)
    for name, seed in (("one", "0"), ("two", "1")):
        train.main([*JOINT, "--epochs", "2", "--seed", seed, "--run", str(folder / name)])
    other = ["--model=baseline", "--data", DATA, "--set", "first=8", "--set", "second=4", "--epochs", "1"]
    train.main([*other, "--run", str(folder / "other")])
    assert (matplotlib.get_backend(), dict(matplotlib.rcParams)) == before
    return folder


@pytest.fixture
def ax():
    return Figure().subplots()


def test_each_figure_is_drawn_on_the_axes_that_are_given_and_settings_stay(runs, ax):
    run, before = Run(str(runs / "one")), dict(matplotlib.rcParams)
    test = np.unique(run.predictions.keys[:, 0]).tolist()
    for draw in (run.plot.predictions, run.plot.errors, run.plot.spectra, run.plot.by_wavelength,
                 run.plot.learning_curve, run.plot.transit):  # fmt: skip
        ax.clear()
        assert draw(ax=ax) is ax
        assert ax.get_xlabel()
        assert ax.get_ylabel()
        assert ax.has_data()
    assert run.plot.spectra(planets=test, ax=ax).get_title().startswith("linear: planets 00")
    assert dict(matplotlib.rcParams) == before
    assert list(ax.figure.axes) == [ax]
    for planet in (0, 99):
        with pytest.raises(UsageError, match=f"expected a test planet of .*Received: {planet}"):
            run.plot.spectra(planet, ax=ax)
    with pytest.raises(UsageError, match="predicts wavelengths"):
        run.plot.transit(wavelength=55, ax=ax)


def test_without_axes_a_figure_of_pyplot_is_made(runs):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    backend, open_before = matplotlib.get_backend(), pyplot.get_fignums()
    ax = Run(runs / "one").plot.learning_curve()
    assert pyplot.get_fignums() == [*open_before, ax.figure.number]
    assert matplotlib.get_backend() == backend
    pyplot.close(ax.figure)


def test_epochs_count_from_1_and_a_star_is_at_the_best(ax):
    history = {"score": np.array([9000.0, 9500.0, 9600.0]), "val_score": np.array([9000.0, 9700.0, 9600.0])}
    panels.learning_curves(ax, {"run": history}, {"run": "black"})
    validation, training, best = ax.lines[:3]
    assert validation.get_xdata().tolist() == [1, 2, 3]
    assert training.get_ydata().tolist() == [1000, 500, 400]
    assert (best.get_marker(), best.get_xdata().tolist(), best.get_ydata().tolist()) == ("*", [2], [300])
    assert ax.get_legend_handles_labels()[1] == ["run: best epoch 2", "validation", "training", "best epoch"]


def test_a_spectrum_shows_truth_median_and_the_range_of_observations(runs, ax):
    predictions = Run(runs / "one").predictions
    planet = int(predictions.keys[0, 0])
    panels.spectrum(ax, predictions, range(55), planet)
    rows = predictions.predicted[predictions.keys[:, 0] == planet]
    line, bars = ax.containers[0].lines[0], ax.containers[0].lines[2][0]
    np.testing.assert_allclose(line.get_ydata(), np.median(rows, axis=0))
    np.testing.assert_allclose([part[:, 1] for part in bars.get_segments()], np.quantile(rows, [0.16, 0.84], axis=0).T)
    truth = next(one for one in ax.collections if one is not bars)
    np.testing.assert_allclose([part[:, 0] for part in truth.get_segments()], band_edges())


def test_no_line_joins_two_instruments(ax):
    values = np.arange(55.0)
    panels.by_instrument(ax, range(55), values, label="x")
    line, alone = ax.lines
    drawn = np.split(line.get_ydata(), np.flatnonzero(np.isnan(line.get_ydata())))
    assert [int(np.isfinite(part).sum()) for part in drawn] == [one.stop - one.first for one in INSTRUMENTS]
    assert alone.get_ydata().tolist() == [0, 1, 2]


def test_bands_cover_their_centres_and_follow_each_other():
    low, high = band_edges().T
    assert (low < WAVELENGTHS_UM).all()
    assert (high > WAVELENGTHS_UM).all()
    np.testing.assert_array_equal(low[1:], high[:-1])
    assert [one.stop for one in INSTRUMENTS][-1] == N_WAVELENGTHS
    assert describe_wavelengths([3, 4]) == "wavelengths 3-4"


def test_a_leaderboard_ranks_the_comparable_runs_beside_a_run(runs):
    run = Run(runs / "one")
    table = run.leaderboard
    assert sorted(table.index) == ["one", "two"]
    assert table["planet"].is_monotonic_decreasing
    assert table.loc["one", "planet"] == run.scores.loc["median over a planet's observations", "score"]
    assert Run(runs / "other").leaderboard.index.tolist() == ["other"]


def test_a_damaged_run_is_left_out_of_a_leaderboard_with_a_warning(runs, tmp_path):
    shutil.copytree(runs, tmp_path / "runs")
    (tmp_path / "runs/two/scores.json").write_text("{}")
    with pytest.warns(UserWarning, match=r"left out of the leaderboard: .*two"):
        assert Run(tmp_path / "runs/one").leaderboard.index.tolist() == ["one"]


def test_plot_draws_an_image_and_the_transits_of_a_run_in_each_format(runs, tmp_path, draws, monkeypatch):
    monkeypatch.setattr(figures, "DOTS_PER_INCH", 40)
    common = ["--data", DATA, "--planet", "3"]
    plot.main([*common, "--image", "--out", str(tmp_path / "a.svg")])
    plot.main([*common, "--transit", str(runs / "other"), "--photon", "2", "--out", str(tmp_path / "b.pdf")])
    assert b"<svg" in (tmp_path / "a.svg").read_bytes()
    assert (tmp_path / "b.pdf").read_bytes().startswith(b"%PDF")
    for arguments, said in (
        (["--image", "--wavelengths", "3"], "expected neither --transit nor --wavelengths"),
        (["--transit", str(runs / "other"), "--wavelengths", "3"], r"does not predict \[3\]"),
        (["--transit", str(runs / "other"), "--photon", "7"], "holds no observation 0003_01_07"),
    ):
        with pytest.raises(UsageError, match=said):
            plot.main([*common, *arguments, "--out", str(tmp_path / "c.png")])
    with pytest.raises(UsageError, match=r"a new file, \.png, \.svg, \.pdf"):
        plot.main([*common, "--out", str(tmp_path / "c.jpg")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.svg", "b.pdf"]


def test_the_radii_of_a_transit_are_those_of_its_observation_or_of_what_combines_it():
    rows = pd.MultiIndex.from_tuples([(3, 1, 1), (3, 2, 1)], names=["planet", "spot", "photon"])
    table = pd.DataFrame([[0.1], [0.2]], rows)
    assert plot._predicted(table, Key(3, 2, 1)).tolist() == [0.2]
    combined = table.set_axis(pd.MultiIndex.from_tuples([(3, 1, 0), (3, 2, 0)], names=rows.names))
    assert plot._predicted(combined, Key(3, 2, 9)).tolist() == [0.2]

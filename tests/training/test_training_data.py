"""Statistics that take a pass: the same in any batches, of the training rows alone, stacked or not."""

import json
from pathlib import Path

import numpy as np
import pytest

from ariel_tf.config import run_options
from ariel_tf.config.run_options import RunOptions
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.errors import UsageError
from ariel_tf.data import dataset
from ariel_tf.data.sources import open_source
from ariel_tf.training import flux_statistics, job
from ariel_tf.training.data import TrainingData
from ariel_tf.training.flux_statistics import flux_pass
from ariel_tf.training.job import WHOLE, WINDOWS, TrainingJob
from ariel_tf.training.opening import locate_data
from ariel_tf.training.stacked.data import StackedData

DATA = "simulated:planets=20,spots=1,photons=2,seed=3"
SHAPED = {"ramp": "divide", "function": "log", "transform": "yeo-johnson"}


def configured(**options):
    return TrainConfig(model="squid", data=DATA, **{**SHAPED, **options}).resolve()


def test_the_data_set_that_a_training_takes_by_itself_is_printed(tmp_path, monkeypatch, capsys):
    """After `simulate` and `convert`, the first command of the README trains on other planets than before."""
    monkeypatch.chdir(tmp_path)
    assert locate_data(TrainConfig()).data == "simulated"
    assert "no data set in ./data: using simulated planets" in capsys.readouterr().out
    (tmp_path / "data").mkdir()
    (tmp_path / "data/manifest.json").write_text("{}")
    assert locate_data(TrainConfig()).data == str(tmp_path / "data")
    assert "using the data set in ./data (--data names another one)" in capsys.readouterr().out


def test_statistics_of_shaped_flux_equal_numpy_in_any_batches():
    config = configured(ramp="one", function="square", transform="standardize")
    flux = np.random.default_rng(0).normal(1, 0.01, (50, 300, 2)).astype(np.float32)
    shaped = flux.astype(np.float64)
    shaped[:, :28] = 1
    for size in (7, 50):
        batches = [flux[start : start + size] for start in range(0, 50, size)]
        statistics = flux_pass(batches, 50, config)["flux"]
        np.testing.assert_allclose(statistics.mean, (shaped**2).mean(0), rtol=1e-6)
        np.testing.assert_allclose(statistics.std, (shaped**2).std(0), rtol=1e-3, atol=1e-7)


def test_a_power_transform_is_the_same_in_any_batches(monkeypatch):
    config = configured()
    flux = np.random.default_rng(0).normal(1, 0.01, (50, 300, 1)).astype(np.float32)
    monkeypatch.setattr("ariel_tf.training.flux_statistics.FITTED_BYTES", 20 * flux[0].nbytes)  # a third of the rows
    whole, parts = (flux_pass(batches, 50, config)["power"] for batches in ([flux], np.split(flux, [7, 8, 30])))
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=5e-3)


def test_statistics_are_of_training_planets_alone():
    config = configured()
    source = open_source(DATA, [12])
    elsewhere = TrainingData(source, config).statistics, TrainingData(source, configured(test_folds=(0,))).statistics
    assert not np.array_equal(elsewhere[0]["power"].exponent, elsewhere[1]["power"].exponent)
    assert not np.array_equal(elsewhere[0]["flux"].mean, elsewhere[1]["flux"].mean)


@pytest.mark.parametrize("channels", ["own", "own+white"])
def test_stacked_rows_have_the_statistics_of_each_alone(channels):
    configs = [configured(wavelength=wavelength, channels=channels) for wavelength in (3, 40)]
    source = open_source(DATA, [3, 40])
    stacked = StackedData(source, configs)
    for config, its in zip(configs, stacked.statistics, strict=True):
        alone = TrainingData(source, config).statistics
        for name in ("flux", "power"):
            for part in ("mean", "std"):
                np.testing.assert_array_equal(getattr(alone[name], part), getattr(its[name], part))


@pytest.fixture
def streamed(monkeypatch, tmp_path):
    """Rows stream, and a cache folder of the test's own: a list of its files, and a count of the passes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(dataset, "fits_in_memory", lambda *_: False)
    made = []
    monkeypatch.setattr(flux_statistics, "flux_pass", lambda *what: made.append(1) or flux_pass(*what))
    return lambda: sorted(tmp_path.rglob("*.npz")), made


def check_same(one, other):
    assert one.keys() == other.keys() >= {"flux", "power"}
    for name in ("flux", "power"):
        for part in flux_statistics._parts(name):
            np.testing.assert_array_equal(getattr(one[name], part), getattr(other[name], part))


def test_a_pass_over_rows_that_stream_is_made_once(streamed):
    files, made = streamed
    source = open_source(DATA, [12])
    first = TrainingData(source, configured()).statistics
    second = TrainingData(open_source(DATA, [12]), configured(epochs=3)).statistics
    assert (len(made), len(files())) == (1, 1)
    check_same(first, second)
    assert type(second["flux"].count) is int
    for other in ({"ramp": "keep"}, {"function": "sqrt"}, {"transform": "standardize"}, {"test_folds": (0,)}):
        TrainingData(source, configured(**other))
    TrainingData(open_source(DATA.replace("seed=3", "seed=4"), [12]), configured())
    assert (len(made), len(files())) == (6, 6)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_file_of_a_pass_is_made_again(streamed, damage):
    files, made = streamed
    source = open_source(DATA, [12])
    first = TrainingData(source, configured()).statistics
    (path,) = files()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"cut": content[:-100], "flipped": content, "empty": b""}[damage])
    check_same(first, TrainingData(source, configured()).statistics)
    assert len(made) == 2
    TrainingData(source, configured())
    assert len(made) == 2


def test_a_home_that_cannot_be_written_to_costs_another_pass(streamed, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    source = open_source(DATA, [12])
    check_same(TrainingData(source, configured()).statistics, TrainingData(source, configured()).statistics)
    assert len(streamed[1]) == 2


def test_memory_decides_whether_rows_are_held_and_a_run_records_what_is_unusual():
    """Rows that are held are shuffled as a whole, others in windows: another order, which a resumed run must keep."""
    source = open_source(DATA, [12])
    usual = TrainingJob(configured(), source, RunOptions())
    windows = TrainingJob(configured(), source, RunOptions(memory="1K"))
    assert TrainingData(source, configured())._table is not None
    assert (
        TrainingData(source, configured(transform="standardize", function="none", ramp="keep"), memory=1024)._table
        is None
    )
    assert "rows" not in usual.identity
    assert windows.identity == usual.identity | {"rows": "shuffled in windows"}


def begun_run(job):
    """The folder of a run that this job has begun."""
    job.path.mkdir(parents=True)
    (job.path / "config.json").write_text(json.dumps(job.identity))
    return job.path


@pytest.mark.parametrize("named", [True, False])
def test_a_run_begun_in_windows_resumes_in_windows_where_arrays_or_memory_were_added(named, own_folder):
    source = open_source(DATA, [12])
    run = Path("runs/mine") if named else None
    begun = TrainingJob(configured(), source, RunOptions(memory="1K", run=run)).built_with({})
    path = begun_run(begun)
    more = TrainingJob(configured(), source, RunOptions(run=run)).built_with({})
    assert (more.path, more.identity, more.order) == (path, begun.identity, WINDOWS)
    anew = TrainingJob(configured(), source, RunOptions(run=run, overwrite=True)).built_with({})
    assert anew.order == WHOLE
    before, now = begun.load(), more.load()
    check_same(before.statistics, now.statistics)
    for one, other in zip(before.training(0).take(5), now.training(0).take(5), strict=True):
        np.testing.assert_array_equal(one[0]["flux"], other[0]["flux"])
        np.testing.assert_array_equal(one[1], other[1])


def test_a_run_begun_as_a_whole_is_not_resumed_in_windows(own_folder, monkeypatch):
    """Other batches would give another model; a finished run needs none and is shown."""
    monkeypatch.setattr(dataset, "MEMORY_BYTES", 1024)
    source = open_source(DATA, [12])
    path = begun_run(TrainingJob(configured(), source, RunOptions(memory="8G")).built_with({}))
    less = TrainingJob(configured(), source, RunOptions(memory="1K"))
    with pytest.raises(
        UsageError, match=r"shuffled as a whole.*--memory 1K\. To resume it, give more --memory; another"
    ):
        less.built_with({})
    monkeypatch.setattr(job, "has_scores", lambda run: run == path)
    assert less.built_with({}).path == path


def test_much_memory_holds_rows_that_usually_stream(monkeypatch):
    source = open_source(DATA, [12])
    monkeypatch.setattr(dataset, "MEMORY_BYTES", 1024)
    monkeypatch.setattr(run_options, "_free_memory", lambda: 1 << 40)
    for memory, rows in (("1K", None), ("8G", "shuffled as a whole"), ("auto", "shuffled as a whole")):
        assert TrainingJob(configured(), source, RunOptions(memory=memory)).identity.get("rows") == rows


def test_jobs_share_what_is_free(monkeypatch):
    monkeypatch.setattr(run_options, "_free_memory", lambda: 8000)
    assert [RunOptions(memory="auto", jobs=jobs).memory_bytes for jobs in (1, 4)] == [4000, 1000]
    assert RunOptions().memory_bytes == dataset.MEMORY_BYTES, "on every machine the same"
    with pytest.raises(UsageError, match=r"--memory: expected a size like 8G, or auto\. Received: much"):
        RunOptions(memory="much")

"""Run folders and data sets that version 0.1 wrote still load, evaluate, predict and resume.

`tests/compat/v0_1.tar.xz` holds what version 0.1 wrote: `data` (10 planets of one observation), `runs`, and the
predictions of these runs for these planets, as CSV. `interrupted` is `squid`, stopped after its first epoch.
"""

import shutil
import tarfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from support.run_folders import loaded, run, table

from ariel_tf import ensemble, evaluate, predict
from pipelines import check
from tuning import search

V0_1 = Path(__file__).parents[1] / "compat/v0_1.tar.xz"
DATA = ["--data", "data", "--batch-size", "4"]
SQUID = [*DATA, "--model", "squid", "--set", "width=0.2", "--epochs", "3", "--patience", "0"]
SMALL = ["--model=baseline", *DATA, "--set", "first=8", "--set", "second=4", "--epochs", "2"]
RUNS = ("squid", "baseline", "stack", "joint", "average")
loads_models = pytest.mark.skipif(
    tuple(map(int, keras.__version__.split(".")[:2])) < (3, 15),
    reason=f"version 0.1 saved its models by Keras 3.15, which Keras {keras.__version__} does not read",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Unpacked; not to be changed."""
    path = tmp_path_factory.mktemp("compat")
    with tarfile.open(V0_1) as archive:
        archive.extractall(path, filter="data")
    return path


@pytest.fixture(autouse=True)
def in_that_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)


def test_its_data_set_passes_check(capsys):
    check.main(["data"])
    printed = capsys.readouterr().out
    assert "sound: " in printed
    assert f"fingerprint {loaded('data/manifest.json')['fingerprint'][:16]}" in printed


@loads_models
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "squid" else []) for name in RUNS]
)
def test_its_runs_evaluate_and_predict_as_they_did(name, capsys, tmp_path, pretended_training_here):
    evaluate.main([f"runs/{name}"])
    score = loaded(f"runs/{name}/scores.json")["test"]["planet"]
    assert f"{score:9.1f}" in capsys.readouterr().out
    predict.main([f"runs/{name}", "--data", "data", "--out", str(tmp_path / "radii.csv")])
    received, expected = table(tmp_path / "radii.csv"), table(f"{name}.csv")
    assert [list(row) for row in received] == [list(row) for row in expected]
    assert [list(row.values())[:3] for row in received] == [list(row.values())[:3] for row in expected]
    values = (np.array([[float(cell) for cell in row.values()] for row in rows]) for rows in (received, expected))
    np.testing.assert_allclose(*values, rtol=1e-5, atol=1e-7)


@loads_models
def test_a_command_that_it_finished_only_shows_the_result(capsys, pretended_training_here):
    for arguments in (
        [*SQUID, "--run", "runs/squid"],
        [*SMALL, "--wavelength", "3,7", "--run", "runs/stack"],
        [*SMALL, "--head", "depth", "--channels", "own+white", "--star", "all", "--run", "runs/baseline"],
    ):
        before = Path(arguments[-1], "state.json").read_text()
        run(*arguments)
        assert "training" not in capsys.readouterr().out
        assert Path(arguments[-1], "state.json").read_text() == before
    before = Path("runs/average/state.json").read_text()
    ensemble.main(["average", "runs/squid", "runs/baseline", "--run", "runs/average"])
    assert Path("runs/average/state.json").read_text() == before


@loads_models
def test_its_configuration_is_taken(tmp_path, capsys):
    run("--config", "runs/squid/config.json", "--run", "runs/squid")
    assert "training" not in capsys.readouterr().out


def arrays(path):
    with h5py.File(path) as file:
        found = {}
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def test_its_interrupted_run_becomes_the_run_that_it_would_have_been(folder, tmp_path, capsys):
    resumed = shutil.copytree(folder / "runs/interrupted", tmp_path / "resumed")
    run(*SQUID, "--run", str(resumed))
    assert "after epoch 1" in capsys.readouterr().out
    checkpoint = "checkpoints/epoch-00003.weights.h5"
    received, expected = arrays(resumed / checkpoint), arrays(folder / "runs/squid" / checkpoint)
    assert received.keys() == expected.keys()
    for name, values in expected.items():  # to the bit on one machine; another one rounds otherwise
        np.testing.assert_allclose(received[name], values, rtol=1e-4, atol=1e-6, err_msg=name)
    for row, its in zip(table(resumed / "metrics.csv"), table("runs/squid/metrics.csv"), strict=True):
        assert float(row["val_score"]) == pytest.approx(float(its["val_score"]), rel=1e-6)


def test_its_search_goes_on(folder, tmp_path, capsys):
    arguments = ["--model=baseline", *DATA, "--epochs", "2", "--algorithm", "random", "--search",
                 "learning_rate", "--set", "first=8"]  # fmt: skip
    arguments += ["--set", "second=4", "--run", str(shutil.copytree(folder / "runs/search", tmp_path / "search"))]
    before = table("runs/search/trials.csv")
    search.main([*arguments, "--trials", "2"])
    assert "2 trials; best: trial" in capsys.readouterr().out
    search.main([*arguments, "--trials", "3"])
    after = table(tmp_path / "search/trials.csv")
    assert after[:2] == before
    assert after[2]["status"] == "completed"

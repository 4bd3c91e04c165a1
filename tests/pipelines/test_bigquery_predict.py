"""Predictions are the same numbers from BigQuery, from shards and from the challenge's text files."""

import numpy as np
import pytest

from ariel_tf import predict, train
from pipelines import simulate, upload

MODELS = {
    "joint": [
        "linear",
        "--wavelength",
        "joint",
        "--channels",
        "all",
        "--set",
        "units=8",
        "--set",
        "head_activation=sigmoid",
    ],
    "one": ["squid", "--wavelength", "7"],
}


@pytest.fixture(scope="module")
def home(emulator, tmp_path_factory):
    """A folder with 12 planets x 2 files as text and as a data set, which is uploaded besides."""
    home = tmp_path_factory.mktemp("home")
    simulate.main([str(home / "data"), "--planets=12", "--spots=1", "--photons=2", "--seed=3", "--format=both",
                   "--jobs=1"])  # fmt: skip
    upload.main([str(home / "data"), "--project", "proj", "--dataset", "answers"])
    return home


@pytest.mark.parametrize("name", ["joint", pytest.param("one", marks=pytest.mark.slow)])
def test_predictions_are_those_from_shards_and_from_text_files(home, name, pretended_training_here):
    train.main(["--data", str(home / "data"), "--model", *MODELS[name], "--epochs", "1", "--run", str(home / name)])
    sources = {
        "shards": ["--data", str(home / "data")],
        "bigquery": ["--data", "bigquery://proj/answers"],
        "text": ["--light-curves", str(home / "data/noisy_train")],
    }
    for source, arguments in sources.items():
        predict.main([str(home / name), *arguments, "--out", str(home / f"{name}-{source}.csv")])
    shards, bigquery, text = ((home / f"{name}-{source}.csv").read_text() for source in sources)
    assert bigquery == shards
    rows, same = (np.loadtxt(content.splitlines(), delimiter=",", skiprows=1) for content in (shards, text))
    assert rows.shape == (24, 3 + {"joint": 55, "one": 1}[name])
    np.testing.assert_array_equal(rows[:, :3], same[:, :3])
    np.testing.assert_allclose(rows[:, 3:], same[:, 3:], atol=2e-7)  # in other batches: the last bit of a float32

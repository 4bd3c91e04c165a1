"""Any run folder is loaded as one model: a single run, a list run, several runs together."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from support.small_runs import DATA, SMALL, collected, train_list_and_alone

from ariel_tf import train
from ariel_tf.core.errors import UsageError
from ariel_tf.core.sealed_json import read_sealed, write_sealed
from ariel_tf.data.selection import Signature
from ariel_tf.data.sources import open_source
from ariel_tf.runs.predictor import Predictor
from ariel_tf.runs.state import read_state, write_state

pytestmark = pytest.mark.usefixtures("pretended_training")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, pretended_training):
    """Folders `list` (wavelengths 12, 3, 7) and `alone` (wavelength 20, own light curve only)."""
    folder = tmp_path_factory.mktemp("runs")
    train_list_and_alone(folder)
    return folder


def test_a_list_run_answers_all_its_wavelengths_as_each_does_alone(runs):
    together = Predictor.load(runs / "list")
    assert together.targets == (3, 7, 12)
    assert together.signature == Signature((3, 7, 12), (3, 7, 12), white_light=True)
    assert together.folds == (tuple(range(8)), (8,), (9,))
    predictions = collected(runs / "list")
    assert len(predictions.keys) == 24
    for column, name in enumerate(("w03", "w07", "w12")):
        alone = collected(runs / "list" / name)
        np.testing.assert_array_equal(alone.keys, predictions.keys)
        np.testing.assert_allclose(alone.predicted[:, 0], predictions.predicted[:, column], rtol=1e-6)
        np.testing.assert_array_equal(alone.true[:, 0], predictions.true[:, column])


def test_runs_of_different_wavelengths_go_together(runs):
    both = Predictor.load(*[runs / "alone", runs / "list/w07"])
    assert (both.targets, both.signature.inputs) == ((7, 20), (7, 20))
    assert both.configuration["wavelength"] == "7,20"
    predictions = both.predictions(open_source(DATA, both.signature.inputs))
    np.testing.assert_allclose(predictions.predicted[:, 1], collected(runs / "alone").predicted[:, 0], rtol=1e-6)
    with pytest.raises(UsageError, match=r"both predict wavelength 7; .*ensemble"):
        Predictor.load(*[runs / "list", runs / "list/w07"])


def test_a_list_run_without_all_its_models_is_refused_by_name(runs, tmp_path):
    shutil.copytree(runs / "list", tmp_path / "list")
    Path(tmp_path / "list/w07/best.keras").unlink()
    with pytest.raises(UsageError, match=r"1 of its 3 wavelengths hold no model yet \(w07\)"):
        Predictor.load(tmp_path / "list")


def test_a_run_trained_on_another_s_test_planets_is_refused(runs, tmp_path):
    other = [*SMALL, "--wavelength", "21", "--test-folds", "7", "--validation-folds", "6", "--run", str(tmp_path / "o")]
    train.main(other)
    with pytest.raises(UsageError, match="holds out as its test"):
        Predictor.load(*[runs / "alone", tmp_path / "o"])
    meta = read_sealed(tmp_path / "o/meta.json")
    write_sealed(tmp_path / "o/meta.json", meta | {"data_fingerprint": "f" * 64})
    write_state(tmp_path / "o", read_state(tmp_path / "o") | {"data_fingerprint": "f" * 64})
    with pytest.raises(UsageError, match="different data"):
        Predictor.load(*[runs / "alone", tmp_path / "o"])

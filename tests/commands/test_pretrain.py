"""The command that makes the shipped model, on few rows."""

import shutil
import zipfile

import keras
import numpy as np
import pytest

from ariel_tf import open_data, pretrain
from ariel_tf.core.atomic_files import read_json
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.evaluation.held_out import own_data
from ariel_tf.runs import shipped
from ariel_tf.runs.model_file import NEWER
from ariel_tf.runs.predictor import Predictor
from ariel_tf.training.pretraining import fit, rows

ARGUMENTS = [
    "--rows", "80", "--validation-rows", "32", "--epochs", "2", "--units", "8", "--layers", "2", "--jobs", "1",
    "--batch-size", "16",
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a finished command."""
    folder = tmp_path_factory.mktemp("pretrain") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "BLOCK_ROWS", 32)
        patch.setattr(rows, "training_stream", lambda seed: rows.Stream(seed, 32, priors=rows.PRIORS))
        pretrain.main([str(folder), *ARGUMENTS])
    return folder


def test_the_model_and_its_card(made):
    card = read_json(made / "transit-joint.json", dict)
    assert card["rows"] == 96
    assert card["epochs"] == 2
    assert len(card["sha256"]) == 64
    assert set(card["validation"]) == {"1", "10 of one spot", "8 of 4 spots", "100 of 10 spots"}
    assert all(0 < found["coverage_68"] < 1 for found in card["validation"].values())
    (history,) = made.glob("training/*/history.csv")
    assert len(history.read_text().splitlines()) == 3


def test_the_lowest_keras_can_load_the_model_and_the_one_of_the_package(made):
    """It refuses arguments that newer versions write even where they are None."""
    for path in (made / "transit-joint.keras", shipped.FOLDER / "transit-joint.keras"):
        with zipfile.ZipFile(path) as archive:
            text = archive.read("config.json").decode()
        assert '"class_name": "Dense"' in text
        assert not any(name in text for name in NEWER)


def test_rows_that_are_there_are_not_measured_again(made, monkeypatch):
    monkeypatch.setattr(rows, "measure_block", lambda *_: pytest.fail("measured again"))
    assert list(rows.write_blocks(made / "measured", rows.Stream(1, 32, priors=rows.PRIORS), 3, 1)) == []


def test_rows_of_another_stream_are_refused(made):
    with pytest.raises(UsageError, match="same seed and priors"):
        list(rows.write_blocks(made / "measured", rows.Stream(2, 32), 3, 1))


def test_a_damaged_block_is_named(made, tmp_path):
    content = rows.block_path(made / "measured", 0).read_bytes()
    (tmp_path / "00000.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"00000\.npz"):
        rows.read_blocks(tmp_path, 1)


def test_a_block_is_the_same_in_any_process_and_order(made):
    stored = rows.read_blocks(made / "measured", 1)
    again = rows.measure_block(rows.Stream(1, 32, priors=rows.PRIORS), 0)
    np.testing.assert_allclose(stored["radii"], again["radii"])
    np.testing.assert_allclose(stored["shaped"], again["shaped"], atol=1e-5)


@pytest.fixture(scope="module")
def each(made, tmp_path_factory):
    """The folder of a finished command with a network for each wavelength, on the same rows."""
    folder = tmp_path_factory.mktemp("each") / "out"
    shutil.copytree(made, folder, ignore=shutil.ignore_patterns("training"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "BLOCK_ROWS", 32)
        patch.setattr(rows, "training_stream", lambda seed: rows.Stream(seed, 32, priors=rows.PRIORS))
        patch.setattr(rows, "measure_block", lambda *_: pytest.fail("measured again"))
        pretrain.main([str(folder), *ARGUMENTS, "--each"])
    return folder


@pytest.mark.slow
def test_with_each_a_wavelength_s_network_has_weights_of_its_own(each):
    model = keras.models.load_model(each / "transit-each.keras", compile=False)
    rng = np.random.default_rng(1)
    flux, star = 1 - 0.01 * rng.random((2, 300, 55), np.float32), np.array([[5000, 4.5, 1, 1, 9, 3.0]] * 2, np.float32)
    before = model({"flux": flux, "star": star})
    assert model.trainable_variables
    for variable in model.trainable_variables:
        assert variable.shape[0] == 55
        values = variable.numpy()
        values[12] += 0.1
        variable.assign(values)
    after = model({"flux": flux, "star": star})
    for name in ("radius", "sigma"):
        changed = np.abs(after[name] - before[name]).max(axis=0) > 0
        np.testing.assert_array_equal(np.flatnonzero(changed), [12])


def test_a_folder_of_pretrain_is_used_like_the_model_of_the_package(made):
    trained = Predictor.load(made)
    check_use(trained)
    np.testing.assert_array_equal(trained.trained_on, read_json(made / "transit-joint.json", dict)["trained_on"])


@pytest.mark.slow
def test_a_folder_with_two_models_of_pretrain_is_refused_and_each_is_used_by_name(each):
    with pytest.raises(UsageError, match=r"one model\. The folder contains transit-each\.keras, transit-joint\.keras"):
        Predictor.load(each)
    check_use(Predictor.load(each / "transit-each.keras"))


def check_use(trained):
    """It measures planets, and has no data of its own."""
    assert trained.targets == tuple(range(55))
    planets = open_data("simulated:planets=1,spots=1,photons=2,seed=3")
    table = trained.measure(planets)
    assert np.isfinite(table.to_numpy()).all()
    with pytest.raises(UsageError, match="simulated for it; expected --data DATA"):
        own_data(trained)


def test_a_model_that_differs_from_its_card_is_refused(made, tmp_path):
    for name in ("transit-joint.keras", "transit-joint.json"):
        shutil.copy(made / name, tmp_path)
    with open(tmp_path / "transit-joint.keras", "ab") as file:
        file.write(b"0")
    with pytest.raises(DataError, match="changed since it was made; repeat the command"):
        Predictor.load(tmp_path)


def test_another_number_of_epochs_is_another_training(made):
    """A longer command once found the epochs of the shorter one done, and trained nothing on its new rows."""
    first = fit.Settings(2, 16, 1e-3, 8, 2, 1)
    names = {fit.training_folder(made, one, count) for one in (first, first._replace(epochs=3)) for count in (96, 128)}
    assert len(names) == 4
    assert fit.training_folder(made, first, 96).is_dir()

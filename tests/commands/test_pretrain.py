"""The command that makes the shipped model, on few rows."""

import zipfile

import numpy as np
import pytest

from ariel_tf import pretrain
from ariel_tf.core.atomic_files import read_json
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.runs import shipped
from ariel_tf.runs.model_file import NEWER
from ariel_tf.training.pretraining import rows

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
    assert len((made / "history.csv").read_text().splitlines()) == 3


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

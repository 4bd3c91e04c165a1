"""Correlations of steps with depth: as NumPy's, of training planets alone, in a form that --steps takes."""

import csv

import numpy as np
import pytest
from support.pictures import is_drawn

from ariel_tf.config.time_steps import parse_steps
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.selection import Selection
from ariel_tf.data.sources import open_source
from pipelines import check, convert, correlations, simulate


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("correlations") / "data"
    simulate.main([str(folder), "--planets=20", "--spots=1", "--photons=2", "--jobs=1"])
    return folder


def test_they_are_numpy_s_over_the_training_folds_observations(data, tmp_path, capsys, draws):
    check.main([str(data), "--correlations", str(tmp_path)])
    rows = list(csv.reader((tmp_path / "correlations.csv").read_text().splitlines()))[1:]
    received = np.array(rows, float)[:, 1:]
    planets = list(open_source(str(data), range(55)).records(Selection.of(range(8), range(55))).as_numpy_iterator())
    assert len(planets) == 16
    flux = np.concatenate([planet["flux"] for planet in planets], axis=1).astype(float)
    depth = (
        np.concatenate([np.repeat(planet["radii"][:, None], 2, axis=1) for planet in planets], axis=1).astype(float)
        ** 2
    )
    for wavelength, step in [(0, 0), (12, 147), (54, 299)]:
        expected = np.corrcoef(flux[wavelength, :, step], depth[wavelength])[0, 1]
        assert received[wavelength, step] == pytest.approx(expected, abs=1e-5)
    assert is_drawn(tmp_path / "correlations.png")
    printed = capsys.readouterr().out
    listed = printed.split("--steps ")[1].split("\n")[0]
    assert len(parse_steps(listed)) == 100
    assert 147 in parse_steps(listed), "mid-transit tells of the depth"


def test_what_lies_there_is_replaced_only_when_asked(data, tmp_path, monkeypatch):
    (tmp_path / "correlations.csv").write_text("mine")
    monkeypatch.setattr(correlations, "report", lambda source, out: (out / "correlations.csv").write_text("new"))
    command = [str(data), "--correlations", str(tmp_path)]
    with pytest.raises(UsageError, match=r"correlations.csv exists already; give another folder, or --overwrite"):
        check.main(command)
    assert (tmp_path / "correlations.csv").read_text() == "mine"
    check.main([*command, "--overwrite"])
    assert (tmp_path / "correlations.csv").read_text() == "new"
    with pytest.raises(UsageError, match="expected a folder"):
        check.main([str(data), "--correlations", str(tmp_path / "correlations.csv")])
    with pytest.raises(UsageError, match="requires --correlations"):
        check.main([str(data), "--overwrite"])


def test_a_command_that_was_killed_between_picture_and_table_can_be_repeated(data, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    command = [str(data), "--correlations", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr(correlations, "write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            check.main(command)
    assert [path.name for path in tmp_path.glob("*.csv")] == []
    check.main(command)
    assert (tmp_path / "correlations.csv").is_file()


def test_the_strongest_steps_worked_by_hand():
    values = np.zeros((2, 300))
    values[0, [5, 9]] = -0.8, 0.3
    values[1, 7] = 0.9
    values[1, 8] = np.nan
    assert correlations.strongest(values[0], 1) == (5,)
    assert correlations.strongest(values, 3) == (5, 7, 9)


def test_a_hundred_steps_side_by_side_are_two_numbers():
    assert correlations.as_flag((98, 99, 100)) == "98:101"
    assert correlations.as_flag((98, 100)) == "98,100"


def test_a_test_set_has_no_depth_to_correlate_with(real_data, tmp_path):
    out = tmp_path / "data"
    convert.main(["--light-curves", str(real_data / "noisy_test"), "--out", str(out)])
    with pytest.raises(DataError, match="expected planets with known radii"):
        correlations.report(open_source(str(out), range(55)), tmp_path)

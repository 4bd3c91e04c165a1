"""Converting pickles of ESA Datalabs: the same data set as from text files, resumption, a sentence for each fault."""

import os
import pickle
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from ariel_tf.core.errors import DataError, Stopped, UsageError
from ariel_tf.data.manifest import Manifest
from ariel_tf.data.pickles import planet as pickles_planet
from ariel_tf.data.pickles import releases
from ariel_tf.data.text.format import write_light_curve, write_params
from benchmarks.datalabs_pickles import exported, hackathon, made_up_planets, tables, workshop
from pipelines import check, convert

TRAIN = ("train_X_data", "train_X_params", "train_y_data", "train_y_params")


@pytest.fixture
def train() -> dict:
    """What ADC21esac_train.pkl holds."""
    return hackathon(made_up_planets(), True)


def dumped(folder: Path, **files) -> list[str]:
    for name, value in files.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(value))
    return [str(folder / f"{name}.pkl") for name in files]


def run(out: Path, pickles: list[str], *options: str) -> Manifest:
    convert.main(["--pickle", *pickles, "--out", str(out), "--jobs", "1", *options])
    return Manifest.read(out)


def faults(out: Path, pickles: list[str]) -> list[str]:
    with pytest.raises(DataError) as caught:
        run(out, pickles)
    assert not (out / "manifest.json").exists()
    return [fault.replace(f"{Path(pickles[0]).parent}/", "") for fault in caught.value.faults]


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.tfrecord"))}


def test_both_releases_give_the_data_set_that_text_files_give(train, tmp_path, capsys):
    for kind in ("noisy_train", "params_train"):
        (tmp_path / kind).mkdir()
    for planet in made_up_planets():
        for row, key in enumerate(planet.keys):
            write_light_curve(tmp_path / f"noisy_train/{key.name}.txt", planet.star, planet.flux[:, row])
            write_params(tmp_path / f"params_train/{key.name}.txt", planet.orbit, planet.radii)
    text = [f"--light-curves={tmp_path}/noisy_train", f"--params={tmp_path}/params_train", f"--out={tmp_path}/text"]
    convert.main([*text, "--jobs=1"])
    for name, files in (("whole", {"w": train}), ("parts", workshop(made_up_planets(), True))):
        manifest = run(tmp_path / name, dumped(tmp_path, **files))
        assert shards(tmp_path / name) == shards(tmp_path / "text")
        assert manifest.planets.keys() == {1, 4381, 9999}
        assert manifest.labelled
        assert manifest.source["kind"] == "pickles of ESA Datalabs"
    assert "3 planets, 4 observations, with targets" in capsys.readouterr().out
    check.main([str(tmp_path / "whole")])


def test_a_test_set_has_no_targets_and_processes_change_nothing(tmp_path):
    files = dumped(tmp_path, ADC21esac_test=hackathon(made_up_planets(), False))
    assert not run(tmp_path / "one", files).labelled
    run(tmp_path / "two", files, "--jobs", "2")
    assert shards(tmp_path / "one") == shards(tmp_path / "two")


def test_an_interrupted_run_goes_on_and_a_complete_one_says_so(train, tmp_path, monkeypatch, capsys):
    files = dumped(tmp_path, train=train)
    run(tmp_path / "unbroken", files, "--shard-bytes", "1000")
    real, seen = pickles_planet.read_planet, []

    def interrupted(task, skip_bad):
        seen.append(task.number)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(task, skip_bad)

    monkeypatch.setattr(pickles_planet, "read_planet", interrupted)
    with pytest.raises(Stopped, match="repeat the command to resume"):
        run(tmp_path / "out", files, "--shard-bytes", "1000")
    assert len(seen) == 2
    run(tmp_path / "out", files, "--shard-bytes", "1000")
    assert len(seen) == 2 + 2
    assert shards(tmp_path / "out") == shards(tmp_path / "unbroken")
    run(tmp_path / "out", files, "--shard-bytes", "1000")
    assert len(seen) == 2 + 2
    assert "complete already" in capsys.readouterr().out


def test_a_file_that_changes_while_it_is_read_is_noticed(train, tmp_path):
    files = dumped(tmp_path, train=train)
    (task, *_) = releases.read_release([Path(files[0])]).tasks
    os.utime(files[0], ns=(1, 1))
    with pytest.raises(DataError, match=r"train.pkl: was changed while it was read"):
        pickles_planet.read_planet(task, skip_bad=False)


def test_all_faults_are_listed_at_once_and_skip_bad_leaves_them_out(train, tmp_path):
    name = "0001_01_01.txt"
    train["X"][name] = train["X"][name].copy()
    train["X"][name][3, 7] = 99
    train["X"]["0001_01_02.txt"] = np.ones((300, 55))
    train["X"]["0001_01_04.txt"] = train["X"]["0001_01_03.txt"].copy()
    train["X"]["0001_01_05.txt"] = train["X"]["0001_01_03.txt"]
    train["X"]["notes"] = np.ones((55, 300))
    train["X"]["0777_01_01.txt"] = np.ones((55, 300))
    train["y"]["9999_01_01.txt"] = np.full(55, 1.5)
    files = dumped(tmp_path, train=train)
    assert faults(tmp_path / "out", files) == [
        "train.pkl['0001_01_02.txt']: expected an array of [55, 300] numbers, found [300, 55]: it is transposed",
        "train.pkl['0001_01_05.txt']: another observation has the very same light curves",
        "train.pkl['notes']: expected a file name like 0052_01_10.txt (planet_spot_photon), received 'notes'",
        "train.pkl: planet 0777 has light curves, but no radii",
        "train.pkl[0001_01_01.txt]: row 4, column 8: flux is 99.0, expected within (-10.0, 10.0)",
        "train.pkl[0001_01_04.txt]: has no row in the table of stellar parameters",
        *(f"train.pkl[9999]: relative radius is 1.5 at wavelength {w}, expected (0, 1]" for w in range(3)),
    ]
    manifest = run(tmp_path / "out", files, "--skip-bad")
    assert manifest.planets.keys() == {1, 4381}
    assert manifest.rows == 2
    assert len(manifest.skipped) == 9
    check.main([str(tmp_path / "out")])


def test_rows_that_contradict_each_other_are_faults(train, tmp_path):
    train["y"]["0001_01_03.txt"] = train["y"]["0001_01_03.txt"] + 1 / 128
    train["X_params"][0]["star_temp"]["0001_01_03.txt"] = 5000.0
    train["y_params"][0]["incl"]["4381_02_10.txt"] = -1.0
    found = faults(tmp_path / "out", dumped(tmp_path, train=train))
    assert found == [
        "train.pkl[0001_01_03.txt]: star_temp is 5000.0, but 4096.625 in train.pkl[0001_01_01.txt], a file of the same "
        "planet",
        "train.pkl[0001_01_03.txt]: the relative radius at wavelength 0 is 0.078125, but 0.0703125 in 0001_01_01.txt, "
        "a file of the same planet",
        "train.pkl[4381]: incl is -1.0, expected (0, 180) deg",
    ]


def test_missing_values_are_faults_not_numbers(train, tmp_path):
    train["X_params"][0]["period"]["4381_02_10.txt"] = None
    (fault,) = faults(tmp_path / "out", dumped(tmp_path, train=train))
    assert fault == "train.pkl[4381_02_10.txt]: period is nan, expected (0, 1e+06) days"


def radii_table(names) -> object:
    import pandas as pd

    rows = workshop(made_up_planets(), True)["train_y_data"]
    return pd.DataFrame(np.stack(list(rows.values())), index=list(rows), columns=names)


@pytest.mark.parametrize("change", ["table of radii", "exported table of radii", "lists", "stars by planet", "series"])
def test_other_shapes_of_the_same_numbers(train, tmp_path, change):
    import pandas as pd

    run(tmp_path / "expected", dumped(tmp_path, train=train))
    if "radii" in change:
        table = radii_table([f"w{w}" for w in range(1, 56)])[[f"w{w}" for w in range(55, 0, -1)]]
        train["y"] = exported(table) if "exported" in change else table
    elif change == "lists":
        train["y"] = {name: radii.tolist() for name, radii in train["y"].items()}
    elif change == "stars by planet":
        del train["X_params"], train["y_params"]
    else:
        train["X"], train["y"] = pd.Series(train["X"]), pd.Series(train["y"])
    run(tmp_path / "out", dumped(tmp_path, other=train))
    assert shards(tmp_path / "out") == shards(tmp_path / "expected")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda train: train.update(X_params=None, planet=None), "expected the stellar parameters too"),
        (lambda train: train.update(y_params=None, planet=None), "expected the orbits of the radii too"),
        (lambda train: train["X_params"][0].pop("star_mass"), r"expected the columns star_temp, .* Absent: star_mass"),
        (lambda train: train.update(y=radii_table(list("abcde") * 11)), "columns have different names|expected 55 col"),
        (lambda train: train.update(y=radii_table([f"w{w}" for w in range(2, 57)])), "expected 55 columns like w1"),
        (lambda train: train.update(y=[1, 2]), "y: expected a dict or a series, found list"),
        (
            lambda train: train.update(X_params=tables(made_up_planets(), True)["X_params"].reset_index(drop=True)[
                ["star_temp", "star_logg", "star_rad", "star_mass", "star_k_mag", "period"]
            ]),
            "expected rows by file name or by planet, 1 to 9999, found a row 0",
        ),
        (
            lambda train: train["X_params"][0]["photon"].update({"0001_01_03.txt": 7}),
            r"'0001_01_03.txt' has the planet, spot and photon \(1, 1, 7\) in its row",
        ),
        (lambda train: train["y"].update({"0001_01_03.txt": np.ones(54)}), r"y: expected 55 numbers, found an array"),
    ],
)  # fmt: skip
def test_tables_that_do_not_fit_are_one_sentence(train, tmp_path, change, fault):
    change(train)
    with pytest.raises((DataError, UsageError), match=fault):
        run(tmp_path / "out", dumped(tmp_path, train=train))
    assert not (tmp_path / "out").exists()


def test_files_that_do_not_go_together(train, tmp_path):
    parts = {**workshop(made_up_planets(), True), **workshop(made_up_planets(), False)}
    with pytest.raises(UsageError, match="both hold X; give the files of one set, training or test"):
        run(tmp_path / "out", dumped(tmp_path, **parts))
    with pytest.raises(UsageError, match="expected the light curves too, in a file like"):
        run(tmp_path / "out", dumped(tmp_path, train_X_params=parts["train_X_params"]))
    with pytest.raises(DataError, match="expected a dict with X and X_params, or one of arrays"):
        run(tmp_path / "out", dumped(tmp_path, other={"a": 1}))
    with pytest.raises(UsageError, match="--pickle: expected without --light-curves"):
        run(tmp_path / "out", dumped(tmp_path, train=train), "--light-curves", str(tmp_path))
    with pytest.raises(UsageError, match="--pickle: expected a file, found none at"):
        run(tmp_path / "out", [str(tmp_path / "nowhere.pkl")])
    with pytest.raises(UsageError, match="expected --light-curves, a folder of challenge text files, or --pickle"):
        convert.main(["--out", str(tmp_path / "out")])


def test_a_hostile_pickle_is_one_sentence_and_nothing_runs(tmp_path, monkeypatch):
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/marker",)

    monkeypatch.setattr(pickle, "Unpickler", None)
    monkeypatch.setattr(pickle, "loads", None)
    with pytest.raises(DataError, match=r"train.pkl: refers to posix.system, which no file of arrays and tables needs"):
        run(tmp_path / "out", dumped(tmp_path, train={"X": Hostile()}))
    assert not (tmp_path / "marker").exists()
    assert shutil.which("touch")

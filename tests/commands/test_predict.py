"""From a run and data to the file that a user sends in: every number under its own key, whatever order it came in."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import tensorflow as tf

from ariel_tf import evaluate, plot, predict, submission, train
from ariel_tf.challenge import score
from ariel_tf.core.errors import ArielError, DataError, NonFiniteError, UsageError
from ariel_tf.data import dataset
from ariel_tf.data.selection import Selection
from ariel_tf.data.sources import open_source
from ariel_tf.data.sources.text import TextSource
from ariel_tf.data.sources.tfrecord import TFRecordSource
from ariel_tf.runs.prediction_files import PredictionWriter
from ariel_tf.runs.predictor import Predictor
from pipelines import simulate

pytestmark = pytest.mark.usefixtures("pretended_training")

# A head in 0 to 1: untrained, another one would answer radii that no submission may hold.
JOINT = ["--model", "linear", "--wavelength", "joint", "--channels", "all", "--set", "units=8", "--set",
         "head_activation=sigmoid"]  # fmt: skip

# The joint model weighs differences of sums of squares: in another batch float32 rounds them otherwise.
ROUNDING = {"rtol": 1e-5, "atol": 2e-7}


@pytest.fixture(scope="module")
def home(tmp_path_factory, pretended_training):
    """A folder with the same 12 planets x 4 files as text and as a data set, a joint run and one of wavelength 12."""
    home = tmp_path_factory.mktemp("home")
    simulate.main([str(home / "data"), "--planets=12", "--spots=2", "--photons=2", "--seed=1", "--format=both",
                   "--jobs=1"])  # fmt: skip
    data = ["--data", str(home / "data"), "--epochs", "2"]
    train.main([*data, *JOINT, "--run", str(home / "joint")])
    train.main(["--model=baseline", *data, "--set", "first=8", "--set", "second=4", "--run", str(home / "one")])
    return home


@pytest.fixture(scope="module")
def from_shards(home):
    """The submission from TFRecords, and its numbers."""
    predict.main([str(home / "joint"), "--data", str(home / "data"), "--out", str(home / "submission.txt")])
    return home / "submission.txt"


def names(home):
    return sorted(path.stem for path in (home / "data/noisy_train").rglob("*.txt"))


def test_a_submission_has_the_challenge_s_layout(home, from_shards):
    lines = from_shards.read_text().split("\n")
    assert lines.pop() == ""
    assert len(lines) == 48
    for line in lines:
        cells = line.split("\t")
        assert len(cells) == 55
        assert all(len(cell.split(".")[1]) == 10 for cell in cells)


def test_each_row_is_the_model_s_answer_to_the_file_of_that_name(home, from_shards):
    """Independently: np.loadtxt of each file, by the sorted names, one file at a time."""
    trained = Predictor.load(home / "joint")
    rows = np.loadtxt(from_shards)
    for row, name in list(enumerate(names(home)))[::7]:
        path = home / f"data/noisy_train/{name}.txt"
        star = [float(line.split(":")[1]) for line in path.read_text().splitlines()[:6]]
        np.testing.assert_allclose(trained.predict(np.loadtxt(path), star), rows[row], **ROUNDING)


def test_text_files_give_what_shards_give_in_any_batch(home, from_shards, tmp_path, monkeypatch):
    out = tmp_path / "text.txt"
    predict.main([str(home / "joint"), "--light-curves", str(home / "data/noisy_train"), "--out", str(out)])
    np.testing.assert_allclose(np.loadtxt(out), np.loadtxt(from_shards), **ROUNDING)
    monkeypatch.setattr("ariel_tf.data.dataset.prediction_batch_size", lambda signature: 1)
    predict.main([str(home / "joint"), "--data", str(home / "data"), "--out", str(tmp_path / "one_by_one.txt")])
    np.testing.assert_allclose(np.loadtxt(tmp_path / "one_by_one.txt"), np.loadtxt(from_shards), **ROUNDING)


def test_rows_shuffled_on_the_way_in_come_out_in_order(home, from_shards, tmp_path, monkeypatch):
    batches = dataset.evaluation_batches

    def shuffled(*arguments):
        everything = list(batches(*arguments))
        rows = {name: np.concatenate([batch[name] for batch in everything]) for name in everything[0]}
        order = np.random.default_rng(0).permutation(len(rows["key"]))
        assert (rows["key"][order] != np.array(sorted(rows["key"].tolist()))).any()
        for part in np.array_split(order, 5):
            yield {name: values[part] for name, values in rows.items()}

    monkeypatch.setattr(dataset, "evaluation_batches", shuffled)
    predict.main([str(home / "joint"), "--data", str(home / "data"), "--out", str(tmp_path / "a.txt")])
    np.testing.assert_allclose(np.loadtxt(tmp_path / "a.txt"), np.loadtxt(from_shards), **ROUNDING)


def test_csv_and_parquet_hold_the_same_numbers_with_their_keys(home, from_shards, tmp_path):
    run, data = str(home / "joint"), str(home / "data")
    predict.main([run, "--data", data, "--out", str(tmp_path / "a.csv")])
    predict.main([run, "--data", data, "--out", str(tmp_path / "a.parquet")])
    header, *lines = (tmp_path / "a.csv").read_text().splitlines()
    assert header.startswith("planet,spot,photon,radius_00,")
    assert header.endswith(",radius_54")
    cells = [line.split(",") for line in lines]
    assert ["{:04d}_{:02d}_{:02d}".format(*map(int, row[:3])) for row in cells] == names(home)
    assert ["\t".join(row[3:]) for row in cells] == from_shards.read_text().splitlines()
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    assert table.column_names == header.split(",")
    np.testing.assert_allclose(table["radius_07"].to_numpy(), [float(row[10]) for row in cells], atol=6e-11)


@pytest.mark.parametrize("how", ["median", "mean"])
def test_a_planet_s_combination_stands_in_each_of_its_rows_of_a_submission(home, from_shards, tmp_path, how):
    run, data = str(home / "joint"), str(home / "data")
    predict.main([run, "--data", data, "--combine", how, "--out", str(tmp_path / "a.txt")])
    predict.main([run, "--data", data, "--combine", how, "--out", str(tmp_path / "a.csv")])
    each = np.loadtxt(from_shards).reshape(12, 4, 55)
    expected = getattr(np, how)(each, axis=1)
    np.testing.assert_allclose(
        np.loadtxt(tmp_path / "a.txt").reshape(12, 4, 55), expected[:, None] + 0 * each, atol=2e-7
    )
    table = np.loadtxt(tmp_path / "a.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(table[:, 3:], expected, **ROUNDING)
    assert table[:, :3].astype(int).tolist() == [[planet, 0, 0] for planet in range(1, 13)]


def test_a_row_of_a_whole_planet_stands_for_each_of_its_observations(home, tmp_path):
    with PredictionWriter(tmp_path, 2, (3,)) as store:
        store.add(np.array([[7, 0, 0]]), np.array([[0.2]]), repeats=3)
        store.add(np.array([[5, 0, 0]]), np.array([[0.1]]), repeats=2)
        for combine in ("none", "median"):
            store.write(tmp_path / "a.txt", combine)
            assert np.loadtxt(tmp_path / "a.txt").tolist() == [0.1, 0.1, 0.2, 0.2, 0.2]
        store.write(tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines()[1:] == ["5,0,0,0.1000000000", "7,0,0,0.2000000000"]


def test_values_outside_the_range_are_counted_and_clipped_on_request(home, tmp_path, capsys, monkeypatch):
    run = [str(home / "one"), "--data", str(home / "data")]
    call = Predictor.__call__

    def shifted(self, inputs, training=False):
        radii = np.array(call(self, inputs))
        radii[:] = 0.1
        radii[0], radii[1] = -0.5, 1.5
        return radii

    monkeypatch.setattr(Predictor, "__call__", shifted)
    predict.main([*run, "--out", str(tmp_path / "a.csv")])
    assert "2 values outside (0, 1], left unchanged" in capsys.readouterr().out
    predict.main([*run, "--clip", "--out", str(tmp_path / "b.csv")])
    assert "2 values outside (0, 1], clipped to" in capsys.readouterr().out
    as_is, clipped = (np.loadtxt(tmp_path / name, delimiter=",", skiprows=1)[:, 3] for name in ("a.csv", "b.csv"))
    assert sorted(as_is)[0] == -0.5
    np.testing.assert_array_equal(clipped, np.clip(as_is, 1e-10, 1))
    monkeypatch.setattr(
        Predictor, "__call__", lambda self, inputs, training=False: np.array(call(self, inputs)) * np.nan
    )
    with pytest.raises(NonFiniteError, match="is not finite"):
        predict.main([*run, "--out", str(tmp_path / "c.csv")])
    assert not (tmp_path / "c.csv").exists()
    names = ["a.csv", "a.csv.sha256", "b.csv", "b.csv.sha256"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


@pytest.mark.parametrize(
    ("run", "more", "said"),
    [
        ("one", ["--out", "a.txt"], "leave 54 of them out"),
        ("joint", ["--out", "there.csv"], "exists already"),
        ("joint", ["--out", "a.pkl"], r"ends in \.txt, \.csv, \.parquet"),
        ("joint", ["--out", "there.csv/a.txt"], r"there\.csv is not a folder"),
        ("nothing", ["--out", "a.csv"], "expected a run folder"),
        ("", ["--out", "a.csv"], r"makes; name one of the runs in it: .*\bjoint\b"),
        ("joint/best.keras", ["--out", "a.csv"], r"makes; name the folder, .*joint\.$"),
    ],
)
def test_what_cannot_be_answered_is_refused(home, tmp_path, monkeypatch, run, more, said):
    monkeypatch.chdir(tmp_path)
    Path("there.csv").write_text("mine")
    with pytest.raises(UsageError, match=said):
        predict.main([str(home / run), "--data", str(home / "data"), *more])
    assert Path("there.csv").read_text() == "mine"


@pytest.mark.parametrize(("given", "said"), [([], "neither"), (["--data=a", "--light-curves=b"], "both")])
def test_data_are_named_once(given, said):
    with pytest.raises(UsageError, match=f"expected one of --data and --light-curves. Received: {said}$"):
        predict.main(["run", "--out", "a.csv", *given])


def test_a_data_set_of_another_schema_is_refused(home, tmp_path):
    shutil.copytree(home / "data", tmp_path / "data")
    manifest = tmp_path / "data/manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(DataError, match="expected schema 1, received 2"):
        predict.main([str(home / "one"), "--data", str(tmp_path / "data"), "--out", str(tmp_path / "a.csv")])


def test_a_bad_text_file_is_named(home, tmp_path):
    shutil.copytree(home / "data/noisy_train", tmp_path / "text")
    bad = sorted((tmp_path / "text").rglob("*.txt"))[20]
    bad.write_text(bad.read_text().replace("# star_rad", "# star_red"))
    with pytest.raises(DataError, match="planet 0006 could not be read") as caught:
        predict.main([str(home / "one"), "--light-curves", str(tmp_path / "text"), "--out", str(tmp_path / "a.csv")])
    assert bad.name in caught.value.faults[0]
    assert not (tmp_path / "a.csv").exists()
    (tmp_path / "text/notes.md").write_text("x")
    with pytest.raises(DataError, match="found 1 that are not"):
        TextSource(tmp_path / "text")


def test_light_curves_that_are_not_a_folder_are_told_from_a_file(tmp_path):
    (tmp_path / "0001_01_01.txt").write_text("x")
    with pytest.raises(UsageError, match=r"noisy_test: expected a folder .*, found no folder .*pipelines\.simulate`"):
        TextSource(tmp_path / "noisy_test")
    with pytest.raises(UsageError, match=r"received a file; name the folder that it is in\.$"):
        TextSource(tmp_path / "0001_01_01.txt")


def test_text_and_shards_are_the_same_source(home):
    text, shards = TextSource(home / "data/noisy_train", home / "data/params_train"), TFRecordSource(home / "data")
    choice = Selection.of(range(10), (3, 9), white_light=True)
    one, other = dataset.load(text, choice), dataset.load(shards, choice)
    for name, values in other.items():
        np.testing.assert_array_equal(one[name], values, err_msg=name)


def test_the_score_of_a_submission_is_that_of_the_files_and_the_formula(home, from_shards, capsys):
    """Independently: np.loadtxt of the submission and of every params file."""
    radii = np.loadtxt(from_shards)
    true = np.stack([np.loadtxt(home / f"data/params_train/{name}.txt") for name in names(home)])
    expected = 1e4 - 1e6 * np.mean(2 * true * np.abs(radii - true))
    assert expected == pytest.approx(score(true, radii))
    from_data = submission.check(from_shards, str(home / "data"))
    assert from_data["observation"] == pytest.approx(expected, abs=0.01)
    submission.main(
        [
            str(from_shards),
            "--light-curves",
            str(home / "data/noisy_train"),
            "--params",
            str(home / "data/params_train"),
        ]
    )
    printed = capsys.readouterr().out
    assert "48 rows of 55 radii for 12 planets; shape, order and range are valid" in printed
    assert f"{expected:9.1f}" in printed
    assert f"{from_data['planet_weighted']:9.1f}" in printed


def test_a_submission_without_known_radii_is_checked_alone(home, from_shards, capsys):
    submission.main([str(from_shards), "--light-curves", str(home / "data/noisy_train"), "--json"])
    said = capsys.readouterr()
    assert "unknown" in said.err
    found = json.loads(said.out)
    assert (found["sound"], found["scores"], found["rows"]) == (True, None, 48)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda lines: lines[:-1], "expected 48 rows, one for each observation, found 47"),
        (lambda lines: [lines[i] for i in np.random.default_rng(0).permutation(48)], "ascending order"),
        (
            lambda lines: [lines[0].replace("0.", "2.", 1), *lines[1:]],
            r"1 value outside \(0, 1\]; the first is 2.*--clip` clips",
        ),
        (lambda lines: [lines[0], "nan" + lines[1][12:], *lines[2:]], "1 value not finite"),
        (lambda lines: [lines[0], lines[1] + "\t1", *lines[2:]], "line 2: expected 55 numbers, found 56"),
        (lambda lines: [lines[0].replace("\t", " "), *lines[1:]], "line 1: expected 55 numbers, found 1 with tabs"),
        (lambda lines: ["x" + lines[0], *lines[1:]], "line 1: expected numbers only"),
        (lambda lines: [], "found an empty file"),
    ],
    ids=["short", "shuffled", "range", "nan", "wide", "spaces", "words", "empty"],
)
def test_a_wrong_submission_is_refused_with_its_fault(home, tmp_path, spoil, said):
    """The lines of a good one: true radii with one percent of noise."""
    true = np.stack([np.loadtxt(home / f"data/params_train/{name}.txt") for name in names(home)])
    radii = true * (1 + 0.01 * np.random.default_rng(1).normal(size=true.shape))
    lines = ["\t".join(f"{value:.10f}" for value in row) for row in radii]
    (tmp_path / "good.txt").write_text("".join(f"{line}\n" for line in lines))
    assert submission.check(tmp_path / "good.txt", str(home / "data"))
    (tmp_path / "bad.txt").write_text("".join(f"{line}\n" for line in spoil(lines)))
    with pytest.raises(DataError) as caught:
        submission.check(tmp_path / "bad.txt", str(home / "data"))
    assert re.search(said, "\n".join([str(caught.value), *caught.value.faults]))
    assert ": is" not in str(caught.value)


def test_rows_with_keys_are_refused_out_of_order(home, tmp_path):
    predict.main([str(home / "joint"), "--data", str(home / "data"), "--out", str(tmp_path / "a.csv")])
    header, first, second, *rest = (tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "a.csv").write_text("\n".join([header, second, first, *rest, ""]))
    (tmp_path / "a.csv.sha256").unlink()
    with pytest.raises(DataError) as caught:
        submission.check(tmp_path / "a.csv", str(home / "data"))
    assert caught.value.faults[0] == "row 1: expected 0001_01_01 in ascending order, found 0001_01_02"


def test_rows_in_no_order_vary_as_much_within_planets_as_between():
    """Hand-worked: planets (0, 0), (1, 1) have no variance within; mixed rows have ratio about 1."""
    planets = np.repeat(np.arange(30), 2)
    radii = np.repeat(np.linspace(0.02, 0.2, 30), 2)[:, None]
    assert submission.spread_within(radii, planets) == 0
    mixed = np.random.default_rng(0).permutation(radii)
    assert submission.spread_within(mixed, planets) == pytest.approx(1, abs=0.3)
    assert submission.spread_within(np.ones((60, 1)), planets) == 0


def test_a_data_set_on_another_file_system_is_read_through_tensorflow(home, from_shards, tmp_path):
    """ram:// stands in for gs://: both are TensorFlow's file systems, behind the same `tf.io.gfile` and readers."""
    for path in (home / "data").iterdir():
        if path.is_file():
            with tf.io.gfile.GFile(f"ram://bucket/data/{path.name}", "wb") as file:
                file.write(path.read_bytes())
    predict.main([str(home / "joint"), "--data", "ram://bucket/data", "--out", str(tmp_path / "a.txt")])
    assert (tmp_path / "a.txt").read_text() == from_shards.read_text()
    source = open_source("ram://bucket/data", range(55))
    assert source.description == "ram://bucket/data"
    assert source.faults() == []
    shard = "ram://bucket/data/fold-3-00000.tfrecord"
    with tf.io.gfile.GFile(shard, "rb") as file:
        whole = file.read()
    for spoilt, said in ((whole[:-1], "found"), (b"x" + whole[1:], "not those that were written")):
        tf.io.gfile.remove(shard)  # on ram:// writing would append
        with tf.io.gfile.GFile(shard, "wb") as file:
            file.write(spoilt)
        with pytest.raises(DataError) as caught:
            predict.main([str(home / "joint"), "--data", "ram://bucket/data", "--out", str(tmp_path / "b.txt")])
        assert said in caught.value.faults[0]
        assert shard in caught.value.faults[0]
    with pytest.raises(DataError, match=r"expected a data set with manifest.json in ram://nowhere"):
        open_source("ram://nowhere", (3,))
    with pytest.raises(ArielError, match="nofs://bucket: cannot be read"):
        open_source("nofs://bucket", (3,))


def test_a_submission_of_datalabs_is_written_and_checked(home, from_shards, tmp_path, capsys):
    out, run, data = str(tmp_path / "a.csv"), str(home / "joint"), ["--data", str(home / "data")]
    predict.main([run, *data, "--out", out, "--format", "datalabs"])
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["files", *(f"{name}.txt" for name in names(home))]
    assert [line.partition(",")[2].replace(",", "\t") for line in lines[1:]] == from_shards.read_text().splitlines()
    submission.main([out, *data])
    assert "48 rows of 55 radii for 12 planets; shape, order and range are valid" in capsys.readouterr().out
    for spoilt, said in (
        ([*lines[:-1]], "expected 48 rows, one for each observation, found 47"),
        ([lines[0], lines[2], lines[1], *lines[3:]], "row 1: expected 0001_01_01 in ascending order, found 0001_01_02"),
        ([*lines[:5], lines[5].rpartition(",")[0] + ",", *lines[6:]], "1 value not finite"),
        ([*lines[:5], lines[5].rpartition(",")[0] + ",inf", *lines[6:]], "1 value not finite"),
    ):
        (tmp_path / "bad.csv").write_text("\n".join([*spoilt, ""]))
        with pytest.raises(DataError) as caught:
            submission.check(tmp_path / "bad.csv", str(home / "data"))
        assert said in caught.value.faults[0]
    with pytest.raises(UsageError, match="--format datalabs: requires a name of --out"):
        predict.main([run, *data, "--out", str(tmp_path / "b.txt"), "--format", "datalabs"])
    with pytest.raises(UsageError, match="leave 54 of them out"):
        predict.main([str(home / "one"), *data, "--out", str(tmp_path / "b.csv"), "--format", "datalabs"])


def test_sources_list_the_same_observations(home):
    expected = [[int(part) for part in name.split("_")] for name in names(home)]
    for source in (TextSource(home / "data/noisy_train"), TFRecordSource(home / "data")):
        assert source.keys(range(10)).tolist() == expected
        some = source.keys([3, 4])
        assert set(some[:, 0].tolist()) == {planet for planet, fold in source.folds.items() if fold in (3, 4)}


def test_training_evaluation_and_plots_take_a_folder_of_text_files(home, tmp_path, capsys):
    text = str(home / "data/noisy_train")
    options = ["--model=baseline", "--epochs", "2", "--set", "first=8", "--set", "second=4", "--run",
               str(tmp_path / "one")]  # fmt: skip
    train.main(["--data", text, *options])
    scores = [json.loads((run / "scores.json").read_text()) for run in (tmp_path / "one", home / "one")]
    assert scores[0] == scores[1]
    capsys.readouterr()
    evaluate.main([str(tmp_path / "one"), "--data", text])
    assert "observations of text files in" in capsys.readouterr().out
    plot.main(["--data", text, "--planet", "3", "--out", str(tmp_path / "curve.png")])
    assert (tmp_path / "curve.png").is_file()


def test_text_files_in_a_shuffled_order_are_the_same_planets_in_a_graph(home):
    """An order is an int32 tensor of a graph: a function of (seed, epoch)."""
    source = TextSource(home / "data/noisy_train", home / "data/params_train")

    def epochs(seed):
        numbers = tf.data.Dataset.range(2, output_type=tf.int32)
        read = numbers.flat_map(lambda epoch: source.records(Selection.of(range(10), (3,)), tf.stack([seed, epoch])))
        return [int(planet["planet"]) for planet in read.as_numpy_iterator()]

    first = epochs(1)
    assert sorted(first[:12]) == sorted(first[12:]) == list(range(1, 13))
    assert first[:12] != first[12:] != list(range(1, 13))
    assert epochs(1) == first != epochs(2)


def test_statistics_of_text_files_are_those_of_their_shards(home):
    text, shards = TextSource(home / "data/noisy_train", home / "data/params_train"), TFRecordSource(home / "data")
    for folds in (range(10), (2, 5)):
        one, other = text.statistics(folds), shards.statistics(folds)
        for name, values in other.items():
            assert one[name].count == values.count
            np.testing.assert_allclose(one[name].mean, values.mean, rtol=1e-12)
            np.testing.assert_allclose(one[name].std, values.std, rtol=1e-9)

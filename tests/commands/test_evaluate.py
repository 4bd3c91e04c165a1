"""The score command: equal to a computation from files, several runs on the same planets, references, leaderboard."""

import base64
import dataclasses
import html.parser
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from support import pictures
from support.pictures import is_drawn
from support.run_folders import table

from ariel_tf import evaluate, predict, report, train
from ariel_tf.core.atomic_files import sha256
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.folds import assign_folds
from ariel_tf.data.sources import open_source
from ariel_tf.data.text.format import read_light_curve, read_params
from ariel_tf.evaluation import held_out
from ariel_tf.planet import out_of_transit_scatter
from ariel_tf.runs.predictions import Predictions
from ariel_tf.runs.predictor import Predictor
from ariel_tf.runs.state import read_state, write_state
from pipelines import convert, simulate

pytestmark = pytest.mark.usefixtures("pretended_training")

SOURCE = "simulated:planets=40,spots=1,photons=2,seed=3"
SMALL = ["--epochs", "1", "--batch-size", "32"]
TINY = ["--set", "units=8", "--set", "layers=1"]
NET = ["--model", "baseline", "--set", "first=8", "--set", "second=4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pretended_training):
    """Text files and data of 40 planets x 2 observations; runs: joint, wavelength 12, a list, rows of planets."""
    here = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        simulate.main(["text", "--planets=40", "--spots=1", "--photons=2", "--seed=3", "--format=text", "--jobs=1"])
        convert.main(["--light-curves=text/noisy_train", "--params=text/params_train", "--out=data", "--jobs=1"])
        common = ["--data", "data", *SMALL]
        with pictures.drawn():
            train.main([*common, "--model", "linear", "--wavelength", "joint", *TINY, "--run", "runs/joint"])
        train.main([*common, *NET, "--wavelength", "12", "--run", "runs/one"])
        train.main([*common, *NET, "--wavelength", "3,12", "--run", "runs/two"])
        compressed = ["--model", "compressed", "--set", "second=8", "--set", "third=8"]
        train.main([*common, *compressed, "--wavelength", "12", "--run", "runs/rows"])
    return here


@pytest.fixture(autouse=True)
def in_that_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)


def printed(capsys, *arguments):
    capsys.readouterr()
    evaluate.main([*arguments])
    return capsys.readouterr().out


def score_in(text, name):
    """The planet score that a ladder's row gives."""
    return float(re.search(rf"^. {re.escape(name)}\s+[-\d.]+\s+([-\d.]+) ", text, re.MULTILINE)[1])


def test_the_score_is_that_of_the_predictions_and_the_params_files(capsys):
    """By another road: the CSV that `predict` writes, the text files that the data came from, the formula by hand."""
    text = printed(capsys, "runs/joint")
    predict.main(["runs/joint", "--data", "data", "--out", "radii.csv"])
    tested = {int(name) for name in re.findall(r"^  (\d{4})  ", text, re.MULTILINE)}
    assert len(tested) == 4
    loss, weighted, weights = [], [], []
    for row in table("radii.csv"):
        name = f"{int(row['planet']):04d}_{int(row['spot']):02d}_{int(row['photon']):02d}.txt"
        if int(row["planet"]) in tested:
            radii = read_params(Path("text/params_train") / name)[1]
            answer = np.array([float(row[f"radius_{wavelength:02d}"]) for wavelength in range(55)])
            loss.append(2 * radii * np.abs(answer - radii))
            its = [Path("text/noisy_train") / f"{name[:5]}01_{photon:02d}.txt" for photon in (1, 2)]
            scatter = [out_of_transit_scatter(read_light_curve(path)[1].astype(np.float32)) for path in its]
            weights.append(1 / np.mean(scatter, axis=0) ** 2)
            weighted.append(loss[-1] * weights[-1])
    expected = 1e4 - 1e6 * np.mean(loss)
    assert f"one observation{expected:40.1f}   [" in text
    assert f"one observation, weighted{1e4 - 1e6 * np.sum(weighted) / np.sum(weights):30.1f}   [" in text


def test_runs_of_any_kind_meet_on_the_wavelengths_that_they_share(capsys):
    text = printed(capsys, "runs/joint", "runs/one", "runs/two", "runs/rows")
    assert "wavelength 12" in text.splitlines()[0]
    for name in ("one", "rows"):
        alone = json.loads(Path("runs", name, "scores.json").read_text())["test"]["planet"]
        assert score_in(text, name) == pytest.approx(alone, abs=0.06)
    alone = json.loads(Path("runs/two/w12/scores.json").read_text())["test"]["planet"]
    assert score_in(text, "two") == pytest.approx(alone, abs=0.06)
    differences = re.findall(r"^  (one|two|rows)\s+([-+\d.]+) ", text, re.MULTILINE)
    assert [name for name, _ in differences] == ["one", "two", "rows"]
    for name, value in differences:
        assert float(value) == pytest.approx(score_in(text, "joint") - score_in(text, name), abs=0.11)


def test_a_list_of_wavelengths_is_one_run(capsys):
    scores = json.loads(Path("runs/two/scores.json").read_text())["test"]
    text = printed(capsys, "runs/two")
    assert f"{scores['planet']:9.1f}" in text
    assert "wavelengths 3,12" in text


@pytest.fixture(scope="module")
def trained(folder):
    return Predictor.load(folder / "runs/one")


def test_planets_of_the_training_are_left_out_of_the_text_files_that_they_were_converted_from(trained, capsys):
    text = printed(capsys, "runs/one", "--data", "text/noisy_train")
    assert "4 planets, 8 observations" in text
    assert "36 planets of it were, and are left out" in text
    files = open_source("text/noisy_train", ())
    assert held_out.held_out(trained, files) == {p for p, fold in trained_folds().items() if fold == 9}
    assert held_out.same_planets(open_source("data", ()), files) == set(trained_folds())
    others = open_source("simulated:planets=40,spots=1,photons=1,seed=5", ())
    assert held_out.held_out(trained, others) == set(range(1, 41))
    assert held_out.evaluation_role(trained, others, range(10)).endswith("the model was trained on")
    moved = dataclasses.replace(trained, data="elsewhere")
    assert "could not be checked" in held_out.evaluation_role(moved, files, range(10))


def trained_folds():
    return open_source("data", ()).folds


def test_only_planets_that_all_runs_hold_out_are_compared(trained):
    """One run holds out folds 7 and 9, one fold 9 alone: fold 9 it is; and no fold that either has seen."""
    source = open_source("data", (12,))
    other = dataclasses.replace(trained, path=Path("other"), folds=trained.folds._replace(test=(7, 9)))
    third = dataclasses.replace(trained, path=Path("third"), folds=trained.folds._replace(test=(7,)))
    in_nine = {planet for planet, fold in source.folds.items() if fold == 9}
    assert len(in_nine) == 4
    assert held_out.common([trained, other], source, None) == in_nine
    assert held_out.common([trained, other], source, (9,)) == in_nine
    with pytest.raises(UsageError, match=r"4 of these 8 planets were used by .*runs/one in training"):
        held_out.common([trained, other], source, (7, 9))
    with pytest.raises(UsageError, match=r"no planet of data .* \(of each: .*runs/one 4, third 4\)"):
        held_out.common([trained, third], source, None)


def test_simulated_planets_of_the_same_seed_are_the_same_planets(trained):
    """More planets of the seed that a run was trained on: those that it saw are left out, on disk or not."""
    simulate.main(["again", "--planets=40", "--spots=1", "--photons=2", "--seed=3", "--jobs=1"])
    disk = open_source("again", (12,))
    memory = open_source("simulated:planets=44,spots=1,photons=1,seed=3", (12,))
    for source, data, folds in (
        (memory, "again", disk.folds),
        (memory, "simulated:planets=40,spots=4,seed=3", assign_folds(range(1, 41), 3)),
        (disk, "simulated:planets=32,spots=1,photons=1,seed=3", assign_folds(range(1, 33), 3)),
    ):
        run = dataclasses.replace(trained, data=data, fingerprint="")
        expected = {planet for planet in source.folds if folds.get(planet, 9) == 9}
        assert held_out.held_out(run, source) == expected
        assert 0 < len(expected) < len(source.folds)
        assert f"{len(source.folds) - len(expected)} planets of it were" in held_out.evaluation_role(run, source, (9,))
    elsewhere = dataclasses.replace(trained, data="simulated:planets=40,seed=4", fingerprint="")
    assert held_out.held_out(elsewhere, memory) == set(memory.folds)


def test_references_stand_beside_a_run_on_the_same_planets(capsys):
    text = printed(capsys, "runs/joint", "--against", "constant,ridge+white,transit-fit+shape,photon-limit")
    assert "references learnt from folds 0-7 of " in text
    scores = {name: score_in(text, name) for name in ("constant", "ridge+white", "transit-fit+shape")}
    assert scores["constant"] < scores["ridge+white"] < scores["transit-fit+shape"]
    assert re.findall(r"^\* (\S+) ", text, re.MULTILINE) == ["joint"]


def test_the_constant_is_the_training_planets_best_one(capsys):
    """Of folds 0-7 alone, scored on fold 9, from the text files."""
    text = printed(capsys, "runs/one", "--against", "constant")
    folds = {planet: fold for shard in json.loads(Path("data/manifest.json").read_text())["shards"]
             for planet in shard["planets"] for fold in [shard["fold"]]}  # fmt: skip
    radii = {planet: read_params(f"text/params_train/{planet:04d}_01_01.txt")[1][12] for planet in folds}
    taught = np.sort([radii[planet] for planet in folds if folds[planet] < 8])
    best = taught[np.searchsorted(np.cumsum(taught), taught.sum() / 2)]
    loss = np.mean([2 * radii[planet] * abs(best - radii[planet]) for planet in folds if folds[planet] == 9])
    assert score_in(text, "constant") == pytest.approx(1e4 - 1e6 * loss, abs=0.06)


def test_references_alone_need_no_run(capsys):
    text = printed(capsys, "--data", "data", "--against", "constant,median-depth", "--wavelength", "12")
    beside = printed(capsys, "runs/one", "--against", "constant,median-depth")
    assert score_in(text, "constant") == score_in(beside, "constant")
    other = "simulated:planets=30,spots=1,photons=1,seed=8"
    taught = printed(capsys, "--data", "data", "--against", "constant", "--learn-from", other, "--wavelength", "12")
    assert taught.startswith("40 planets")
    assert f"references learnt from folds 0-7 of {other}" in taught
    same = "simulated:planets=40,spots=1,photons=1,seed=3"
    with pytest.raises(DataError, match=r"holds no planet in folds none"):
        evaluate.main(["--data", "simulated:planets=44,spots=1,photons=1,seed=3", "--against", "ridge",
                       "--learn-from", same])  # fmt: skip
    with pytest.raises(UsageError, match="expected a RUN, or --data and --against"):
        evaluate.main([])


def test_tables_and_pictures_are_written_once(capsys, tmp_path, draws):
    out = tmp_path / "out"
    printed(capsys, "runs/joint", "runs/two", "--against", "constant,photon-limit", "--out", str(out))
    for name in ("ladder", "by_wavelength", "by_magnitude", "spectra", "light_curves", "learning_curves"):
        assert is_drawn(out / f"{name}.png")
    scores = {(row["name"], row["of"], row["weighted"]): float(row["score"]) for row in table(out / "scores.csv")}
    by_wavelength = [float(row["score"]) for row in table(out / "by_wavelength.csv")
                     if (row["name"], row["of"]) == ("joint", "planet")]  # fmt: skip
    assert scores["joint", "planet", "0"] == pytest.approx(np.mean(by_wavelength))
    planets = table(out / "planets.csv")
    assert 1e4 - np.mean([float(row["joint (planet, ppm)"]) for row in planets]) == pytest.approx(
        scores["joint", "planet", "0"]
    )
    assert len(table(out / "differences.csv")) == 6
    groups = [row for row in table(out / "by_group.csv") if (row["name"], row["of"]) == ("two", "planet")]
    assert sum(int(row["planets"]) for row in groups) == 8  # 4 planets, by magnitude and by depth
    with pytest.raises(UsageError, match="nothing is overwritten"):
        evaluate.main(["runs/joint", "--out", str(out)])


def test_a_folder_of_runs_is_a_leaderboard(capsys):
    text = printed(capsys, "runs")
    assert re.findall(r"runs/(\w+)$", text, re.MULTILINE)[-1] in ("joint", "two")
    files = {name: Path(f"runs/{name}/scores.json") for name in ("one", "rows")}
    scores = {name: json.loads(file.read_text())["test"]["planet"] for name, file in files.items()}
    best, worst = sorted(scores, key=scores.__getitem__, reverse=True)
    assert re.search(rf"1 \w+ +{scores[best]:.1f} .* runs/{best}\n +2 \w+ +{scores[worst]:.1f} .* runs/{worst}\n", text)
    assert "wavelength 12, 4 test planets (folds 9)" in text
    with pytest.raises(UsageError, match="name the runs themselves"):
        evaluate.main(["runs", "--against", "constant"])


def test_scores_and_leaderboards_as_json_are_those_that_are_printed(capsys):
    found = json.loads(printed(capsys, "runs/one", "--against", "constant", "--json"))
    scores = {(row["name"], row["of"], row["weighted"]): row["score"] for row in found["scores"]}
    expected = json.loads(Path("runs/one/scores.json").read_text())["test"]
    assert scores["one", "planet", 0] == pytest.approx(expected["planet"])
    assert scores["one", "observation", 1] == pytest.approx(expected["observation_weighted"])
    assert (found["planets"], found["observations"], found["wavelengths"]) == (4, 8, [12])
    assert [row["name"] for row in found["differences"]] == ["one"]
    board = json.loads(printed(capsys, "runs", "--json"))
    assert {run["path"]: run["planet"] for run in board["runs"]}["runs/one"] == expected["planet"]


def test_an_unfinished_run_is_named_and_a_damaged_one_refused(capsys, tmp_path):
    shutil.copytree("runs/one", tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/config.json").write_text("{}")
    assert f"not finished: {tmp_path}/b" in printed(capsys, str(tmp_path))
    (tmp_path / "a/scores.json").write_text('{"test": {}}')
    with pytest.raises(DataError, match=r"a/scores.json: not the file that this run saved"):
        evaluate.main([str(tmp_path)])
    recommit(tmp_path / "a")
    with pytest.raises(DataError, match="expected the scores of a finished run"):
        evaluate.main([str(tmp_path)])


def recommit(run):
    """Let a run's state.json take its scores.json for its own."""
    state = read_state(run)
    state["files"]["scores.json"] = sha256(run / "scores.json")
    write_state(run, state)


def test_a_damaged_state_is_named_and_the_others_are_ranked(capsys, tmp_path):
    for name in ("sound", "damaged"):
        shutil.copytree("runs/one", tmp_path / name)
    (tmp_path / "damaged/state.json").write_text("{}")
    with pytest.raises(DataError, match=r"left out of the leaderboard: .*/damaged/state.json"):
        evaluate.main([str(tmp_path)])
    assert f"{tmp_path}/sound" in capsys.readouterr().out


@pytest.mark.parametrize("value", ["9999.5", "NaN", "Infinity", '"9000"', "true", "10000.5", "null"])
def test_a_leaderboard_ranks_no_damaged_scores(value, capsys, tmp_path):
    """One digit of a scores.json made the worst run the best; the others are still ranked, the damaged one is named."""
    shutil.copytree("runs/one", tmp_path / "sound")
    shutil.copytree("runs/one", tmp_path / "damaged")
    file = tmp_path / "damaged/scores.json"
    score = json.loads(file.read_text())["test"]["planet"]
    file.write_text(file.read_text().replace(f'"planet": {score}', f'"planet": {value}', 1))
    rules = ["not the file that this run saved"]
    if value != "9999.5":  # which no rule but the checksum finds
        rules.append("expected the scores of a finished run")
    for rule in rules:
        with pytest.raises(DataError, match=f"left out of the leaderboard: .*/damaged.*{rule}"):
            evaluate.main([str(tmp_path)])
        board = capsys.readouterr().out
        assert f"{tmp_path}/sound" in board
        assert "damaged" not in board
        recommit(tmp_path / "damaged")


def test_runs_of_different_data_or_wavelengths_need_something_in_common(tmp_path):
    train.main(["--data", SOURCE, *SMALL, *NET, "--wavelength", "7", "--run", str(tmp_path / "seven")])
    with pytest.raises(UsageError, match="were trained on different data; name one with --data"):
        evaluate.main(["runs/one", str(tmp_path / "seven")])
    with pytest.raises(UsageError, match="no wavelength in common"):
        evaluate.main(["runs/one", str(tmp_path / "seven"), "--data", "data"])
    with pytest.raises(UsageError, match=r"runs/one does not predict \[5\]"):
        evaluate.main(["runs/one", "--wavelength", "5,12"])
    with pytest.raises(UsageError, match="each RUN once"):
        evaluate.main(["runs/one", "runs/../runs/one"])


def test_order_of_rows_changes_no_score():
    from ariel_tf.evaluation.losses import Losses

    rng = np.random.default_rng(0)
    keys = np.array([(planet, 1, photon) for planet in range(5) for photon in range(3)])
    rows = Predictions(keys, *(rng.uniform(0.1, 0.2, (15, 2)) for _ in range(3)))
    rows = Predictions(keys, rows.true[keys[:, 0]], rows.predicted, rows.weights[keys[:, 0]])
    order = rng.permutation(15)
    shuffled = Predictions(*(part[order] for part in (rows.keys, rows.true, rows.predicted, rows.weights)))
    for kind in ("observation", "planet"):
        one, other = (Losses.of("x", part, (0, 1)).score(kind, True) for part in (rows, shuffled))
        assert one == pytest.approx(other)


def test_a_joint_training_leaves_spectra_in_its_folder_and_in_tensorboard():
    state = json.loads(Path("runs/joint/state.json").read_text())
    assert {"prediction.png", "spectra.png"} <= set(state["files"])
    assert all(is_drawn(f"runs/joint/{name}.png") for name in ("prediction", "spectra", "validation_spectra"))
    assert "(spectra.png)" in Path("runs/joint/README.md").read_text()
    assert "spectra" not in Path("runs/one/README.md").read_text()
    tags = {
        value.tag
        for path in Path("runs/joint/tensorboard/validation").glob("events*")
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    }
    assert {"test", "test spectra", "validation", "validation spectra"} <= tags


class Page(html.parser.HTMLParser):
    """What a browser would need from elsewhere, and every text."""

    def __init__(self):
        super().__init__()
        self.needed, self.pictures, self.texts, self.open, self.places, self.headings = [], [], [], [], [], []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag in ("script", "link", "iframe", "object"):
            self.needed.append(tag)
        for name in ("src", "href", "srcset", "data"):
            if name in values:
                where = {"data:image/svg+xml;base64": self.pictures, "#": self.places}
                kind = "#" if values[name].startswith("#") else values[name].split(",")[0]
                where.get(kind, self.needed).append(values[name])
        if "id" in values:
            self.headings.append(values["id"])
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_a_report_is_one_page_that_needs_nothing_else(capsys, tmp_path, draws):
    out = tmp_path / "report.html"
    report.main(["runs/joint", "runs/two", "--against", "constant,photon-limit", "--out", str(out)])
    text = out.read_text()
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.needed == []
    assert len(page.pictures) == 6
    for picture in page.pictures:
        content = base64.b64decode(picture.split(",")[1]).decode()
        assert "<svg" in content
        assert re.search(r"<(image|script)|href=\"(?!#|data:)", content) is None
    assert page.places == [f"#{name}" for name in page.headings]
    assert {"scores", "differences", "spectra", "reading"} <= set(page.headings)
    assert "url(" not in text
    said = " ".join(page.texts)
    ladder = printed(capsys, "runs/joint", "runs/two", "--against", "constant")
    for name in ("joint", "two", "constant"):
        score = score_in(ladder, name)  # printed with one digit, so the report may round it to either whole number
        assert f"{score - 0.05:,.0f}" in said or f"{score + 0.05:,.0f}" in said
    assert json.loads(Path("runs/joint/meta.json").read_text())["command"] in said
    assert f"python -m ariel_tf.report runs/joint runs/two --against constant,photon-limit --out {out}" in said
    assert "not a test score" not in said.lower()
    with pytest.raises(UsageError, match=r"new \.html file"):
        report.main(["runs/joint", "--out", str(out)])
    with pytest.raises(UsageError, match="expected a RUN"):
        report.main(["--out", str(tmp_path / "b.html")])


def test_a_report_escapes_names_and_calls_a_training_score_one(tmp_path):
    shutil.copytree("runs/one", tmp_path / "<b>&squid")
    out = tmp_path / "report.html"
    report.main([str(tmp_path / "<b>&squid"), "--folds", "0,9", "--against", "none", "--out", str(out)])
    page = Page()
    page.feed(out.read_text())
    assert page.open == []
    assert "<b>&squid" in "".join(page.texts)
    assert "Not a test score: folds [0, 9]; trained on [0]" in "".join(page.texts)

"""What a search may choose, what it tries first, and how many wavelengths share it."""

import csv
import dataclasses
import json
import struct
from pathlib import Path

import keras
import keras_tuner
import numpy as np
import pytest
from keras_tuner.engine.hyperparameters import Boolean, Choice, Int

from ariel_tf.config import model_registry
from ariel_tf.config.run_options import require_tracker
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.runs.links import refuse_links
from tuning import oracles, outcomes, per_wavelength, pictures, report, search, wandb_log
from tuning import trial as trials
from tuning.hyperparameters import SearchSettings, narrow, option_ranges, reveal
from tuning.outcomes import COMPLETED, FAILED, Outcome
from tuning.pictures import Axis, apart, colours, visible
from tuning.safe_oracle import OBJECTIVE
from tuning.space import BUILDER, Space, parse_search, read_space, rounded

DATA = "simulated:planets=10,spots=1,photons=1,seed=1"


def space_of(hp):
    return {one.name: one for one in hp.space}


def test_without_names_a_search_takes_the_model_s_own_settings_and_the_learning_rate():
    found = space_of(reveal(Space(TrainConfig(model="baseline").resolve())))
    assert list(found) == ["activation", "dropout", "first", "second", "learning_rate"]
    assert (found["first"].min_value, found["first"].max_value, found["first"].default) == (4, 4096, 1064)
    assert (found["learning_rate"].min_value, found["learning_rate"].max_value) == (1e-4, 3e-2)
    assert found["learning_rate"].sampling == "log"


def test_what_the_builder_asks_beside_any_model_is_known(monkeypatch):
    monkeypatch.setattr(model_registry, "load", lambda name: lambda hp, inputs: keras.layers.Flatten()(inputs.flux))
    asked = SearchSettings(Space(TrainConfig().resolve()), keras_tuner.HyperParameters(), {})
    from ariel_tf.models.builder import build_dry

    build_dry(TrainConfig().resolve(), asked)
    assert set(asked.asked) == set(BUILDER)


# Each build of these takes seconds.
LONG = ("transit", "spectrum")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in LONG else []) for name in model_registry.entries()],
)
def test_every_model_tells_what_can_be_searched(name):
    entry = model_registry.entry(name)
    base = TrainConfig(model=name, wavelength="joint" if entry.scope == "joint" else 12).resolve()
    assert len(reveal(Space(base)).space) >= 1


def test_a_setting_that_appears_with_another_s_value_joins_the_search(monkeypatch):
    def grown(hp, inputs):
        x = keras.layers.Flatten()(inputs.flux)
        for index in range(hp.Int("layers", 1, 3, default=1)):
            x = keras.layers.Dense(hp.Int(f"units_{index}", 2, 8, default=4))(x)
        return x

    monkeypatch.setattr(model_registry, "load", lambda name: grown)
    space = Space(TrainConfig().resolve())
    hp = reveal(space)
    assert list(space_of(hp)) == ["layers", "units_0", "learning_rate"]
    hp.values["layers"] = 2
    from ariel_tf.models.builder import build_dry

    settings = build_dry(space.base, SearchSettings(space, hp, {})).settings
    assert (settings["layers"], settings["units_1"]) == (2, 4)
    assert "units_1" in space_of(hp)


UNITS = Int("units", 4, 64, sampling="log", default=10)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, (4, 64, "log")),
        ("8:16", (8, 16, "log")),
        ({"low": 8, "sampling": "linear"}, (8, 64, "linear")),
        ("8|16", [8, 16]),
        ([8, 16], [8, 16]),
        ("12", [12]),
    ],
)
def test_a_range_is_narrowed(given, expected):
    part = narrow(UNITS, given)
    assert (part.values if isinstance(part, Choice) else (part.min_value, part.max_value, part.sampling)) == expected
    assert part.name == "units"


@pytest.mark.parametrize(
    "given", ["3:16", "8:65", "16:8", "a:b", "8.5:9", [], [8, 8], {"lower": 3}, 7, {"low": 9, "high": 9}]
)
def test_a_range_beyond_the_model_s_own_is_refused(given):
    with pytest.raises(UsageError, match=r"search of units: expected 4:64, or a part of it"):
        narrow(UNITS, given)


def test_a_default_outside_the_range_moves_to_its_edge_or_the_first_choice():
    assert narrow(UNITS, "16:32").default == 16
    assert narrow(UNITS, "16|32").default == 16
    assert narrow(UNITS, "16|10").default == 10


def test_one_value_of_a_boolean_is_no_range():
    """It used to be searched over both."""
    whole = Boolean("bidirectional")
    assert narrow(whole, "true|false") is whole
    with pytest.raises(UsageError, match="--fix bidirectional=true keeps one"):
        narrow(whole, "true")


def test_an_option_s_own_value_is_among_those_tried():
    base = TrainConfig(model="nadam").resolve()
    (batch,) = option_ranges(Space(base, {"batch_size": None}))
    assert batch.values[0] == base.batch_size == 5
    assert batch.default == 5


def test_search_and_space_are_read(tmp_path):
    assert parse_search("first=4:8, batch-size=16|32,dropout") == {
        "first": "4:8",
        "batch_size": "16|32",
        "dropout": None,
    }
    (tmp_path / "space.json").write_text('{"first": 3}')
    with pytest.raises(UsageError, match=r"first: expected null, \"LOW:HIGH\", a list"):
        read_space(tmp_path / "space.json")
    (tmp_path / "space.json").write_text("first: 3")
    with pytest.raises(DataError, match="expected JSON"):
        read_space(tmp_path / "space.json")


def test_chosen_numbers_survive_single_precision():
    for value in (0.0123456789, 3.00049999e-4, 1 / 3):
        assert rounded(float(np.float32(value))) == rounded(value)


@pytest.mark.slow
def test_a_bayesian_search_stays_in_its_ranges_and_sees_through_hopeless_trials(tmp_path):
    """keras-tuner takes 65 of 4:64 at the upper end; a score of -1e9 must not hide which of the others is best."""
    hp = keras_tuner.HyperParameters()
    hp.Int("units", 4, 64, sampling="log")
    oracle = oracles.make_oracle("bayesian", hp, trials=30, epochs=1, seed=0)
    oracle.place(tmp_path)
    tried = []
    for number in range(14):
        trial = oracle.create_trial("one")
        units = trial.hyperparameters.values["units"]
        tried.append(units)
        oracle.update_trial(trial.trial_id, {OBJECTIVE: -1e9 if number == 3 else 100.0 * units})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    assert max(tried) == 64
    assert sum(units >= 60 for units in tried[-4:]) >= 2, f"it goes where the score grows: {tried}"


def test_the_middle_comes_first_and_each_generation_gets_half_the_trials():
    assert per_wavelength.generations(range(7)) == [[3], [1, 5], [0, 2, 4, 6]]
    assert sorted(w for some in per_wavelength.generations(range(55)) for w in some) == list(range(55))
    assert [per_wavelength.budget(40, generation) for generation in range(5)] == [40, 20, 10, 5, 5]
    assert per_wavelength.budget(3, 4) == 3


def test_wavelengths_seed_each_other_and_a_stopped_search_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained: dict[int, list[float]] = {}

    def train(self, trial, outcome):
        """The higher the learning rate the better; wavelength 5, the first, fails."""
        (wavelength,) = self.space.base.signature.targets
        rates = trained.setdefault(wavelength, [])
        rates.append(outcome.values["learning_rate"])
        if wavelength == 5:
            raise UsageError("it fails.")
        return {"best_score": 1e4 * rates[-1]}, outcome.values

    monkeypatch.setattr(trials.TrialRunner, "_train", train)
    monkeypatch.setattr(report, "keep_copy", lambda *_: None)
    monkeypatch.setattr(pictures, "draw", lambda *_: None)
    monkeypatch.setattr(keras.utils, "clear_session", lambda: None)
    arguments = ["--model=baseline", "--data", DATA, "--wavelength", "3,5,9", "--each", "--trials", "6",
                 "--algorithm", "random", "--search", "learning_rate", "--run", "found"]  # fmt: skip
    search.main(arguments)
    assert {w: len(rates) for w, rates in trained.items()} == {5: 6, 3: 5, 9: 5}
    rows = csv.DictReader(Path("found/wavelengths.csv").read_text().splitlines())
    table = {int(row["wavelength"]): row for row in rows}
    assert set(table) == {3, 9}, "5 failed, and the others did not"
    assert float(table[3]["learning_rate"]) == max(trained[3])
    assert trained[3][0] == trained[9][0] == 0.001, "the defaults"
    assert trained[9][1] == max(trained[3])
    before = {w: len(rates) for w, rates in trained.items()}
    search.main(arguments)
    assert {w: len(rates) for w, rates in trained.items()} == before, "nothing is trained twice"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--wavelength", "all"], "with --each"),
        (["--each"], "expected a list"),
        (["--wavelength", "all", "--each", "--chief", "127.0.0.1:7000", "--run", "x"], "take one wavelength"),
    ],
)
def test_lists_and_each_belong_together(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=said):
        search.main(["--data", DATA, *arguments])


def test_pictures_scale_by_what_is_there():
    axis = Axis("learning_rate", [1e-4, 1e-2, None])
    np.testing.assert_allclose(axis.heights, [0, 1, np.nan])
    assert Axis("units", [8, 8]).heights.tolist() == [0.5, 0.5]
    assert Axis("loss", ["mse", "mae"]).ticks == [(0.25, "mae"), (0.75, "mse")]
    assert colours(np.array([1.0, -1e9, 2.0])).tolist() == [0.5, 0, 1]
    low, high = visible(np.array([9000.0, 9100.0, -1e9]))
    assert 8000 < low < 9000 < 9100 < high


def test_tick_labels_of_values_png_do_not_overlap_and_a_log_scale_is_one():
    """Labels of close values overprinted each other; a learning rate sampled by its logarithm was drawn linearly."""
    axis = Axis("width", [0.4773, 0.4934, 1.0, 3.438])
    heights = [height for height, _ in axis.ticks]
    assert (heights[0], heights[-1], [label for _, label in axis.ticks][-1]) == (0, 1, "3.4")
    assert min(np.diff(heights)) >= pictures.ROOM
    assert apart(np.array([0, 0.05, 0.3, 0.9, 1])) == [0, 2, 4]
    assert apart(np.array([0.5])) == [0]
    rates = Axis("learning_rate", [1e-3, 2e-3, 4e-3], logarithmic=True)
    np.testing.assert_allclose(rates.heights, [0, 0.5, 1])
    assert rates.name == "learning_rate (log scale)"


def test_a_search_that_exhausts_its_space_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        trials.TrialRunner, "_train", lambda self, trial, outcome: ({"best_score": 1.0}, outcome.values)
    )
    monkeypatch.setattr(report, "keep_copy", lambda *_: None)
    monkeypatch.setattr(pictures, "draw", lambda *_: None)
    search.main(["--data", DATA, "--algorithm", "random", "--search", "batch_size=7|14", "--trials", "5"])
    assert "the search space is exhausted after 2 of 5 trials" in capsys.readouterr().out


def test_the_best_is_the_highest_then_the_longest_then_the_first():
    one = Outcome(0, COMPLETED, {}, "0000", score=5.0, epochs=2)
    longer = dataclasses.replace(one, trial=3, epochs=4)
    failed = Outcome(1, FAILED, {}, "0001", score=9.0)
    assert outcomes.best([one, longer, failed]) == longer
    assert outcomes.best([failed]) is None


def test_wandb_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'ariel_tf\[wandb\]'"):
        require_tracker("wandb")


def records_of(path):
    """The records of a .wandb file: 7 bytes of header, then checksum, length and kind before each (as of LevelDB)."""
    from wandb.proto import wandb_internal_pb2

    data, place = path.read_bytes(), 7
    while place + 7 <= len(data):
        size, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        assert kind == 1, "a record that is whole"
        yield wandb_internal_pb2.Record.FromString(data[place + 7 : place + 7 + size])
        place += 7 + size


def test_wandb_gets_the_same(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="the extra wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    tell = wandb_log.tracker("wandb", tmp_path)
    rows = [{"epoch": 1.0, "val_score": 9000.0}, {"epoch": 2.0, "val_score": 9100.0}]
    tell(Outcome(7, COMPLETED, {"first": 16}, "0007", score=9100.0, best_epoch=2), rows)
    wandb.teardown()  # its own process has then written everything
    (path,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    told = [
        (part, update.key or "/".join(update.nested_key), json.loads(update.value_json))
        for record in records_of(path)
        for part, updates in (
            ("config", record.run.config.update),
            ("history", record.history.item),
            ("summary", record.summary.update),
        )
        for update in updates
    ]
    assert ("config", "first", 16) in told
    assert [value for part, name, value in told if (part, name) == ("history", "val_score")] == [9000.0, 9100.0]
    assert ("summary", "best_val_score", 9100.0) in told
    refuse_links(tmp_path)


def test_a_search_that_wandb_logged_can_be_resumed(tmp_path):
    (tmp_path / "wandb/offline-run-1/logs").mkdir(parents=True)
    (tmp_path / "wandb/offline-run-1/logs/debug-core.log").symlink_to("/nowhere/core.log")
    (tmp_path / "wandb/offline-run-1/run-1.wandb").write_bytes(b"rows")
    wandb_log._remove_links(tmp_path / "wandb")
    refuse_links(tmp_path)
    assert (tmp_path / "wandb/offline-run-1/run-1.wandb").read_bytes() == b"rows"


def test_a_tracker_that_fails_never_costs_a_trial(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(wandb_log, "to_wandb", lambda *_: 1 / 0)
    wandb_log.tracker("wandb", tmp_path)(Outcome(7, COMPLETED, {}, "0007"), [])
    assert "did not receive trial 7: ZeroDivisionError" in capsys.readouterr().out

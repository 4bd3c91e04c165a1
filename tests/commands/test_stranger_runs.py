"""Run folders and configuration files that are somebody else's: what commands do not do for them."""

import json

import pytest
import tensorflow as tf

from ariel_tf import ensemble, evaluate, report, train
from ariel_tf.core.atomic_files import sha256, write_json
from ariel_tf.core.errors import UsageError
from ariel_tf.data.sources import bigquery
from ariel_tf.runs.state import read_state, write_state
from tuning import search

pytestmark = pytest.mark.usefixtures("pretended_training")

SMALL = ["--model=baseline", "--data", "simulated:planets=12,spots=1,photons=2,seed=1", "--epochs", "1",
         "--set", "first=8"]  # fmt: skip
REMOTE = ("bigquery://stranger/set?endpoint=https://stranger.example", "gs://stranger/set", "s3://stranger/set")


@pytest.fixture
def opened(monkeypatch):
    """Remote addresses that were opened; each open is refused."""
    seen = []

    def refuse(*arguments, **_):
        seen.append(arguments)
        raise AssertionError(f"opened {arguments}")

    monkeypatch.setattr(tf.io.gfile, "GFile", refuse)
    monkeypatch.setattr(bigquery.BigQuerySource, "__init__", refuse)
    return seen


@pytest.fixture
def stranger(tiny_run, tmp_path):
    """A function (data) -> a finished run whose config.json names other data, as its state.json says too."""

    def change(data, name="stranger"):
        path = tmp_path / name
        if not path.exists():
            tiny_run(*SMALL, into=path)
        config = json.loads((path / "config.json").read_text()) | {"data": data}
        write_json(path / "config.json", config)
        state = read_state(path)
        state["files"]["config.json"] = sha256(path / "config.json")
        write_state(path, state)
        return path

    return change


@pytest.mark.parametrize("data", REMOTE)
def test_commands_open_no_address_that_only_a_run_folder_names(data, stranger, opened, tmp_path):
    """`evaluate RUN` opened what the folder named, with the user's credentials and at the user's cost."""
    run = stranger(data)
    config, out = str(run / "config.json"), str(tmp_path / "out")
    local = SMALL[2]
    for command, arguments in (
        (evaluate.main, [str(run)]),
        (report.main, [str(run), "--out", f"{out}.html"]),
        (evaluate.main, [str(run), "--data", local.replace("seed=1", "seed=2"), "--against", "constant"]),
        (ensemble.main, ["average", str(run), str(stranger(data, "other")), "--run", out]),
        (ensemble.main, ["stacking", "--base-models", str(run), "--run", out]),
        (ensemble.main, ["kfold", "--splits", "2", "--config", config, "--run", out]),
        (train.main, ["--config", config, "--run", str(run)]),
        (train.main, ["--config", config, "--dry-run"]),
        (search.main, ["--config", config, "--trials", "1", "--run", out]),
    ):
        with pytest.raises(UsageError, match=r"names data on another machine, .* name it yourself: --"):
            command(arguments)
        assert not (tmp_path / "out").exists()
    assert opened == []


def test_data_that_the_user_names_are_read_whatever_the_folder_names(stranger, opened, capsys, tmp_path):
    run, other = stranger("gs://stranger/set"), stranger("gs://stranger/set", "other")
    evaluate.main([str(run), "--data", SMALL[2]])
    assert f"observations of {SMALL[2]}" in capsys.readouterr().out
    ensemble.main(["average", str(run), str(other), "--data", SMALL[2], "--run", str(tmp_path / "mean")])
    with pytest.raises(AssertionError, match="opened"):
        evaluate.main([str(run), "--data", "gs://mine/set"])
    assert [arguments[0] for arguments in opened] == ["gs://mine/set/manifest.json"]


def test_pretrained_weights_on_another_machine_are_named_by_the_user(tmp_path):
    file = tmp_path / "config.json"
    write_json(file, {"weights": "//stranger/share/weights.h5"})
    with pytest.raises(UsageError, match=r"names pretrained weights on another machine"):
        train.main(["--config", str(file), "--dry-run"])


def test_hostile_names_are_escaped_in_a_leaderboard(tiny_run, tmp_path, capsys):
    run = tiny_run(*SMALL, into=tmp_path / "a\x1b[31m\n  1 forged 10000.0")
    config = json.loads((run / "config.json").read_text()) | {"model": "m\x1b]0;owned\x07", "data": "d\u202ed"}
    write_json(run / "config.json", config)
    state = read_state(run)
    state["files"]["config.json"] = sha256(run / "config.json")
    write_state(run, state)
    (tmp_path / "z\x1b[2J").mkdir()
    (tmp_path / "z\x1b[2J/config.json").write_text("{}")
    evaluate.main([str(tmp_path)])
    text = capsys.readouterr().out
    assert not set(text) & set("\x1b\x07\u202e")
    assert [line for line in text.splitlines() if line.startswith("  1 forged")] == []
    assert r"a\x1b[31m\n  1 forged" in text
    assert r"m\x1b]0;owned\x07" in text

"""One schema for flags, files and Python callers; one sentence for each mistake."""

import argparse
import re
from pathlib import Path

import pytest

from ariel_tf.core import cli
from ariel_tf.core.errors import UsageError
from ariel_tf.core.fields import parse_names
from ariel_tf.core.schema import Schema, add_flags, option


class Options(Schema):
    """Of the tests."""

    runs: tuple[Path, ...] = cli.runs("run folders")
    out: Path = option(..., "file to write", metavar="FILE")
    trials: int = option(50, "number of trials", low=1)
    epochs: int = option(None, "passes over the data, 100 % of them", low=1, shown="the model's")
    price: float | None = cli.price()
    loss: str = option("mse", "loss", choices=("mse", "mae"), aliases=("--objective",))
    folds: tuple[int, ...] = option((8,), "folds", parse=lambda text: tuple(map(int, text.split(","))))
    set: tuple[str, ...] = option((), "a setting", append=True, metavar="NAME=VALUE")
    chief: str | None = cli.host_and_port("address of the chief", "processes")
    overwrite: bool = cli.overwrite()
    note: str = ""


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    add_flags(parser, Options)
    return Options.from_flags(parser.parse_args(arguments))


def test_flags_become_typed_values():
    options = parsed(
        "a", "b", "--out", "x", "--epochs", "3", "--price", "1", "--folds", "1,2", "--set", "p=1", "--set", "q=2",
        "--overwrite", "--objective", "mae", "--chief", "host:7000",
    )  # fmt: skip
    assert options == Options(
        runs=(Path("a"), Path("b")), out=Path("x"), epochs=3, price=1.0, folds=(1, 2), set=("p=1", "q=2"),
        overwrite=True, loss="mae", chief="host:7000",
    )  # fmt: skip


def test_a_flag_that_is_not_given_leaves_no_trace():
    parser = argparse.ArgumentParser()
    add_flags(parser, Options)
    assert vars(parser.parse_args(["a", "--out", "x"])) == {"runs": ["a"], "out": "x"}
    assert parsed("a", "--out", "x").epochs is None  # filled in later


def test_lists_and_texts_of_json_fit():
    assert Options(out="x", runs=["a"], folds=[1, 2], epochs=None) == Options(
        out=Path("x"), runs=(Path("a"),), folds=(1, 2)
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"trials": 0}, "--trials: expected a whole number, 1 or more. Received: 0"),
        ({"trials": "x"}, "--trials: expected a whole number, 1 or more. Received: x"),
        ({"trials": True}, "--trials: expected a whole number, 1 or more. Received: True"),
        ({"trials": 5.0}, "--trials: expected a whole number, 1 or more. Received: 5.0"),
        ({"trials": 2**31}, "--trials: expected a whole number, 1 to 2147483647. Received: 2147483648"),
        ({"price": float("nan")}, "--price: expected a number, 0 to 1000000. Received: nan"),
        ({"loss": "msee"}, "--loss: expected one of mse, mae. Received: msee. Did you mean mse?"),
        ({"loss": 3}, "--loss: expected one of mse, mae. Received: 3"),
        ({"folds": (1, "a")}, "--folds: expected whole numbers. Received: (1, 'a')"),
        ({"runs": 3}, "RUN: expected a path. Received: 3"),
        ({"chief": "host"}, "--chief: expected HOST:PORT, like 10.0.0.5:7000. Received: host"),
        ({"chief": "host:70000"}, "--chief: expected HOST:PORT"),
        ({"trails": 3}, "unknown option trails. Did you mean trials?"),
        ({"out": None}, "--out: expected a path. Received: None"),
        ({"note": 3}, "--note: expected text. Received: 3"),
    ],
)
def test_each_mistake_is_one_sentence(values, said):
    with pytest.raises(UsageError) as error:
        Options(**{"out": "x"} | values)
    assert str(error.value).startswith(said)


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(UsageError) as error:
        Options(out="x", trials="9" * 10_000)
    assert len(str(error.value)) < 400


def test_values_never_change_and_a_replaced_one_is_checked():
    options = Options(out="x")
    with pytest.raises(Exception, match="frozen"):
        options.trials = 3
    assert options.replace(trials=3).trials == 3
    assert options.replace(trials=3).epochs is None
    with pytest.raises(UsageError, match="--trials"):
        options.replace(trials=0)


def test_text_of_another_place_names_that_place():
    assert Options.from_text({"trials": "3"}, "here", out=Path("x")).trials == 3
    with pytest.raises(UsageError, match=r"^here: trials: expected a whole number, 1 or more. Received: 0$"):
        Options.from_text({"trials": "0"}, "here", out=Path("x"))
    with pytest.raises(UsageError, match=r"^here: unknown option trails. Did you mean trials"):
        Options.from_text({"trails": "0"}, "here", out=Path("x"))


def test_help_shows_defaults_and_bounds_of_the_text():
    parser = argparse.ArgumentParser()
    add_flags(parser, Options)
    text = " ".join(parser.format_help().split())
    assert "number of trials (default: 50)" in text
    assert "100 % of them (default: the model's)" in text
    # From Python 3.13 on the values follow the last of the names only.
    assert re.search(r"--loss( mse\|mae)?, --objective mse\|mae loss \(default: mse\)", text)
    assert "--note" not in text


def test_the_schema_describes_itself_as_json():
    assert Options.model_json_schema()["properties"]["trials"]["description"] == "number of trials"


def test_names():
    assert parse_names("--star", "b,a", ("a", "b", "c")) == ("a", "b")
    assert parse_names("--star", "all", ("a", "b")) == ("a", "b")
    assert parse_names("--star", "none", ("a", "b")) == ()
    with pytest.raises(UsageError, match=r"--star: expected none, all, or names among temp. Received: tmp. Did you"):
        parse_names("--star", "tmp", ("temp",))


def test_the_command_that_resumes_lacks_overwrite():
    assert cli.repeated("ariel_tf.train", ["--run", "a b", "--overwrite"]) == "python -m ariel_tf.train --run 'a b'"


def test_a_command_is_named_as_it_was_typed(monkeypatch):
    for started, name in (
        ("/env/bin/ariel", "ariel partial-set"),
        ("/src/ariel_tf/__main__.py", "python -m ariel_tf partial-set"),
        ("/src/pipelines/partial_set.py", "python -m pipelines.partial_set"),
    ):
        monkeypatch.setattr("sys.argv", [started])
        assert cli.program("pipelines.partial_set") == name

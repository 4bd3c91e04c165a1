"""A user's mistake is one sentence and an exit code; no traceback."""

import pickle

import pytest

from ariel_tf.core.errors import DataError, NonFiniteError, Stopped, UsageError, nearest, run_command


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("--steps: no"), 2),
        (DataError("bad"), 3),
        (NonFiniteError("nan"), 4),
        (Stopped("saved", 15), 143),
        (Stopped("saved"), 130),
        (KeyboardInterrupt(), 130),
        (PermissionError(13, "Permission denied", "/x"), 1),
    ],
)
def test_exit_codes(error, code, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as stopped:
        run_command(main)
    assert stopped.value.code == code
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    assert len(printed.strip().splitlines()) == 1


def test_every_fault_is_listed_before_the_sentence(capsys):
    def main():
        raise DataError("2 files are bad", ["a.txt: empty", "b.txt: binary"])

    with pytest.raises(SystemExit):
        run_command(main)
    assert capsys.readouterr().err.splitlines() == ["  a.txt: empty", "  b.txt: binary", "error: 2 files are bad"]


def test_our_own_errors_keep_their_traceback():
    def main():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(main)


def test_a_data_error_survives_the_way_back_from_a_worker_process():
    error = pickle.loads(pickle.dumps(DataError("bad", ["one", "two"])))  # what a process pool does
    assert (str(error), error.faults) == ("bad", ["one", "two"])


def test_nearest_name():
    assert nearest("baselin", ["baseline", "squid"]) == ". Did you mean baseline?"
    assert nearest("xyz", ["baseline"]) == ""

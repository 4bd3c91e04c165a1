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


def test_a_long_list_of_faults_is_cut_and_whole_in_a_file(capsys, tmp_path, monkeypatch):
    """A wrong folder gave a line for each of its 125,600 files."""
    faults = [f"{number}.txt: empty" for number in range(21)]

    def main():
        raise DataError("21 files are bad", faults)

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(SystemExit):
        run_command(main)
    lines = capsys.readouterr().err.splitlines()
    (file,) = tmp_path.iterdir()
    assert lines[:20] == [f"  {fault}" for fault in faults[:20]]
    assert lines[20:] == [f"  ... and 1 more; all 21 are in {file}", "error: 21 files are bad"]
    assert file.read_text().splitlines() == faults
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(SystemExit):
        run_command(main)
    assert len(capsys.readouterr().err.splitlines()) == 22


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

"""What becomes of a command whose standard streams are closed, full, or of another encoding."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = "import sys\nfrom ariel_tf.core.errors import run_command\ndef main():\n    {body}\nrun_command(main)\n"


def shell(body, redirection, **variables):
    """Run a command with a shell's redirection."""
    program = PROGRAM.format(body=body)
    return subprocess.run(
        ["bash", "-c", f'"$0" -c "$1" {redirection}', sys.executable, program],
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        check=False,
    )


@pytest.mark.parametrize("redirection", [">&-", ">&- 2>&-", "<&- >&- 2>&-", "2>&-"])
def test_a_command_whose_streams_are_closed_does_its_work(redirection, tmp_path):
    """Closed standard output ended in an AttributeError after the work."""
    body = f"print('a'); print('b', file=sys.stderr); open({str(tmp_path / 'done')!r}, 'w').write('whole')"
    ended = shell(body, redirection)
    assert ended.returncode == 0
    assert b"Error" not in ended.stderr
    assert (tmp_path / "done").read_text() == "whole", "no line of output went to a file with a stream's number"


def test_list_models_with_standard_output_closed():
    program = '"$0" -m ariel_tf.train --list-models >&-'
    ended = subprocess.run(
        ["bash", "-c", program, sys.executable],
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_command_whose_reader_has_gone_does_its_work(tmp_path):
    body = f"[print('a' * 9999, flush=True) for _ in range(99)]; open({str(tmp_path / 'done')!r}, 'w')"
    ended = shell(body, "| head -c 1; exit ${PIPESTATUS[0]}")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"a", b"")
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize("body", ["print('a')", "print('a', flush=True)", "print('a'); sys.exit(0)"])
def test_a_full_disk_under_standard_output_is_named(body):
    """It was `no file named`, or an exit code of Python's own."""
    ended = shell(body, ">/dev/full")
    assert ended.returncode == 1
    assert ended.stderr == b"error: No space left on device: standard output\n"


def test_a_full_disk_under_standard_error_costs_nothing():
    ended = shell("print('b', file=sys.stderr); print('a')", "2>/dev/full")
    assert (ended.returncode, ended.stdout) == (0, b"a\n")


def test_characters_that_the_encoding_lacks_are_escaped():
    """A path beyond ASCII ended a training in a UnicodeEncodeError before it began."""
    body = r"print('caf\u00e9 \udce9'); print('caf\u00e9', file=sys.stderr)"
    ended = shell(body, "", PYTHONIOENCODING="ascii")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"caf\\xe9 \\udce9\n", b"caf\\xe9\n")
    assert shell(body, "", PYTHONIOENCODING="utf-8").stdout == "café \\udce9\n".encode()


def test_an_error_without_a_file_is_a_sentence_without_one():
    ended = shell("raise ConnectionRefusedError(111, 'Connection refused')", "")
    assert (ended.returncode, ended.stderr) == (1, b"error: Connection refused\n")

"""`--json`: one object on standard output, whatever a command, a child process or a library prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ariel_tf.core.errors import DataError
from ariel_tf.core.json_output import as_json, json_output

ROOT = Path(__file__).parents[2]


def test_what_is_printed_goes_to_stderr(capsys):
    with json_output(True) as result:
        print("a table")
        result["score"] = np.float64(1.5)
    said = capsys.readouterr()
    assert json.loads(said.out) == {"score": 1.5}
    assert said.out.count("\n") == 1
    assert said.err == "a table\n"


def test_without_it_nothing_changes(capsys):
    with json_output(False) as result:
        print("a table")
        result["score"] = 1
    assert capsys.readouterr().out == "a table\n"


def test_an_error_is_in_the_object_too(capsys):
    def fail():
        with json_output(True) as result:
            result["sound"] = False
            raise DataError("damaged.", ["one", "two"])

    with pytest.raises(DataError):
        fail()
    expected = {"sound": False, "error": "damaged.", "faults": ["one", "two"], "exit_code": 3}
    assert json.loads(capsys.readouterr().out) == expected


def test_numbers_that_json_has_not_are_null():
    values = {"a": np.array([1.0, np.nan]), "b": float("inf"), "c": Path("x"), 1: np.int32(3), "d": True, "e": None}
    assert json.loads(as_json(values)) == {"a": [1.0, None], "b": None, "c": "x", "1": 3, "d": True, "e": None}


def test_child_processes_print_to_stderr_too():
    program = (
        "import subprocess\nfrom ariel_tf.core.json_output import json_output\n"
        "with json_output(True) as result:\n    subprocess.run(['echo', 'child'], check=True)\n    result['a'] = 1\n"
        "print('after')"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == '{"a": 1}\nafter\n'
    assert done.stderr == "child\n"

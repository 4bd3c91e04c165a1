"""The pages that a newcomer follows: their commands are run, in order, in an empty folder, on fewer planets.

Trainings only pretend to train, so that the pages cost seconds; figures in the pages are those of real ones.
"""

import importlib
import re
import shlex
import subprocess

import pytest
from support.documented import FEWER, ROOT, code_lines, commands, smaller


def follow(page: str, skip: tuple[str, ...] = ()) -> list[str]:
    """Run a page's commands in this process and its `mv` and `diff` lines in a shell; returns the modules that ran.

    Args:
        page: path from the repository's root.
        skip: texts; lines that contain one are not run.
    """
    ours = {command.line: command for command in commands(ROOT / page)}
    ran = []
    for number, line in code_lines((ROOT / page).read_text(encoding="utf-8")):
        if any(text in line for text in skip):
            continue
        if number in ours and line.startswith(("python -m ", "ariel ")):
            text = smaller(shlex.join(ours[number].arguments), FEWER)
            importlib.import_module(ours[number].module).main(shlex.split(text))
            ran.append(ours[number].module)
        elif re.match(r"(mv|diff) ", line):
            subprocess.run(line, shell=True, check=True)
    return ran


@pytest.mark.slow
@pytest.mark.usefixtures("pretended_training_here", "own_folder")
def test_challenge_files_to_a_submission(capsys):
    ran = follow("docs/tutorials/submission.md")
    assert ran.count("pipelines.simulate") == 1
    assert ran[-1] == "ariel_tf.predict"
    assert (
        "submission.txt: 80 rows of 55 radii for 20 planets; shape, order and range are valid"
        in capsys.readouterr().out
    )


@pytest.mark.slow
@pytest.mark.usefixtures("pretended_training_here", "own_folder")
def test_a_model_for_each_wavelength_and_a_search():
    ran = follow("docs/tutorials/search.md", skip=("--jobs 2", "--each"))
    assert ran.count("tuning.search") == 2


@pytest.mark.slow
@pytest.mark.usefixtures("pretended_training_here", "own_folder", "emulator")
def test_training_from_bigquery(capsys):
    ran = follow("docs/tutorials/bigquery.md", skip=("duckdb", "bqemulator", "gcloud"))
    assert ran.count("ariel_tf.train") == 3
    assert ran[-1] == "pipelines.download"


@pytest.mark.slow
@pytest.mark.usefixtures("pretended_training_here", "own_folder")
def test_getting_started(capsys):
    ran = follow("docs/getting_started.md", skip=("docker", "conda"))
    assert ran[-1] == "ariel_tf.submission"
    assert "shape, order and range are valid" in capsys.readouterr().out

"""Every command that README and documentation pages show is run, on fewer planets, in a folder where its inputs lie.

Trainings only pretend to train. Left out are commands of a cloud, which other tests run against emulators; tutorials,
which `test_tutorials.py` follows in order; and benchmarks, which `make bench` runs.
"""

import contextlib
import importlib
import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
from support import pretended
from support.documented import FEWER, PAGES, ROOT, Command, commands, smaller
from test_documented_commands import IMAGINED, OWN, plain

from ariel_tf import predict, train
from benchmarks import datalabs_pickles
from pipelines import convert, simulate

# What differs from the page: sizes, devices that are not here, and folders of other machines.
SMALLER = {
    **FEWER,
    r"simulator:rows=\d+": "simulator:rows=64",
    r"\.\.\. --jobs \d": "--model baseline --wavelength 12 --trials 2 --jobs 2",
    r"--members \d+": "--members 2",
    r"--splits \d+": "--splits 2",
    r"--blocks \d+": "--blocks 2",
    r"--model transit --wavelength joint --(splits|members)": r"--model linear --wavelength joint --\1",
    r"--rows \d+ --epochs \d+": "--rows 512 --epochs 1",
    r"FOLDER --each.*": "FOLDER --each --units 8 --layers 1 --rows 512 --epochs 1",
    r"--jobs \d+": "--jobs 2",
    r"--wavelength 0-54/8:3": "--wavelength 10-15/2:1",
    r"gpu:0,\d": "cpu:0,1",
    r"--onednn yes": "--onednn auto",  # TensorFlow has started in this process
    r"/scratch/ariel|/mnt/ariel": "data",
    r"/(scratch|mnt)/runs": "runs",
    r"OPTIONS OF TRAIN": "--wavelength 12",
    r"--planet 52": "--planet 2",
    r"--planet 72": "--planet 21",
    r"--part 1/8": "--part 1/1",
    r"configs/(\w+)\.json": rf"{ROOT}/configs/\1.json --data data",
    r"one_model_per_wavelength.json": "one_model_per_wavelength.json --wavelength 11-13",
    r"RUN (\[?)RUN": r"RUN \1runs/joint",
    r"\bRUN/best.json": "runs/joint/config.json",
    # The page checks a submission of other planets than it predicted.
    r"submission.txt --light-curves noisy_train": "train.txt --light-curves noisy_train",
}
# Packages that are extras.
EXTRAS = {"--track wandb": "wandb", "--track mlflow": "mlflow", "--format onnx": "tf2onnx"}
FOLLOWED = ("docs/tutorials/", "docs/getting_started.md", "CONTRIBUTING.md")
TO_RUN = [page for page in PAGES if not str(page.relative_to(ROOT)).startswith(FOLLOWED)]
MADE = ("--run", "--out")


def runs_here(command: Command) -> bool:
    """Whether it is a whole command, of this package alone, and on this machine."""
    if not command.text or command.needs_cloud or command.module in IMAGINED:
        return False
    if command.module.startswith("benchmarks.") or any(OWN.search(word) for word in command.arguments):
        return False
    if command.module == "pipelines.beam" and importlib.util.find_spec("apache_beam") is None:
        return False
    return all(importlib.util.find_spec(name) for words, name in EXTRAS.items() if words in command.text)


FOUND = {str(page.relative_to(ROOT)): [one for one in commands(page) if runs_here(one)] for page in TO_RUN}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """Data sets, runs and files by the names that the pages give them."""
    folder = tmp_path_factory.mktemp("inputs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        simulate.main(["data", "--planets=20", "--spots=1", "--photons=2", "--jobs=1"])
        simulate.main([".", "--planets=20", "--test-planets=3", "--spots=1", "--photons=2", "--format=text"])
        patch.setattr(sys, "argv", ["datalabs_pickles", ".", "--planets", "20", "--spots", "1", "--photons", "2"])
        datalabs_pickles.main()
        convert.main(["--pickle", "ADC21esac_test.pkl", "--out", "TEST"])
        for name in ("DATA", "real"):
            shutil.copytree("data", name)
        with pretended.trainings():
            for name in ("RUN", "runs/joint", "runs/simulated"):
                train.main(["--model", "linear", "--wavelength", "joint", "--data", "data", "--run", name])
        predict.main(["RUN", "--light-curves", "noisy_test", "--out", "submission.txt"])
        predict.main(["RUN", "--light-curves", "noisy_train", "--out", "train.txt", "--clip"])
    return folder


def test_the_pages_show_many_commands_that_run_here():
    assert sum(map(len, FOUND.values())) > 80


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("page", [page for page, shown in FOUND.items() if shown])
def test_commands_of_a_page_run(page, inputs, tmp_path, monkeypatch, capsys):
    shutil.copytree(inputs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for command in FOUND[page]:
        words = plain(command._replace(text=smaller(command.text, SMALLER)).arguments)
        if command.module == "pipelines.simulate":
            words[0] = words[0].replace(".", "made")
        made = made_by(command.module, words)
        for path in made if "--finish" not in words else ():  # alternatives on a page have one name
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True)
        print(f"{command.page}:{command.line}: {command.module} {words}")
        assert exit_code(command.module, words) == 0, capsys.readouterr()
        assert all(path.exists() for path in made)


def made_by(module: str, words: list[str]) -> list[Path]:
    """Files and folders that a command makes."""
    if module == "ariel_tf.launch":  # it prints a job file
        return []
    named = [words[index + 1] for index, word in enumerate(words[:-1]) if word in MADE]
    return [Path(name) for name in (words[:1] if module == "pipelines.simulate" else []) + named]


def exit_code(module: str, words: list[str]) -> int:
    pretends = contextlib.nullcontext() if module == "ariel_tf.pretrain" else pretended.trainings()
    try:
        with pretends:
            importlib.import_module(module).main(words)
    except SystemExit as error:
        return int(error.code or 0)
    return 0

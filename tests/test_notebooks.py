"""The notebooks of examples/ run, and each cell that plots has a picture."""

import re
from pathlib import Path

import pytest
from support import notebooks

ROOT = Path(__file__).parent.parent
ALL = sorted(path.name for path in notebooks.EXAMPLES.glob("*.ipynb"))

# Cheap in place of `transit`.
LINEAR = {"channels": "all", "settings": {"units": 8}}


def printed(ran: list[notebooks.Ran], pattern: str) -> re.Match:
    """The one match of a pattern in what the cells printed."""
    (found,) = re.finditer(pattern, "".join(cell.printed for cell in ran), re.MULTILINE)
    return found


def test_every_notebook_is_in_the_readme():
    page = (ROOT / "README.md").read_text()
    assert len(ALL) == 4
    for name in ALL:
        assert f"examples/{name}" in page


def test_the_quickstart_runs_in_jupyter(tmp_path, monkeypatch, forked, draws):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # as a kernel does: too late here
    smaller = (
        ("planets=40", "planets=20"),
        ('"transit"', '"linear"'),
        ("units=64", "units=8"),
        ('"8", "--b', '"1", "--b'),
    )
    ran = notebooks.by_jupyter("quickstart.ipynb", tmp_path, *smaller)
    notebooks.assert_pictures(ran)
    assert float(printed(ran, r"^score (-?\d+)").group(1)) < 10000


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_every_notebook_runs_in_jupyter(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    ran = notebooks.by_jupyter(name, tmp_path)
    notebooks.assert_pictures(ran)
    if name == "datalabs.ipynb":
        assert float(printed(ran, r"^score (\d+)$").group(1)) > 9000
    elif name == "quickstart.ipynb":
        assert float(printed(ran, r"^score (\d+)").group(1)) > 8500
    elif name == "uncertainty.ipynb":
        assert float(printed(ran, r"^score (\d+)$").group(1)) > 9700
    else:
        assert float(printed(ran, r"^transit against linear: ([+-]\d+)").group(1)) > 0


@pytest.mark.slow
@pytest.mark.usefixtures("pretended_training_here", "own_folder")
def test_from_pickles_to_a_checked_submission():
    ran = notebooks.here("datalabs.ipynb", PLANETS=10, MODEL="linear", OPTIONS={"epochs": 1, **LINEAR})
    notebooks.assert_pictures(ran)
    assert printed(ran, r"^datalabs_train: (.*targets)").group(1) == "10 planets, 20 observations, with targets"
    sound = "submission.csv: 12 rows of 55 radii for 6 planets; shape, order and range are valid"
    assert printed(ran, r"^submission.csv: .*valid$").group() == sound
    lines = Path("submission.csv").read_text().splitlines()
    assert lines[0].startswith("files,w1,w2,")
    assert [line.split(",")[0] for line in lines[1:3]] == ["0011_01_01.txt", "0011_01_02.txt"]
    assert float(printed(ran, r"^score (-?\d+)$").group(1)) < 10000


@pytest.mark.slow
@pytest.mark.usefixtures("pretended_training_here", "own_folder")
def test_models_are_compared_with_intervals():
    data = "simulated:planets=10,spots=1,photons=1,seed="
    models = {"linear": LINEAR, "dense": {"channels": "all"}}
    common = {"wavelength": "joint", "data": f"{data}0", "epochs": 1}
    ran = notebooks.here("compare.ipynb", SCORED=f"{data}1", MODELS=models, COMMON=common)
    notebooks.assert_pictures(ran)
    change, low, high = map(float, printed(ran, r"^linear against dense: (\S+) \[(\S+), (\S+)\]").groups())
    assert low <= change <= high
    assert "photon-limit" in "".join(cell.printed for cell in ran)


@pytest.mark.slow
@pytest.mark.usefixtures("own_folder")
def test_a_spectrum_is_read_with_its_uncertainty():
    ran = notebooks.here("uncertainty.ipynb", DATA="simulated:planets=2,spots=1,photons=3,seed=11")
    notebooks.assert_pictures(ran)
    alone, together = map(float, printed(ran, r"^median sigma: (\S+) from 1 observation, (\S+) from 3").groups())
    assert together < alone
    assert float(printed(ran, r"^score (\d+)$").group(1)) > 9500

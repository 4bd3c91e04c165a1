"""What a notebook uses: three functions, their examples, and the quickstart notebook itself."""

import doctest
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import ariel_tf
from ariel_tf.core.errors import UsageError
from ariel_tf.data.sources.tfrecord import TFRecordSource
from pipelines import simulate

ROOT = Path(__file__).parent.parent


def test_importing_the_package_imports_no_tensorflow():
    program = "import sys, ariel_tf; ariel_tf.score([.1], [.1]); print('tensorflow' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert answer.stdout.strip() == "False"


@pytest.mark.parametrize("name", ["ariel_tf", "ariel_tf.ensembles.blend_weights", "ariel_tf.ensembles.members"])
def test_the_examples_in_the_documentation_are_true(name):
    module = __import__(name, fromlist=["x"])
    result = doctest.testmod(module, optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert result.attempted > 0
    assert result.failed == 0


def test_text_files_and_shards_are_the_same_planets(tmp_path):
    simulate.main([str(tmp_path / "data"), "--planets=2", "--spots=1", "--photons=2", "--seed=1", "--format=both"])
    shards = ariel_tf.open_data(tmp_path / "data")
    text = ariel_tf.open_data(tmp_path / "data/noisy_train", tmp_path / "data/params_train")
    assert isinstance(shards.source, TFRecordSource)
    assert len(shards) == len(text) == 2
    by_number = {planet.number: planet for planet in text.planets()}
    for planet in shards.planets():
        other = by_number.pop(planet.number)
        for name in ("instances", "star", "orbit", "radii", "flux", "scatter", "white"):
            np.testing.assert_array_equal(getattr(planet, name), getattr(other, name), err_msg=name)
    assert not by_number
    assert "radii unknown" in repr(ariel_tf.open_data(tmp_path / "data/noisy_train"))
    with pytest.raises(UsageError):
        ariel_tf.open_data("simulated:planets=none")


def test_the_quickstart_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(ROOT / "examples/quickstart.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "kept without outputs"
    done = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = [out["text"] for cell in done.cells for out in cell.get("outputs", ()) if out.output_type == "stream"]
    line = next(text for text in printed if text.startswith("score "))
    assert float(line.split()[1].rstrip(";")) > 8500

"""What a notebook uses: three functions and their examples."""

import doctest
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

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


@pytest.mark.usefixtures("pretended_training_here", "own_folder")
def test_the_examples_of_the_page_on_python_are_true():
    how = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testfile(str(ROOT / "docs/python.md"), module_relative=False, optionflags=how)
    assert result.attempted > 30
    assert result.failed == 0


def test_text_files_and_shards_are_the_same_planets(tmp_path):
    simulate.main([str(tmp_path / "data"), "--planets=2", "--spots=1", "--photons=2", "--seed=1", "--format=both",
                   "--jobs=1"])  # fmt: skip
    shards = ariel_tf.open_data(tmp_path / "data")
    text = ariel_tf.open_data(tmp_path / "data/noisy_train", tmp_path / "data/params_train")
    assert isinstance(shards.source, TFRecordSource)
    assert len(shards) == len(text) == 2
    by_number = {planet.number: planet for planet in text}
    for planet in shards:
        for other in (by_number.pop(planet.number), shards[planet.number], text[planet.number]):
            for name in ("number", "instances", "star", "orbit", "radii", "flux", "scatter", "white"):
                np.testing.assert_array_equal(getattr(planet, name), getattr(other, name), err_msg=name)
    assert not by_number
    pd.testing.assert_frame_equal(shards.to_pandas(), text.to_pandas())
    assert (1 in shards, 3 in shards) == (True, False)
    for number in (0, 3, "1", True, 1.0):
        with pytest.raises(UsageError, match=r"one of the 2 planets of .*, 1 to 2 \(data.numbers\)"):
            shards[number]
    beside = ariel_tf.open_data(tmp_path / "data/noisy_train")  # finds params_train, as --data does
    pd.testing.assert_frame_equal(beside.to_pandas(), text.to_pandas())
    (tmp_path / "data/params_train").rename(tmp_path / "targets")
    unknown = ariel_tf.open_data(tmp_path / "data/noisy_train")
    assert "radii unknown" in repr(unknown)
    assert unknown.to_pandas().columns.tolist() == shards.to_pandas("stars").columns.tolist()
    with pytest.raises(UsageError, match="the radii are unknown"):
        unknown.to_pandas("radii")
    with pytest.raises(UsageError, match="expected one of all, stars, orbits, radii"):
        shards.to_pandas("targets")
    with pytest.raises(UsageError):
        ariel_tf.open_data("simulated:planets=none")


def test_tables_in_another_order_are_not_scored():
    true = pd.DataFrame({"a": [0.1, 0.2], "b": [0.1, 0.3]}, index=pd.Index([1, 2], name="planet"))
    assert ariel_tf.score(true, true) == 10000.0
    assert ariel_tf.score(true, true.to_numpy()) == 10000.0
    assert ariel_tf.score(true.reset_index(drop=True), true) == 10000.0
    for other, axis in ((true[::-1], "index"), (true[["b", "a"]], "columns"), (true.rename({2: 3}), "index")):
        with pytest.raises(ValueError, match=f"differ in their {axis}"):
            ariel_tf.score(true, other)

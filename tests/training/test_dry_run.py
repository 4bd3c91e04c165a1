"""What `train --dry-run` prints of settings, model and memory."""

import re
from pathlib import Path
from types import SimpleNamespace

import keras
import pytest

from ariel_tf import models, train
from ariel_tf.config.hyperparameters import MEANINGS, Settings
from ariel_tf.models.builder import Built
from ariel_tf.training import dry_run

DATA = "simulated:planets=10,spots=1,photons=1,seed=1"


def test_every_setting_of_the_models_has_a_meaning():
    source = "".join(path.read_text() for path in Path(models.__file__).parent.glob("*.py"))
    names = set(re.findall(r'hp\.(?:Int|Float|Choice|Boolean)\(\s*"(\w+)"', source))
    names |= set(re.findall(r'"(first|second|third)"', source))  # which are asked for in loops
    assert len(names) > 25
    assert names == MEANINGS.keys()


def test_ranges_are_those_that_are_refused_beyond():
    hp = Settings()
    hp.Int("units", 4, 4096, default=8)
    hp.Float("learning_rate", 1e-6, 1.0, default=1e-3)
    hp.Choice("together", ["add", "concat"])
    hp.Boolean("bidirectional")
    assert list(hp.ranges.values()) == ["4 to 4096", "1e-06 to 1", "add, concat", "true, false"]
    lines = dry_run.setting_lines(Built(None, None, hp.values, ranges=hp.ranges))
    assert re.fullmatch(r"units +8 +4 to 4096 +units of each hidden layer", lines[1])
    assert re.fullmatch(r"learning_rate +0.001 +1e-06 to 1 +step size .*", lines[2])
    assert max(map(len, lines)) <= 120


@pytest.mark.usefixtures("own_folder")
def test_the_dry_run_of_a_transit_model_fits_on_two_screens(capsys):
    train.main(["--model=transit", "--wavelength=joint", f"--data={DATA}", "--dry-run", "--set=units=8"])
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) < 140
    weights = int(re.search(r"^([\d,]+) weights", printed, re.MULTILINE).group(1).replace(",", ""))
    held = [
        int(count.replace(",", "")) for count in re.findall(r"^  \w+ +\w+ +([\d,]+) weights$", printed, re.MULTILINE)
    ]
    assert weights == sum(held) > 1000
    assert re.search(r"^units +8 +8 to 2048 +units of each hidden layer$", printed, re.MULTILINE)
    assert re.search(r"^memory of one model's training: about [\d.]+ .B$", printed, re.MULTILINE)
    assert list(Path().iterdir()) == []


def test_a_list_without_wavelength_0_has_a_dry_run(capsys):
    train.main(["--model=squid", "--wavelength=3,12", f"--data={DATA}", "--dry-run"])
    assert "memory of 2 models trained together: about " in capsys.readouterr().out


def test_memory_is_that_of_weights_optimiser_and_outputs(monkeypatch):
    flux = keras.Input((10,), name="flux")
    hidden = keras.layers.Dense(7)(flux)
    model = keras.Model(flux, keras.layers.Dense(3)(hidden * 2.0))
    model.compile("adam", "mse")
    monkeypatch.setattr(dry_run.resources, "memory_used", lambda: 1000)
    first = SimpleNamespace(train_folds=(0, 1))
    source = SimpleNamespace(observations=lambda folds: 10 * len(folds))
    job = SimpleNamespace(config=SimpleNamespace(batch_size=5, first=first), source=source, also=None)
    needed = dry_run.memory_needed(job, SimpleNamespace(training=model))
    trained = 10 * 7 + 7 + 7 * 3 + 3
    assert needed.weights == 4 * (2 * trained + 2 + 4 * trained)  # two moments of Adam, its step and rate
    assert needed.outputs == 4 * 3 * 5 * (10 + 7 + 7 + 3)
    assert needed.total == 1000 + needed.weights + needed.outputs
    assert dry_run.rows_of_a_batch(job) == 5
    job.config.batch_size = 256
    assert dry_run.rows_of_a_batch(job) == 20, "there are no more rows for training"
    monkeypatch.setattr(dry_run.resources, "free_memory", lambda: 100)
    assert any("may not fit" in line for line in dry_run.memory_lines(job, SimpleNamespace(training=model)))


def test_a_list_has_the_memory_of_its_largest_stack(monkeypatch):
    from ariel_tf.training.stacked import memory

    asked = []
    monkeypatch.setattr(memory, "needed_by_each", lambda *arguments: asked.append(arguments) or 7_000_000)
    monkeypatch.setattr(dry_run, "memory_needed", lambda *_: dry_run.Memory(used=1_000_000, weights=1, outputs=1))
    one = SimpleNamespace(train_folds=(0, 1))
    source = SimpleNamespace(observations=lambda folds: 10 * len(folds))
    job = SimpleNamespace(config=SimpleNamespace(batch_size=5, first=one), source=source, also=None)
    lines = dry_run.memory_lines(job, SimpleNamespace(training="model"), [[3, 7, 12], [20, 21]])
    assert "memory of 3 models trained together: about 22.0 MB" in lines
    assert asked == [(job, "model", [3, 7, 12])]
    assert not any(
        "together" in line for line in dry_run.memory_lines(job, SimpleNamespace(training="model"), [[3], [7]])
    )

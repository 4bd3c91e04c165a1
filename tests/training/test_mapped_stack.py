"""A stack whose rows are in mapped files: the same training as with rows in memory."""

import json
import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from ariel_tf import train
from ariel_tf.config.targets import Targets
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data import dataset
from ariel_tf.data.selection import Selection, Signature
from ariel_tf.data.sources import open_source
from ariel_tf.training import per_wavelength
from ariel_tf.training.data import TrainingData
from ariel_tf.training.stacked import data, memory, tables
from ariel_tf.training.stacked.data import StackedData
from ariel_tf.training.stacked.tables import MappedTable, Table
from pipelines import arrays, simulate

WAVELENGTHS = (3, 7, 40)
KINDS = {
    "own": {"model": "squid"},
    "own, standardised by a pass": {"model": "squid", "settings": {}, "function": "sqrt"},
    "white": {"model": "transit"},
    "all": {"model": "squid", "channels": "all"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set with arrays."""
    path = tmp_path_factory.mktemp("mapped") / "data"
    simulate.main([str(path), "--planets", "14", "--spots", "2", "--photons", "2"])
    arrays.main([str(path)])
    return path


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(tables, "PART_BYTES", 40_000)  # two or three steps


def configs_of(folder, **options):
    given = {"model": "squid", "data": str(folder), "batch_size": 3, "wavelength": Targets.each(WAVELENGTHS)} | options
    return list(TrainConfig(**given).resolve().for_each_wavelength().values())


def both(folder, **options):
    """Rows in memory, and in mapped files."""
    configs, source = configs_of(folder, **options), open_source(str(folder), range(55))
    return StackedData(source, configs, 1 << 40), StackedData(source, configs, 0)


def numbers(table):
    return [None if values is None else values.numpy() for values in tf.nest.flatten(table)]


@pytest.mark.parametrize("kind", KINDS)
def test_mapped_rows_are_those_in_memory(folder, kind):
    held, mapped = both(folder, **KINDS[kind])
    assert isinstance(held.train, Table)
    assert isinstance(mapped.train, MappedTable)
    assert mapped.train.rows == held.train.rows
    assert mapped.steps == held.steps
    for one, other in zip(held.statistics, mapped.statistics, strict=True):
        assert one.keys() == other.keys()
        np.testing.assert_allclose(one["flux"].mean, other["flux"].mean, rtol=1e-6)
    order, seen = held.order(2), 0
    for table, places, first, last in mapped.train.calls(order, 3):
        for step in range(first, last):
            taken = places[3 * step : 3 * step + 3]
            expected = held.train.take(order[seen : seen + 3])
            for one, other in zip(numbers(expected), numbers(table.take(taken)), strict=True):
                np.testing.assert_array_equal(one, other)
            seen += len(taken)
    assert seen == held.train.rows
    assert sum(part.rows for part in mapped.train.parts(order, 3)) == seen


@pytest.mark.parametrize("options", [{}, {"channels": "own+white"}, {"channels": "all"}])
def test_a_pass_gives_the_constants_of_each_trained_alone(folder, options, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        "ariel_tf.training.flux_statistics.FITTED_BYTES", 5000
    )  # every few rows, which the order chooses
    configs, source = configs_of(folder, transform="yeo-johnson", **options), open_source(str(folder), range(55))
    limit = 150_000  # for one wavelength or two curves, not for three
    if options.get("channels") != "all":
        assert isinstance(StackedData(source, configs, limit).train, MappedTable)
    stacked = StackedData(source, configs, limit).statistics
    for config, its in zip(configs, stacked, strict=True):
        alone = TrainingData(source, config, memory=limit).statistics
        for part in ("exponent", "mean", "std"):
            np.testing.assert_array_equal(getattr(its["power"], part), getattr(alone["power"], part))
        assert its["radius"].mean == alone["radius"].mean


def test_a_pass_is_over_arrays_of_each_wavelength(folder, tmp_path):
    whole = shutil.copytree(folder, tmp_path / "data")
    shutil.rmtree(whole / "arrays")
    arrays.main([str(whole), "--layout", "rows"])
    source, every = open_source(str(whole), range(55)), Targets.parse("0-54")
    assert data.is_mapped(source, configs_of(whole, wavelength=every), 0)
    assert not data.is_mapped(source, configs_of(whole, wavelength=every, function="sqrt"), 0)
    assert not data.is_mapped(source, configs_of(whole), 0), "some wavelengths have no arrays of their own"


@pytest.mark.parametrize(
    ("model", "more"),
    [
        ("compressed", {}),  # a row is a planet
        ("compressed", {"bootstrap": "yes"}),
        ("linear", {"bootstrap": "yes"}),
        ("linear", {"every": 2}),
    ],
)
def test_rows_of_every_kind_are_stacked(folder, model, more):
    held, same = both(folder, model=model, **more)
    assert isinstance(held.train, Table)
    assert same.train.rows == held.train.rows
    for index, config in enumerate(held.configs):
        alone = TrainingData(held.source, config)
        np.testing.assert_array_equal(held.train.of(index)["flux"], alone.table["flux"])
        np.testing.assert_array_equal(held.train.radius[index], alone.table["radius"])


def test_groups_are_planned_with_the_memory_that_each_takes(monkeypatch):
    def needed(job, model, wavelengths):
        return 1 if len(wavelengths) > 10 else 100  # all in mapped files, a part of them in memory

    job = SimpleNamespace(order="", options=SimpleNamespace(jobs=2), config=SimpleNamespace(model_name="one"))
    monkeypatch.setattr(memory, "needed_by_each", needed)
    monkeypatch.setattr(memory, "available", lambda: round(1000 / memory.SHARE))
    groups = per_wavelength.by_memory(job, SimpleNamespace(training=None), range(12))
    assert max(map(len, groups)) <= 5  # two jobs share 1000
    job.options.jobs = 1
    assert len(per_wavelength.by_memory(job, SimpleNamespace(training=None), range(12))) == 1


def test_calls_of_rows_in_memory_have_every_step_once(folder, monkeypatch):
    held, _ = both(folder)
    for seconds in (0.0, 1e9):
        monkeypatch.setattr(tables, "CALL_SECONDS", seconds)
        calls = list(held.train.calls(held.order(0), 3))
        steps = [step for call in calls for step in range(call.first, call.last)]
        assert steps == list(range(held.steps))
    assert len(calls) == 2  # the first one measures


@pytest.mark.parametrize("role", ["test", "validation"])
def test_held_out_rows_are_those_in_memory(folder, role):
    def rows(one):
        found = [list(batches) for batches in one.batches(role)]
        joined = [{name: np.concatenate([b[name] for b in batches]) for name in batches[0]} for batches in found]
        return [{name: values[np.lexsort(its["key"].T)] for name, values in its.items()} for its in joined]

    for expected, received in zip(*map(rows, both(folder, model="transit")), strict=True):
        assert expected.keys() <= received.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(values, received[name], err_msg=name)


def trained(folder, path, memory, *more):
    arguments = ["--data", str(folder), "--wavelength", "3,7,40", "--batch-size", "3", "--epochs", "2", *more]
    train.main([*arguments, "--stack", "yes", "--memory", memory, "--run", str(path)])
    weights = [
        keras.models.load_model(path / name / "best.keras", compile=False).get_weights() for name in ("w03", "w40")
    ]
    rows = (path / "stack-w03-w40" / "metrics.csv").read_text().splitlines()
    timed = [rows[0].split(",").index(name) for name in ("observations_per_second", "seconds")]
    kept = [[float(v) for i, v in enumerate(row.split(",")) if i not in timed] for row in rows[1:]]
    scores = [json.loads((path / name / "scores.json").read_text())["test"]["observation"] for name in ("w03", "w40")]
    return [value for part in weights for value in part], kept, scores


@pytest.mark.parametrize("model", ["squid", "transit"])
def test_a_stack_is_trained_on_mapped_rows_bit_for_bit(folder, tmp_path, model, monkeypatch):
    expected, table, scores = trained(folder, tmp_path / "memory", "1G", "--model", model)
    monkeypatch.setattr(dataset, "load_by_channel", None)  # nothing is held
    received, shown, others = trained(folder, tmp_path / "mapped", "1K", "--model", model)
    for one, other in zip(expected, received, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(shown, table, rtol=1e-12)
    assert others == pytest.approx(scores, rel=1e-9)


def test_a_damaged_row_ends_the_training_with_its_planet(folder, tmp_path):
    copied = shutil.copytree(folder, tmp_path / "data")
    path = copied / "arrays" / "flux-07.npy"
    content = bytearray(path.read_bytes())
    for place in range(200, len(content), 1200):  # a word of every row
        content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"(?s)arrays.*not as it was written"):
        trained(copied, tmp_path / "run", "1K", "--model", "squid")
    assert not (tmp_path / "run" / "w03" / "scores.json").exists()


def test_rows_in_windows_are_not_stacked(monkeypatch):
    job = SimpleNamespace(order=per_wavelength.WINDOWS, options=SimpleNamespace(jobs=1))
    with pytest.raises(UsageError, match=r"shuffled in windows.*pipelines\.arrays.*Take --stack no"):
        per_wavelength.by_memory(job, SimpleNamespace(training=None), [3, 7])


def test_mapped_rows_need_no_memory_but_their_features_do(folder):
    source = open_source(str(folder), range(55))

    def needed(model, limit):
        config = TrainConfig(model=model, data=str(folder), wavelength=Targets.each(WAVELENGTHS)).resolve()
        job = SimpleNamespace(config=config, source=source, options=SimpleNamespace(memory_bytes=limit))
        flux = keras.Input((300, 2), name="flux")
        means = keras.ops.mean(flux, axis=1) if model == "transit" else flux
        built = keras.Model(flux, keras.layers.Dense(1)(keras.layers.Flatten()(means)))
        return memory.needed_by_each(job, built, WAVELENGTHS)

    config = configs_of(folder)[0]
    rows = source.observations((*config.train_folds, *config.validation_folds))
    config = config.replace(wavelength=Targets.each(WAVELENGTHS))
    flux = keras.Input((300, 1))
    model = keras.Model(flux, keras.layers.Dense(1)(keras.layers.Flatten()(flux)))

    def held(**more):
        one = SimpleNamespace(
            config=config.replace(**more), source=source, options=SimpleNamespace(memory_bytes=1 << 40)
        )
        return memory.needed_by_each(one, model, WAVELENGTHS)

    assert held(bootstrap="yes") - held() == pytest.approx(1.1 * rows * 1200, abs=2)  # a copy is drawn
    assert held(every=2) - held() == pytest.approx(1.1 * (rows // 2) * 1200, abs=2)
    assert needed("squid", 1 << 40) - needed("squid", 0) == pytest.approx(1.1 * rows * 1200, abs=2)
    assert needed("transit", 1 << 40) - needed("transit", 0) == pytest.approx(1.1 * rows * 2400, abs=2)
    flux = keras.Input((300, 2))
    for features, size in ((flux, 0), (keras.ops.mean(flux, axis=1), 8)):
        model = keras.Model(flux, keras.layers.Dense(1)(features))
        assert memory.feature_bytes(model, 2400) == size


@pytest.mark.parametrize("fields", [{}, {"stride": 2}, {"bootstrap_seed": 3}, {"row": "planet"}, {"row": "spot"}])
def test_rows_by_channel_are_the_rows(folder, fields):
    source = open_source(str(folder), range(55))
    row = fields.pop("row", "observation")
    selection = Selection((0, 1, 2), Signature((3, 7), (3, 7), white_light=True, row=row), **fields)
    expected, received = dataset.load(source, selection), dataset.load_by_channel(source, selection)
    assert expected.keys() == received.keys()
    for name, values in expected.items():
        found = np.moveaxis(received[name], 0, -1) if name == "flux" else received[name]
        np.testing.assert_array_equal(found, values, err_msg=name)
    assert received["flux"].flags.c_contiguous

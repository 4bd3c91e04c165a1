"""Data sets made by a pipeline of Apache Beam: the bytes of one machine, whatever the order and the number of workers.

Without Apache Beam its pipeline is played by a loop in another order; with it, by its own runner on this machine.
"""

import dataclasses
import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from ariel_tf import predict
from ariel_tf.core.errors import ArielError, DataError, UsageError
from ariel_tf.data import dataset
from ariel_tf.data.manifest import Manifest
from ariel_tf.data.text.format import write_light_curve, write_params
from pipelines import beam, beam_files, beam_predict, beam_shards, convert, download, simulate

SIMULATED = ["--planets=3", "--spots=1", "--photons=2", "--seed=7"]
HERE = ["--", "--runner=FnApiRunner"]


@pytest.fixture
def text(tmp_path, make_planet) -> Path:
    """A folder of four planets with two observations each."""
    for kind in ("noisy_train", "params_train"):
        (tmp_path / "text" / kind).mkdir(parents=True)
    for planet in map(make_planet, (1, 2, 40, 1234)):
        for row, key in enumerate(planet.keys):
            write_light_curve(tmp_path / f"text/noisy_train/{key.name}.txt", planet.star, planet.flux[:, row])
            write_params(tmp_path / f"text/params_train/{key.name}.txt", planet.orbit, planet.radii)
    return tmp_path / "text"


@pytest.fixture(params=["a loop", "Apache Beam"])
def pipeline(request, monkeypatch):
    """Pipelines run in this process."""
    if request.param == "Apache Beam":
        pytest.importorskip("apache_beam", reason="Apache Beam is not installed: pip install 'ariel_tf[beam]'")
        return

    def run(elements, work, beam_options, last):
        last([work(element) for element in reversed(elements)])

    monkeypatch.setattr(beam, "require_beam", lambda: None)
    monkeypatch.setattr(beam, "on_workers", run)


def options(text: Path, out: Path) -> list[str]:
    return ["--light-curves", f"{text}/noisy_train", "--params", f"{text}/params_train", "--out", str(out)]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_converted_data_set_is_that_of_one_machine(text, tmp_path, capsys, pipeline):
    convert.main([*options(text, tmp_path / "one"), "--jobs=1"])
    beam.main(["convert", *options(text, tmp_path / "out"), *HERE])
    assert contents(tmp_path / "out") == contents(tmp_path / "one")
    beam.main(["convert", *options(text, tmp_path / "out"), *HERE])
    assert "complete already" in capsys.readouterr().out
    with pytest.raises(UsageError, match="already holds a data set"):
        beam.main(["convert", *options(text, tmp_path / "out"), "--fold-seed=3", *HERE])


def test_simulated_planets_are_those_of_one_machine(tmp_path, pipeline):
    simulate.main([str(tmp_path / "one"), *SIMULATED, "--test-planets=1", "--jobs=1"])
    beam.main(["simulate", str(tmp_path / "out"), *SIMULATED, "--test-planets=1", *HERE])
    assert contents(tmp_path / "out") == contents(tmp_path / "one")


def test_faults_are_listed_and_nothing_is_a_data_set(text, tmp_path, pipeline):
    (text / "noisy_train/0002_01_01.txt").write_text("torn")
    (text / "noisy_train/0040_01_01.txt").write_text("torn")
    with pytest.raises(DataError, match="2 faults were found") as caught:
        beam.main(["convert", *options(text, tmp_path / "out"), *HERE])
    assert [fault.partition(".txt")[0][-10:] for fault in caught.value.faults] == ["0002_01_01", "0040_01_01"]
    assert not (tmp_path / "out/manifest.json").exists()
    convert.main([*options(text, tmp_path / "one"), "--jobs=1", "--skip-bad"])
    beam.main(["convert", *options(text, tmp_path / "out"), "--skip-bad", *HERE])
    assert contents(tmp_path / "out") == contents(tmp_path / "one")
    assert len(Manifest.read(tmp_path / "out").skipped) == 2


def test_a_stopped_pipeline_goes_on_with_the_shards_that_are_missing(text, tmp_path, monkeypatch):
    out = tmp_path / "out"
    given = convert.Options.from_flags(convert.parser().parse_args(options(text, out)))
    data, tasks, read = beam.convert_shards(given, str(out))
    assert not beam_shards.claim(data)
    outcomes = [beam_shards.write_shard(task, data, read) for task in tasks]
    shards = sorted(out.glob("*.tfrecord"))
    shards[0].write_bytes(shards[0].read_bytes()[:-1] + b"x")  # damaged meanwhile
    Path(f"{shards[1]}.json").write_text("{}")
    put = []
    monkeypatch.setattr(
        beam_files, "put", lambda path, where, real=beam_files.put: put.append(where) or real(path, where)
    )
    assert [beam_shards.write_shard(task, data, read) for task in tasks] == outcomes
    assert {Path(where).name.partition(".")[0] for where in put} == {path.stem for path in shards[:2]}
    changed = json.loads((out / "unfinished.json").read_text()) | {"fold_seed": 5}
    (out / "unfinished.json").write_text(json.dumps(changed))
    with pytest.raises(UsageError, match="unfinished data set of other files or settings"):
        beam_shards.claim(data)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["simulate", "out", "--part=1/2"], "--part: expected without it"),
        (["simulate", "out", "--format=text"], "--format text: expected tfrecord"),
    ],
)
def test_options_that_do_not_fit(arguments, fault, monkeypatch, own_folder):
    monkeypatch.setattr(beam, "require_beam", lambda: None)
    with pytest.raises(UsageError, match=fault):
        beam.main(arguments)


def test_without_apache_beam_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'ariel_tf\[beam\]'"):
        beam.require_beam()


@pytest.fixture
def several_batches(monkeypatch):
    """Batches of prediction of two observations of all wavelengths."""
    monkeypatch.setattr(dataset, "PREDICTED_BYTES", 2 * 55 * 300 * 4)


DATA = "simulated:planets=14,spots=1,photons=1"
JOINT = ("--model=linear", "--wavelength=joint", "--epochs=1", f"--data={DATA}", "--set=layers=1", "--set=units=4")


def test_predictions_are_those_of_one_machine(tiny_run, tmp_path, capsys, pipeline, several_batches):
    run = tiny_run(*JOINT)
    predict.main([str(run), f"--data={DATA}", f"--out={tmp_path}/one.csv"])
    printed = capsys.readouterr().out.partition(" in ")[0]
    beam.main(["predict", str(run), f"--data={DATA}", f"--out={tmp_path}/all.csv", "--parts=3", *HERE])
    assert capsys.readouterr().out.startswith(f"{printed} in ")
    assert contents_by_suffix(tmp_path, "all") == contents_by_suffix(tmp_path, "one")


def contents_by_suffix(folder: Path, stem: str) -> dict[str, bytes]:
    """The content of FILE, its notes and its checksum."""
    return {
        path.name.replace(stem, "FILE"): path.read_bytes().replace(stem.encode(), b"FILE")
        for path in folder.iterdir()
        if stem in path.name
    }


def test_pooled_planets_are_divided_by_planets(tmp_path):
    options = beam_predict.Options.from_flags(given := predict_arguments(tmp_path / "all.csv", "--parts=2"))
    plan = beam_predict.planned(options, given)
    assert (plan.total, plan.count) == (14, 2)
    assert [plan.part(number) for number in range(2)] == [slice(0, 7), slice(7, 14)]


def predict_arguments(out: Path, *more: str):
    return beam_predict.parser().parse_args([f"--data={DATA}", f"--out={out}", *more])


def test_a_stopped_prediction_goes_on_with_the_parts_that_are_missing(tiny_run, tmp_path, several_batches):
    given = predict_arguments(tmp_path / "all.csv", "--parts=3", str(tiny_run(*JOINT)))
    plan = beam_predict.planned(beam_predict.Options.from_flags(given), given)
    assert beam_predict.claim(plan) == [0, 1, 2]
    beam_predict.predict_part(1, plan)
    assert beam_predict.claim(plan) == [0, 2]
    with pytest.raises(DataError, match=r"part-00000.npz: not a part of these predictions"):
        beam_predict.write(plan)
    for number in (0, 2):
        shutil.copy(plan.path(1), plan.path(number))  # as if a worker had written another part
    with pytest.raises(DataError, match="planets that are announced were not received"):
        beam_predict.write(plan)
    assert not (tmp_path / "all.csv").exists()
    other = dataclasses.replace(plan, identity="another")
    with pytest.raises(UsageError, match="holds parts of other predictions"):
        beam_predict.claim(other)


def test_an_upload_by_workers_is_that_of_one_machine(emulator, bigquery_shards, tmp_path, capsys, pipeline, request):
    """Each way into a dataset of its own."""
    data, dataset_name = str(bigquery_shards / "train"), f"beam{len(request.node.name)}"
    beam.main(["upload", data, "--project=proj", f"--dataset={dataset_name}", *HERE])
    download.main([f"bigquery://proj/{dataset_name}", str(tmp_path / "copy")])
    assert contents(tmp_path / "copy") == contents(bigquery_shards / "train")
    capsys.readouterr()
    beam.main(["upload", data, "--project=proj", f"--dataset={dataset_name}", *HERE])
    assert "complete already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (DataError("shard 3 is torn"), r"shard 3 is torn"),
        (RuntimeError("Traceback:\n  File ...\nDataError: torn"), r"a worker of the pipeline failed: DataError: torn"),
    ],
)
def test_an_error_of_a_worker_is_one_sentence(error, shown):
    pytest.importorskip("apache_beam", reason="Apache Beam is not installed: pip install 'ariel_tf[beam]'")

    def refuse(number):
        raise error

    with pytest.raises(ArielError, match=rf"^{shown}"):
        beam.on_workers([3], refuse, HERE[1:], len)

"""Data sets made by a pipeline of Apache Beam: the bytes of one machine, whatever the order and the number of workers.

Without Apache Beam its pipeline is played by a loop in another order; with it, by its own runner on this machine.
"""

import importlib.util
import json
from pathlib import Path

import pytest

from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.manifest import Manifest
from ariel_tf.data.text.format import write_light_curve, write_params
from pipelines import beam, beam_shards, convert, simulate

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

    def run(data, tasks, read, beam_options):
        outcomes = [beam_shards.write_shard(task, data, read) for task in reversed(tasks)]
        beam_shards.finish(outcomes, data)

    monkeypatch.setattr(beam, "require_beam", lambda: None)
    monkeypatch.setattr(beam, "pipeline", run)


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
        beam_shards, "_put", lambda path, where, real=beam_shards._put: put.append(where) or real(path, where)
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

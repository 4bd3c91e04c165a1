"""Simulated data sets: the same seed gives the same bytes, by every road."""

from pathlib import Path

import numpy as np
import pytest

from ariel_tf.core.errors import UsageError
from ariel_tf.data.manifest import Manifest
from ariel_tf.data.records import decode
from ariel_tf.data.shards import read_records
from ariel_tf.data.text.format import read_light_curve, read_params
from ariel_tf.physics import simulator
from ariel_tf.physics.priors import Priors
from pipelines import check, convert, simulate


def run(out: Path, *options: str) -> None:
    simulate.main([str(out), "--planets=3", "--spots=1", "--photons=2", "--seed=7", "--jobs=1", *options])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> Path:
    """Both formats, with a test planet."""
    out = tmp_path_factory.mktemp("simulated") / "both"
    run(out, "--format=both", "--test-planets=1")
    return out


def test_the_planets_are_the_simulators(both):
    manifest = Manifest.read(both)
    assert manifest.planets.keys() == {1, 2, 3}
    assert manifest.source == {
        "kind": "simulated",
        "simulator_version": simulator.VERSION,
        "seed": 7,
        "spots": 1,
        "photons": 2,
    }
    for shard in manifest.shards:
        for record in read_records(both / shard.name):
            planet = decode(record)
            expected = simulator.simulate_planet(7, planet.number, 1, 2)
            assert planet.flux.tobytes() == expected.flux.tobytes()
            assert planet.radii.tobytes() == expected.radii.tobytes()
    check.main([str(both)])


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_in_any_number_of_processes(both, tmp_path):
    run(tmp_path, "--format=both", "--test-planets=1", "--jobs=2")
    assert contents(tmp_path) == contents(both)


def test_parts_of_several_machines_are_the_bytes_of_one(both, tmp_path):
    for part in ("2/2", "1/2"):
        run(tmp_path, "--test-planets=1", f"--part={part}")
    run(tmp_path, "--test-planets=1", "--finish")
    made, whole = contents(tmp_path), contents(both)
    assert made == {name: content for name, content in whole.items() if name in made}
    assert {name for name in whole if name.endswith((".tfrecord", "manifest.json", ".npz"))} == made.keys()
    with pytest.raises(UsageError, match="expected --format tfrecord"):
        run(tmp_path, "--format=text", "--part=1/2")


def test_another_seed_gives_other_planets(both, tmp_path):
    run(tmp_path, "--seed=8")
    assert Manifest.read(tmp_path).fingerprint != Manifest.read(both).fingerprint


def test_other_priors_are_another_population(tmp_path, capsys):
    run(tmp_path, "--prior=impact_high=0.5", "--prior=spot_fill_high=0")
    manifest = Manifest.read(tmp_path)
    assert manifest.source["priors"] == {"impact_high": 0.5, "spot_fill_high": 0.0}
    planet = decode(next(read_records(tmp_path / manifest.shards[0].name)))
    priors = Priors(impact_high=0.5, spot_fill_high=0)
    expected = simulator.simulate_planet(7, planet.number, 1, 2, priors)
    assert planet.flux.tobytes() == expected.flux.tobytes()
    capsys.readouterr()
    run(tmp_path, "--prior=impact_high=0.5", "--prior=spot_fill_high=0")
    assert "complete already" in capsys.readouterr().out
    with pytest.raises(UsageError, match="--overwrite"):
        run(tmp_path)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("impact_hihg=1", r"expected one of .*Received: impact_hihg.*impact_high"),
        ("impact_high", r"NAME=NUMBER, like impact_high=0\.9\. Received: impact_high$"),
        ("impact_high=nan", "NAME=NUMBER"),
        ("impact_high=big", "NAME=NUMBER"),
        ("k_magnitude_shape=-1", r"make no planet \(shape < 0\)"),
        ("duration_low=500", "hold no observable planet"),
    ],
)
def test_an_impossible_prior_is_one_sentence(tmp_path, setting, message):
    with pytest.raises(UsageError, match=message):
        run(tmp_path / "out", f"--prior={setting}")
    assert not (tmp_path / "out").exists()


def test_text_converts_to_the_very_shards(both, tmp_path):
    train, test = tmp_path / "train", tmp_path / "test"
    where = [f"--light-curves={both}/noisy_train", f"--params={both}/params_train"]
    convert.main([*where, f"--out={train}", "--jobs=1"])
    convert.main([f"--light-curves={both}/noisy_test", f"--out={test}", "--jobs=1"])
    assert Manifest.read(train).fingerprint == Manifest.read(both).fingerprint
    assert Manifest.read(test).fingerprint == Manifest.read(both / "test").fingerprint


def test_test_planets_are_others_and_unlabelled(both):
    manifest = Manifest.read(both / "test")
    assert manifest.planets.keys() == {4}
    assert not manifest.labelled
    planet = decode(next(read_records(both / "test" / manifest.shards[0].name)))
    assert np.isnan(planet.radii).all()
    assert np.isnan(planet.orbit).all()
    assert planet.flux.tobytes() == simulator.simulate_planet(7, 4, 1, 2).flux.tobytes()
    check.main([str(both / "test")])


def test_the_next_command_of_each_text_folder_is_printed(tmp_path, capsys):
    run(tmp_path, "--format=text", "--test-planets=1")
    steps = [line for line in capsys.readouterr().out.splitlines() if line.startswith("next: ")]
    train, params, test = (tmp_path / name for name in ("noisy_train", "params_train", "noisy_test"))
    assert steps == [
        f"next: python -m pipelines.convert --light-curves {train} --params {params} --out data",
        f"next: python -m ariel_tf.predict --light-curves {test} --out submission.txt",
    ]


def test_text_has_the_challenge_layout(both):
    names = [f"{planet:04d}_01_{photon:02d}.txt" for planet in (1, 2, 3) for photon in (1, 2)]
    assert sorted(path.name for path in (both / "noisy_train").iterdir()) == names
    assert sorted(path.name for path in (both / "params_train").iterdir()) == names
    assert sorted(path.name for path in (both / "noisy_test").iterdir()) == ["0004_01_01.txt", "0004_01_02.txt"]
    planet = simulator.simulate_planet(7, 2, 1, 2)
    star, flux = read_light_curve(both / "noisy_train/0002_01_02.txt")
    assert star.tobytes() == planet.star.tobytes()
    assert flux.tobytes() == planet.flux[:, 1].astype(np.float64).tobytes()
    orbit, radii = read_params(both / "params_train/0002_01_01.txt")
    assert orbit.tobytes() == planet.orbit.tobytes()
    assert radii.tobytes() == planet.radii.tobytes()


def test_interrupted_text_goes_on_with_the_missing_planets(both, tmp_path, monkeypatch):
    real, made = simulate.make_planet, []

    def make(number, **settings):
        if number in made or len(made) < 2:
            made.append(number)
            return real(number, **settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(simulate, "make_planet", make)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "--format=text")
    assert made == [1, 2]
    made[:] = [3]
    run(tmp_path, "--format=text")
    assert made == [3, 3]
    for kind in ("noisy_train", "params_train"):
        assert contents(tmp_path / kind) == contents(both / kind)


def test_interrupted_shards_are_not_continued_with_another_seed(tmp_path, monkeypatch):
    monkeypatch.setattr(simulate, "make_planet", None)
    with pytest.raises(TypeError):
        run(tmp_path)
    monkeypatch.undo()
    with pytest.raises(UsageError, match="unfinished data set of other files or settings"):
        run(tmp_path, "--seed=8")
    run(tmp_path)


def test_a_finished_part_is_not_made_again(both, tmp_path, monkeypatch, capsys):
    """The training planets are complete, the test planets were not begun."""
    run(tmp_path)
    monkeypatch.setattr(
        simulate, "maker", lambda part, arguments, real=simulate.maker: refuse(part) or real(part, arguments)
    )
    run(tmp_path, "--test-planets=1")
    assert f"{tmp_path}: complete already" in capsys.readouterr().out
    assert Manifest.read(tmp_path / "test").fingerprint == Manifest.read(both / "test").fingerprint


def refuse(part):
    assert not part.labelled, "the training planets are complete"


@pytest.mark.parametrize("kind", ["text", "tfrecord"])
def test_what_lies_there_is_kept_unless_overwritten(tmp_path, kind):
    run(tmp_path, f"--format={kind}")
    before = contents(tmp_path)
    with pytest.raises(UsageError, match="--overwrite"):
        run(tmp_path, f"--format={kind}", "--seed=8")
    assert contents(tmp_path) == before
    run(tmp_path, f"--format={kind}", "--seed=8", "--overwrite", "--planets=2")
    assert contents(tmp_path).keys() < before.keys()


@pytest.mark.parametrize("there", ["text", "tfrecord"])
def test_both_formats_are_claimed_before_either_is_written(tmp_path, there):
    run(tmp_path, f"--format={there}", "--seed=8")
    before = contents(tmp_path)
    with pytest.raises(UsageError, match="--overwrite"):
        run(tmp_path, "--format=both")
    assert contents(tmp_path) == before


def test_overwrite_does_not_read_what_it_removes(tmp_path):
    run(tmp_path, "--format=text", "--planets=1")
    (tmp_path / simulate.TEXT_STATE).write_text("{")
    run(tmp_path, "--format=text", "--planets=1", "--overwrite")
    assert contents(tmp_path / "noisy_train")


def test_more_planets_than_file_names_is_one_sentence(tmp_path):
    with pytest.raises(UsageError, match=r"9999 planets at most.*Received: 10009"):
        run(tmp_path / "out", "--planets=9999", "--test-planets=10", "--format=text")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--planets=0", "--photons=100", "--spots=x", "--seed=-1", "--format=csv"])
def test_impossible_options_are_usage_errors(tmp_path, option):
    flag, _, value = option.partition("=")
    with pytest.raises(UsageError, match=rf"^{flag}: expected .*Received: {value}$"):
        run(tmp_path, option)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    for kind in ("text", "tfrecord"):
        with pytest.raises(OSError, match="file"):
            run(tmp_path / "file/out", f"--format={kind}")

"""The manifest: statistics that equal a pass over the data, and damage that is one sentence."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ariel_tf.core.errors import DataError
from ariel_tf.data.manifest import Manifest, Shard, Sums


def shard(fold: int, planets: list[int], sha256: str = "0" * 64) -> Shard:
    return Shard(f"fold-{fold}-00000.tfrecord", fold, planets, 2 * len(planets), 1000, sha256)


def outcome(function: Callable, *args: Any) -> Any:
    """What the function returns, or the text of its DataError; any other exception fails the test."""
    try:
        return function(*args)
    except DataError as error:
        return str(error)


@pytest.fixture
def manifest(make_planet) -> Manifest:
    sums = Sums()
    sums.add(make_planet(1), 0)
    sums.add(make_planet(2), 3)
    return Manifest({"kind": "test"}, True, 0, [shard(0, [1]), shard(3, [2])], sums)


def test_statistics_equal_a_pass_over_the_chosen_folds(make_planet):
    planets = [make_planet(number, observations=number) for number in (1, 2, 3, 4)]
    sums = Sums()
    for planet in planets:
        sums.add(planet, planet.number % 3)
    chosen = [planet for planet in planets if planet.number % 3 != 0]
    statistics = sums.choose([2, 1])
    columns = {
        "flux": np.concatenate([planet.flux for planet in chosen], axis=1).swapaxes(0, 1),
        "white": np.concatenate([planet.white for planet in chosen]),
        "star": np.array([planet.star for planet in chosen]),
        "radius": np.array([planet.radii for planet in chosen]),
        "depth": np.array([planet.radii**2 for planet in chosen]),
    }
    for quantity, values in columns.items():
        values = values.astype(np.float64)
        assert statistics[quantity].count == len(values)
        np.testing.assert_allclose(statistics[quantity].mean, values.mean(0), rtol=1e-12)
        np.testing.assert_allclose(statistics[quantity].std, values.std(0), rtol=1e-6, atol=1e-12)
        np.testing.assert_array_equal(statistics[quantity].min, values.min(0))
        np.testing.assert_array_equal(statistics[quantity].max, values.max(0))


def test_statistics_of_a_constant_have_no_spread(make_planet):
    planet = make_planet(1, 2)
    planet.flux[:] = 0.1
    sums = Sums()
    for _ in range(7):
        sums.add(planet, 0)
    np.testing.assert_allclose(sums.choose([0])["flux"].std, 0, atol=1e-8)


def test_statistics_of_nothing_are_nan(make_planet):
    sums = Sums()
    sums.add(make_planet(1, labelled=False), 0)
    assert sums.choose([0])["radius"].count == 0
    assert np.isnan(sums.choose([0])["radius"].mean).all()
    assert sums.choose([1])["flux"].count == 0


def test_merged_sums_are_the_sums_of_all_and_their_bytes_are_fixed(make_planet):
    one, two, both = Sums(), Sums(), Sums()
    one.add(make_planet(1), 0)
    two.add(make_planet(2), 0)
    both.merge(one)
    both.merge(two)
    together = Sums()
    together.add(make_planet(1), 0)
    together.add(make_planet(2), 0)
    assert both.equals(together)
    assert not both.equals(one)
    again = Sums.from_bytes(both.to_bytes(), "sums")
    assert again.to_bytes() == both.to_bytes()


def test_manifest_round_trip(tmp_path, manifest):
    manifest.write(tmp_path)
    first = (tmp_path / "manifest.json").read_bytes()
    again = Manifest.read(tmp_path)
    assert again.planets == {1: 0, 2: 3}
    assert again.rows == 4
    assert again.labelled
    assert again.fingerprint == manifest.fingerprint
    assert again.sums.to_bytes() == manifest.sums.to_bytes()
    again.write(tmp_path)
    assert (tmp_path / "manifest.json").read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "statistics.npz"]


def test_fingerprint_depends_on_the_data_and_not_on_the_source(manifest):
    before = manifest.fingerprint
    manifest.source = {"kind": "elsewhere"}
    assert manifest.fingerprint == before
    manifest.shards[1] = shard(3, [2], "1" * 64)
    assert manifest.fingerprint != before


def test_a_folder_without_manifest_says_how_to_make_one(tmp_path):
    with pytest.raises(DataError, match=r"manifest.json in .*pipelines.convert.*pipelines.simulate"):
        Manifest.read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"schema": 99}, "schema 1, received 99"),
        ({"shards": []}, "no shard"),
        ({"shards": [{"name": "a"}]}, "shards"),
        ({"shards": 3}, "'shards' of type list"),
        ({"fold_seed": 5}, "fingerprint"),
        ({"labelled": 1}, "'labelled' of type bool"),
    ],
)
def test_a_changed_manifest_is_refused_by_name_and_fault(tmp_path, manifest, change, fault):
    manifest.write(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=f"manifest.json.*{fault}"):
        Manifest.read(tmp_path)


def test_a_shard_name_cannot_lead_out_of_the_folder(tmp_path, manifest):
    manifest.shards[0] = Shard("../fold-0-00000.tfrecord", 0, [1], 2, 1000, "0" * 64)
    manifest.write(tmp_path)
    with pytest.raises(DataError, match="shard name"):
        Manifest.read(tmp_path)


@given(st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_gives_the_value_or_one_data_error(tmp_path, manifest, data):
    manifest.write(tmp_path)
    path = tmp_path / data.draw(st.sampled_from(["manifest.json", "statistics.npz"]))
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), at]))])
    again = outcome(Manifest.read, tmp_path)
    assert str(tmp_path) in again if isinstance(again, str) else again.planets == {1: 0, 2: 3}


@given(st.binary(max_size=300))
@example(b"[" * 100_000)
@example(b"NaN")
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_no_manifest(tmp_path, data):
    (tmp_path / "manifest.json").write_bytes(data)
    with pytest.raises(DataError, match=r"manifest\.json"):
        Manifest.read(tmp_path)


@given(st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_sums_give_sums_or_one_data_error(manifest, data):
    # Behind the checksum's back: the reader of the archive must hold on its own.
    content = bytearray(manifest.sums.to_bytes())
    ends = [st.integers(0, 400), st.integers(len(content) - 1500, len(content) - 1)]
    at = data.draw(st.one_of(*ends))
    content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    sums = outcome(Sums.from_bytes, bytes(content), "statistics.npz")
    assert "statistics.npz" in sums if isinstance(sums, str) else sums.moments.keys() <= manifest.sums.moments.keys()


def test_a_full_disk_leaves_the_old_manifest(tmp_path, manifest, monkeypatch):
    manifest.write(tmp_path)
    before = (tmp_path / "manifest.json").read_bytes()
    manifest.source = {"kind": "new"}

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        manifest.write(tmp_path)
    assert (tmp_path / "manifest.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "statistics.npz"]

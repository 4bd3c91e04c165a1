"""Records: bit-exact round trips, in NumPy and in a graph; damage is one sentence."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ariel_tf.core.errors import DataError
from ariel_tf.data import records
from ariel_tf.planet import Planet


def assert_same(a: Planet, b: Planet) -> None:
    for field in dataclasses.fields(Planet):
        one, two = np.asarray(getattr(a, field.name)), np.asarray(getattr(b, field.name))
        assert one.dtype == two.dtype
        assert one.shape == two.shape
        assert one.tobytes() == two.tobytes(), field.name


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("observations", [1, 3])
def test_decode_returns_every_bit(make_planet, observations, labelled):
    planet = make_planet(7, observations, labelled)
    assert_same(records.decode(records.encode(planet)), planet)


def test_the_same_planet_gives_the_same_bytes(make_planet):
    assert records.encode(make_planet(7)) == records.encode(make_planet(7))


def test_parse_in_a_graph_gives_the_wavelengths_asked_for_in_their_order(make_planet):
    planet = make_planet(42, 3)
    wavelengths = [54, 0, 12]
    dataset = tf.data.Dataset.from_tensors(records.encode(planet))
    parsed = next(iter(dataset.map(lambda record: records.parse(record, wavelengths, white=True))))
    assert parsed["planet"].numpy() == 42
    np.testing.assert_array_equal(parsed["instances"], [[1, 1], [1, 2], [1, 3]])
    np.testing.assert_array_equal(parsed["star"], planet.star.astype(np.float32))
    np.testing.assert_array_equal(parsed["radii"], planet.radii[wavelengths].astype(np.float32))
    np.testing.assert_array_equal(parsed["scatter"], planet.scatter[:, wavelengths])
    np.testing.assert_array_equal(parsed["flux"], planet.flux[wavelengths])
    np.testing.assert_array_equal(parsed["white"], planet.white)


def test_parse_reads_no_wavelength_that_is_not_asked_for(make_planet):
    example = tf.train.Example.FromString(records.encode(make_planet(1)))
    for wavelength in range(1, 55):
        del example.features.feature[records.flux_feature(wavelength)]
    parsed = records.parse(tf.constant(example.SerializeToString()), [0])
    assert parsed["flux"].shape == (1, 2, 300)
    assert "white" not in parsed


def test_parse_can_give_white_light_alone(make_planet):
    parsed = records.parse(tf.constant(records.encode(make_planet(1))), [], white=True)
    assert parsed["flux"].shape == (0, 2, 300)
    assert parsed["white"].shape == (2, 300)


@pytest.mark.parametrize("feature", ["planet", "star", "scatter", "flux/33", "flux/white"])
def test_decode_refuses_a_record_without_a_feature(make_planet, feature):
    example = tf.train.Example.FromString(records.encode(make_planet(1)))
    del example.features.feature[feature]
    with pytest.raises(DataError, match=feature):
        records.decode(example.SerializeToString())


def test_decode_refuses_a_feature_of_another_length(make_planet):
    example = tf.train.Example.FromString(records.encode(make_planet(1)))
    example.features.feature["flux/05"].bytes_list.value[0] += b"1234"
    with pytest.raises(DataError, match=r"flux/05.*2404 bytes"):
        records.decode(example.SerializeToString())


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_decode_of_any_bytes_gives_one_data_error(data):
    with pytest.raises(DataError):
        records.decode(data)


def _with(planet: Planet, name: str, place: tuple, value: float) -> Planet:
    values = getattr(planet, name).copy()
    values[place] = value
    return dataclasses.replace(planet, **{name: values})


OUT_OF_BOUNDS = {
    "a relative radius": [("radii", (12,), 1e6), ("radii", (12,), -0.1), ("radii", (12,), 0), ("radii", (12,), np.nan)],
    "a stellar parameter": [("star", (0,), -1.0), ("star", (5,), np.inf), ("star", (2,), np.nan)],
    "a spot or photon instance": [("instances", (0, 1), 100), ("instances", (1, 0), -1)],
    "a scatter": [("scatter", (1, 12), np.nan), ("scatter", (0, 12), -1), ("scatter", (0, 12), np.inf)],
    "flux": [("flux", (12, 1, 299), np.nan), ("flux", (12, 0, 0), -np.inf), ("flux", (12, 0, 7), 1e5)],
    "white light": [("white", (1, 3), np.nan), ("white", (0, 3), 10.0)],
}  # fmt: skip


@pytest.mark.parametrize(("quantity", "change"), [(name, one) for name in OUT_OF_BOUNDS for one in OUT_OF_BOUNDS[name]])
def test_a_value_out_of_bounds_is_refused_by_readers(make_planet, quantity, change):
    """Radii of 1e6 trained to exit 0; only `pipelines.check` refused them."""
    spoiled = _with(make_planet(7), *change)
    dataset = tf.data.Dataset.from_tensors(records.encode(spoiled))
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"planet 0007 has {quantity} out of bounds"):
        list(dataset.map(lambda record: records.parse(record, [40, 12], white=True, labelled=True)))


def test_a_planet_number_beyond_32_bits_is_refused(make_planet):
    """Cast to int32, 2^32 + 7 was planet 7."""
    for number in (2**32 + 7, -1):
        record = records.encode(dataclasses.replace(make_planet(7), number=number))
        with pytest.raises(tf.errors.InvalidArgumentError, match="has a number out of bounds"):
            records.parse(tf.constant(record), [12])


def test_radii_of_test_sets_are_unknown(make_planet):
    record = tf.constant(records.encode(make_planet(7, labelled=False)))
    assert np.isnan(records.parse(record, [12])["radii"]).all()
    assert records.parse(record, [])["radii"].shape == (0,)

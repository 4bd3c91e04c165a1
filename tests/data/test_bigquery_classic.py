"""Tables of the classic layout read as the planets that they were made from, and become shards."""

import io
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from google.cloud import bigquery

from ariel_tf import evaluate, train
from ariel_tf.challenge import STAR_NAMES
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.bigquery.address import Address
from ariel_tf.data.bigquery.connection import Connection
from ariel_tf.data.manifest import Manifest
from ariel_tf.data.records import decode
from ariel_tf.data.selection import Selection
from ariel_tf.data.shards import read_records
from ariel_tf.data.sources import open_source
from pipelines import check, download

ALL = tuple(range(55))
# Wavelengths whose tables have rows: 55 wide tables take an emulator half a minute.
FILLED = (3, 4, 7)
CLASSIC = Address.parse("bigquery://proj/classic")


def load(name, columns):
    """Fill a table of `Connection(CLASSIC)`'s dataset with NumPy columns, made if absent; NaN becomes NULL."""
    client = Connection(CLASSIC).rest
    kinds = {"i": "INT64", "f": "FLOAT64"}
    schema = [bigquery.SchemaField(column, kinds[values.dtype.kind]) for column, values in columns.items()]
    client.create_table(bigquery.Table(CLASSIC.table(name), schema), exists_ok=True)
    if not len(columns["AAAA"]):
        return
    file = io.BytesIO()
    pq.write_table(pa.table({column: pa.array(values, from_pandas=True) for column, values in columns.items()}), file)
    config = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_APPEND", schema=schema)
    client.load_table_from_file(file, CLASSIC.table(name), rewind=True, job_config=config).result()


@pytest.fixture(scope="module")
def planets(bigquery_shards):
    return [
        decode(record)
        for shard in Manifest.read(bigquery_shards / "train").shards
        for record in read_records(bigquery_shards / "train" / shard.name)
    ]


def load_curves(planets, filled, empty=()):
    """Tables of these wavelengths, rows in no order, and of others, without rows."""
    keys = np.array([key for planet in planets for key in planet.keys])
    order = np.random.default_rng(0).permutation(len(keys))
    for wavelength in (*filled, *empty):
        flux = np.concatenate([planet.flux[wavelength] for planet in planets]).astype(float)
        columns = dict(zip(("AAAA", "BB", "CC"), keys.T, strict=True))
        columns |= {f"_{step}": flux[:, step] for step in range(300)}
        columns["label"] = np.repeat([planet.radii[wavelength] for planet in planets], 2)
        load(
            f"train_table_{wavelength}",
            {name: values[order if wavelength in filled else []] for name, values in columns.items()},
        )


@pytest.fixture(scope="module")
def classic(emulator, planets):
    """55 tables, of which those of a few wavelengths have rows, and one of parameters."""
    Connection(CLASSIC).rest.create_dataset("classic")
    load_curves(planets, FILLED, sorted({*ALL} - {*FILLED}))
    stars = np.array([[*planet.star, *planet.orbit] for planet in planets])
    parameters = dict(zip([*STAR_NAMES, "sma", "incl"], stars.T, strict=True))
    load("extra_params", {"AAAA": np.array([planet.number for planet in planets])} | parameters)
    return f"{CLASSIC}?layout=classic"


@pytest.mark.parametrize("order", [None, (3, 4)])
def test_planets_are_those_of_the_shards(classic, bigquery_shards, order):
    theirs, ours = open_source(str(bigquery_shards / "train"), [7, 3]), open_source(classic, [7, 3])
    assert ours.folds == theirs.folds
    assert ours.labelled
    assert [ours.observations([fold]) for fold in range(10)] == [theirs.observations([fold]) for fold in range(10)]
    seed = None if order is None else tf.constant(order)
    found, expected = (
        {
            int(planet["planet"]): planet
            for planet in source.records(Selection.of([1, 2, 3], [7, 3]), seed).as_numpy_iterator()
        }
        for source in (ours, theirs)
    )
    assert found.keys() == expected.keys()
    for planet in expected:
        for name in ("instances", "star", "radii", "scatter", "flux"):
            np.testing.assert_array_equal(found[planet][name], expected[planet][name])


def test_statistics_are_those_of_the_wavelengths_that_are_read(classic, bigquery_shards):
    theirs, ours = open_source(str(bigquery_shards / "train"), [7, 3]), open_source(classic, [7, 3])
    one, other = ours.statistics([0, 1, 5]), theirs.statistics([0, 1, 5])
    for quantity in ("flux", "radius", "depth"):
        assert one[quantity].count == other[quantity].count
        for part in ("mean", "std", "min", "max"):
            np.testing.assert_allclose(
                getattr(one[quantity], part)[[3, 7]], getattr(other[quantity], part)[[3, 7]], rtol=1e-12
            )
    np.testing.assert_allclose(one["star"].mean, other["star"].mean, rtol=1e-12)


@pytest.mark.slow
def test_a_training_and_its_evaluation(classic, tmp_path, capsys):
    options = ["--layout", "classic", "--wavelength", "7", "--epochs", "1", "--model", "squid"]
    train.main(["--data", str(CLASSIC), *options, "--run", str(tmp_path / "run")])
    capsys.readouterr()
    with pytest.raises(UsageError, match="names data on another machine"):
        evaluate.main([str(tmp_path / "run")])
    evaluate.main([str(tmp_path / "run"), "--data", classic])
    assert f"of {classic}" in capsys.readouterr().out


@pytest.mark.slow
def test_it_becomes_the_data_set_that_it_was_made_from(classic, planets, bigquery_shards, tmp_path):
    load_curves(planets, sorted({*ALL} - {*FILLED}))
    download.main([classic, str(tmp_path / "out")])
    check.main([str(tmp_path / "out")])
    theirs, ours = (open_source(str(folder), ALL) for folder in (bigquery_shards / "train", tmp_path / "out"))
    assert ours.folds == theirs.folds
    found, expected = (
        {
            int(p["planet"]): p
            for p in source.records(Selection.of(range(10), ALL, white_light=True)).as_numpy_iterator()
        }
        for source in (ours, theirs)
    )
    for planet in expected:
        for name in ("instances", "star", "radii", "scatter", "flux", "white"):
            np.testing.assert_array_equal(found[planet][name], expected[planet][name])


CHANGES = {
    "a planet without star": (
        "UPDATE {extra_params} SET AAAA = 99 WHERE AAAA = 7",
        "UPDATE {extra_params} SET AAAA = 7 WHERE AAAA = 99",
        "planets in train_table_4 that have no row in extra_params: 0007",
    ),
    "a step": (
        "UPDATE {train_table_4} SET _33 = NULL WHERE AAAA = 7 AND CC = 2",
        "UPDATE {train_table_4} SET _33 = 1 WHERE AAAA = 7 AND CC = 2",
        "expected a number at every step, found NULL in 0007_01_02",
    ),
    "two labels": (
        "UPDATE {train_table_4} SET label = label * 2 WHERE AAAA = 7 AND CC = 2",
        "UPDATE {train_table_4} SET label = label / 2 WHERE AAAA = 7 AND CC = 2",
        "train_table_4: planet 0007 has several labels; expected one",
    ),
    "no label": (
        "UPDATE {train_table_4} SET label = NULL WHERE AAAA = 7",
        "UPDATE {train_table_4} SET label = 0.1 WHERE AAAA = 7",
        "train_table_4 has a label in 40 of 42 rows; expected all or none",
    ),
    "another observation": (
        "UPDATE {train_table_4} SET CC = 9 WHERE AAAA = 7 AND CC = 2",
        "UPDATE {train_table_4} SET CC = 2 WHERE AAAA = 7 AND CC = 9",
        "train_table_4 and train_table_3 hold other observations",
    ),
}


@pytest.mark.parametrize(("statement", "back", "fault"), CHANGES.values(), ids=CHANGES)
def test_damage_is_named(classic, statement, back, fault):
    wavelengths = [3, 4] if "hold other" in fault else [4]
    connection = Connection(CLASSIC)
    change, change_back = (
        re.sub(r"{(\w+)}", lambda match: f"`{CLASSIC.table(match[1])}`", sql) for sql in (statement, back)
    )
    connection.query(change)
    try:
        source = open_source(classic, wavelengths)
        with pytest.raises(tf.errors.OpError):
            list(source.records(Selection.of(range(10), wavelengths)))
        found = source.failure
    except DataError as error:
        found = error
    finally:
        connection.query(change_back)
    assert fault in str(found)


def test_other_tables_are_refused(uploaded, classic):
    with pytest.raises(DataError, match=r"stars=TABLE in the address names another table") as caught:
        open_source(f"{uploaded}?layout=classic", [0])
    assert "extra_params: expected this table, found none" in caught.value.faults
    assert "train_table_0: expected a table, found a view" in "\n".join(caught.value.faults)
    with pytest.raises(DataError, match="55 tables train_table_N are read with --layout classic"):
        open_source(str(CLASSIC), [0])
    with pytest.raises(UsageError, match="has no manifest to be checked against"):
        check.main([classic])

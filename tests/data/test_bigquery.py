"""A data set in BigQuery: uploaded once, it reads as the shards do, planet by planet and bit by bit."""

import re

import numpy as np
import pytest
import tensorflow as tf

from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.bigquery import chunks
from ariel_tf.data.bigquery.address import Address
from ariel_tf.data.bigquery.connection import Connection
from ariel_tf.data.bigquery.tables import TABLES
from ariel_tf.data.integrity import read_planets
from ariel_tf.data.manifest import Manifest
from ariel_tf.data.selection import Selection
from ariel_tf.data.sources import open_source
from ariel_tf.planet import Planet
from pipelines import upload
from pipelines.destination import Destination

ALL = tuple(range(55))


def send(folder, place, *options):
    upload.main([str(folder), "--project", place.project, "--dataset", place.dataset, *options])


def counts(place):
    connection = Connection(place)
    return {name: connection.table(name).num_rows for name in TABLES}


def test_folds_rows_statistics_and_fingerprint_are_those_of_the_shards(uploaded, bigquery_shards):
    theirs, ours = open_source(str(bigquery_shards / "train"), ALL), open_source(uploaded, ALL)
    assert ours.description == uploaded
    assert (ours.folds, ours.fingerprint, ours.labelled) == (theirs.folds, theirs.fingerprint, theirs.labelled)
    assert [ours.observations([fold]) for fold in range(10)] == [theirs.observations([fold]) for fold in range(10)]
    one, other = ours.statistics([0, 3]), theirs.statistics([0, 3])
    for quantity in other:
        for part in ("count", "mean", "std", "min", "max"):
            np.testing.assert_array_equal(getattr(one[quantity], part), getattr(other[quantity], part))


@pytest.mark.parametrize("order", [None, (3, 4)])
@pytest.mark.parametrize(
    ("folds", "wavelengths", "white"),
    [([0], (12,), False), (range(10), (7, 3, 40), True), ([1, 8], ALL, False)],
    ids=["one wavelength", "some and white", "all"],
)
def test_planets_are_those_of_the_shards_in_the_same_order(
    uploaded, bigquery_shards, folds, wavelengths, white, order, same_planets
):
    seed = None if order is None else tf.constant(order)
    theirs, ours = open_source(str(bigquery_shards / "train"), wavelengths), open_source(uploaded, wavelengths)
    wanted = Selection.of(folds, wavelengths, white)
    same_planets(ours.records(wanted, seed), theirs.records(wanted, seed))


def test_whole_planets_are_those_of_the_shards(uploaded, bigquery_shards):
    """With orbit, white light and the scatter of every wavelength, for what needs more than a model sees."""
    theirs, ours = (
        list(read_planets(open_source(description, ()), (1, 8)))
        for description in (str(bigquery_shards / "train"), uploaded)
    )
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        for name in Planet.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_small_chunks_give_the_same_planets(uploaded, bigquery_shards, monkeypatch, same_planets):
    monkeypatch.setattr(chunks, "CHUNK_BYTES", chunks.ROW_BYTES * 5)  # two planets of one wavelength
    theirs, ours = open_source(str(bigquery_shards / "train"), [5]), open_source(uploaded, [5])
    same_planets(*(source.records(Selection.of(range(10), [5])) for source in (ours, theirs)))


def test_a_test_set_without_radii(emulator, bigquery_shards, place, same_planets):
    send(bigquery_shards / "test", place)
    theirs, ours = open_source(str(bigquery_shards / "test"), ALL), open_source(str(place), ALL)
    assert not ours.labelled
    assert ours.fingerprint == theirs.fingerprint
    same_planets(*(source.records(Selection.of(range(10), (2, 50))) for source in (ours, theirs)))


def test_uploading_twice_sends_nothing_the_second_time(uploaded, bigquery_shards, monkeypatch, capsys):
    before = counts(Address.parse(uploaded))
    assert before == {
        "light_curves": 42 * 55, "scatter": 42 * 55, "white_light": 42, "stars": 21, "relative_radii": 21 * 55,
        "manifest": 2,
    }  # fmt: skip
    monkeypatch.setattr(Destination, "load", lambda *_: pytest.fail("sent again"))
    send(bigquery_shards / "train", Address.parse(uploaded))
    assert counts(Address.parse(uploaded)) == before
    assert "21 planets, 42 observations; complete already" in capsys.readouterr().out


def test_an_upload_goes_on_where_it_was_stopped(emulator, bigquery_shards, place, monkeypatch, same_planets):
    whole, sent = Destination.load, []
    monkeypatch.setattr(upload, "JOB_BYTES", 4 * 55 * 300 * 4)  # two planets

    def load(self, name, rows):
        if len(sent) == 12:
            raise KeyboardInterrupt
        sent.append(name)
        whole(self, name, rows)

    monkeypatch.setattr(Destination, "load", load)
    with pytest.raises(KeyboardInterrupt):
        send(bigquery_shards / "train", place)
    assert counts(place)["light_curves"] == 6 * 110
    assert counts(place)["white_light"] == 4 * 2
    with pytest.raises(
        DataError, match=r"its upload is not complete, .* repeat `python -m pipelines\.upload` to resume"
    ):
        open_source(str(place), [0])
    # One job was half done, as no load job of BigQuery's ever is: its planets are sent anew.
    Connection(place).query(f"DELETE FROM `{place.table('light_curves')}` WHERE planet < 9 AND wavelength > 50")
    sent.clear()
    sent += ["none"] * 13
    send(bigquery_shards / "train", place)
    theirs, ours = open_source(str(bigquery_shards / "train"), ALL), open_source(str(place), ALL)
    same_planets(*(source.records(Selection.of(range(10), (9, 54))) for source in (ours, theirs)))


def test_another_data_set_is_refused_or_replaced(emulator, bigquery_shards, place):
    send(bigquery_shards / "test", place)
    with pytest.raises(UsageError, match=r"holds another data set.* use another dataset, or --overwrite"):
        send(bigquery_shards / "train", place)
    send(bigquery_shards / "train", place, "--overwrite")
    assert open_source(str(place), [0]).fingerprint == Manifest.read(bigquery_shards / "train").fingerprint


def test_a_dry_run_sends_nothing(bigquery_shards, capsys, monkeypatch):
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", "127.0.0.1:1")
    send(bigquery_shards / "train", Address.parse("bigquery://proj/nowhere"), "--dry-run")
    printed = capsys.readouterr().out
    assert "light_curves             2,310 rows" in printed
    assert "nothing was sent" in printed


def test_views_of_the_classic_layout(uploaded, bigquery_shards):
    place = Address.parse(uploaded)
    row = Connection(place).rows(
        f"SELECT AAAA, BB, CC, _0, _299, label FROM `{place.table('train_table_7')}` ORDER BY AAAA, BB, CC LIMIT 1"
    )[0]
    planet = next(open_source(str(bigquery_shards / "train"), [7]).records(Selection.of(range(10), [7])).filter(
        lambda planet: planet["planet"] == 1
    ).as_numpy_iterator())  # fmt: skip
    flux = planet["flux"][0, 0].astype(float)
    assert row[:5] == (1, 1, 1, flux[0], flux[299])
    assert np.float32(row[5]) == planet["radii"][0]


@pytest.fixture(scope="module")
def copied(uploaded):
    """An address whose tables tests may damage, and a function that copies one of them anew."""
    train, place = Address.parse(uploaded), Address.parse("bigquery://proj/damaged")
    connection = Connection(place)
    connection.rest.create_dataset("damaged")

    def copy(name):
        connection.query(f"CREATE OR REPLACE TABLE `{place.table(name)}` AS SELECT * FROM `{train.table(name)}`")

    for name in TABLES:
        copy(name)
    return place, copy


@pytest.fixture
def damaged(copied):
    """A function (statement about a table) -> the planets read after it, or what is raised."""
    place, copy = copied
    touched = []

    def change(statement):
        touched.append(re.search(r"{(\w+)}", statement)[1])
        Connection(place).query(statement.replace("{", f"`{place.project}.{place.dataset}.").replace("}", "`"))
        source = open_source(str(place), [4])
        try:
            return list(source.records(Selection.of(range(10), [4], white_light=True)))
        except tf.errors.OpError:
            raise source.failure from None

    yield change
    for name in touched:
        copy(name)


CHANGES = {
    "rows fewer": ("DELETE FROM {light_curves} WHERE planet = 3 AND wavelength = 4", "expected 2310 rows, found 2308"),
    "no rows": ("DELETE FROM {scatter} WHERE TRUE", "scatter: expected 2310 rows, found 0"),
    "no table": ("DROP TABLE {white_light}", "white_light: expected this table, found none"),
    "no column": (
        "CREATE OR REPLACE TABLE {scatter} AS SELECT planet, spot, photon, wavelength FROM {scatter}",
        "expected a column value of FLOAT64, found none",
    ),
    "no manifest": ("DROP TABLE {manifest}", "found no table manifest"),
    "a wrong type": (
        "CREATE OR REPLACE TABLE {scatter} AS SELECT planet, spot, photon, wavelength, CAST(value AS STRING) AS value "
        "FROM {scatter}",
        "expected FLOAT64 in column value, found STRING",
    ),
    "a planet without star": (
        "UPDATE {stars} SET planet = 99 WHERE planet = 7",
        "planet 0007 is in the manifest, but not in stars",
    ),
    "a planet in another fold": ("UPDATE {stars} SET fold = 11 WHERE planet = 7", "found 11 in stars"),
    "a radius twice": (
        "UPDATE {relative_radii} SET wavelength = 5 WHERE planet = 7 AND wavelength = 4",
        "planet 0007: expected its 55 radii in relative_radii, each once",
    ),
    "an observation twice": (
        "UPDATE {light_curves} SET photon = 1 WHERE planet = 7",
        "an observation occurs twice; make the tables anew",
    ),
    "other observations": (
        "UPDATE {scatter} SET photon = 3 WHERE planet = 7 AND photon = 2",
        "light_curves and scatter hold other observations",
    ),
    "other white light": (
        "UPDATE {white_light} SET photon = 3 WHERE planet = 7 AND photon = 2",
        "white_light and light_curves hold other observations of planet 0007",
    ),
    "an observation of another planet": (
        "UPDATE {light_curves} SET planet = 8, photon = 9 WHERE planet = 7 AND photon = 2",
        "light_curves and scatter hold other observations|not the same observations",
    ),
    "a short light curve": (
        "UPDATE {light_curves} SET flux = [1.0, 2.0] WHERE planet = 7 AND wavelength = 4 AND photon = 2",
        "expected arrays of 300 numbers in column flux, found an array of 2",
    ),
    "a damaged manifest": ("UPDATE {manifest} SET sha256 = 'ab' WHERE TRUE", "each once and as uploaded"),
}


@pytest.mark.parametrize(("statement", "fault"), CHANGES.values(), ids=CHANGES)
def test_damage_is_named(damaged, statement, fault):
    with pytest.raises(DataError) as caught:
        damaged(statement)
    assert re.search(fault, "\n".join([*caught.value.faults, str(caught.value)]))

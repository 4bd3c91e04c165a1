"""How many read sessions a pass over BigQuery takes, and what decides it; nothing is read."""

from types import SimpleNamespace

import pytest

from ariel_tf.core.errors import UsageError
from ariel_tf.data.bigquery.address import Address
from ariel_tf.data.bigquery.chunks import planets_in_chunks
from ariel_tf.data.bigquery.layout_planets import PlanetTables
from ariel_tf.data.selection import Selection
from ariel_tf.data.sources.bigquery import BigQuerySource


class Tables(PlanetTables):
    """Two parts of eight planets, of 100 observations each: 13.4 MB a planet at all wavelengths."""

    def __init__(self, session_bytes):
        self.session_bytes = session_bytes
        numbers = [list(range(first, first + 8)) for first in (1, 9)]
        self.parts = [SimpleNamespace(planets=planets, rows=800, fold=fold) for fold, planets in enumerate(numbers)]
        self.chunks = []

    def read(self, planets, wavelengths, white, rows):
        self.chunks.append(len(planets))
        return [SimpleNamespace(number=number) for number in planets]


@pytest.mark.parametrize(("text", "chunks"), [("", [2] * 4), ("256M", [8]), ("60M", [4, 4])])
def test_larger_sessions_are_fewer(text, chunks):
    tables = Tables(Address.parse(f"bigquery://project/dataset?session={text}").session_bytes)
    source = BigQuerySource.__new__(BigQuerySource)
    source._layout = tables
    joint = Selection.of((0, 1), range(55))
    assert source.sessions(joint) == 2 * 2 * len(chunks)  # parts, and tables of each read
    assert source.sessions(Selection.of((0, 1), range(55), white_light=True)) == 2 * 3 * len(chunks)
    assert source.sessions(Selection.of((0,), [12])) == 2
    planets = tables.parts[0].planets
    found = list(planets_in_chunks(tables, "here", dict.fromkeys(planets, 100), 800, range(55), False))
    assert [planet.number for planet in found] == planets
    assert tables.chunks == chunks


def test_a_session_is_no_part_of_what_the_data_are():
    assert Address.parse("bigquery://project/dataset?session=256M").description == "bigquery://project/dataset"
    with pytest.raises(UsageError, match="session: expected a size like 256M"):
        Address.parse("bigquery://project/dataset?session=much")

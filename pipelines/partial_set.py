"""Copy part of a large data set in BigQuery to a small one, for tuning; the database does the work.

    python -m pipelines.partial_set --project P --dataset D --every 47           # every 47th observation
    python -m pipelines.partial_set --project P --dataset D --planets 100        # 100 planets, whole

The result is a separate dataset, D_every47 or D_planets100, which every command accepts as
`--data bigquery://P/D_every47`. `--every` counts observations in the order of their keys and keeps every N-th, starting
with the first, as `train --every` does. `--planets` takes planets in the order of FARM_FINGERPRINT of their numbers: an
arbitrary but fixed selection, in which 100 planets are part of 200. Folds are those of the large data set: what was
held out there is held out here.
"""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.core import cli
from ariel_tf.core.errors import DataError, UsageError, run_command
from ariel_tf.core.schema import Schema, option
from ariel_tf.core.tf_startup import import_tensorflow
from ariel_tf.data.bigquery.address import Address, add_flags
from ariel_tf.data.bigquery.chunks import planets_in_chunks
from ariel_tf.data.bigquery.connection import Connection
from ariel_tf.data.bigquery.cost import cost_line
from ariel_tf.data.bigquery.layout_planets import PlanetTables
from ariel_tf.data.bigquery.streams import ArrowReader
from ariel_tf.data.bigquery.tables import FILLED, TABLES
from ariel_tf.data.manifest import MANIFEST_NAME, SHARD_BYTES, STATISTICS_NAME, Manifest
from pipelines import common
from pipelines.destination import Destination

# Observations to keep, in the order of their keys.
_CHOSEN = """
SELECT planet, spot, photon FROM (
  SELECT planet, spot, photon, ROW_NUMBER() OVER (ORDER BY planet, spot, photon) AS place
  FROM `{white_light}`
  WHERE planet IN (
    SELECT planet FROM (
      SELECT planet, ROW_NUMBER() OVER (ORDER BY FARM_FINGERPRINT(CAST(planet AS STRING)), planet) AS place
      FROM `{stars}`
    ) WHERE place <= @planets
  )
) WHERE MOD(place - 1, @every) = 0
"""


class PartialSet:
    """A selection of a data set's observations, and the dataset to which it is copied.

    Args:
        source: open `BigQuerySource` of the large data set.
        into: dataset of the small one.
        planets: number of planets; all if there are not more.
        every: keep every n-th observation.
    """

    def __init__(self, source: Any, into: Address, planets: int, every: int):
        self.source, self.planets, self.every = source, planets, every
        self.whole: Manifest = source.uploaded.manifest
        self.connection = Connection(into)
        identity = f"{self.whole.fingerprint} planets={planets} every={every}"
        self.destination = Destination(self.connection, hashlib.sha256(identity.encode()).hexdigest())
        self._places = {name: source.address.table(name) for name in TABLES}
        self._values = {"planets": planets, "every": every}

    def copies(self) -> dict[str, str]:
        """Return the statement that fills each table."""
        chosen = _CHOSEN.format(**self._places)
        statements = {}
        for name in FILLED:
            columns = [column.name for column in TABLES[name].columns]
            keys = [key for key in ("planet", "spot", "photon") if key in columns]
            order = ", ".join(f"whole.{key}" for key in [*keys, *(["wavelength"] if "wavelength" in columns else [])])
            statements[name] = (
                f"INSERT INTO `{self.connection.address.table(name)}` ({', '.join(columns)}) "
                f"SELECT {', '.join(f'whole.{column}' for column in columns)} FROM `{self._places[name]}` AS whole "
                f"JOIN (SELECT DISTINCT {', '.join(keys)} FROM ({chosen})) AS chosen "
                f"ON {' AND '.join(f'whole.{key} = chosen.{key}' for key in keys)} ORDER BY {order}"
            )
        return statements

    def scanned(self) -> int:
        """Return the bytes that the copies would scan."""
        chosen = _CHOSEN.format(**self._places)
        queries = [chosen, *(f"SELECT * FROM `{self._places[name]}`" for name in FILLED)]
        values = [self._values, *({} for _ in FILLED)]
        return sum(
            int(
                self.source.connection.query(sql, parameters, dry_run=True, use_query_cache=False).total_bytes_processed
            )
            for sql, parameters in zip(queries, values, strict=True)
        )

    def make(self, location: str, overwrite: bool) -> Manifest:
        """Copy the selection, then describe it in a manifest, which commits it."""
        self.destination.prepare(location, overwrite)
        for name, statement in self.copies().items():
            place = self.connection.address.table(name)
            self.connection.query(f"DELETE FROM `{place}` WHERE TRUE")  # rows of a copy that was stopped
            self.connection.query(statement, self._values)
        place = self.connection.address.table("white_light")
        observations = dict(self.connection.rows(f"SELECT planet, COUNT(*) FROM `{place}` GROUP BY planet"))
        if not observations:
            raise DataError(f"{self.source.description}: expected observations to choose from, found none")
        with tempfile.TemporaryDirectory() as folder:
            manifest = self._describe(Path(folder), observations)
            files = {name: (Path(folder) / name).read_bytes() for name in (MANIFEST_NAME, STATISTICS_NAME)}
            self.destination.make_views()
            self.destination.commit(files)
        return manifest

    def _describe(self, folder: Path, observations: Mapping[int, int]) -> Manifest:
        """Write the small data set's shards, for their sums and checksums; folds are those of the large data set."""
        from ariel_tf.data.writer import DatasetWriter

        stars = self.source.uploaded.stars
        tables = PlanetTables(ArrowReader(self.connection, self.connection.address.streams), lambda: stars)
        rows = {planet: observations.get(planet, 1) for planet in [*self.whole.planets, *self.whole.dropped]}
        options: dict[str, Any] = {"labelled": self.whole.labelled, "fold_seed": self.whole.fold_seed}
        with DatasetWriter(folder, rows, shard_bytes=SHARD_BYTES, **options) as writer:
            pending = writer.pending
            kept = {planet: observations[planet] for planet in pending if planet in observations}
            place, total = self.connection.address.description, sum(kept.values())
            read = planets_in_chunks(tables, place, kept, total, range(N_WAVELENGTHS), white=True)
            with common.Progress(total, "observation") as progress:
                for number in pending:
                    planet = next(read) if number in observations else None
                    writer.add(number, planet)
                    progress(observations.get(number, 0))
            source = {"kind": "partial", "of": self.source.description, "fingerprint": self.whole.fingerprint}
            return writer.finish(source | self._values)


class Options(Schema):
    """Options of `python -m pipelines.partial_set`."""

    project: str = option(..., "project of Google Cloud", metavar="PROJECT")
    dataset: str = option(..., "dataset of the large data set, filled by `pipelines.upload`", metavar="DATASET")
    every: int = option(1, "keep every N-th observation", low=1, metavar="N")
    planets: int | None = option(None, "number of planets to keep", low=1, metavar="N", shown="all")
    into: str | None = option(None, "dataset to create", metavar="DATASET", shown="DATASET_planetsN, DATASET_everyN")
    location: str = option("EU", "location of both datasets", metavar="PLACE")
    overwrite: bool = cli.overwrite("remove the tables of another data set", group="options")
    dry_run: bool = cli.dry_run("print how many bytes the copies scan and what they cost, and stop", group="options")
    price: float | None = cli.price()


def parser() -> cli.Parser:
    examples = ["--project P --dataset D --every 47", "--project P --dataset D --planets 100 --dry-run --price 6"]
    made = cli.Parser("pipelines.partial_set", __doc__, Options, examples=examples)
    add_flags(made, ("endpoint", "storage"))
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    given = parser().parse_args(arguments)
    options = Options.from_flags(given)
    if options.every == 1 and options.planets is None:
        raise UsageError("expected --every N, --planets N or both")
    large = Address.parse(f"bigquery://{options.project}/{options.dataset}").with_options(given)
    name = options.dataset + f"_planets{options.planets}" * (options.planets is not None)
    name += f"_every{options.every}" * (options.every > 1)
    small = Address.parse(f"bigquery://{options.project}/{options.into or name}").with_options(given)
    if small.dataset == large.dataset:
        raise UsageError(f"--into {small.dataset}: expected another dataset than the large one's")
    import_tensorflow(start_devices=False)
    from ariel_tf.data.sources.bigquery import BigQuerySource

    source = BigQuerySource(large, [0])
    partial = PartialSet(source, small, options.planets or len(source.folds), options.every)
    if options.dry_run:
        print(f"{large.description}: {cost_line(partial.scanned(), options.price)}; nothing was read")
        return
    with common.stopping("stopped; repeat the command to start again"):
        manifest = partial.make(options.location, options.overwrite)
    planets = common.format_count(len(manifest.planets), "planet")
    rows = common.format_count(manifest.rows, "observation")
    print(f"{small.description}: {planets}, {rows} of {source.observations(range(10))}")
    print(f"next: python -m ariel_tf.train --data {small.description} --wavelength 12")


if __name__ == "__main__":
    run_command(main)

"""Upload a data set to BigQuery; every command then reads it as `--data bigquery://PROJECT/DATASET`.

    python -m pipelines.upload DATA --project PROJECT --dataset DATASET --location EU

Repeat the command to resume after an interruption; it does nothing if everything is there: planets that a table already
contains are not sent again. Rows are sent as Parquet load jobs, which are free and atomic; their numbers are then
compared with the manifest's, and `manifest` is filled last. `ariel_tf.data.bigquery.tables` describes the tables.
"""

import argparse
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ariel_tf.core import cli
from ariel_tf.core.errors import DataError, run_command
from ariel_tf.core.schema import Schema, option
from ariel_tf.core.tf_startup import import_tensorflow
from ariel_tf.data.bigquery.address import Address, add_flags
from ariel_tf.data.bigquery.connection import Connection
from ariel_tf.data.bigquery.tables import FILLED, arrow_tables, expected_rows
from ariel_tf.data.manifest import MANIFEST_NAME, STATISTICS_NAME, Manifest, Shard
from ariel_tf.planet import Planet
from pipelines import common
from pipelines.destination import Destination

# Light curves per load job, as float32; the limit is 1,500 jobs per table and day, and the whole challenge takes 130.
JOB_BYTES = 64 << 20


class Piece(NamedTuple):
    """The work of one process: a shard, by its place in the manifest, and its planets that each table lacks."""

    shard: int
    missing: Mapping[str, set[int]]


class Upload:
    """One data set to upload.

    Args:
        folder: folder of the data set.
        address: address of the destination.
        location: location of a dataset that has to be created, such as EU.
        overwrite: whether tables of another data set may be removed.
    """

    def __init__(self, folder: Path, address: Address, location: str, overwrite: bool = False):
        self.folder, self.location, self.overwrite = folder, location, overwrite
        self.manifest = Manifest.read(folder)
        self.connection = Connection(address)
        self.destination = Destination(self.connection, self.manifest.fingerprint)

    def run(self, spread: Callable[[list["Piece"]], None] | None = None) -> str:
        """Upload what is missing.

        Args:
            spread: sends the rows of these pieces by other processes; None to send them from here.

        Returns:
            a description of what was done: "complete already" if nothing was.

        Raises:
            UsageError: the dataset contains another data set.
            DataError: a table has other columns, or the shards are damaged.
        """
        self.destination.prepare(self.location, self.overwrite)
        missing = {name: self._missing(name) for name in FILLED}
        complete = not any(missing.values())
        with common.Progress(self.manifest.rows, "observation", self._done(missing)) as progress:
            if spread and not complete:
                spread(self._pieces(missing))
                progress(self.manifest.rows - self._done(missing))
            else:
                for rows in self.send(self.manifest.shards, missing):
                    progress(rows)
        self._verify()
        self.destination.make_views()
        files = {name: (self.folder / name).read_bytes() for name in (MANIFEST_NAME, STATISTICS_NAME)}
        complete = not self.destination.commit(files) and complete
        return "complete already" if complete else progress.summary

    def _missing(self, name: str) -> set[int]:
        """Return planets without rows in a table; rows of planets that have only some of theirs are removed."""
        place = self.connection.address.table(name)
        counts = dict(self.connection.rows(f"SELECT planet, COUNT(*) FROM `{place}` GROUP BY planet"))
        if name == "relative_radii" and not self.manifest.labelled:
            return set()
        expected = {
            planet: expected_rows(name, rows, 1, self.manifest.labelled) for planet, rows in self._observations.items()
        }
        torn = [planet for planet, count in counts.items() if count != expected.get(planet)]
        if torn:
            self.connection.query(f"DELETE FROM `{place}` WHERE planet IN UNNEST(@planets)", {"planets": torn})
        return expected.keys() - (counts.keys() - set(torn))

    @functools.cached_property
    def _observations(self) -> dict[int, int]:
        """Return the observations of each planet, from the shards."""
        return {planet.number: len(planet.instances) for planet in self._planets(self.manifest.shards)}

    def _done(self, missing: Mapping[str, set[int]]) -> int:
        left = set().union(*missing.values())
        return sum(rows for planet, rows in self._observations.items() if planet not in left)

    def _planets(self, shards: Sequence[Shard]) -> Iterator[Planet]:
        """Yield planets of shards, each of which `download` will be able to write again byte for byte."""
        from ariel_tf.data.records import decode, encode
        from ariel_tf.data.shards import read_records

        for shard in shards:
            seen = []
            for record in read_records(self.folder / shard.name):
                planet = decode(record)
                seen.append(planet.number)
                if encode(planet) != record or not _ascending(planet):
                    raise DataError(
                        f"{self.folder / shard.name}: planet {planet.number:04d} is not written as this version writes "
                        "it; convert the data anew"
                    )
                yield planet
            if seen != shard.planets:
                raise DataError(f"{self.folder / shard.name}: its planets are not those of the manifest")

    def _pieces(self, missing: Mapping[str, set[int]]) -> list["Piece"]:
        """Return the shards with planets that some table lacks, each as work for one process."""
        pieces = []
        for number, shard in enumerate(self.manifest.shards):
            own = {name: planets & {*shard.planets} for name, planets in missing.items()}
            if any(own.values()):
                pieces.append(Piece(number, own))
        return pieces

    def send(self, shards: Sequence[Shard], missing: Mapping[str, set[int]]) -> Iterator[int]:
        """Send the rows that tables lack; yield the number of observations of each load job.

        Args:
            shards: shards to read.
            missing: planets that each table lacks.
        """
        for planets in self._jobs(shards, missing):
            self._send(planets, missing)
            yield sum(len(planet.instances) for planet in planets)

    def _jobs(self, shards: Sequence[Shard], missing: Mapping[str, set[int]]) -> Iterator[list[Planet]]:
        """Yield planets that some table lacks, as many at a time as a load job takes."""
        left = set().union(*missing.values())
        job: list[Planet] = []
        size = 0
        for planet in self._planets([shard for shard in shards if left & {*shard.planets}]):
            if planet.number in left:
                job.append(planet)
                size += planet.flux.nbytes
            if job and size >= JOB_BYTES:
                yield job
                job, size = [], 0
        if job:
            yield job

    def _send(self, planets: Sequence[Planet], missing: Mapping[str, set[int]]) -> None:
        for name in FILLED:
            lacking = [planet for planet in planets if planet.number in missing[name]]
            if lacking:
                self.destination.load(name, arrow_tables(lacking, self.manifest.planets)[name])

    def _verify(self) -> None:
        """Compare every planet's rows in every table with the data set's."""
        place = self.connection.address.description
        missing = {name: planets for name in FILLED if (planets := self._missing(name))}
        faults = [
            f"{name}: {common.format_count(len(planets), 'planet')} missing after the upload"
            for name, planets in missing.items()
        ]
        if faults:
            raise DataError(f"{place}: the upload is not complete; run it again", faults)


def _ascending(planet: Planet) -> bool:
    keys = planet.instances.tolist()
    return keys == sorted(keys)


class Options(Schema):
    """Options of `python -m pipelines.upload`."""

    data: Path = option(..., "folder written by convert or simulate", metavar="DATA", positional=True)
    project: str = option(..., "project of Google Cloud, which pays for the storage", metavar="PROJECT")
    dataset: str = option(..., "dataset for the tables, created if necessary; holds one data set", metavar="DATASET")
    location: str = option("EU", "location of a dataset that is created", metavar="PLACE")
    overwrite: bool = cli.overwrite("remove the tables of another data set", group="options")
    dry_run: bool = cli.dry_run("print what would be uploaded, and stop", group="options")


def parser() -> cli.Parser:
    examples = ["DATA --project PROJECT --dataset DATASET", "DATA --project PROJECT --dataset DATASET --dry-run"]
    made = cli.Parser("pipelines.upload", __doc__, Options, examples=examples)
    add_flags(made, ("endpoint",))
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    given = parser().parse_args(arguments)
    options = Options.from_flags(given)
    run(options, address_of(options, given))


def address_of(options: Options, given: argparse.Namespace) -> Address:
    """Return the address of the destination."""
    return Address.parse(f"bigquery://{options.project}/{options.dataset}").with_options(given)


def run(options: Options, address: Address, spread: Callable[[list[Piece]], None] | None = None) -> None:
    """Upload a data set, or print what would be uploaded.

    Args:
        options: options of the command.
        address: address of the destination.
        spread: as for `Upload.run`.
    """
    import_tensorflow(start_devices=False)
    upload = Upload(options.data, address, options.location, options.overwrite)
    manifest = upload.manifest
    counts = (manifest.rows, len(manifest.planets), manifest.labelled)
    planets = common.format_count(len(manifest.planets), "planet")
    what = f"{planets}, {common.format_count(manifest.rows, 'observation')}"
    if options.dry_run:
        for name in FILLED:
            print(f"  {name:16s}{expected_rows(name, *counts):>14,} rows")
        size = expected_rows("light_curves", *counts) * (8 * 304)
        print(f"{what}: about {size / 1e9:.2f} GB in {address.description}; nothing was sent")
        return
    with common.stopping("stopped; repeat the command to upload the missing rows"):
        summary = upload.run(spread)
    print(f"{address.description}: {what}; {summary}")
    print(f"next: python -m pipelines.check {address.description}")
    print(f"      python -m ariel_tf.train --data {address.description} --wavelength 12")


if __name__ == "__main__":
    run_command(main)

"""Check a data set against its manifest: every byte, every value, every fold; all faults at once.

    python -m pipelines.check DATA
    python -m pipelines.check bigquery://PROJECT/DATASET

Exit code 0 and a table if the data set is valid, 3 and the list of all faults if it is not.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.core import cli, messages
from ariel_tf.core.atomic_files import sha256
from ariel_tf.core.errors import DataError, UsageError, run_command
from ariel_tf.core.json_output import json_output
from ariel_tf.core.schema import Schema, option
from ariel_tf.core.tf_startup import import_tensorflow
from ariel_tf.data.bigquery.address import Address, add_flags, is_address, with_flags
from ariel_tf.data.folds import N_FOLDS, assign_folds
from ariel_tf.data.manifest import MANIFEST_NAME, SHARD_NAME, STATISTICS_NAME, Manifest, Shard, Sums
from ariel_tf.planet import Planet, planet_faults
from pipelines import common


def manifest_faults(manifest: Manifest) -> list[str]:
    """Return the faults in the planets and folds that a manifest lists."""
    faults = []
    listed = [(planet, shard) for shard in manifest.shards for planet in shard.planets]
    seen: dict[int, Shard] = {}
    for planet, shard in listed:
        if planet in seen:
            folds = f", and in two folds, {seen[planet].fold} and {shard.fold}" * (shard.fold != seen[planet].fold)
            faults.append(f"{MANIFEST_NAME}: planet {planet:04d} is in {seen[planet].name} and {shard.name}{folds}")
        seen[planet] = shard
    expected = assign_folds([*seen, *manifest.dropped], manifest.fold_seed)
    faults += [
        f"{MANIFEST_NAME}: planet {planet:04d} is in fold {shard.fold}, but seed {manifest.fold_seed} puts it "
        f"into fold {expected[planet]}"
        for planet, shard in listed
        if shard.fold != expected[planet]
    ]
    return faults


def shard_faults(folder: Path, shard: Shard, labelled: bool, sums: Sums, found_dead: list[dict[str, Any]]) -> list[str]:
    """Return the faults in one shard's bytes and values.

    Args:
        folder: folder of the shard.
        shard: description in the manifest.
        labelled: whether its planets have targets.
        sums: valid records are added to these sums.
        found_dead: planets with bands without noise are added to this list.
    """
    from ariel_tf.data import shards
    from ariel_tf.data.commits import dead_bands

    path = folder / shard.name
    if not path.is_file():
        return [f"{path}: expected {common.format_count(len(shard.planets), 'planet')}, found no file"]
    faults = []
    size = path.stat().st_size
    if size != shard.bytes:
        faults.append(f"{path}: expected {shard.bytes} bytes, found {size}")
    if sha256(path) != shard.sha256:
        faults.append(f"{path}: its sha256 is not the one in {MANIFEST_NAME}; its bytes were changed")
    planets, rows = [], 0
    shard_sums = Sums()
    try:
        for record, planet in enumerate(_planets(path, shards.read_records(path))):
            planets.append(planet.number)
            rows += len(planet.instances)
            faults += [f"{path}: record {record}: {fault}" for fault in _planet_faults(planet, labelled)]
            shard_sums.add(planet, shard.fold)
            found_dead += dead_bands(planet)
    except DataError as error:
        faults.append(str(error))
    sums.merge(shard_sums)
    if planets != shard.planets:
        faults.append(f"{path}: expected {_listed(shard.planets)}, found {_listed(planets)}")
    if rows != shard.rows:
        faults.append(f"{path}: expected {common.format_count(shard.rows, 'observation')}, found {rows}")
    return faults


def _planets(path: Path, serialized: Iterator[bytes]) -> Iterator[Planet]:
    from ariel_tf.data.records import decode

    for record, content in enumerate(serialized):
        try:
            yield decode(content)
        except DataError as error:
            raise DataError(f"{path}: record {record}: {error}") from error


def _planet_faults(planet: Planet, labelled: bool) -> list[str]:
    faults = planet_faults(planet)
    if planet.labelled != labelled:
        faults.append(f"planet {planet.number:04d}: expected {'a target' if labelled else 'no target'}")
    return faults


def _listed(planets: list[int]) -> str:
    count = common.format_count(len(planets), "planet")
    shown = ", ".join(f"{planet:04d}" for planet in planets[:8]) + ", ..." * (len(planets) > 8)
    return f"{count} ({shown})" if planets else count


def check(folder: Path) -> tuple[Manifest, list[dict[str, Any]]]:
    """Read everything once.

    Args:
        folder: folder of the data set.

    Returns:
        Its manifest, and planets with bands without noise.

    Raises:
        DataError: anything is wrong; lists all faults.
    """
    manifest = Manifest.read(folder)
    faults, summary, found_dead = _look(manifest, folder, str(folder))
    if faults:
        count = common.format_count(len(faults), "fault")
        raise DataError(f"{folder}: {count}; copy the damaged files anew, or make the data set again", faults)
    print(table(manifest))
    common.warn_of_dead_bands(found_dead)
    listed = {shard.name for shard in manifest.shards}
    strangers = sorted(path.name for path in folder.iterdir() if SHARD_NAME.fullmatch(path.name))
    strangers = [name for name in strangers if name not in listed]
    if strangers:
        count = "1 shard is" if len(strangers) == 1 else f"{len(strangers)} shards are"
        messages.info(f"note: {count} not listed in {MANIFEST_NAME} and never read: {strangers[0]} ...")
    print(f"sound: {summary}")
    return manifest, found_dead


def _look(
    manifest: Manifest, folder: Path, place: str, fetch: Callable[[Shard], object] | None = None
) -> tuple[list[str], str, list[dict[str, Any]]]:
    """Return all faults of a data set's shards, the speed of the check, and `dead_bands` of the planets.

    Args:
        folder: folder of the shards.
        place: name of the folder in the faults.
        fetch: function that brings a shard there; the shard is removed after it was checked.
    """
    faults = manifest_faults(manifest)
    import_tensorflow()
    sums = Sums()
    found_dead: list[dict[str, Any]] = []
    damaged = 0
    with common.Progress(manifest.rows, "observation") as progress:
        for shard in manifest.shards:
            try:
                if fetch is not None:
                    fetch(shard)
                found = shard_faults(folder, shard, manifest.labelled, sums, found_dead)
            except DataError as error:
                found = [*error.faults, str(error)]
            if fetch is not None:
                (folder / shard.name).unlink(missing_ok=True)
            faults += [fault.replace(str(folder), place) for fault in found]
            damaged += bool(found)
            progress(shard.rows)
    if not damaged and not sums.equals(manifest.sums):
        faults.append(f"{place}/{STATISTICS_NAME}: its sums are not those of the shards")
    return faults, progress.summary, sorted(found_dead, key=lambda entry: entry["planet"])


def check_uploaded(address: Address) -> tuple[Manifest, list[dict[str, Any]]]:
    """Check a data set in BigQuery: each shard is written as it was before the upload, and checked.

    Raises:
        UsageError: tables of the classic layout.
        DataError: anything is wrong; lists all faults.
    """
    import_tensorflow()
    from ariel_tf.data.sources.bigquery import BigQuerySource
    from pipelines.download import WAVELENGTHS, write_shard

    if address.layout == "classic":
        raise UsageError(f"{address}: has no manifest to be checked against; `pipelines.download` makes shards of it")
    source = BigQuerySource(address, WAVELENGTHS)
    manifest = source.uploaded.manifest
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        faults, summary, found_dead = _look(
            manifest, folder, source.description, lambda shard: write_shard(source, shard, folder)
        )
    if faults:
        count = common.format_count(len(faults), "fault")
        raise DataError(f"{source.description}: {count}; upload the data set anew, with --overwrite", faults)
    print(table(manifest))
    common.warn_of_dead_bands(found_dead)
    print(f"sound: {summary}")
    return manifest, found_dead


def table(manifest: Manifest) -> str:
    """Return a table of planets, observations, shards and size of each fold."""
    lines = [f"{'fold':>5} {'planets':>8} {'observations':>13} {'shards':>7} {'MB':>9}"]
    for name, folds in [*((str(fold), [fold]) for fold in range(N_FOLDS)), ("all", range(N_FOLDS))]:
        shards = [shard for shard in manifest.shards if shard.fold in folds]
        planets = sum(len(shard.planets) for shard in shards)
        rows = sum(shard.rows for shard in shards)
        megabytes = sum(shard.bytes for shard in shards) / 1e6
        if shards:
            lines.append(f"{name:>5} {planets:>8} {rows:>13} {len(shards):>7} {megabytes:>9.1f}")
    lines.append(f"{'with' if manifest.labelled else 'without'} targets; fingerprint {manifest.fingerprint[:16]}")
    return "\n".join(lines)


class Options(Schema):
    """Options of `python -m pipelines.check`."""

    data: str = option(
        ...,
        "folder written by convert or simulate, or bigquery://PROJECT/DATASET",
        metavar="DATA",
        positional=True,
    )
    correlations: Path | None = option(
        None, "folder for a table and a plot of the correlation of each time step with the transit depth", metavar="OUT"
    )
    overwrite: bool = cli.overwrite("replace the table and the plot of --correlations", group="options")
    json_object: bool = cli.as_json("the findings")


def parser() -> cli.Parser:
    examples = ["DATA", "DATA --correlations OUT", "bigquery://PROJECT/DATASET"]
    made = cli.Parser("pipelines.check", __doc__, Options, examples=examples)
    add_flags(made, ("endpoint", "storage"))
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    given = parser().parse_args(arguments)
    options = Options.from_flags(given)
    if options.correlations:
        from pipelines import correlations

        correlations.refuse_written(options.correlations, options.overwrite)
    elif options.overwrite:
        raise UsageError("--overwrite: requires --correlations; nothing else is written.")
    with (
        common.stopping("stopped before the end of the check; start again"),
        json_output(options.json_object) as result,
    ):
        result |= {"data": options.data, "sound": False}
        if is_address(options.data):
            manifest, found_dead = check_uploaded(Address.parse(options.data).with_options(given))
        else:
            manifest, found_dead = check(Path(options.data))
        result |= {"sound": True, **facts(manifest), "dead_bands": found_dead}
        if options.correlations:
            from ariel_tf.data.sources import open_source

            data = with_flags(options.data, given)
            correlations.report(open_source(data, range(N_WAVELENGTHS)), options.correlations)


def facts(manifest: Manifest) -> dict[str, Any]:
    """Return the content of --json for a valid data set."""
    folds = {
        fold: {
            "planets": sum(len(shard.planets) for shard in manifest.shards if shard.fold == fold),
            "observations": sum(shard.rows for shard in manifest.shards if shard.fold == fold),
        }
        for fold in range(N_FOLDS)
    }
    return {
        "labelled": manifest.labelled,
        "fingerprint": manifest.fingerprint,
        "planets": sum(fold["planets"] for fold in folds.values()),
        "observations": manifest.rows,
        "folds": folds,
    }


if __name__ == "__main__":
    run_command(main)

"""Convert, simulate, upload or predict by pipelines of Apache Beam, here or on Dataflow, Flink or Spark.

    python -m pipelines.beam convert --light-curves noisy_train --params params_train --out DATA
    python -m pipelines.beam simulate gs://BUCKET/DATA --planets 100000 -- --runner=DataflowRunner --project=PROJECT ...
    python -m pipelines.beam predict RUN --data DATA --out radii.parquet
    python -m pipelines.beam upload DATA --project PROJECT --dataset DATASET

    plan_shards ──▶ one element per shard ──▶ its planets, read or simulated ──▶ OUT/fold-*.tfrecord, .npz, .json
                                                                      all of them ──▶ OUT/statistics.npz, manifest.json

The pipelines call the functions of the commands with these names and write the same bytes. The arguments after `--`
are options of Beam and its runner; without them the pipeline runs on this machine. OUT is a folder that every worker
can access, or a URL of TensorFlow's file systems; light curves, pickles, shards and runs must be on a file system that
every worker can access.
Repeat the command to resume with what is missing. Needs the extra `beam`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ariel_tf.core import cli
from ariel_tf.core.errors import ArielError, DataError, UsageError, run_command
from ariel_tf.core.tf_startup import import_tensorflow
from ariel_tf.data.bigquery.address import Address
from ariel_tf.data.text.planet import PlanetRead
from pipelines import beam_predict, common, convert, simulate, upload
from pipelines.beam_files import read_value
from pipelines.beam_shards import FAULTS, DataSet, ShardTask, claim, finish, manifest_of, write_shard

COMMANDS = {"convert": convert, "simulate": simulate, "predict": beam_predict, "upload": upload}


def convert_shards(options: convert.Options, out: str) -> tuple[DataSet, list[ShardTask], Callable[[Any], PlanetRead]]:
    """Return the shards of a conversion.

    Raises:
        DataError: faults that are found before light curves are read, without --skip-bad.
    """
    planets = convert.planets_of(options)
    if planets.faults and not options.skip_bad:
        raise DataError(
            f"{common.format_count(len(planets.faults), 'fault')} found, so no data set was written: mend or remove "
            f"these {planets.what}, or add --skip-bad",
            list(map(str, planets.faults)),
        )
    by_number = {task.number: task for task in planets.tasks}
    data = DataSet(
        out=out,
        rows={number: len(task.light_curves) for number, task in by_number.items()},
        labelled=planets.labelled,
        fold_seed=options.fold_seed,
        shard_bytes=options.shard_bytes,
        settings={},
        skip_bad=options.skip_bad,
        source=planets.source,
        skipped=[fault.entry() for fault in planets.faults],
        changed=planets.changed,
    )
    return data, list(_tasks(data, by_number, planets.stamps)), planets.read


def simulated_shards(options: simulate.Options, out: str) -> Iterator[tuple[DataSet, list[ShardTask], Callable]]:
    """Return the shards of the training planets, then of the test planets."""
    simulate.check_priors(options)
    for part in simulate.parts(options):
        data = DataSet(
            out=out if part.labelled else f"{out.rstrip('/')}/test",
            rows=dict.fromkeys(part.numbers, options.spots * options.photons),
            labelled=part.labelled,
            fold_seed=options.fold_seed,
            shard_bytes=options.shard_bytes,
            settings=simulate.settings_of(options),
            skip_bad=False,
            source=simulate.source_of(options),
        )
        read = partial(_simulated, make=simulate.maker(part, options))
        yield data, list(_tasks(data, {number: number for number in part.numbers}, {})), read


def _simulated(number: int, make: Callable[[int], Any]) -> PlanetRead:
    planet = make(number)
    return PlanetRead(number, len(planet.instances), planet, [])


def _tasks(data: DataSet, by_number: Mapping[int, Any], stamps: Mapping[int, str]) -> Iterator[ShardTask]:
    plan = data.writer(Path()).plan
    for number, planned in enumerate(plan, 1):
        own = {planet: stamps[planet] for planet in planned.planets if planet in stamps}
        yield ShardTask(number, len(plan), [by_number[planet] for planet in planned.planets], own)


def run_pipeline(data: DataSet, tasks: Sequence[ShardTask], read: Callable, beam_options: Sequence[str]) -> None:
    """Write a data set.

    Args:
        data: data set to write.
        tasks: its shards.
        read: function from a task of a planet to its result.
        beam_options: options of Beam and its runner.

    Raises:
        UsageError: OUT holds another data set.
        DataError: faults, all of which are listed; no manifest was written.
    """
    if claim(data):
        print(f"{data.out}: complete already")
        return
    pipeline(data, tasks, read, beam_options)
    if faults := read_value(data.path(FAULTS)):
        found = "1 fault was" if len(faults) == 1 else f"{len(faults)} faults were"
        raise DataError(f"{found} found, so no data set was written: mend or remove these, or add --skip-bad", faults)
    manifest = manifest_of(data)
    assert manifest is not None
    print(f"{data.out}: {common.format_count(len(manifest.planets), 'planet')}, ", end="")
    print(f"{common.format_count(manifest.rows, 'observation')}, {common.format_count(len(manifest.shards), 'shard')}")


def pipeline(data: DataSet, tasks: Sequence[ShardTask], read: Callable, beam_options: Sequence[str]) -> None:
    """Write all shards, then the manifest; return when the runner has finished.

    Args:
        data, tasks, read, beam_options: as for `run_pipeline`.
    """
    on_workers(tasks, partial(write_shard, data=data, read=read), beam_options, partial(finish, data=data))


def on_workers(
    elements: Sequence[Any], work: Callable[[Any], Any], beam_options: Sequence[str], last: Callable[[list[Any]], Any]
) -> None:
    """Do a piece of work for each element, on any worker, then one with all results; return when all is done.

    Args:
        elements: elements of the pipeline.
        work: function of an element.
        beam_options: options of Beam and its runner.
        last: function of the list of results, in any order.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    try:
        with beam.Pipeline(options=PipelineOptions(list(beam_options))) as made:
            _ = (
                made
                | "elements" >> beam.Create(elements)
                | "spread" >> beam.Reshuffle()
                | "work" >> beam.Map(work)
                | "all" >> beam.combiners.ToList()
                | "last" >> beam.Map(last)
            )
    except ArielError:
        raise
    except RuntimeError as error:  # as a runner names an error of a worker, with its traceback
        reason = [line for line in str(error).splitlines() if line.strip()][-1]
        raise ArielError(f"a worker of the pipeline failed: {reason}") from error


def run_prediction(plan: beam_predict.Plan, beam_options: Sequence[str]) -> None:
    """Predict all parts that are missing, and write the file of all.

    Raises:
        UsageError: the folder of parts contains others.
        ArielError: a worker failed, or a part is damaged.
    """
    if missing := beam_predict.claim(plan):
        on_workers(missing, partial(beam_predict.predict_part, plan=plan), beam_options, len)
    beam_predict.write(plan)


def run_upload(options: upload.Options, address: Address, beam_options: Sequence[str]) -> None:
    """Upload what is missing.

    Raises:
        UsageError, DataError: as for `upload.Upload.run`.
        ArielError: a worker failed.
    """
    send = partial(send_shard, folder=options.data.resolve(), address=address)
    upload.run(options, address, lambda pieces: on_workers(pieces, send, beam_options, len))


def send_shard(piece: upload.Piece, folder: Path, address: Address) -> int:
    """Send the rows of a shard that tables lack; runs on any worker.

    Args:
        piece: the shard.
        folder: folder of the data set.
        address: address of the destination, whose tables exist.

    Returns:
        The number of observations sent.
    """
    import_tensorflow(start_devices=False)
    own = upload.Upload(folder, address, location="")
    return sum(own.send([own.manifest.shards[piece.shard]], piece.missing))


def parser() -> cli.Parser:
    examples = [
        "convert --light-curves noisy_train --params params_train --out DATA",
        "simulate gs://BUCKET/DATA --planets 100000 -- --runner=DataflowRunner --project=PROJECT --region=REGION",
        "predict runs/joint --data DATA --out radii.parquet",
    ]
    made = cli.Parser("pipelines.beam", __doc__, examples=examples, rest="[-- OPTIONS_OF_BEAM]")
    made.add_commands("COMMAND", ((word, module.parser()) for word, module in COMMANDS.items()))
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = cli.given(arguments)
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    given = parser().parse_args(arguments[:cut])
    beam_options = arguments[cut + 1 :]
    require_beam()
    import_tensorflow(start_devices=False)
    if given.command_word == "predict":
        with common.stopping("stopped; repeat the command to predict the missing parts"):
            run_prediction(beam_predict.planned(beam_predict.Options.from_flags(given), given), beam_options)
        return
    if given.command_word == "upload":
        options_of_upload = upload.Options.from_flags(given)
        run_upload(options_of_upload, upload.address_of(options_of_upload, given), beam_options)
        return
    out = str(given.out)
    with common.stopping("stopped; repeat the command to write the missing shards"):
        if given.command_word == "convert":
            run_pipeline(*convert_shards(_allowed(convert.Options.from_flags(given)), out), beam_options)
            return
        options = _allowed(simulate.Options.from_flags(given))
        if options.format != "tfrecord":
            raise UsageError(f"--format {options.format}: expected tfrecord; text files are written by one machine.")
        for made in simulated_shards(options, out):
            run_pipeline(*made, beam_options)


def _allowed(options: Any) -> Any:
    """Return the options; refuse those for other ways to share the work."""
    for flag, value in (("--part", options.part), ("--finish", options.finish), ("--overwrite", options.overwrite)):
        if value:
            raise UsageError(f"{flag}: expected without it; a pipeline writes all shards into an empty folder.")
    return options


def require_beam() -> None:
    """Refuse to run without Apache Beam."""
    import importlib.util

    if importlib.util.find_spec("apache_beam") is None:
        raise UsageError("beam: Apache Beam is not installed; pip install 'ariel_tf[beam]'.")


if __name__ == "__main__":
    run_command(main)

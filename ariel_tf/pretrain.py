"""Train the model included in the package: endless simulation, measured once, and a small network.

    python -m ariel_tf.pretrain runs/transit-joint --rows 1000000 --jobs 2
    KERAS_BACKEND=jax python -m ariel_tf.pretrain runs/transit-joint --rows 1000000 --jobs 2
    KERAS_BACKEND=jax python -m ariel_tf.pretrain runs/transit-each --each --units 128 --layers 3

Rows are newly drawn planets, each as the mean of 1 to 100 observations. Worker processes simulate and measure them into
FOLDER/measured, about 250 per second and core; then the network is trained. A stopped command resumes; with more rows
it adds to the existing ones. It runs on any backend of Keras, with or without a GPU. FOLDER then contains
transit-joint.keras and its card, transit-joint.json, the same two files as in `ariel_tf/pretrained`; `predict`,
`evaluate` and `ariel_tf.load` accept FOLDER. With --each, 55 independent networks, one per wavelength, are trained
side by side, into transit-each.keras.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from ariel_tf.core import cli, messages
from ariel_tf.core.errors import run_command
from ariel_tf.core.resources import available_cpus
from ariel_tf.core.schema import Schema, option

NAME, EACH = "transit-joint", "transit-each"


class Options(Schema):
    """Options of `python -m ariel_tf.pretrain`."""

    folder: Path = option(..., "folder of the rows, the checkpoints and the model", metavar="FOLDER", positional=True)
    rows: int = option(500_000, "planets to simulate, in blocks of 2,048; rounded up", low=1)
    validation_rows: int = option(2048, "planets of each validation set", low=1)
    seed: int = option(1, "random seed of planets, noise, initial weights and order of the rows", low=0)
    epochs: int = option(12, "number of passes over the rows", low=1)
    batch_size: int = option(512, "rows in a training step", low=1)
    learning_rate: float = option(1e-3, "highest learning rate", low=1e-6, high=1.0)
    units: int = option(384, "width of the network's layers", low=8)
    layers: int = option(4, "number of the network's layers", low=1, high=32)
    each: bool = option(False, "one network per wavelength instead of one for all 55")
    jobs: int | None = option(None, "worker processes that simulate and measure", low=1, shown="one for each core")


def parser() -> cli.Parser:
    examples = ["runs/transit-joint --rows 1000000", "runs/small --rows 20000 --epochs 20 --units 128"]
    return cli.Parser("ariel_tf.pretrain", __doc__, Options, examples=examples)


def main(arguments: Sequence[str] | None = None) -> None:
    pretrain(
        Options.from_flags(parser().parse_args(arguments)), cli.repeated("ariel_tf.pretrain", cli.given(arguments))
    )


def pretrain(options: Options, command: str = "") -> Path:
    """Simulate, measure and train; return the path of the model.

    Args:
        options: options of the command.
        command: command line, recorded on the card.

    Raises:
        ArielError: an error that the user can mend, in one sentence.
    """
    from ariel_tf.training.pretraining import rows as measured

    jobs = options.jobs or available_cpus()
    train, every = options.folder / "measured", {"train": measured.training_stream(options.seed)}
    size = min(options.validation_rows, measured.BLOCK_ROWS)
    every |= measured.validation_streams(options.seed, size)
    blocks = {name: -(-(options.rows if name == "train" else options.validation_rows) // stream.rows)
              for name, stream in every.items()}  # fmt: skip
    folders = {name: train if name == "train" else options.folder / "validation" / name.replace(" ", "-")
               for name in every}  # fmt: skip
    for name, stream in every.items():
        with tqdm(total=blocks[name] * stream.rows, desc=f"measuring {name}", unit=" rows", file=sys.stderr) as bar:
            there = sum(measured.block_path(folders[name], index).is_file() for index in range(blocks[name]))
            bar.update(there * stream.rows)
            for count in measured.write_blocks(folders[name], stream, blocks[name], 1 if name != "train" else jobs):
                bar.update(count)
    tables = {name: measured.read_blocks(folders[name], blocks[name]) for name in every}
    return _train(options, tables, command)


def _train(options: Options, tables: dict, command: str) -> Path:
    """Train the network on the rows; write the model and its card."""
    import keras

    from ariel_tf.core.atomic_files import replacing_by_library, sha256, write_json
    from ariel_tf.runs.model_file import make_portable
    from ariel_tf.training.pretraining import fit
    from ariel_tf.training.pretraining.rows import trained_on, training_stream, validation_streams

    rows = tables.pop("train")
    settings = fit.Settings(**{name: getattr(options, name) for name in fit.Settings._fields})
    folder = fit.training_folder(options.folder, settings, len(rows["radii"]))
    messages.info(f"training on {len(rows['radii']):,} rows, {options.epochs} epochs, in {folder}")
    network = fit.fit(folder, rows, settings)
    added = fit.calibration(network, tables)
    bias = network.get_layer("log_sigma").bias
    bias.assign(bias + added)
    qualities = {name: fit.quality(network, table) for name, table in tables.items()}
    pools = {name: stream.pool for name, stream in validation_streams(options.seed).items()}
    correlation = {str(pools[name]): fit.correlation(network, table) for name, table in tables.items()}
    path = options.folder / f"{EACH if options.each else NAME}.keras"
    with replacing_by_library(path) as temporary:
        fit.shipped_model(network, settings, 0.0).save(temporary)
        make_portable(temporary)
    card = {
        "model": "spectrum",
        "data": f"simulator stream, seed {options.seed}",
        "command": command,
        "stream": repr(training_stream(options.seed)),
        "trained_on": trained_on(training_stream(options.seed)),
        "rows": len(rows["radii"]),
        "networks": "one per wavelength" if options.each else "one",
        **{name: value for name, value in settings._asdict().items() if name not in ("seed", "each")},
        "weights": network.count_params(),
        "keras": f"{keras.__version__}, {keras.backend.backend()}",
        "validation": qualities,
        "correlation": correlation,
        "sha256": sha256(path),
    }
    write_json(path.with_suffix(".json"), card)
    for name, found in qualities.items():
        print(f"{name} observations: score {found['score']}, {found['coverage_68']:.1%} within 1 sigma")
    print(f"{path}, {path.stat().st_size / 1e6:.1f} MB")
    return path


if __name__ == "__main__":
    run_command(main)

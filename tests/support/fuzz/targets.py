"""Every parser of bytes or text that may be somebody else's, as a function of bytes.

What is parsed returns a value or raises an error of ours; `tests/corpus/NAME` holds sound and odd inputs of each.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

CORPUS = Path(__file__).parents[2] / "corpus"
Parse = Callable[[bytes], Any]


class Target(NamedTuple):
    """A parser.

    Attributes:
        parse: of bytes.
        tensorflow: whether it needs TensorFlow or Keras.
    """

    parse: Parse
    tensorflow: bool = False


def seeds(name: str) -> list[bytes]:
    """The inputs of a parser's corpus, in the order of their names."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def _file(name: str, read: Callable[[Path], Any]) -> Parse:
    """A parser of a file of this name, in memory where the system has such a folder."""
    folder = tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    path = Path(folder.name) / name

    def parse(content: bytes, kept: Any = folder) -> Any:
        path.write_bytes(content)
        return read(path)

    return parse


def _text(read: Callable[[str], Any]) -> Parse:
    """A parser of an option or an environment variable, as the system hands it to Python."""
    return lambda content: read(content.replace(b"\0", b"").decode("utf-8", "surrogateescape"))


def _files() -> dict[str, Target]:
    from ariel_tf import export
    from ariel_tf.config.config_file import read_values
    from ariel_tf.config.train_config import TrainConfig
    from ariel_tf.core import checksum_files
    from ariel_tf.core.atomic_files import parse_json
    from ariel_tf.data.manifest import Manifest
    from ariel_tf.data.pickles.releases import read_release
    from ariel_tf.data.statistics import Sums
    from ariel_tf.data.text.format import read_light_curve, read_params
    from ariel_tf.runs.committed import read_meta
    from ariel_tf.runs.history import read_history
    from ariel_tf.runs.model_file import check_weights_file
    from ariel_tf.runs.prediction_reader import read_predictions
    from ariel_tf.runs.state import read_state
    from ariel_tf.training import flux_statistics
    from tuning.outcomes import Outcome
    from tuning.recovery import checked_record
    from tuning.space import read_space

    def manifest(content: bytes) -> Any:
        return Manifest._from_page(parse_json(content, "manifest.json"), "manifest.json")

    def outcome(path: Path) -> Any:
        return Outcome.read(path)

    parsers: dict[str, Parse] = {
        "manifest": manifest,
        "statistics": lambda content: Sums.from_bytes(content, "statistics.npz"),
        "light_curve": _file("0001_01_01.txt", read_light_curve),
        "light_curve_gz": _file("0001_01_01.txt.gz", read_light_curve),
        "params": _file("0001_01_01.txt", read_params),
        "pickle": _file("train.pkl", lambda path: read_release([path])),
        "submission": _file("a.txt", read_predictions),
        "predictions_csv": _file("a.csv", read_predictions),
        "predictions_parquet": _file("a.parquet", read_predictions),
        "config": _file(
            "c.json", lambda path: TrainConfig.from_json(read_values(path, TrainConfig.model_fields)).resolve()
        ),
        "state": _file("state.json", lambda path: read_state(path.parent)),
        "meta": _file("meta.json", lambda path: read_meta(path.parent)),
        "metrics": _file("metrics.csv", lambda path: read_history(path.parent)),
        "outcome": _file("0001.json", outcome),
        "trial": _file("trial.json", checked_record),
        "space": _file("space.json", read_space),
        "sums": _file("SHA256SUMS", checksum_files.read_sums),
        "export": _file("m.json", lambda path: export.verify(path.with_name("m"))),
        "weights": _file("a.weights.h5", check_weights_file),
        "cached_statistics": _file("kept.npz", flux_statistics._read),
    }
    return {name: Target(parse, name in ("weights", "cached_statistics")) for name, parse in parsers.items()}


def _texts() -> dict[str, Target]:
    from ariel_tf.challenge import parse_name
    from ariel_tf.config.choices import parse_augment, parse_settings, parse_star
    from ariel_tf.config.targets import Targets
    from ariel_tf.config.time_steps import parse_steps
    from ariel_tf.config.train_config import TrainConfig
    from ariel_tf.core.devices import Devices
    from ariel_tf.core.user_code import reference
    from ariel_tf.data.bigquery.address import Address, is_address
    from ariel_tf.data.folds import parse_folds
    from ariel_tf.data.sources.simulated import Recipe
    from ariel_tf.physics.priors import Priors
    from ariel_tf.training import cluster, slurm
    from tuning.space import parse_search

    def number(text: str) -> Any:
        return TrainConfig.from_flags(_flags(epochs=text, learning_rate=text)).resolve()

    def hosts(text: str) -> list[str]:
        return list(slurm.host_names(text))

    def job(text: str) -> Any:
        names = ("PROCID", "NTASKS", "STEP_NODELIST", "STEP_TASKS_PER_NODE", "JOB_ID")
        return slurm.tf_config({f"SLURM_{name}": part for name, part in zip(names, text.split(";"), strict=False)})

    return {
        name: Target(_text(parse))
        for name, parse in {
            "address": lambda text: is_address(text) and Address.parse(text),
            "wavelength": Targets.parse,
            "steps": parse_steps,
            "devices": Devices.parse,
            "folds": lambda text: parse_folds(text, "--folds"),
            "star": parse_star,
            "augment": parse_augment,
            "settings": lambda text: parse_settings([text]),
            "number": number,
            "simulated": lambda text: Recipe.parse(f"simulated:{text}"),
            "prior": lambda text: Priors.parse([text]),
            "search": parse_search,
            "file_name": parse_name,
            "python_file": reference,
            "tf_config": cluster.task,
            "slurm_hosts": hosts,
            "slurm_tasks": slurm.tasks_of_hosts,
            "slurm": job,
        }.items()
    }


def _flags(**values: Any) -> Any:
    import argparse

    return argparse.Namespace(**values)


def _models() -> dict[str, Target]:
    from ariel_tf.data.records import decode
    from ariel_tf.data.shards import read_records
    from ariel_tf.runs.model_file import load_model

    def shard(path: Path) -> Any:
        return [decode(record) for record in read_records(path)]

    return {
        "record": Target(decode, True),
        "shard": Target(_file("fold-0-00000.tfrecord", shard), True),
        "keras": Target(_file("best.keras", load_model), True),
    }


def targets() -> dict[str, Target]:
    """All parsers by name."""
    return _files() | _texts() | _models()

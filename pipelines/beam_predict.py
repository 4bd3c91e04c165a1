"""Predictions by a pipeline of Apache Beam: parts of the rows, on any worker, and one file of all of them.

    PredictionTask ── predict_part ──▶ PIECES/part-00003.npz     on any worker, which loads the model and opens the data
    PIECES         ── merged ────────▶ FILE, FILE.notes.txt      where the command runs

PIECES is a folder or a URL of TensorFlow's file systems that all workers can access. A part consists of batches
of `ariel predict`, unchanged, so the predictions are those of that command, bit for bit. `pipelines.beam` runs these
functions in a pipeline.
"""

import functools
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ariel_tf import predict
from ariel_tf.core import cli
from ariel_tf.core.archives import UNREADABLE
from ariel_tf.core.atomic_files import sha256
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.core.schema import option
from ariel_tf.core.tf_startup import import_tensorflow
from ariel_tf.data.bigquery import address
from ariel_tf.runs import shipped
from ariel_tf.runs.prediction_task import Found, Output, PredictionTask
from pipelines import beam_files

TASK = "task.json"
# Models and data that this process has opened: a worker predicts several parts.
OPENED = 1


class Options(predict.Options):
    """Options of `python -m pipelines.beam predict`."""

    parts: int = option(16, "number of parts that workers predict", low=1, metavar="N")
    pieces: str | None = option(
        None, "folder or URL for the parts, which all workers can access; removed at the end", metavar="FOLDER",
        shown="FILE.parts"
    )  # fmt: skip


def parser() -> cli.Parser:
    examples = ["runs/joint --data DATA --out radii.parquet"]
    made = cli.Parser("pipelines.beam predict", __doc__, Options, examples=examples)
    address.add_flags(made)
    return made


@dataclass(frozen=True)
class Plan:
    """What is predicted, as passed to every worker.

    Attributes:
        runs: full paths of run folders.
        data: as for `PredictionTask.open`.
        output: the file.
        folds: folds to predict.
        pieces: folder or URL of the parts.
        total: pieces of work that are divided into parts.
        count: number of parts.
        identity: what the parts depend on.
    """

    runs: tuple[Path, ...]
    data: str | Path
    output: Output
    folds: tuple[int, ...]
    pieces: str
    total: int
    count: int
    identity: str

    def part(self, number: int) -> slice:
        """Return the pieces of work of a part."""
        return slice(self.total * number // self.count, self.total * (number + 1) // self.count)

    def path(self, number: int) -> str:
        """Return the path of a part's predictions."""
        return f"{self.pieces.rstrip('/')}/part-{number:05d}.npz"


@functools.lru_cache(OPENED)
def _opened(runs: tuple[Path, ...], data: str | Path, output: Output, folds: tuple[int, ...]) -> PredictionTask:
    return PredictionTask.open(runs, data, output, folds)


def planned(options: Options, given: Any) -> Plan:
    """Open the model and the data, and divide the work.

    Raises:
        ArielError: options, a model or data that do not fit.
    """
    output = predict.output_of(options)
    data = predict.data_of(options, given)
    if isinstance(data, Path) or Path(data).is_dir():
        data = type(data)(Path(data).resolve())
    given_runs = options.runs or (Path(shipped.DEFAULT),)
    runs = tuple(run if shipped.is_shipped(run) else run.resolve() for run in given_runs)
    task = _opened(runs, data, output, options.folds)
    count = min(options.parts, task.pieces)
    if not count:
        list(task.found())  # refuses folds without observations
    pieces = options.pieces or f"{options.out.resolve()}.parts"
    identity = [_digests(runs), task.source.fingerprint, list(options.folds), task.how, task.pieces, count]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    return Plan(runs, data, output, options.folds, pieces, task.pieces, count, digest)


def _digests(runs: Sequence[Path]) -> list[str]:
    """Return the checksums of all models and of their scores, which contain the uncertainties."""
    files: list[Path] = []
    for run in runs:
        if shipped.is_pretrained(run):
            files.append(shipped.locate(run))
        else:
            files += sorted(path for name in ("best.keras", "scores.json") for path in run.rglob(name))
    return [sha256(path) for path in files]


def claim(plan: Plan) -> list[int]:
    """Record in the folder of the parts what is predicted; return the parts that are missing there.

    Raises:
        UsageError: the folder contains parts of other predictions.
    """
    where = f"{plan.pieces.rstrip('/')}/{TASK}"
    before = beam_files.read_value(where)
    if before not in (None, {"identity": plan.identity}):
        raise UsageError(f"{plan.pieces} holds parts of other predictions: remove it, or give another --pieces")
    beam_files.make_folder(plan.pieces)
    beam_files.put_bytes(json.dumps({"identity": plan.identity}).encode(), where)
    return [number for number in range(plan.count) if not beam_files.exists(plan.path(number))]


def predict_part(number: int, plan: Plan) -> int:
    """Predict a part and write it to its folder; runs on any worker.

    Returns:
        The number of the part.
    """
    import_tensorflow(start_devices=False)
    import numpy as np

    task = _opened(plan.runs, plan.data, plan.output, plan.folds)
    found = list(task.found(plan.part(number)))
    content = io.BytesIO()
    np.savez(
        content,
        keys=np.concatenate([some.keys for some in found]),
        values=np.concatenate([some.values for some in found]),
        rows=np.array([len(some.keys) for some in found]),
        instances=np.array([some.instances for some in found]),
        notes=np.frombuffer(json.dumps([list(some.notes) for some in found]).encode(), np.uint8),
    )
    beam_files.put_bytes(content.getvalue(), plan.path(number))
    return number


def merged(plan: Plan) -> Iterator[Found]:
    """Yield the predictions of all parts.

    Raises:
        DataError: a part is missing or damaged.
    """
    import numpy as np

    for number in range(plan.count):
        try:
            with np.load(io.BytesIO(beam_files.content(plan.path(number)) or b"")) as part:
                held = {name: part[name] for name in part.files}
            notes = json.loads(held["notes"].tobytes())
            edges = np.cumsum(held["rows"])[:-1]
            blocks = zip(*(np.split(held[name], edges) for name in ("keys", "values")), strict=True)
            for (keys, values), instances, own in zip(blocks, held["instances"], notes, strict=True):
                yield Found(keys, values, int(instances), [tuple(note) for note in own])
        except UNREADABLE as error:
            raise DataError(f"{plan.path(number)}: not a part of these predictions; remove it, and repeat.") from error


def write(plan: Plan) -> None:
    """Write the file of all parts, and remove them."""
    task = _opened(plan.runs, plan.data, plan.output, plan.folds)
    task.write(plan.output, task.checked(merged(plan)))
    beam_files.remove_folder(plan.pieces)
    _opened.cache_clear()

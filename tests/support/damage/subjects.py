"""Every kind of file that the product reads again, each with its reader."""

import contextlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from ariel_tf import export, trees
from ariel_tf.config.config_file import read_values
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.atomic_files import write_json
from ariel_tf.core.errors import DataError
from ariel_tf.data import dataset, integrity
from ariel_tf.data.manifest import Manifest
from ariel_tf.data.selection import Selection
from ariel_tf.data.shards import BYTES_A_ROW
from ariel_tf.data.sources import open_source
from ariel_tf.data.sources.text import TextSource
from ariel_tf.data.statistics import Statistics
from ariel_tf.data.writer import DatasetWriter
from ariel_tf.evaluation import leaderboard
from ariel_tf.models.spectrum import Measured
from ariel_tf.runs.committed import read_configuration, read_meta, read_scores, verified_file
from ariel_tf.runs.list_run import gather_scores
from ariel_tf.runs.prediction_files import PredictionWriter
from ariel_tf.runs.prediction_reader import read_predictions
from ariel_tf.runs.state import read_state
from ariel_tf.training import flux_statistics
from ariel_tf.training.pretraining import rows
from pipelines import arrays, simulate
from support import pretended_run
from support.damage.trials import Subject
from support.search_folder import make_search, results
from tuning import report
from tuning.recovery import recover

MakePlanet = Callable[..., Any]


def subjects(folder: Path, make_planet: MakePlanet) -> list[Subject]:
    """All of them; their sound files are made in the folder.

    Args:
        folder: empty.
        make_planet: the fixture of tests/conftest.py.
    """
    made = []
    data = (_data_set, _arrays, _unfinished, _statistics)
    for make in (*data, _runs, _list_run, _trees, _predictions, _exports, _search):
        inner = folder / make.__name__
        inner.mkdir()
        made += make(inner, make_planet)
    return [*made, *_text(folder / "text"), *_pretraining(folder / "pretraining")]


# Data sets.


def _write(folder: Path, make_planet: MakePlanet, planets: int = 3) -> None:
    """A data set of three planets, each a shard of its own; fewer leave it unfinished."""
    numbers = dict.fromkeys(range(1, 5), 1)
    fault = {"file": "0004_01_01.txt", "fault": "row 3: expected a number"}
    with DatasetWriter(folder, numbers, labelled=True, fold_seed=0, shard_bytes=BYTES_A_ROW, skip_bad=True) as writer:
        for number in writer.pending[: planets + 1]:
            if number == 4:
                writer.add(number, None, [fault])
            else:
                writer.add(number, make_planet(number, 1))
        if not writer.pending:
            writer.finish({"kind": "made up", "names": "here"}, [fault])


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _planets(source: Any) -> list[Any]:
    return [
        (planet.number, planet.flux.tobytes(), planet.star.tobytes(), np.asarray(planet.radii).tobytes())
        for planet in integrity.read_planets(source, range(10))
    ]


def _read_data_set(folder: Path) -> Any:
    manifest = Manifest.read(folder)
    chosen = manifest.sums.choose(range(10))
    statistics = {name: (its.count, its.mean.tobytes(), its.std.tobytes()) for name, its in chosen.items()}
    about = manifest.source, manifest.skipped, manifest.dropped, manifest.dead_bands, manifest.fold_seed
    return about, statistics, _planets(open_source(str(folder), range(55)))


def _data_set(folder: Path, make_planet: MakePlanet) -> list[Subject]:
    _write(folder, make_planet)
    shard = next(path.name for path in folder.glob("*.tfrecord"))
    names = {"shard": shard, "manifest": "manifest.json", "statistics of a data set": "statistics.npz"}
    return [Subject(name, folder, file, _read_data_set) for name, file in names.items()]


def _arrays(folder: Path, make_planet: MakePlanet) -> list[Subject]:
    """Arrays beside the shards, read as a training reads them."""
    _write(folder, make_planet)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        arrays.main([str(folder)])

    def reader(wavelengths: tuple[int, ...]) -> Callable[[Path], Any]:
        selection = Selection.of(range(10), wavelengths)

        def read(copy: Path) -> Any:
            table = dataset.load(open_source(str(copy), wavelengths), selection)
            return {name: np.asarray(values).tobytes() for name, values in table.items()}

        return read

    one, joint = reader((12,)), reader(tuple(range(55)))
    files = {"arrays.json": one, "key.npy": one, "radius.npy": one, "sums.npy": one, "flux-12.npy": one}
    return [
        Subject(f"{name} of arrays", folder, f"arrays/{name}", read)
        for name, read in (files | {"rows.npy": joint}).items()
    ]


def _unfinished(folder: Path, make_planet: MakePlanet) -> list[Subject]:
    """Written to its third shard; the reader is the writer that goes on."""
    _write(folder, make_planet, planets=2)

    def go_on(copy: Path) -> dict[str, bytes]:
        _write(copy, make_planet)
        return _contents(copy)

    shard = next(path.name for path in sorted(folder.glob("*.tfrecord")))
    names = {
        "settings of an unfinished data set": "unfinished.json",
        "shard of an unfinished data set": shard,
        "commit of a shard": f"{shard}.json",
        "sums of a shard": f"{shard}.npz",
    }
    return [Subject(name, folder, file, go_on) for name, file in names.items()]


# Text files.


def _text(folder: Path) -> list[Subject]:
    options = ["--planets=2", "--spots=1", "--photons=1", "--seed=3", "--jobs=1", "--format=text"]

    def simulated(copy: Path) -> None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            simulate.main([str(copy), *options])

    def planets(copy: Path) -> list[Any]:
        return _planets(TextSource(copy / "noisy_train", copy / "params_train"))

    def again(copy: Path) -> dict[str, bytes]:
        simulated(copy)
        return _contents(copy)

    simulated(folder)
    return [
        Subject("light curve as text", folder, "noisy_train/0001_01_01.txt", planets),
        Subject("targets as text", folder, "params_train/0002_01_01.txt", planets),
        Subject("sums of text files", folder, "SHA256SUMS", planets),
        Subject("settings of simulated text", folder, "simulation.json", again),
    ]


# Runs.


def _resumed(copy: Path) -> Any:
    """An unfinished run, resumed to its end; all that it holds but times."""
    with contextlib.redirect_stdout(io.StringIO()):
        pretended_run.train(copy)
    files = _contents(copy)
    state, meta = read_state(copy), read_meta(copy)
    kept = {name: its for name, its in files.items() if name not in (".lock", "meta.json", "state.json")}
    return kept, state, {name: value for name, value in meta.items() if name != "sessions"}


def _scored(copy: Path) -> Any:
    """A finished run, as its readers read it: the leaderboard, a report, `--config`."""
    board = leaderboard.read(copy)
    if board.damaged:
        raise DataError(board.damaged[0])
    if board.unfinished:
        raise DataError(f"{board.unfinished[0]} is not finished")  # as the leaderboard lists it
    if not (meta := read_meta(copy)):
        raise DataError("meta.json is gone, and with it the folds")  # as the card of a report says
    scored = board.runs[0]
    model = verified_file(copy, "best.keras").read_bytes()
    return (
        scored,
        read_scores(copy),
        read_configuration(copy),
        read_values(copy / "config.json", TrainConfig.model_fields),
        meta,
        model,
    )


def _runs(folder: Path, make_planet: MakePlanet) -> list[Subject]:
    begun, ended = folder / "begun", folder / "ended"
    pretended_run.train(begun, 4)
    with mock.patch.object(pretended_run, "CONFIGURATION", _configuration()):
        pretended_run.finish(ended)
    names = {
        "config.json of a run": "config.json",
        "state.json": "state.json",
        "meta.json": "meta.json",
        "metrics.csv": "metrics.csv",
        "checkpoint": "checkpoints/epoch-00004.weights.h5",
    }
    files = {"scores.json": "scores.json", "best.keras": "best.keras", "config.json, read": "config.json"}
    files |= {"meta.json, read": "meta.json"}
    return [
        *(Subject(name, begun, file, _resumed) for name, file in names.items()),
        *(Subject(name, ended, file, _scored) for name, file in files.items()),
    ]


def _configuration() -> dict[str, Any]:
    return TrainConfig(data="simulated").resolve().as_json()


def _list_run(folder: Path, make_planet: MakePlanet) -> list[Subject]:
    values = {"observation": 9000.0, "planet": 9100.0}
    scores = {"test": values, "constant": values, "test_planets": 2, "test_observations": 4}
    scores |= {"epochs": 5, "best_epoch": 4, "best_score": 9300.0}
    for wavelength in (3, 7):
        path = folder / f"w{wavelength:02d}"
        pretended_run.train(path)
        with pretended_run.opened(path) as run:
            write_json(path / "scores.json", scores)
            run.commit(("scores.json",), finished=True)
    return [Subject("scores of one wavelength", folder, "w03/scores.json", lambda copy: gather_scores(copy, [3, 7]))]


class _Booster:
    """As XGBoost's, as far as `trees.boosted` uses it."""

    def __init__(self, model_file: Path | None = None, content: bytes = b""):
        self.content = content if model_file is None else Path(model_file).read_bytes()

    def save_model(self, path: Path) -> None:
        Path(path).write_bytes(self.content)


def _trees(folder: Path, make_planet: MakePlanet) -> list[Subject]:
    options = trees.Options(data="simulated", wavelength=(3, 7))

    def fitted(hp: Any, options: Any, trained: Any, held: Any, index: int) -> tuple[_Booster, float, float]:
        return _Booster(content=b"forest %d of some bytes" % index * 20), 1.0, 0.0

    def boosters(copy: Path) -> list[bytes]:
        library = mock.Mock(Booster=_Booster)
        with (
            mock.patch("ariel_tf.ensembles.boosted_trees.xgboost", return_value=library),
            mock.patch.object(trees, "fit_one", fitted),
            contextlib.redirect_stderr(io.StringIO()),
            pretended_run.opened(copy) as run,
        ):
            nothing: Any = None
            return [booster.content for booster in trees.boosted(run, nothing, options, nothing, nothing)]

    boosters(folder)
    return [Subject("forest of a wavelength", folder, "trees/w07.ubj", boosters)]


# What is predicted and exported.


def _predictions(folder: Path, make_planet: MakePlanet) -> list[Subject]:
    rng = np.random.default_rng(0)
    keys = np.array([[planet, 1, photon] for planet in (1, 2) for photon in (1, 2, 3)])
    with PredictionWriter(folder, len(keys), range(55)) as writer:
        writer.add(keys, rng.uniform(0.02, 0.1, (len(keys), 55)))
        for name in ("radii.csv", "submission.txt", "radii.parquet"):
            writer.write(folder / name)
        writer.write_datalabs(folder / "datalabs.csv")

    def reader(name: str) -> Callable[[Path], Any]:
        def read(copy: Path) -> Any:
            found, radii = read_predictions(copy / name)
            return None if found is None else found.tolist(), radii.tolist()

        return read

    names = {
        "submission": "submission.txt",
        "predictions, csv": "radii.csv",
        "submission of Datalabs": "datalabs.csv",
        "predictions, parquet": "radii.parquet",
    }
    made = [Subject(name, folder, file, reader(file)) for name, file in names.items()]
    return [*made, Subject("sum of predictions", folder, "radii.csv.sha256", reader("radii.csv"))]


def _exports(folder: Path, make_planet: MakePlanet) -> list[Subject]:
    rng = np.random.default_rng(1)
    model = folder / "model"
    (model / "variables").mkdir(parents=True)
    files = [model / "saved_model.pb", model / "variables/variables.data", folder / "m.keras", folder / "m.onnx"]
    for file in files:
        file.write_bytes(rng.bytes(500))
    for out in (model, folder / "m.keras", folder / "m.onnx"):
        export.write_description(out, {"format": "keras", "inputs": {"flux": [300, 1]}}, export.digests(out))

    def reader(name: str) -> Callable[[Path], Any]:
        return lambda copy: export.verify(copy / name)

    made = [
        Subject("SavedModel", folder, "model/variables/variables.data", reader("model")),
        Subject("Keras export", folder, "m.keras", reader("m.keras")),
        Subject("ONNX export", folder, "m.onnx", reader("m.onnx")),
        Subject("description of an export", folder, "m.onnx.json", reader("m.onnx")),
    ]
    return made


# Searches, and what is kept between commands.


def _search(folder: Path, make_planet: MakePlanet) -> list[Subject]:
    make_search(folder)

    def read(copy: Path) -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            recover(copy)
            report.update(copy)
            found = results(copy)
        return found, (copy / "best.keras").read_bytes(), json.loads((copy / "best.json").read_bytes())

    names = {
        "outcome of a trial": "outcomes/0001.json",
        "keras-tuner's trial.json": "oracle/trial_1/trial.json",
        "keras-tuner's oracle.json": "oracle/oracle.json",
        "metrics.csv of a trial": "trials/0001/metrics.csv",
        "state.json of a trial": "trials/0001/state.json",
        "best.keras of a trial": "trials/0001/best.keras",
    }
    return [Subject(name, folder, file, read) for name, file in names.items()]


def _statistics(folder: Path, make_planet: MakePlanet) -> list[Subject]:
    """Statistics that are kept in the user's cache; damaged ones are made anew."""
    rng = np.random.default_rng(2)
    sound = {"flux": Statistics(7, *rng.normal(size=(4, 10)))}
    flux_statistics._write(folder / "kept.npz", sound)

    def read(copy: Path) -> Any:
        found = flux_statistics._read(copy / "kept.npz") or sound
        return {name: (its.count, its.mean.tobytes(), its.std.tobytes()) for name, its in found.items()}

    return [Subject("cached statistics", folder, "kept.npz", read)]


def _pretraining(folder: Path) -> list[Subject]:
    folder.mkdir()
    rng = np.random.default_rng(3)
    with open(rows.block_path(folder, 0), "wb") as file:
        np.savez(file, **{name: rng.normal(size=(3, 2)) for name in (*Measured._fields, "radii", "impact_true")})

    def read(copy: Path) -> Any:
        return {name: values.tolist() for name, values in rows.read_blocks(copy, 1).items()}

    return [Subject("measured rows of a pretraining", folder, os.path.basename(rows.block_path(folder, 0)), read)]

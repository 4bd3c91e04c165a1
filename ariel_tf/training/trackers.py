"""Also log a training to a tracking service: `--track wandb` (extra `wandb`) or `--track mlflow` (extra `mlflow`).

    configuration  ─▶ parameters
    rows of epochs ─▶ the service's own Keras callback: wandb's `WandbMetricsLogger`, MLflow's `MlflowCallback`
    scores         ─▶ summary

A list of wavelengths has a run for each wavelength and one for the list, with the mean scores: a group of wandb's, a
parent run of MLflow's. Wavelengths that train as a stack share a run of their means, which grows with each epoch; the
run of each wavelength is logged when the stack is trained.

Nothing is sent from this machine unless the environment requests it. wandb is offline, in a folder beside the run
folders: `wandb sync runs/wandb/offline-run-*` sends it, WANDB_MODE=online sends it immediately. MLflow writes a
database beside them, runs/mlflow/mlflow.db, unless MLFLOW_TRACKING_URI names a server. Neither writes in a run folder,
where links such as wandb's are refused. A resumed training continues in the same run of the service. A service that
fails causes one warning, and never ends a training.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import keras

from ariel_tf.core import messages
from ariel_tf.core.printable import masked
from ariel_tf.runs.folder import RunFolder
from ariel_tf.runs.lock import take_lock

PROJECT = "ariel_tf"
# Tag of MLflow's runs.
IDENTITY = "ariel_tf_run"
# Columns of a stack's `metrics.csv` that are means over its wavelengths, or common to them.
MEANS = ("epoch", "loss", "score", "val_loss", "val_score", "learning_rate", "observations_per_second", "seconds")


class Place(NamedTuple):
    """Place of a run at a service: the folder beside which files are written, its name, and the list it is part of."""

    beside: Path
    name: str
    whole: Path | None


def place_of(run: Path) -> Place:
    """Return the place of a run folder; a folder within another run is a part of a list of wavelengths."""
    run = run.resolve()
    if (run.parent / "config.json").is_file():
        return Place(run.parent.parent, f"{run.parent.name}/{run.name}", run.parent)
    return Place(run.parent, run.name, None)


def identity(run: Path) -> str:
    """Return the identity of a run folder at a service: equal after a resume, different after --overwrite."""
    text = f"{run.resolve()} {(run / 'config.json').stat().st_mtime_ns}"
    return f"{run.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def summary(scores: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of `scores.json` that a service shows with a run."""
    best = {name: float(scores[name]) for name in ("best_epoch", "best_score") if name in scores}
    return best | {f"test_{name}": float(score) for name, score in scores["test"].items()}


class Service(Protocol):
    """The methods of a tracking service that a training uses."""

    def start(self, run: Path, parameters: Mapping[str, Any]) -> keras.callbacks.Callback:
        """Open the service's run; return its own callback, which takes metrics at the end of epochs."""

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Add the metrics of an epoch, under the names that the callback gives them."""

    def summarise(self, values: Mapping[str, float]) -> None:
        """Add the final scores."""

    def stop(self, failed: bool) -> None:
        """Close the service's run."""


class Wandb:
    """Weights & Biases."""

    def start(self, run: Path, parameters: Mapping[str, Any]) -> keras.callbacks.Callback:
        import wandb
        from wandb.integration.keras import WandbMetricsLogger

        place = place_of(run)
        self.run = wandb.init(
            project=PROJECT,
            group=place.whole and identity(place.whole),
            name=place.name,
            id=identity(run),
            resume="allow",
            dir=str(place.beside),
            config=dict(parameters),
            mode=os.environ.get("WANDB_MODE", "offline"),
            settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
        )
        return WandbMetricsLogger("epoch")

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        self.run.log({f"epoch/{name}": value for name, value in {**metrics, "epoch": epoch}.items()})

    def summarise(self, values: Mapping[str, float]) -> None:
        self.run.summary.update(dict(values))

    def stop(self, failed: bool) -> None:
        self.run.finish(exit_code=1 if failed else 0)


class MLflow:
    """MLflow."""

    def start(self, run: Path, parameters: Mapping[str, Any]) -> keras.callbacks.Callback:
        import mlflow
        from mlflow.keras import MlflowCallback

        place = place_of(run)
        self.mlflow, self.local = mlflow, not mlflow.is_tracking_uri_set()
        folder = place.beside / "mlflow"
        with self._alone(folder):
            if self.local:
                mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
                if mlflow.get_experiment_by_name(PROJECT) is None:
                    mlflow.create_experiment(PROJECT, artifact_location=(folder / "artifacts").as_uri())
            mlflow.set_experiment(PROJECT)
            parent = place.whole and self._found(place.whole)
            if place.whole and not parent:
                tags = {IDENTITY: identity(place.whole)}
                parent = mlflow.MlflowClient().create_run(self._experiment(), tags=tags, run_name=place.whole.name)
        before = self._found(run)
        if before:
            mlflow.start_run(run_id=before.info.run_id)
        else:
            tags = {"mlflow.parentRunId": parent.info.run_id} if parent else {}
            mlflow.start_run(run_name=place.name, tags={IDENTITY: identity(run), **tags})
        if not before or not before.data.params:
            mlflow.log_params(dict(parameters))
        return MlflowCallback()

    @contextmanager
    def _alone(self, folder: Path) -> Iterator[None]:
        """Let one process at a time create the database and the run of a list."""
        if not self.local:
            yield
            return
        folder.mkdir(exist_ok=True)
        with take_lock(folder, wait=True):
            yield

    def _experiment(self) -> str:
        return self.mlflow.get_experiment_by_name(PROJECT).experiment_id

    def _found(self, run: Path) -> Any:
        """Return the service's run of a run folder; None if there is none."""
        query = f"tags.{IDENTITY} = '{identity(run)}'"
        found = self.mlflow.search_runs([self._experiment()], filter_string=query, output_format="list")
        return found[0] if found else None

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        self.mlflow.log_metrics(dict(metrics), step=epoch)

    def summarise(self, values: Mapping[str, float]) -> None:
        self.mlflow.log_metrics(dict(values))

    def stop(self, failed: bool) -> None:
        self.mlflow.end_run("FAILED" if failed else "FINISHED")
        if self.local:
            self.mlflow.set_tracking_uri("")


SERVICES: dict[str, Callable[[], Service]] = {"wandb": Wandb, "mlflow": MLflow}


class Tracked(keras.callbacks.Callback):
    """A training at a tracking service; after the service's first failure, which is printed, nothing more is logged.

    The service's callback gets each epoch's row of `metrics.csv`, under the number of the epoch from 1.

    Args:
        service: a key of `SERVICES`.
        run: run of the training.
        parameters: options and settings of the training.
    """

    def __init__(self, service: str, run: RunFolder, parameters: Mapping[str, Any]):
        super().__init__()
        self.name, self.run, self.failed = service, run, False
        self.service: Service = SERVICES[service]()
        self.callback: Any = self._try(self.service.start, run.path, masked(parameters))

    def _try(self, action: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function of the service; return None if it fails, and whenever it has failed before."""
        if self.failed:
            return None
        try:
            return action(*arguments)
        except Exception as error:  # noqa: BLE001  (no error of a service may end the training)
            self.failed = True
            reason = " ".join(str(error).split())[:200]
            messages.warning(f"{self.name} logs no more of this training ({type(error).__name__}: {reason})")
            return None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self.callback is not None:
            self._try(self.callback.set_model, self.model)
            self._try(self.callback.on_train_begin)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.callback is not None:
            self._try(self.callback.on_epoch_end, int(self.run.rows[-1]["epoch"]), _metrics(self.run.rows[-1]))

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self.callback is not None:
            self._try(self.callback.on_train_end)

    def log(self, rows: Iterable[Mapping[str, float]]) -> None:
        """Add rows of `metrics.csv` without the callback, whose learning rate is that of a Keras model."""
        for row in rows:
            self._try(self.service.log, int(row["epoch"]), _metrics(row))

    def summarise(self, values: Mapping[str, float]) -> None:
        """Add the final scores."""
        self._try(self.service.summarise, values)

    def close(self, failed: bool) -> None:
        """End the service's run."""
        self._try(self.service.stop, failed)


def _metrics(row: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name != "epoch"}


class TrackedMeans(keras.callbacks.Callback):
    """The means over wavelengths of a stack, logged after each epoch.

    Args:
        tracking: the stack's run at the service.
    """

    def __init__(self, tracking: Tracked):
        super().__init__()
        self._tracking = tracking

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._tracking.log([{name: value for name, value in self._tracking.run.rows[-1].items() if name in MEANS}])


@contextmanager
def tracked(service: str, run: RunFolder, parameters: Mapping[str, Any]) -> Iterator[Tracked | None]:
    """Log a training in this block to a tracking service; yields None for "none" or if another process logs.

    Args:
        service: "none", or a key of `SERVICES`.
        run: run whose rows are logged.
        parameters: options and settings.
    """
    if service == "none" or not run.is_chief:
        yield None
        return
    log = Tracked(service, run, parameters)
    try:
        yield log
    except BaseException:
        log.close(failed=True)
        raise
    log.close(failed=False)

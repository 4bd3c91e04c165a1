"""Also log a training to a tracking service: `--track wandb` (extra `wandb`) or `--track mlflow` (extra `mlflow`).

    configuration  ─▶ parameters
    rows of epochs ─▶ the service's own Keras callback: wandb's `WandbMetricsLogger`, MLflow's `MlflowCallback`
    scores         ─▶ summary

Nothing leaves this machine unless the environment says so. wandb is offline, in a folder beside the run folders: `wandb
sync runs/wandb/offline-run-*` sends it, WANDB_MODE=online sends it at once. MLflow writes a database beside them,
runs/mlflow/mlflow.db, unless MLFLOW_TRACKING_URI names a server. Neither writes in a run folder, where links such as
wandb's are refused. A resumed training goes on in the same run of the service. A service that fails is one warning, and
never costs a training.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import keras

from ariel_tf.core.printable import masked
from ariel_tf.runs.folder import RunFolder

PROJECT = "ariel_tf"


def identity(run: Path) -> str:
    """The name of a run folder at a service: equal after a resume, another one after --overwrite."""
    text = f"{run.resolve()} {(run / 'config.json').stat().st_mtime_ns}"
    return f"{run.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def summary(scores: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of `scores.json` that a service shows beside a run."""
    best = {name: float(scores[name]) for name in ("best_epoch", "best_score")}
    return best | {f"test_{name}": float(score) for name, score in scores["test"].items()}


class Service(Protocol):
    """What a training needs of a tracking service."""

    def start(self, run: Path, parameters: Mapping[str, Any]) -> keras.callbacks.Callback:
        """Open the service's run; returns its own callback, which takes metrics at the end of epochs."""

    def summarise(self, values: Mapping[str, float]) -> None:
        """Add the final scores."""

    def stop(self, failed: bool) -> None:
        """Close the service's run."""


class Wandb:
    """Weights & Biases."""

    def start(self, run: Path, parameters: Mapping[str, Any]) -> keras.callbacks.Callback:
        import wandb
        from wandb.integration.keras import WandbMetricsLogger

        self.run = wandb.init(
            project=PROJECT,
            name=run.name,
            id=identity(run),
            resume="allow",
            dir=str(run.resolve().parent),
            config=dict(parameters),
            mode=os.environ.get("WANDB_MODE", "offline"),
            settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
        )
        return WandbMetricsLogger("epoch")

    def summarise(self, values: Mapping[str, float]) -> None:
        self.run.summary.update(dict(values))

    def stop(self, failed: bool) -> None:
        self.run.finish(exit_code=1 if failed else 0)


class MLflow:
    """MLflow."""

    def start(self, run: Path, parameters: Mapping[str, Any]) -> keras.callbacks.Callback:
        import mlflow
        from mlflow.keras import MlflowCallback

        self.mlflow, self.local = mlflow, not mlflow.is_tracking_uri_set()
        if self.local:
            folder = run.resolve().parent / "mlflow"
            folder.mkdir(exist_ok=True)
            mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
            if mlflow.get_experiment_by_name(PROJECT) is None:
                mlflow.create_experiment(PROJECT, artifact_location=(folder / "artifacts").as_uri())
        mlflow.set_experiment(PROJECT)
        name = identity(run)
        before = mlflow.search_runs(
            experiment_names=[PROJECT], filter_string=f"tags.ariel_tf_run = '{name}'", output_format="list"
        )
        if before:
            mlflow.start_run(run_id=before[0].info.run_id)
        else:
            mlflow.start_run(run_name=run.name, tags={"ariel_tf_run": name})
            mlflow.log_params(dict(parameters))
        return MlflowCallback()

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
        run: of the training.
        parameters: of its configuration.
    """

    def __init__(self, service: str, run: RunFolder, parameters: Mapping[str, Any]):
        super().__init__()
        self.name, self.run, self.failed = service, run, False
        self.service: Service = SERVICES[service]()
        self.callback: Any = self._try(self.service.start, run.path, masked(parameters))

    def _try(self, action: Callable[..., Any], *arguments: Any) -> Any:
        """Call what the service may fail at; None once it has failed."""
        if self.failed:
            return None
        try:
            return action(*arguments)
        except Exception as error:  # noqa: BLE001  (whatever a service raises is no reason to lose the training)
            self.failed = True
            reason = " ".join(str(error).split())[:200]
            print(
                f"warning: {self.name} logs no more of this training ({type(error).__name__}: {reason})",
                file=sys.stderr, flush=True
            )  # fmt: skip
            return None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self.callback is not None:
            self._try(self.callback.set_model, self.model)
            self._try(self.callback.on_train_begin)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.callback is not None:
            row = {name: value for name, value in self.run.rows[-1].items() if name != "epoch"}
            self._try(self.callback.on_epoch_end, int(self.run.rows[-1]["epoch"]), row)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self.callback is not None:
            self._try(self.callback.on_train_end)

    def summarise(self, values: Mapping[str, float]) -> None:
        """Add the final scores."""
        self._try(self.service.summarise, values)

    def close(self, failed: bool) -> None:
        """End the service's run."""
        self._try(self.service.stop, failed)


@contextmanager
def tracked(service: str, run: RunFolder, parameters: Mapping[str, Any]) -> Iterator[Tracked | None]:
    """A training in this block at a tracking service; None for the service "none" or where another process logs.

    Args:
        service: "none", or a key of `SERVICES`.
        run: whose rows are logged.
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

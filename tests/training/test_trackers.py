"""`--track`: a training is also logged to wandb or MLflow, resumes there, and never fails for them."""

import json
from pathlib import Path
from types import SimpleNamespace

import keras
import pytest

from ariel_tf import train
from ariel_tf.core.errors import Stopped, UsageError
from ariel_tf.training import one_model, trackers

TINY = ("--model=linear", "--data=simulated:planets=10,spots=1,photons=1,seed=1", "--set=units=4", "--run=run")
pytestmark = pytest.mark.usefixtures("pretended_training_here", "own_folder")


class Recorder(keras.callbacks.Callback):
    """A service's own callback, which records what it gets."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_train_begin(self, logs=None):
        assert self.model.optimizer is not None

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append((epoch, logs))


class Recording:
    """A service that records; `fails` names a method that raises."""

    made: list["Recording"]
    fails = ""

    def __init__(self):
        self.made.append(self)
        self.events, self.callback = [], Recorder()

    def _record(self, name, *what):
        if name == self.fails:
            raise ConnectionError("service\nunavailable")
        self.events.append((name, *what))

    def start(self, run, parameters):
        self._record("start", trackers.identity(run), parameters)
        return self.callback

    def log(self, epoch, metrics):
        self._record("log", epoch, metrics)

    def summarise(self, values):
        self._record("summarise", values)

    def stop(self, failed):
        self._record("stop", failed)


@pytest.fixture
def service(monkeypatch):
    """`--track wandb` goes to a `Recording`."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr(Recording, "made", [], raising=False)
    monkeypatch.setattr(Recording, "fails", "")
    monkeypatch.setitem(trackers.SERVICES, "wandb", Recording)
    return Recording


def rows(run="run"):
    lines = [line.split(",") for line in Path(run, "metrics.csv").read_text().splitlines()]
    return [dict(zip(lines[0], map(float, line), strict=True)) for line in lines[1:]]


def test_a_training_logs_its_options_epochs_and_scores(service):
    train.main([*TINY, "--epochs=2", "--track=wandb"])
    (made,) = service.made
    (start, summary, stop) = made.events
    assert start[:2] == ("start", trackers.identity(Path("run")))
    assert {"model": "linear", "units": 4, "epochs": 2}.items() <= start[2].items()
    assert [epoch for epoch, _ in made.callback.epochs] == [1, 2]
    for (_, logged), row in zip(made.callback.epochs, rows(), strict=True):
        assert {**logged, "epoch": row["epoch"]} == row
    scores = json.loads(Path("run/scores.json").read_text())
    assert summary[1]["test_planet"] == scores["test"]["planet"]
    assert summary[1]["best_epoch"] == scores["best_epoch"] == 2
    assert stop == ("stop", False)
    train.main([*TINY, "--epochs=2", "--track=wandb"])
    assert len(service.made) == 1, "a finished run is not logged again"


def test_a_stopped_training_goes_on_at_the_service_under_the_same_name(service, monkeypatch):
    def stop(*_):
        raise Stopped("stopped here")

    with monkeypatch.context() as patch:
        patch.setattr(one_model, "fit_and_score", stop)
        with pytest.raises(Stopped):
            train.main([*TINY, "--epochs=1", "--track=wandb"])
    train.main([*TINY, "--epochs=1", "--track=wandb"])
    train.main([*TINY, "--epochs=1", "--track=wandb", "--overwrite"])
    first, second, third = service.made
    assert first.events[-1] == ("stop", True)
    assert first.events[0][1] == second.events[0][1] != third.events[0][1]


def test_a_service_that_fails_never_costs_a_training(service, monkeypatch, capsys):
    monkeypatch.setattr(Recording, "fails", "start")
    train.main([*TINY, "--epochs=1", "--track=wandb"])
    assert Path("run/scores.json").is_file()
    warning = "warning: wandb logs no more of this training (ConnectionError: service unavailable)"
    assert capsys.readouterr().err.count(warning) == 1


@pytest.mark.parametrize("method", ["summarise", "stop"])
def test_a_service_that_fails_later_is_one_warning(method, service, monkeypatch, capsys):
    monkeypatch.setattr(Recording, "fails", method)
    Path("config.json").write_text("{}")
    run = SimpleNamespace(path=Path(), is_chief=True)
    with trackers.tracked("wandb", run, {}) as log:
        log.summarise({"test_planet": 1.0})
    assert capsys.readouterr().err.count("warning: wandb logs no more") == 1


def scores_of(run):
    return json.loads(Path(run, "scores.json").read_text())


def started(made):
    return [one.events[0][1] for one in made]


@pytest.mark.parametrize("stack", [pytest.param("no", marks=pytest.mark.slow), "yes"])
def test_each_wavelength_of_a_list_is_a_run_at_the_service_and_so_is_the_list(stack, service, pretended_training_here):
    train.main([*TINY, "--wavelength=3,7", "--epochs=2", "--track=wandb", f"--stack={stack}"])
    *stacks, third, seventh, whole = service.made
    folders = [Path("run/w03"), Path("run/w07"), Path("run")]
    assert started([third, seventh, whole]) == [trackers.identity(folder) for folder in folders]
    for one, folder in zip((third, seventh), folders, strict=False):
        logged = one.callback.epochs if stack == "no" else [event[1:] for event in one.events if event[0] == "log"]
        assert [{**metrics, "epoch": float(epoch)} for epoch, metrics in logged] == rows(folder)
        assert ("summarise", trackers.summary(scores_of(folder))) in one.events
        assert one.events[0][2]["wavelength"] == int(folder.name[1:])
    assert whole.events[1:] == [
        ("summarise", {f"test_{n}": v for n, v in scores_of("run")["test"].items()}),
        ("stop", False),
    ]
    if stack == "yes":
        (means,) = stacks
        assert started(stacks) == [trackers.identity(Path("run/stack-w03-w07"))]
        wanted = [{name: row[name] for name in trackers.MEANS if name != "epoch"} for row in rows("run/stack-w03-w07")]
        assert [event[2] for event in means.events if event[0] == "log"] == wanted
        assert [event[1] for event in means.events if event[0] == "log"] == [1, 2]
    else:
        assert stacks == []
    train.main([*TINY, "--wavelength=3,7", "--epochs=2", "--track=wandb", f"--stack={stack}"])
    assert len(service.made) == 3 + len(stacks), "a finished list is not logged again"


def test_the_files_of_a_service_are_written_beside_the_folder_of_a_list():
    Path("runs/list/w03").mkdir(parents=True)
    Path("runs/list/config.json").write_text("{}")
    assert trackers.place_of(Path("runs/list/w03")) == (Path("runs").resolve(), "list/w03", Path("runs/list").resolve())
    assert trackers.place_of(Path("runs/list")) == (Path("runs").resolve(), "list", None)


@pytest.mark.slow
def test_a_service_that_fails_never_costs_a_stack(service, monkeypatch, capsys):
    monkeypatch.setattr(Recording, "fails", "log")
    train.main([*TINY, "--wavelength=3,7", "--epochs=1", "--track=wandb", "--stack=yes"])
    assert scores_of("run")["wavelengths"].keys() == {"03", "07"}
    assert capsys.readouterr().err.count("warning: wandb logs no more of this training") == 3


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_service_that_is_not_installed_is_one_sentence(name, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=rf"--track {name}: .* pip install 'ariel_tf\[{name}\]'"):
        train.main([*TINY, f"--track={name}"])
    assert not Path("run").exists()


@pytest.mark.filterwarnings("ignore")  # of the service's own code
def test_wandb_itself_gets_a_training(monkeypatch):
    wandb = pytest.importorskip("wandb", reason="the extra wandb is not installed")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    train.main([*TINY, "--epochs=2", "--track=wandb"])
    wandb.teardown()
    (log,) = Path("wandb").glob("offline-run-*/run-*.wandb")
    content = log.read_bytes()
    for name in (b"epoch/val_score", b"epoch/learning_rate", b"test_planet", b"units"):
        assert name in content
    assert not [path for path in Path("run").rglob("*") if path.is_symlink() or "wandb" in path.name]
    train.main([*TINY, "--epochs=2"])  # the folder is still a run


@pytest.mark.filterwarnings("ignore")  # of the service's own code
def test_mlflow_itself_gets_a_training(monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    pytest.importorskip("sqlalchemy", reason="mlflow-skinny without a database")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    train.main([*TINY, "--epochs=2", "--track=mlflow"])
    client = mlflow.MlflowClient(f"sqlite:///{Path('mlflow/mlflow.db').resolve()}")
    experiment = client.get_experiment_by_name("ariel_tf")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params["units"] == "4"
    assert run.data.tags["ariel_tf_run"] == trackers.identity(Path("run"))
    scores = json.loads(Path("run/scores.json").read_text())
    assert run.data.metrics["test_planet"] == scores["test"]["planet"]
    logged = client.get_metric_history(run.info.run_id, "val_score")
    assert [(metric.step, metric.value) for metric in logged] == [(row["epoch"], row["val_score"]) for row in rows()]
    assert run.info.status == "FINISHED"
    assert not mlflow.is_tracking_uri_set()


@pytest.mark.filterwarnings("ignore")  # of the service's own code
def test_mlflow_itself_gets_a_list_as_a_parent_run(monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    pytest.importorskip("sqlalchemy", reason="mlflow-skinny without a database")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    train.main([*TINY, "--wavelength=3,7", "--epochs=2", "--track=mlflow"])
    client = mlflow.MlflowClient(f"sqlite:///{Path('mlflow/mlflow.db').resolve()}")
    runs = {
        run.info.run_name: run for run in client.search_runs([client.get_experiment_by_name("ariel_tf").experiment_id])
    }
    assert runs.keys() == {"run", "run/w03", "run/w07", "run/stack-w03-w07"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    parents = {name: run.data.tags.get("mlflow.parentRunId") for name, run in runs.items()}
    assert parents == {name: None if name == "run" else runs["run"].info.run_id for name in runs}
    assert runs["run"].data.metrics == {f"test_{name}": value for name, value in scores_of("run")["test"].items()}
    logged = client.get_metric_history(runs["run/w03"].info.run_id, "val_score")
    assert [(metric.step, metric.value) for metric in logged] == [
        (row["epoch"], row["val_score"]) for row in rows("run/w03")
    ]


@pytest.mark.filterwarnings("ignore")  # of the service's own code
def test_wandb_itself_gets_a_list_as_a_group(monkeypatch):
    wandb = pytest.importorskip("wandb", reason="the extra wandb is not installed")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    train.main([*TINY, "--wavelength=3,7", "--epochs=2", "--track=wandb"])
    wandb.teardown()
    logs = [log.read_bytes() for log in Path("wandb").glob("offline-run-*/run-*.wandb")]
    group = trackers.identity(Path("run")).encode()
    assert sorted(group in content for content in logs) == [True] * 4
    assert sorted(name for name in (b"run/w03", b"run/w07", b"run/stack") if any(name in log for log in logs)) == [
        b"run/stack", b"run/w03", b"run/w07"
    ]  # fmt: skip
    assert sum(b"epoch/val_score" in content for content in logs) == 3
    assert not [path for path in Path("run").rglob("*") if path.is_symlink() or "wandb" in path.name]

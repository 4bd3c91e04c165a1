"""TensorBoard's HParams tab: one row for each run, with its best score."""

from importlib.metadata import version
from types import SimpleNamespace

import keras
import pytest
import tensorflow as tf
from support.hparams import session_groups

from ariel_tf.config.run_options import RunOptions, parse_profile
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.errors import UsageError
from ariel_tf.training import tensorboard
from ariel_tf.training.start import check
from ariel_tf.training.tensorboard import Profile, TensorBoardLog, conceptual, table, trial_id


def log_run(path, scores, test_score=None):
    """The logs of a run with these validation scores."""
    run = SimpleNamespace(path=path, resumed=False, rows=[])
    log = TensorBoardLog(run, {"model": "baseline", "settings": {"learning_rate": scores[0] / 1e6}})
    for epoch, score in enumerate(scores, 1):
        rates = {"learning_rate": 1e-3, "observations_per_second": 1.0}
        run.rows.append({"epoch": epoch, "loss": 1.0, "score": score, "val_loss": 1.0, "val_score": score, **rates})
        log.on_epoch_end(epoch)
    if test_score is not None:
        log.test_score(test_score)
    log.close()


def test_trials_and_wavelengths_of_the_same_name_are_rows_of_their_own_ranked_by_their_best(tmp_path):
    """The tab averaged all runs whose folder is called 0000, or w12, and showed the last epoch."""
    expected = {}
    for index, name in enumerate(("one/trials/0000", "other/trials/0000", "list/w12", "stacked/w12")):
        best = 9000.0 + 100 * index
        log_run(tmp_path / name, [8000.0 + index, best, -494424.0], test_score=best - 50)
        expected[best] = best - 50
    groups = session_groups(tmp_path)
    shown = [{metric.name.tag: metric.value for metric in group.metric_values} for group in groups]
    assert {row["best_score"]: row["test_score"] for row in shown} == pytest.approx(expected)
    assert len(shown) == len(expected)


def test_a_run_in_the_place_of_one_that_was_moved_aside_has_another_id(tmp_path):
    assert trial_id(tmp_path / "w12") != trial_id(tmp_path / "w12")
    assert trial_id(tmp_path / "w12").startswith("w12-")


@pytest.mark.skipif(version("tensorboard") < "2.17", reason="TensorBoard 2.16 reads no graph of layers of Keras 3")
def test_the_graphs_tab_reads_the_layers_and_their_connections():
    from tensorboard.plugins.graph import keras_util

    flux, star = keras.Input((300, 1), name="flux"), keras.Input((6,), name="star")
    flat = keras.layers.Flatten(name="flat")(flux)
    joined = keras.layers.Concatenate(name="joined")([flat, star])
    model = keras.Model({"flux": flux, "star": star}, keras.ops.sqrt(keras.layers.Dense(2, name="head")(joined)))
    graph = keras_util.keras_model_to_graph_def(tensorboard.json.loads(conceptual(model)))
    inputs = {node.name.split("/")[-1]: [one.split("/")[-1] for one in node.input] for node in graph.node}
    assert inputs["joined"] == ["flat", "star"]
    assert inputs["head"] == ["joined"]
    assert inputs["flux"] == []
    assert len(graph.node) == 6


def test_only_the_steps_asked_for_are_profiled_also_of_a_training_that_ends_before(monkeypatch, tmp_path):
    for steps, expected in ((9, ["start 3", "stop 5"]), (4, ["start 3", "stop 4"]), (2, [])):
        profile, seen = Profile(tmp_path, 3, 5), []
        monkeypatch.setattr(tf.profiler.experimental, "start", lambda _, s=seen, p=profile: s.append(f"start {p.step}"))
        monkeypatch.setattr(tf.profiler.experimental, "stop", lambda s=seen, p=profile: s.append(f"stop {p.step}"))
        for batch in range(steps):
            profile.on_train_batch_begin(batch)
            profile.on_train_batch_end(batch)
        profile.on_train_end()
        assert seen == expected


def test_histograms_are_written_if_asked_for(tmp_path):
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    for asked in (True, False):
        run = SimpleNamespace(path=tmp_path / str(asked), resumed=False, rows=[])
        log = TensorBoardLog(run, {"settings": {}}, histograms=asked)
        log.set_model(SimpleNamespace(trainable_variables=layer.trainable_variables))
        run.rows.append({"epoch": 1, "loss": 1.0, "score": 1.0, "val_loss": 1.0, "val_score": 1.0,
                         "learning_rate": 1e-3, "observations_per_second": 1.0})  # fmt: skip
        log.on_epoch_end(0)
        log.close()
        events = [event for path in (run.path / "tensorboard/train").iterdir()
                  for event in tf.compat.v1.train.summary_iterator(str(path))]  # fmt: skip
        tags = {value.tag for event in events for value in event.summary.value if value.tag.startswith("weights/")}
        assert len(tags) == 2 * asked


def test_a_table_of_text_keeps_its_columns():
    assert table({"a": 1, "b": "x|y"}).splitlines()[2:] == ["| a | 1 |", "| b | x y |"]


def test_steps_to_profile_are_checked():
    assert RunOptions(profile=parse_profile("10:20")).profile == (10, 20)
    for text in ("10", "20:10", "0:3", "a:b"):
        with pytest.raises(UsageError, match="--profile"):
            RunOptions(profile=parse_profile(text))
    with pytest.raises(UsageError, match="--profile: expected one model"):
        check(TrainConfig(wavelength="3,7").resolve(), RunOptions(profile=(1, 2)))

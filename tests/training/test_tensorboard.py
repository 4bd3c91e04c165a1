"""TensorBoard's HParams tab: one row for each run, with its best score."""

from types import SimpleNamespace

import pytest
from support.hparams import session_groups

from ariel_tf.training.tensorboard import TensorBoardLog, trial_id


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

"""Several devices give what one gives: `--devices cpu:0,1`, two logical CPUs (`conftest.py` makes them)."""

import signal
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.run_folders import loaded, run, send_in_epoch, table

from ariel_tf.config import model_registry
from ariel_tf.config.choices import PRECISIONS
from ariel_tf.core.devices import Devices
from ariel_tf.core.errors import Stopped, UsageError
from ariel_tf.data import dataset, shuffling
from ariel_tf.data.selection import Selection
from ariel_tf.data.sources.tfrecord import TFRecordSource
from ariel_tf.training import cluster, distribute
from ariel_tf.training.strategy import DETERMINISTIC, _choose, check_batch, strategy_of
from pipelines import simulate

pytestmark = pytest.mark.usefixtures("own_folder")

# 21 planets leave an odd number of rows, 51, so the last batch of an epoch has shares of different size.
DATA = "simulated:planets=21,spots=1,photons=3,seed=1"
SMALL = ["--model=baseline", "--data", DATA, "--set", "first=16", "--set", "second=8", "--batch-size", "8",
         "--head", "depth"]  # fmt: skip
TWO = ["--devices", "cpu:0,1"]


def check_same(one, other, tolerance=1e-5):
    """Two runs of the same training: every epoch's numbers, the choice of the best, and the test scores."""
    first, second = table(f"{one}/metrics.csv"), table(f"{other}/metrics.csv")
    assert len(first) == len(second)
    for row, same in zip(first, second, strict=True):
        for name in ("score", "val_score", "learning_rate"):
            assert float(row[name]) == pytest.approx(float(same[name]), rel=tolerance)
        for name in ("loss", "val_loss"):  # near zero a relative bound asks for more than float32 holds
            assert float(row[name]) == pytest.approx(float(same[name]), rel=100 * tolerance)
    scores, expected = loaded(f"{one}/scores.json"), loaded(f"{other}/scores.json")
    assert scores["best_epoch"] == expected["best_epoch"]
    for name, score in expected["test"].items():
        assert scores["test"][name] == pytest.approx(score, rel=tolerance)


def check_one_and_two(*arguments, tolerance=1e-5):
    run(*arguments, "--run", "one")
    run(*arguments, *TWO, "--run", "two")
    check_same("two", "one", tolerance)


def test_two_devices_give_the_scores_of_one(capsys):
    check_one_and_two(*SMALL, "--epochs", "2", "--star", "all")
    assert "training baseline, wavelength 12, on 2 devices, in two" in capsys.readouterr().out
    assert loaded("two/meta.json")["sessions"][0]["hardware"]["devices"] == 2
    assert loaded("one/config.json") == loaded("two/config.json")
    rows = loaded("two/meta.json")["folds"]["train"]["observations"]
    assert (rows % 8) % 2 == 1, "the last batch should not divide by two"


@pytest.mark.slow
def test_clipping_and_batch_normalisation_see_the_whole_batch():
    more = ["--set", "width=0.1", "--set", "clip_norm=0.1", "--batch-size", "8", "--epochs", "3"]
    # The rounding of sums in another order grows through normalised layers: 4e-5 after three epochs on some processors.
    check_one_and_two("--model", "dilated", "--data", DATA, *more, "--patience", "0", tolerance=1e-4)
    config = keras.models.load_model("two/best.keras", compile=False).get_layer("norm_0").get_config()
    assert config["synchronized"] is False  # which only TensorFlow could load


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_precision_learns_on_two_devices_what_it_learns_on_one(precision):
    """In mixed_float16 the loss was not scaled, but its gradients were divided by the scale: nothing was learnt."""
    options = ["--precision", precision, "--optimizer", "sgd", "--set", "learning_rate=0.01", "--epochs", "4"]
    check_one_and_two(*SMALL, *options, tolerance=1e-5 if precision == "float32" else 2e-3)
    losses = [float(row["loss"]) for row in table("two/metrics.csv")]
    assert losses[-1] < 0.9 * losses[0]


def test_an_optimiser_is_built_once_and_keeps_its_loss_scale():
    """Built again for several devices, that of a half precision lost the scale that a resumed run had reached."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()), loss="mse")
    distribute.build_optimizer(model)
    model.optimizer.dynamic_scale.assign(8.0)
    count = len(model.optimizer.variables)
    distribute.build_optimizer(model)
    assert float(model.optimizer.dynamic_scale) == 8.0
    assert len(model.optimizer.variables) == count


@pytest.mark.slow
def test_rows_that_stream_give_the_scores_of_one_device(monkeypatch):
    simulate.main(["data", "--planets=21", "--spots=1", "--photons=3", "--seed=1", "--jobs=1"])
    monkeypatch.setattr(dataset, "fits_in_memory", lambda *_: False)
    check_one_and_two(*SMALL, "--data", "data", "--epochs", "3", "--set", "schedule=plateau")


@pytest.mark.slow
@pytest.mark.parametrize("last", [TWO, ["--devices", "cpu"]], ids=["the same devices", "another"])
def test_a_stopped_run_goes_on_to_the_bit_or_on_other_devices(last, monkeypatch):
    """To the bit on the same devices, dropout included; and one device may go on where two were."""
    arguments = [*SMALL, "--epochs", "3", "--set", "dropout=0.2", "--optimizer", "nadam"]
    with monkeypatch.context() as patch:
        send_in_epoch(patch, 2, signal.SIGTERM)
        with pytest.raises(Stopped, match="1 whole epoch"):
            run(*arguments, *TWO, "--run", "stopped")
    run(*arguments, *last, "--run", "stopped")
    assert loaded("stopped/scores.json")["epochs"] == 3
    if last == TWO:
        run(*arguments, *TWO, "--run", "unbroken")
        assert loaded("unbroken/scores.json") == loaded("stopped/scores.json")


# What each family takes to be small, and without dropout.
FEW = {
    "baseline": ["--set", "first=16", "--set", "second=8"],
    "squid": ["--set", "width=0.2"],
    "nadam": ["--set", "second=8", "--set", "third=8", "--every", "1"],
    "compressed": ["--set", "first=4", "--set", "second=16", "--set", "third=8", "--batch-size", "6", "--epochs", "7"],
    "cnn": ["--set", "first=8", "--set", "second=4", "--set", "dense=4"],
    "dilated": ["--set", "width=0.1"],
    "lstm": ["--set", "units=4", "--set", "dropout=0", "--steps", "0:300:6"],
    "lstm_cnn": ["--set", "units=4", "--steps", "50:300:5"],
    "linear": ["--set", "units=8"],
    "segments": ["--set", "units=4", "--set", "first=8", "--set", "second=8"],
    # One step: batch normalisation of a deep network on few rows lets rounding grow a thousandfold a step. Three steps
    # on, the score of one device with the rows of each batch the other way round is 5e-3 from its own, relative.
    "image": ["--set", "size=32", "--batch-size", "18", "--epochs", "1"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", model_registry.entries())
def test_every_family_of_models_scores_alike_on_two_devices(name):
    """Twenty steps and more: three epochs of seven steps."""
    scope = model_registry.entry(name).scope
    more = ["--wavelength", "joint"] if scope == "joint" else []
    small = ["--data", DATA, "--batch-size", "8", "--epochs", "3", "--patience", "0", *FEW.get(name, [])]
    # `spectrum` measures in float32 before it learns: another batch size changes its answer for one row in ten by 1e-5,
    # for one in eighty by 3e-3.
    check_one_and_two("--model", name, *more, *small, tolerance=2e-4 if name == "spectrum" else 1e-5)


def test_each_row_goes_to_exactly_one_device():
    strategy = strategy_of(Devices.parse("cpu:0,1"))
    rows = np.arange(23, dtype=np.float32)
    batches = tf.data.Dataset.from_tensor_slices(({"flux": rows}, rows)).batch(5)
    shares = []
    for inputs, radius in distribute.distribute_dataset(strategy, batches):
        local = strategy.experimental_local_results(radius)
        assert [len(share) for share in local] in ([2, 3], [1, 2])
        np.testing.assert_array_equal(strategy.experimental_local_results(inputs["flux"])[1], local[1])
        shares.append(np.concatenate(local))
    np.testing.assert_array_equal(np.concatenate(shares), rows)
    one = tf.distribute.get_strategy()
    assert distribute.distribute_dataset(one, batches) is batches


@pytest.mark.parametrize("text", ["gpu:", "cpu:0,x", "tpu", "auto:1", "gpu:0,0", "", "cpu:-1", "cpu:0;1"])
def test_devices_that_are_none_are_one_sentence(text):
    with pytest.raises(UsageError, match="--devices: expected"):
        run(*SMALL, "--devices", text)


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_one_sentence():
    with pytest.raises(UsageError, match=r"--devices gpu:0,3: TensorFlow finds no GPU here"):
        strategy_of(Devices.parse("gpu:0,3"))


@pytest.mark.parametrize(("variable", "calls"), [(None, 1), ("1", 1), ("0", 0)])
def test_gpus_compute_the_same_numbers_each_time(monkeypatch, variable, calls):
    """Two trainings of most models on a GPU differed in their last digits, so a resumed one did, too."""
    monkeypatch.delenv(DETERMINISTIC, raising=False)
    if variable:
        monkeypatch.setenv(DETERMINISTIC, variable)
    config = mock.Mock()
    config.list_physical_devices.return_value = ["a GPU"]
    _choose(SimpleNamespace(config=config), Devices.parse("gpu:0"))
    config.experimental.set_memory_growth.assert_called_once_with("a GPU", True)
    assert config.experimental.enable_op_determinism.call_count == calls


def test_the_processor_is_left_as_it_is():
    config = mock.MagicMock()
    config.list_physical_devices.side_effect = lambda kind: {"GPU": [], "CPU": ["a CPU"]}[kind]
    _choose(SimpleNamespace(config=config), Devices.parse("auto"))
    config.experimental.enable_op_determinism.assert_not_called()


def test_devices_can_not_be_chosen_once_they_are_started():
    tf.config.list_logical_devices()
    with pytest.raises(UsageError, match="has started other devices already"):
        strategy_of(Devices.parse("cpu:0,7"))


@pytest.mark.parametrize(
    ("size", "rows", "said"),
    [
        (7, 0, "--batch-size 7: does not divide by 2 devices; take 6 or 8."),
        (1, 0, "--batch-size 1: does not divide by 2 devices; take 2."),
        (10, 21, "leaves 1 of 21 rows in an epoch's last step, fewer than there are devices .2.; take 8 or 12."),
        (2, 1, "leaves 1 of 1 rows .* there are too few rows for so many devices."),
    ],
)
def test_a_batch_that_does_not_divide_names_sizes_that_do(size, rows, said):
    with pytest.raises(UsageError, match=said):
        check_batch(strategy_of(Devices.parse("cpu:0,1")), size, rows)


def test_sizes_that_are_named_are_taken(capsys):
    with pytest.raises(UsageError, match="--batch-size 7: does not divide by 2 devices; take 6 or 8"):
        run(*SMALL, "--batch-size", "7", *TWO)
    for size in ("6", "8"):
        run(*SMALL, "--batch-size", size, *TWO, "--dry-run")
    run(*SMALL, "--batch-size", "7", "--dry-run")


def test_xla_with_several_devices_is_refused():
    with pytest.raises(UsageError, match="--jit yes"):
        run(*SMALL, "--jit", "yes", "--epochs", "1", *TWO)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_a_tf_config_that_is_none_is_one_sentence(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UsageError, match="TF_CONFIG: expected"):
        cluster.task()


def stack_rows(folder):
    return table(f"{folder}/stack-w03-w12/metrics.csv")


@pytest.mark.slow
def test_a_stack_on_two_devices_trains_what_it_trains_on_one(capsys):
    arguments = [*SMALL, "--wavelength", "3,7,12", "--channels", "own+white", "--star", "all", "--epochs", "3"]
    run(*arguments, "--run", "one")
    run(*arguments, *TWO, "--run", "two")
    for name in ("w03", "w07", "w12"):
        check_same(f"two/{name}", f"one/{name}")
    assert loaded("two/stack-w03-w12/meta.json")["sessions"][0]["hardware"]["devices"] == 2
    assert len(stack_rows("two")) == 3
    # What would see each device's rows alone is not stacked.
    run("--model", "dilated", "--data", DATA, "--set", "width=0.1", "--wavelength", "3,7", *TWO, "--dry-run",
        "--batch-size", "8")  # fmt: skip
    assert "the batch normalisation of a stack would see each device's rows alone" in capsys.readouterr().out


def test_hosts_read_shards_of_their_own_and_every_row_once_an_epoch():
    simulate.main(["data", "--planets=23", "--spots=1", "--photons=3", "--seed=1", "--jobs=1"])
    source = TFRecordSource(Path("data"))
    choice = Selection.of(range(8), (12,))
    steps = 7
    found = [source.shard(choice.folds, index, 3) for index in range(3)]
    names = [shard.name for part in found for shard in part.manifest.shards]
    assert sorted(names) == sorted(shard.name for shard in source.manifest.shards if shard.fold < 8)
    whole = source.observations(choice.folds)
    keys, sizes = [], []
    for part in found:
        batches = list(shuffling.shuffled_share(part, choice, steps, 3, 0, 2).as_numpy_iterator())
        assert len(batches) == 2 * steps
        sizes.append([len(batch["key"]) for batch in batches])
        keys.append([[tuple(key) for batch in batches[e * steps :][:steps] for key in batch["key"]] for e in (0, 1)])
    assert np.ptp(sizes, axis=1).max() <= 1
    for epoch in (0, 1):
        rows = [key for part in keys for key in part[epoch]]
        assert len(set(rows)) == len(rows) == whole
    assert keys[0][0] != keys[0][1]
    assert source.shard((0,), 0, 50) is None

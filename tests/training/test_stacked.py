"""A stack of models takes each of them along the path that it takes alone."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from ariel_tf.core.errors import DataError
from ariel_tf.models.losses import ArielScore, RadiusLoss
from ariel_tf.training import callbacks
from ariel_tf.training.stacked import memory
from ariel_tf.training.stacked.fit import progress
from ariel_tf.training.stacked.layers import STAND_INS, NotStackable, gelu, refuse_unstackable, stand_in
from ariel_tf.training.stacked.stack import Stack
from ariel_tf.training.stacked.tables import Table

W, ROWS, BATCH, STEPS = 3, 23, 5, 30
STEPS_AN_EPOCH = -(-ROWS // BATCH)
OPTIMIZERS = {
    "adam": {},
    "nadam": {},
    "rmsprop": {},
    "sgd": {"learning_rate": 1e-3, "momentum": 0.5},
    "adamw": {"weight_decay": 0.01},
}


@pytest.fixture
def float64():
    before = keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")  # which floatx alone does not change once it was set
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy(before)


def make_table(white=False):
    """Noise with a dip as deep as each row's radius says; another noise, offset and scale at each wavelength."""
    rng = np.random.default_rng(0)
    radius = rng.uniform(0.02, 0.15, (W, ROWS, 1))
    own = rng.normal(1, np.array([0.01, 0.02, 0.005])[:, None, None, None], (W, ROWS, STEPS, 1))
    own[:, :, 10:20] -= radius[..., None] ** 2
    shared = own.mean(axis=0) if white else None
    dtype = keras.config.floatx()
    return Table(*(None if v is None else tf.constant(v, dtype) for v in (radius, own, shared, None)))


def make_model(table, index, kind, optimizer="adam", dropout=0.3, loss="mse", **options):
    """One wavelength's model, with everything that a stack must take care of: constants, state, random layers."""
    keras.utils.set_random_seed(1)
    flux = table.of(index)["flux"].numpy()
    depth = table.radius[index].numpy() ** 2
    spread, dtype = [float(depth.std())], keras.config.floatx()
    inputs = keras.Input(flux.shape[1:], name="flux")
    layer = keras.layers.Normalization(axis=(1, 2), mean=flux.mean(axis=0), variance=flux.var(axis=0), name="transform")
    x = layer(inputs)[..., 3:28, :]
    if kind == "convolutional":
        x = keras.layers.Conv1D(8, 5, strides=2, padding="same", activation="tanh", name="conv_0")(x)
        x = keras.layers.SeparableConv1D(8, 3, depth_multiplier=2, padding="same", name="separable")(x)
        x = keras.layers.Conv1D(6, 3, dilation_rate=2, padding="same", name="conv_1")(x)
        x = keras.layers.PReLU(shared_axes=[1], name="prelu")(x)
        x = keras.layers.AveragePooling1D(2, padding="same", name="pool")(x)
    x = keras.layers.Flatten(name="flat")(x)
    x = keras.layers.Dense(16, activation="gelu", name="first")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    x = keras.layers.Dense(16, activation="tanh", name="second")(x)
    x = keras.layers.Dense(1, name="head")(x)
    x = keras.layers.Rescaling(spread, [float(depth.mean())], name="answer")(x)
    model = keras.Model([inputs], x, name="model")
    config = {"class_name": optimizer, "config": OPTIMIZERS.get(optimizer, {}) | options}
    model.compile(
        optimizer=keras.optimizers.get(config),
        loss=RadiusLoss(loss, "depth", spread, dtype=dtype),
        metrics=[ArielScore("depth")],
    )
    return model


def order(epoch):
    return tf.random.experimental.stateless_shuffle(tf.range(ROWS), seed=[3, epoch])


def train_stack(models, table, epochs):
    stack = Stack(models, table.take(tf.range(4)))
    for epoch in range(epochs):
        stack.variables.reseed(7, epoch)
        # An epoch in two calls, as a signal or the progress bar may ask for.
        total = stack.train(table, order(epoch), BATCH, 0, 2)
        total = total + stack.train(table, order(epoch), BATCH, 2, STEPS_AN_EPOCH)
        measured = stack.sums(total, table.rows)
    stack.variables.keep_best(np.ones(W, bool))
    stack.variables.take_out_best()
    return stack, measured


def train_alone(model, table, index, epochs):
    reseed = callbacks.Reseed(7)
    reseed.set_model(model)
    model.optimizer.build(model.trainable_variables)  # as in a training; the first step would be traced twice
    for epoch in range(epochs):
        reseed.on_epoch_begin(epoch)
        for step in range(STEPS_AN_EPOCH):
            batch = table.take(order(epoch)[step * BATCH : (step + 1) * BATCH])
            model.train_on_batch(batch.of(index), batch.radius[index])


@pytest.mark.parametrize(("dtype", "near"), [(tf.float32, 2e-7), (tf.float64, 1e-15)])
def test_gelu_of_a_stack_is_that_of_tensorflow(dtype, near):
    x = tf.constant([*np.linspace(-40, 40, 2001), 0.0, -1e-30], dtype)
    found = []
    for function in (gelu, keras.activations.gelu):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        found.append((y, tape.gradient(y, x)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=near)
    assert stand_in(keras.layers.Dense(3, activation="gelu")).activation is gelu
    assert stand_in(keras.layers.Dense(3, activation="tanh")).activation is keras.activations.tanh


def check_equal_paths(kind, optimizer, epochs, tolerance):
    """Train a stack and its models alone; compare weights and answers. The first model is the stack's own template."""
    table = make_table(white=kind == "convolutional")
    models = [make_model(table, index, kind, optimizer) for index in range(W)]
    train_stack(models, table, epochs)
    for index in range(1, W):
        alone = make_model(table, index, kind, optimizer)
        train_alone(alone, table, index, epochs)
        for one, other in zip(alone.weights, models[index].weights, strict=True):
            np.testing.assert_allclose(other.numpy(), one.numpy(), rtol=0, atol=tolerance, err_msg=one.path)
        answers = (model(table.of(index), training=False).numpy() for model in (alone, models[index]))
        np.testing.assert_allclose(*answers, rtol=0, atol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dense", "convolutional"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_in_float64_a_stack_equals_its_models_alone_after_200_steps(float64, kind, optimizer):
    check_equal_paths(kind, optimizer, 200 // STEPS_AN_EPOCH, 1e-12)


@pytest.mark.parametrize("kind", ["dense", pytest.param("convolutional", marks=pytest.mark.slow)])
def test_in_float32_a_stack_equals_its_models_alone_after_10_steps(kind):
    check_equal_paths(kind, "adam", 10 // STEPS_AN_EPOCH, 1e-5)


@pytest.fixture(scope="module")
def trained():
    """A dense stack after two epochs, its best taken out; its models; its rows; loss and score while training."""
    table = make_table()
    models = [make_model(table, index, "dense") for index in range(W)]
    stack, measured = train_stack(models, table, 2)
    return stack, models, table, measured


def test_scores_of_a_stack_are_those_of_its_models(trained):
    stack, models, table, _ = trained
    received = stack.test(table, 7)
    for index, model in enumerate(models):
        expected = model.evaluate(table.of(index), table.radius[index], batch_size=7, verbose=0, return_dict=True)
        assert received.loss[index] == pytest.approx(expected["loss"], rel=1e-5)
        assert received.score[index] == pytest.approx(expected["score"], rel=1e-7)
    np.testing.assert_allclose(stack.test(table, ROWS), received, rtol=1e-6)


def test_slicing_out_and_saving_changes_nothing(trained, tmp_path):
    stack, models, table, _ = trained
    together = stack._answers(table).numpy()
    for index, model in enumerate(models):
        before = model(table.of(index), training=False).numpy()
        np.testing.assert_allclose(together[index], before, rtol=1e-5)
        model.save(tmp_path / f"{index}.keras")
        again = keras.models.load_model(tmp_path / f"{index}.keras", compile=False)
        np.testing.assert_array_equal(again(table.of(index), training=False).numpy(), before)
        assert [type(layer) for layer in again.layers] == [type(layer) for layer in model.layers]


def test_a_saved_stack_goes_on_to_the_bit(trained, tmp_path):
    _, _, table, _ = trained

    def two_more_epochs(stack):
        for epoch in (2, 3):
            stack.variables.reseed(7, epoch)
            stack.train(table, order(epoch), BATCH, 0, STEPS_AN_EPOCH)
        return [variable.numpy() for variable in stack.variables.kept()]

    first, second = ([make_model(table, index, "dense") for index in range(W)] for _ in range(2))
    unbroken, _ = train_stack(first, table, 2)
    unbroken.variables.save(tmp_path / "stack.h5")
    expected = two_more_epochs(unbroken)
    resumed = Stack(second, table.take([0, 1]))
    resumed.variables.load(tmp_path / "stack.h5")
    for one, other in zip(expected, two_more_epochs(resumed), strict=True):
        np.testing.assert_array_equal(one, other)
    (tmp_path / "stack.h5").write_bytes(b"torn")
    with pytest.raises(DataError, match=r"stack.h5: expected weights in HDF5"):
        resumed.variables.load(tmp_path / "stack.h5")


def test_each_wavelength_keeps_its_own_best_while_the_stack_trains_on():
    table = make_table()
    models = [make_model(table, index, "dense") for index in range(W)]
    stack, _ = train_stack(models, table, 1)
    first = [[weight.numpy() for weight in model.trainable_variables] for model in models]
    stack.variables.reseed(7, 1)
    stack.train(table, order(1), BATCH, 0, STEPS_AN_EPOCH)
    stack.variables.keep_best(np.array([False, True, False]))
    stack.variables.take_out_best()
    for index, (model, before) in enumerate(zip(models, first, strict=True)):
        same = all((weight.numpy() == old).all() for weight, old in zip(model.trainable_variables, before, strict=True))
        assert same == (index != 1)


def test_a_stack_of_models_whose_constants_differ_beyond_it_is_refused():
    """A constant inside an operation is one for all models of a stack: the check must see that they differ."""
    table = make_table()
    models = []
    for index in range(W):
        inputs = keras.Input((STEPS, 1), name="flux")
        x = keras.layers.Dense(1, name="head")(keras.layers.Flatten(name="flat")(inputs * (1 + index)))
        models.append(keras.Model([inputs], x, name="model"))
        models[-1].compile(optimizer="adam", loss=RadiusLoss("mse", "depth"))
    with pytest.raises(
        NotStackable, match=r"the outputs of model \d in the stack and alone differ by .*\. Take --stack no"
    ):
        Stack(models, table.take([0, 1]))


@pytest.mark.parametrize("options", [{"clipnorm": 1.0}, {"global_clipnorm": 1.0}])
def test_clipping_by_norm_is_refused(options):
    with pytest.raises(NotStackable, match="clip_norm"):
        refuse_unstackable(make_model(make_table(), 0, "dense", **options))


def test_other_optimisers_recurrent_layers_and_xla_are_refused():
    model = make_model(make_table(), 0, "dense", "ftrl")
    with pytest.raises(NotStackable, match="its optimiser Ftrl is none of Adam, "):
        refuse_unstackable(model)
    model.compile(optimizer="adam", loss="mse", jit_compile=True)
    with pytest.raises(NotStackable, match="--jit yes"):
        refuse_unstackable(model)
    inputs = keras.Input((STEPS, 1), name="flux")
    model = keras.Model(inputs, keras.layers.LSTM(2, name="memory")(inputs), name="lstm")
    model.compile(optimizer="adam", loss="mse")
    with pytest.raises(NotStackable, match="model lstm can't be trained as a stack: its layer memory, LSTM, "):
        refuse_unstackable(model)


CONVOLUTIONS = [(keras.layers.Conv1D, padding, {}) for padding in ("same", "valid", "causal")]
# Keras has no causal separable convolution.
CONVOLUTIONS += [(keras.layers.SeparableConv1D, padding, {"depth_multiplier": 2}) for padding in ("same", "valid")]


@pytest.mark.parametrize(("kind", "padding", "more"), CONVOLUTIONS)
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(5, 5, 1), (1, 1, 1), (4, 2, 1), (3, 1, 2), (5, 3, 1)])
def test_unfolded_convolution_equals_keras(kind, padding, more, kernel, stride, dilation):
    options = {"strides": stride, "dilation_rate": dilation, "padding": padding, "activation": "relu", **more}
    x = np.random.default_rng(0).normal(size=(2, 17, 3)).astype(np.float32)
    expected, unfolded = kind(4, kernel, **options), STAND_INS[kind](4, kernel, **options)
    unfolded.build(x.shape)
    answer = expected(x)
    unfolded.set_weights(expected.get_weights())
    np.testing.assert_allclose(unfolded(x), answer, rtol=1e-5, atol=1e-6)


def test_best_epochs_and_early_stops_follow_the_rule_of_a_model_alone():
    """Worked by hand, patience 2: the first rises twice; the second stops at 3, and its later 9 counts no more."""
    scores = np.array([[1.0, 5.0], [2.0, 5.0], [2.0, 4.0], [3.0, 9.0], [3.0, 9.0]])
    now = progress(scores, patience=2)
    assert now.best_epoch.tolist() == [4, 1]
    assert now.best_score.tolist() == [3.0, 5.0]
    assert now.last_epoch.tolist() == [5, 3]
    assert now.training.tolist() == [True, False]
    assert progress(scores, patience=0).best_epoch.tolist() == [4, 4]
    assert progress(scores[:0].reshape(0, 2), patience=2).training.all()


def test_groups_are_as_few_as_fit_and_about_equal():
    assert memory.groups(range(55), each=10, free=1000) == [list(range(55))]
    assert memory.groups(range(5), each=10, free=30) == [[0], [1, 2], [3, 4]]
    assert memory.groups(range(5), each=10, free=10) == []
    sizes = [len(group) for group in memory.groups(range(55), each=1, free=30)]
    assert sizes == [18, 18, 19]


def test_memory_grows_with_rows_batch_and_weights():
    table = make_table()
    dense, conv = (make_model(table, 0, kind) for kind in ("dense", "convolutional"))
    base = memory.needed(dense, batch_size=5, held=1200)
    weights = sum(int(np.prod(variable.shape)) for variable in dense.variables)
    assert base >= 4 * memory.WEIGHT_COPIES * weights
    assert memory.needed(dense, 5, 2400) - base == math.ceil(memory.TABLE_COPIES * 1200)
    assert memory.needed(dense, 10, 1200) > base
    assert memory.needed(conv, 5, 1200) > 0
    assert 1 << 20 < memory.available() < 1 << 50

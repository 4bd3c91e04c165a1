"""Every registered model: builds, learns a step, saves, and loads in a fresh process without our code."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from support.models import ROWS, Sample, built, configured, small

from ariel_tf.config import model_registry
from ariel_tf.config.choices import HEADS, LOSSES, OPTIMIZERS, PRECISIONS
from ariel_tf.config.hyperparameters import Settings
from ariel_tf.core.errors import UsageError
from ariel_tf.models import builder
from ariel_tf.models.builder import build

# Every model in every scope that it has: one wavelength, or all 55 jointly.
CASES = tuple(
    (name, wavelength)
    for name, entry in model_registry.entries().items()
    for wavelength in (12, "joint")
    if entry.scope in ("any", "joint" if wavelength == "joint" else "one")
)
# A model's settings and seeds are those of its function, which is the same in both scopes.
# `spectrum` measures before it learns, which takes seconds: tests/models/test_spectrum.py tries it in short.
LONG = ("spectrum",)
# Each build of these takes seconds, too: their settings and seeds are tried by `make test-slow`.
SLOW_TO_BUILD = ("transit", "image", *LONG)
each_model = pytest.mark.parametrize(
    ("name", "wavelength"),
    [pytest.param(*case, marks=pytest.mark.slow if case[0] in SLOW_TO_BUILD else []) for case in dict(CASES).items()],
)
# Layers of another type than the default's, which are a setting: they too must learn, and load without our code.
LAYER_TYPES = (
    ("lstm", 12, {"cell": "gru", "bidirectional": True}),
    ("lstm_cnn", "joint", {"cell": "gru"}),
    ("cnn", 12, {"convolution": "separable"}),
    ("cnn", "joint", {"convolution": "separable", "multiplier": 1}),
)
MODELS = (*((*case, {}) for case in CASES), *LAYER_TYPES)


def marks(index, head=None):
    """None where a short test tries this model, and this head of it; `make test-slow` tries all.

    Scopes and heads are the builder's: `baseline` tries both heads; each other model is tried with one of them, in one
    of its scopes, by turns.
    """
    name, wavelength, settings = MODELS[index]
    scopes = [its for model, its in CASES if model == name]
    its_turn = scopes[list(dict(CASES)).index(name) % len(scopes)]
    short = name == "cnn" if settings else wavelength == its_turn
    short = short and name not in LONG and (head is None or name == "baseline" or HEADS[index % 2] == head)
    return [] if short else pytest.mark.slow


# The models with the most different layers that build within a few seconds; `make test-slow` tests all models.
UNLIKE = ("baseline", "lstm_cnn", "cnn")
each_unlike_type = pytest.mark.parametrize(
    ("name", "wavelength", "settings"),
    [pytest.param(*case, marks=marks(i) if case[0] in UNLIKE else pytest.mark.slow) for i, case in enumerate(MODELS)],
)
each_unlike_headed_type = pytest.mark.parametrize(
    ("name", "wavelength", "settings", "head"),
    [
        pytest.param(*case, head, marks=marks(index, head) if case[0] in UNLIKE else pytest.mark.slow)
        for index, case in enumerate(MODELS)
        for head in HEADS
    ],
)


def predict(name, wavelength=12, **options):
    sample = Sample(configured(name, wavelength, **options))
    return np.asarray(built(name, wavelength, **options).inference(sample.inputs, training=False))


def test_names_read_from_source_are_the_functions_that_import_gives():
    for name, entry in model_registry.entries().items():
        function = model_registry.load(name)
        assert function.__name__ == name
        for about, value in function.registered.items():
            assert getattr(entry, about) == value
        assert entry.summary.endswith(".")


# A step of these takes seconds; `lstm_cnn` and `cnn` have the same layers, and tests of commands train `transit`.
each_quick_headed_type = pytest.mark.parametrize(
    ("name", "wavelength", "settings", "head"),
    [
        pytest.param(
            *case, head, marks=pytest.mark.slow if case[0] in ("image", "lstm", "transit") else marks(index, head)
        )
        for index, case in enumerate(MODELS)
        for head in HEADS
    ],
)


@each_quick_headed_type
def test_a_step_of_training_lowers_the_loss(name, wavelength, settings, head):
    options = {"head": head, "star": "all", **small(name, learning_rate=1e-4, **settings)}
    sample = Sample(configured(name, wavelength, **options))
    model = built(name, wavelength, **options).training
    model.run_eagerly = True  # three steps are done before a graph of a recurrent network is traced
    before = model.evaluate(sample.inputs, sample.radii, verbose=0, return_dict=True)["loss"]
    model.fit(sample.inputs, sample.radii, epochs=3, batch_size=ROWS, verbose=0)
    assert np.isfinite(before)
    for weight in model.trainable_variables:
        assert np.isfinite(weight.numpy()).all(), weight.path
    if not any("norm" in layer.name for layer in model.layers):  # batch statistics of six rows settle later
        assert model.evaluate(sample.inputs, sample.radii, verbose=0, return_dict=True)["loss"] < before


@each_model
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(name, wavelength):
    first, again, other = (
        built(name, wavelength, seed=seed, **small(name)).training.get_weights() for seed in (1, 1, 2)
    )
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, same)
    assert any((one != different).any() for one, different in zip(first, other, strict=True))


# What the builder asks beside any model, in the same way for each: two models are enough to try its ends.
BUILDER = {"head_activation", "learning_rate", "schedule", "clip_norm", "weight_decay"}


@pytest.mark.slow
@each_model
def test_every_setting_builds_at_both_ends_of_its_range(name, wavelength):
    ends: dict[str, list[tuple]] = {}

    class Asking(Settings):
        """Notes both ends of every setting, and which others must be given for it to be asked for."""

        def _note(self, setting, low, high):
            if setting not in ends and (setting not in BUILDER or name in ("baseline", "dense")):
                ends[setting] = [(given | {setting: value}, setting, value) for value in (low, high)]
                left.extend(ends[setting])

        def _number(self, setting, kind, what, low, high, default):
            self._note(setting, low, high)
            return super()._number(setting, kind, what, low, high, default)

        def Choice(self, setting, values, ordered=None, default=None):
            self._note(setting, values[0], values[-1])
            return super().Choice(setting, values, ordered, default)

        def Boolean(self, setting, default=False):
            self._note(setting, False, True)
            return super().Boolean(setting, default)

    left: list[tuple] = [({}, None, None)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "Settings", Asking)
        while left:
            given, setting, value = left.pop(0)
            settings = built(name, wavelength, **small(name, **given)).settings
            assert setting is None or settings[setting] == value
    if name in ("baseline", "dense"):
        assert ends.keys() >= BUILDER
    if name == "cnn":
        assert "multiplier" in ends, "a setting that another's value brings is tried too"


@each_unlike_type
def test_a_copy_of_a_model_with_its_weights_answers_the_same(name, wavelength, settings):
    config = configured(name, wavelength, star="all", **small(name, **settings))
    sample = Sample(config)
    model = build(config, sample.statistics).inference
    copy = builder.copy_of(model)
    copy.set_weights(model.get_weights())
    expected = np.asarray(model(sample.inputs, training=False))
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape))  # what becomes of the model does not reach the copy
    np.testing.assert_array_equal(copy(sample.inputs, training=False), expected)


@pytest.fixture(scope="module")
def saved(tmp_path_factory, request):
    """Models with the heads that they are tried with, saved; one process without our code loads and runs them all."""
    folder = tmp_path_factory.mktemp("saved")
    expected = {}
    chosen = [item.callspec.params for item in request.session.items if "fresh_process_without" in item.name]
    for name, wavelength, settings, head in (each.values() for each in chosen):
        star = {"star": "star_temp,star_logg,star_rad", "clip_star": "yes", "logg": "one-hot"}
        star = {"star": "all"} if name in LONG else star
        config = configured(name, wavelength, head=head, **star, **small(name, **settings))
        sample = Sample(config)
        model = build(config, sample.statistics).inference
        stem = stem_of(name, wavelength, settings, head)
        model.save(folder / f"{stem}.keras")
        np.savez(folder / f"{stem}.npz", **sample.inputs)
        expected[stem] = np.asarray(model(sample.inputs, training=False))
    program = (
        "import sys, pathlib, numpy as np, keras\n"
        "for path in pathlib.Path(sys.argv[1]).glob('*.keras'):\n"
        "    inputs = dict(np.load(path.with_suffix('.npz')))\n"
        "    np.save(path.with_suffix('.npy'), keras.models.load_model(path)(inputs))\n"
        "assert not any(name.startswith('ariel_tf') for name in sys.modules)\n"
    )
    command = [sys.executable, "-c", program, str(folder)]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return folder, expected


def stem_of(name, wavelength, settings, head):
    return "-".join(map(str, (name, wavelength, *settings.values(), head)))


@each_unlike_headed_type
def test_a_saved_model_answers_the_same_in_a_fresh_process_without_our_code(saved, name, wavelength, settings, head):
    folder, expected = saved
    stem = stem_of(name, wavelength, settings, head)
    received = np.load(folder / f"{stem}.npy")
    assert received.shape == (ROWS, 55 if wavelength == "joint" else 1)
    np.testing.assert_allclose(received, expected[stem], rtol=1e-5, atol=1e-7)
    assert (received >= 0).all() or head == "radius"


# Each optimiser and each loss once, the two that do most as a graph; all pairs in `make test-slow`, as graphs.
@pytest.mark.parametrize(
    ("optimizer", "loss"),
    [
        pytest.param(optimizer, loss, marks=[] if LOSSES[0] == loss or OPTIMIZERS[0] == optimizer else pytest.mark.slow)
        for optimizer in OPTIMIZERS
        for loss in LOSSES
    ],
)
def test_every_optimiser_and_loss_compiles(loss, optimizer):
    options = {"loss": loss, "optimizer": optimizer, "settings": {"first": 4, "second": 4}}
    sample = Sample(configured("baseline", **options))
    model = built("baseline", **options).training
    assert type(model.optimizer).__name__.lower() == optimizer
    short = LOSSES[0] == loss or OPTIMIZERS[0] == optimizer
    model.run_eagerly = short and (optimizer, loss) not in (("nadam", LOSSES[0]), (OPTIMIZERS[0], "ariel"))
    logs = model.fit(sample.inputs, sample.radii, verbose=0).history
    assert np.isfinite(logs["loss"][0])


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("transform", ["standardize", "none"])
def test_half_precision_answers_float32_close_to_full(precision, transform):
    options = {"transform": transform, "settings": {"first": 16, "second": 8}}
    answer, full = predict("baseline", precision=precision, **options), predict("baseline", **options)
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, full, atol=0.02 * full.std() + 1e-7 if precision == "float32" else 0.003)
    assert keras.config.dtype_policy().name == "float32"


def test_a_cosine_schedule_rises_then_falls():
    optimizer = built("baseline", settings={"schedule": "cosine", "learning_rate": 0.01}).training.optimizer
    assert float(optimizer.learning_rate) == pytest.approx(0.01 / 25)
    config = configured("baseline", settings={"schedule": "cosine", "learning_rate": 0.01})
    schedule = build(config, Sample(config).statistics, steps=100).training.optimizer._learning_rate
    rates = [float(schedule(step)) for step in (0, 10, 55, 100)]
    assert rates[1] == pytest.approx(0.01)
    assert rates[2] == pytest.approx(0.005, rel=0.02)
    assert rates[3] == pytest.approx(1e-5, rel=0.01)


def test_clipping_and_weight_decay_reach_the_optimiser():
    optimizer = built("baseline", settings={"clip_norm": 2, "weight_decay": 0.1}).training.optimizer
    assert (optimizer.global_clipnorm, optimizer.weight_decay) == (2.0, 0.1)
    assert built("baseline", optimizer="adamw", settings={"weight_decay": 0}).training.optimizer.weight_decay == 0


def test_untrained_answers_lie_near_the_training_planets_mean():
    """A linear head in units of the spread: the first weights already answer plausible radii."""
    spread = Sample(configured("baseline")).statistics["radius"]
    assert np.abs(predict("baseline").mean() - spread.mean) < 3 * spread.std


def test_the_historical_sigmoid_head_answers_in_0_to_1():
    answer = predict("squid", settings={"head_activation": "sigmoid"})
    assert ((answer > 0) & (answer < 1)).all()


@pytest.mark.parametrize(("name", "wavelength"), [("squid", "joint"), ("dense", 12)])
def test_a_model_of_another_scope_is_refused(name, wavelength):
    with pytest.raises(UsageError, match=f"--model {name}: predicts"):
        configured(name, wavelength)


def test_an_unknown_setting_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match=r"Received: frist\. Did you mean first"):
        built("baseline", settings={"frist": "10"})

"""Every registered model: builds, learns a step, saves, and loads in a fresh process without our code."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import scipy.stats

from ariel_tf.challenge import N_STEPS, STAR_NAMES
from ariel_tf.config import model_registry
from ariel_tf.config.hyperparameters import Settings
from ariel_tf.config.train_config import (
    FUNCTIONS,
    HEADS,
    LOSSES,
    OPTIMIZERS,
    PRECISIONS,
    RAMPS,
    TRANSFORMS,
    Configuration,
)
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.statistics import Statistics
from ariel_tf.models import builder, transforms, yeo_johnson
from ariel_tf.models.builder import build
from ariel_tf.models.image import picture
from ariel_tf.physics.detector import RAMP

# Every model in every scope that it has: one wavelength, or all 55 jointly.
CASES = tuple(
    (name, wavelength)
    for name, entry in model_registry.entries().items()
    for wavelength in (12, "joint")
    if entry.scope in ("any", "joint" if wavelength == "joint" else "one")
)
each_model = pytest.mark.parametrize(("name", "wavelength"), CASES)
# Layers of another type than the default's, which are a setting: they too must learn, and load without our code.
LAYER_TYPES = (
    ("lstm", 12, {"cell": "gru", "bidirectional": True}),
    ("lstm_cnn", "joint", {"cell": "gru"}),
    ("cnn", 12, {"convolution": "separable"}),
    ("cnn", "joint", {"convolution": "separable", "multiplier": 1}),
)
MODELS = (*((*case, {}) for case in CASES), *LAYER_TYPES)
each_layer_type = pytest.mark.parametrize(("name", "wavelength", "settings"), MODELS)
ROWS, INSTANCES = 6, 3


def of(values):
    return Statistics(len(values), values.mean(0), values.std(0), values.min(0), values.max(0))


class Sample:
    """A few rows of noise in the shape that a configuration's model takes."""

    def __init__(self, config):
        rng = np.random.default_rng(0)
        channels = len(config.signature.channels)
        several = [INSTANCES] if config.signature.row != "observation" else []
        flux = (1 + 0.01 * rng.standard_normal([ROWS, *several, N_STEPS, channels])).astype(np.float32)
        star = rng.uniform(0.5, 9, (ROWS, len(STAR_NAMES))).astype(np.float32)
        self.inputs = {"flux": flux, "star": star} if config.star_names else {"flux": flux}
        self.radii = rng.uniform(0.02, 0.15, (ROWS, len(config.signature.targets))).astype(np.float32)
        arrays = {"flux": flux, "star": star, "radius": self.radii, "depth": self.radii**2}
        self.statistics = {name: of(values.astype(np.float64)) for name, values in arrays.items()}


def small(name, **settings):
    """Options of a smaller model where it allows them: recurrent networks are slow, and so are large pictures."""
    steps = {} if name == "transit" else {"steps": "40:290:4"}
    return {**steps, "settings": ({"size": 32} if name == "image" else {}) | settings}


def configured(name, wavelength=12, **options):
    return Configuration(model=name, wavelength=wavelength, **options).resolved()


def built(name, wavelength=12, **options):
    config = configured(name, wavelength, **options)
    return build(config, Sample(config).statistics)


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


@each_layer_type
@pytest.mark.parametrize("head", HEADS)
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


@each_model
def test_every_setting_builds_at_both_ends_of_its_range(name, wavelength):
    ends: dict[str, list[tuple]] = {}

    class Asking(Settings):
        """Notes both ends of every setting, and which others must be given for it to be asked for."""

        def _note(self, setting, low, high):
            if setting not in ends:
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
    assert "learning_rate" in ends
    if name == "cnn":
        assert "multiplier" in ends, "a setting that another's value brings is tried too"


@each_layer_type
def test_a_copy_of_a_model_with_its_weights_answers_the_same(name, wavelength, settings):
    config = configured(name, wavelength, star="all", **small(name, **settings))
    sample = Sample(config)
    model = build(config, sample.statistics).inference
    copy = builder.copy_of(model)
    copy.set_weights(model.get_weights())
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape))  # what becomes of the model does not reach the copy
    answer = np.asarray(copy(sample.inputs, training=False))
    expected = np.asarray(build(config, sample.statistics).inference(sample.inputs, training=False))
    np.testing.assert_array_equal(answer, expected)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Every model with both heads, saved; and one process without our code that loads and runs them all."""
    folder = tmp_path_factory.mktemp("saved")
    expected = {}
    for name, wavelength, settings in MODELS:
        for head in HEADS:
            star = {"star": "star_temp,star_logg,star_rad", "clip_star": "yes", "logg": "one-hot"}
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


@pytest.mark.xdist_group("saved")  # so that one worker makes them
@each_layer_type
@pytest.mark.parametrize("head", HEADS)
def test_a_saved_model_answers_the_same_in_a_fresh_process_without_our_code(saved, name, wavelength, settings, head):
    folder, expected = saved
    stem = stem_of(name, wavelength, settings, head)
    received = np.load(folder / f"{stem}.npy")
    assert received.shape == (ROWS, 55 if wavelength == "joint" else 1)
    np.testing.assert_allclose(received, expected[stem], rtol=1e-5, atol=1e-7)
    assert (received >= 0).all() or head == "radius"


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimiser_and_loss_compiles(loss, optimizer):
    options = {"loss": loss, "optimizer": optimizer, "settings": {"first": 4, "second": 4}}
    sample = Sample(configured("baseline", **options))
    model = built("baseline", **options).training
    assert type(model.optimizer).__name__.lower() == optimizer
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


STEPS = ["0:300", "99:200", "0:300:3", "3,5,40,299"]


def seen(config, sample, power=None):
    """What a model of this configuration sees of a sample's flux, through the layers that a saved model holds."""
    raw = keras.Input((N_STEPS, 1))
    statistics = {**sample.statistics, "power": power}
    flux = builder._seen({"flux": raw}, config, statistics).flux
    return np.asarray(keras.Model(raw, flux)(sample.inputs["flux"]))


@pytest.mark.parametrize("transform", [name for name in TRANSFORMS if name != "yeo-johnson"])
@pytest.mark.parametrize("steps", STEPS)
def test_transforms_equal_numpy(transform, steps):
    config = configured("baseline", transform=transform, steps=steps)
    sample = Sample(config)
    x = sample.inputs["flux"][:, list(config.time_steps)].astype(np.float64)
    expected = {
        "none": x,
        "baseline": (x - 1) / 0.04,
        "standardize": (x - x.mean(0)) / x.std(0),
        "max-abs": (x - x.mean(0)) / np.abs(x - x.mean(0)).max(0),
        "min-max": (x - x.min(0)) / (x.max(0) - x.min(0)),
    }[transform]
    np.testing.assert_allclose(seen(config, sample), expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("ramp", RAMPS)
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("steps", STEPS)
def test_ramp_and_function_equal_numpy(ramp, function, steps):
    config = configured("baseline", transform="none", ramp=ramp, function=function, steps=steps)
    sample = Sample(config)
    x = sample.inputs["flux"].astype(np.float64)
    if ramp == "one":
        x[:, : transforms.RAMP_STEPS] = 1
    elif ramp == "divide":
        x = x / RAMP[:, None]
    x = {"none": x, "log": np.log(x), "sqrt": np.sqrt(x), "square": x**2, "exp": np.exp(x)}[function]
    np.testing.assert_allclose(seen(config, sample), x[:, list(config.time_steps)], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_what_has_an_inverse_comes_back(transform, function):
    config = configured("baseline", transform=transform, ramp="divide", function=function, steps="20:290:3")
    sample = Sample(config)
    chosen = list(config.time_steps)
    shaped = np.asarray(transforms.shape_flux(sample.inputs["flux"], range(N_STEPS), "divide", function))
    sample.statistics["flux"] = of(shaped.astype(np.float64))
    power = yeo_johnson.fit((shaped - shaped.mean(0)) / shaped.std(0))
    there = seen(config, sample, power)
    its, its_power = (part.map(lambda values: values[chosen]) for part in (sample.statistics["flux"], power))
    back = transforms.invert_flux(there, config, its, its_power)
    np.testing.assert_allclose(back, sample.inputs["flux"][:, chosen], rtol=1e-4, atol=1e-5)


def test_a_ramp_set_to_1_has_no_inverse():
    config = configured("baseline", ramp="one")
    with pytest.raises(UsageError, match="--ramp one: has no inverse"):
        transforms.invert_flux(np.ones((1, 300, 1)), config, None)


def skewed(rows=4000):
    """Columns of known shape: normal; skewed to the right; to the left; constant."""
    rng = np.random.default_rng(1)
    normal = rng.standard_normal((4, rows))
    columns = np.stack([normal[0], np.exp(normal[1] / 2), -np.exp(normal[2]), np.ones(rows)], axis=1)
    spread = columns.std(0)
    return (columns - columns.mean(0)) / np.where(spread > 0, spread, 1)


def test_yeo_johnson_is_fitted_and_applied_as_scipy_does():
    z = skewed()
    power = yeo_johnson.fit(z)
    expected = [scipy.stats.yeojohnson_normmax(column) for column in z.T[:3]]
    np.testing.assert_allclose(power.exponent[:3], expected, atol=3e-3)
    assert power.exponent[3] == 1
    raw = keras.Input((4,))
    answer = keras.Model(raw, yeo_johnson.apply(raw, power.exponent))(z.astype(np.float32))
    for column in range(3):
        by_scipy = scipy.stats.yeojohnson(z[:, column], power.exponent[column])
        np.testing.assert_allclose(answer[:, column], by_scipy, rtol=2e-4, atol=2e-5)
    back = yeo_johnson.invert(answer, power.exponent)
    np.testing.assert_allclose(back, z, rtol=1e-3, atol=1e-4)


def test_yeo_johnson_at_its_two_limits_is_a_logarithm():
    raw = keras.Input((2,))
    model = keras.Model(raw, yeo_johnson.apply(raw, np.array([0.0, 2.0])))
    answer = model(np.array([[3.0, -3.0]], np.float32))
    np.testing.assert_allclose(answer, [[np.log(4), -np.log(4)]], rtol=1e-3)


def test_a_column_that_never_varies_becomes_zero():
    x = keras.Input((2,))
    model = keras.Model(x, transforms.affine(x, np.array([3.0, 0.0]), np.array([0.0, 2.0]), "affine"))
    np.testing.assert_allclose(model(np.array([[3.0, 4.0]])), [[0.0, 2.0]])


def test_stellar_parameters_are_taken_by_name():
    """Of raw star [6] the model sees the named columns only; the others do not change its answer."""
    config = configured("squid", star="star_k_mag")
    sample = Sample(config)
    model = build(config, sample.statistics).inference
    flux, star = sample.inputs["flux"], sample.inputs["star"]
    before = np.asarray(model({"flux": flux, "star": star}))
    moved = star.copy()
    moved[:, [i for i, name in enumerate(STAR_NAMES) if name != "star_k_mag"]] += 5
    np.testing.assert_array_equal(model({"flux": flux, "star": moved}), before)
    moved[:, STAR_NAMES.index("star_k_mag")] += 5
    assert np.abs(np.asarray(model({"flux": flux, "star": moved})) - before).max() > 0


def test_clipped_stars_and_one_hot_gravity_worked_by_hand():
    """Of radius 5 (cut to 1.8), gravity 4.0 and period 3: mean 0 and spread 1 leave them as they are."""
    plain = Statistics(1, *(np.full(6, value, float) for value in (0, 1, 0, 0)))
    config = configured("baseline", star="star_rad,star_logg,period", clip_star="yes", logg="one-hot")
    raw = keras.Input((6,))
    model = keras.Model(raw, transforms.transform_star(raw, config, plain))
    star = np.array([[5000, 4.0, 5.0, 1.0, 5.0, 3.0]])
    np.testing.assert_allclose(model(star), [[1.8, 3.0, 0, 1, 0, 0]])
    alone = configured("baseline", star="star_logg", logg="one-hot")
    model = keras.Model(raw, transforms.transform_star(raw, alone, plain))
    np.testing.assert_allclose(model(star), [[0, 1, 0, 0]])


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of a backbone's weights, as keras.applications reads them."""
    path = tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
    backbone = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(32, 32, 3), alpha=0.25)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # so that one pass gives it the statistics that a trained one has
    backbone(np.random.default_rng(0).standard_normal((4, 32, 32, 3)), training=True)
    backbone.save_weights(path)
    return path, backbone.get_weights()


def test_a_pretrained_backbone_is_frozen_then_thawed(weights):
    path, expected = weights
    options = {"weights": str(path), **small("image", learning_rate=0.01, fine_rate=0.1, frozen_epochs=3)}
    sample, model = Sample(configured("image", "joint", **options)), built("image", "joint", **options)
    backbone = model.training.get_layer("backbone")

    def moved():
        model.training.fit(sample.inputs, sample.radii, batch_size=ROWS, verbose=0)
        return [not np.array_equal(*pair) for pair in zip(backbone.get_weights(), expected, strict=True)]

    assert not any(moved())
    assert model.thaw.epoch == 3
    model.thaw.set(True)
    assert float(model.training.optimizer.learning_rate) == pytest.approx(0.001)
    after = moved()
    assert any(after)
    for weight, its in zip(backbone.weights, after, strict=True):
        assert not (its and "moving" in weight.path), "batch statistics stay the photographs'"


def test_weights_of_another_backbone_are_refused(weights):
    with pytest.raises(DataError, match="not the weights of MobileNetV3Small without top"):
        built("image", "joint", weights=str(weights[0]), **small("image", backbone="MobileNetV3Small"))
    with pytest.raises(UsageError, match="--weights: the model squid takes none"):
        configured("squid", weights=str(weights[0]))


def test_a_picture_holds_each_wavelength_s_instances_as_neighbouring_rows():
    """2 instances of 3 wavelengths, each of its own brightness: 6 rows, two of each."""
    flux = np.ones((1, 2, 6, 3), np.float32) * np.array([1.0, 2.0, 3.0], np.float32)
    flux[:, 1] += 0.5
    rows = np.asarray(picture(flux, 6))
    assert rows.shape == (1, 6, 6, 3)
    np.testing.assert_allclose(rows[0, :, 0, 0], [1, 1.5, 2, 2.5, 3, 3.5], rtol=1e-6)
    np.testing.assert_array_equal(rows[..., 0], rows[..., 2])


def test_an_unknown_setting_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match=r"Received: frist\. Did you mean first"):
        built("baseline", settings={"frist": "10"})

"""Every registered model: builds, learns a step, saves, and loads in a fresh process without our code."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from ariel_tf.challenge import N_STEPS, STAR_NAMES
from ariel_tf.data.sums import Statistics
from ariel_tf.errors import UsageError
from ariel_tf.models import builder, registry, transforms
from ariel_tf.models.builder import build
from ariel_tf.models.hyper import Settings
from ariel_tf.training import configuration
from ariel_tf.training.configuration import HEADS, LOSSES, OPTIMIZERS, TRANSFORMS, Configuration

MODELS = tuple(registry.entries())
RNG = np.random.default_rng(0)
ROWS = 6
FLUX = (1 + 0.01 * RNG.standard_normal((ROWS, N_STEPS, 1))).astype(np.float32)
STAR = RNG.uniform(0.5, 9, (ROWS, len(STAR_NAMES))).astype(np.float32)
RADII = RNG.uniform(0.02, 0.15, (ROWS, 1)).astype(np.float32)


def of(values):
    return Statistics(len(values), values.mean(0), values.std(0), values.min(0), values.max(0))


STATISTICS = {
    "flux": of(FLUX.astype(np.float64)),
    "star": of(STAR.astype(np.float64)),
    "radius": of(RADII.astype(np.float64)),
    "depth": of(RADII.astype(np.float64) ** 2),
}


def built(name, **options):
    return build(Configuration(model=name, **options).resolved(), STATISTICS)


def inputs(model):
    return {tensor.name: {"flux": FLUX, "star": STAR}[tensor.name] for tensor in model.inputs}


def predict(model):
    return np.asarray(model(inputs(model), training=False))


def test_names_read_from_source_are_the_functions_that_import_gives():
    for name, entry in registry.entries().items():
        function = registry.load(name)
        assert function.__name__ == name
        for about, value in function.registered.items():
            assert getattr(entry, about) == value
        assert entry.summary.endswith(".")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("head", HEADS)
def test_a_step_of_training_lowers_the_loss(name, head):
    model = built(name, head=head, star="all", settings={"learning_rate": 1e-4}).training
    data = (inputs(model), RADII)
    before = model.evaluate(*data, verbose=0, return_dict=True)["loss"]
    model.fit(*data, epochs=5, batch_size=ROWS, verbose=0)
    assert model.evaluate(*data, verbose=0, return_dict=True)["loss"] < before


@pytest.mark.parametrize("name", MODELS)
def test_the_same_seed_gives_the_same_model_and_another_seed_another(name):
    first, again, other = (predict(built(name, seed=seed).inference) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0


@pytest.mark.parametrize("name", MODELS)
def test_every_setting_builds_at_both_ends_of_its_range(name):
    ends: dict[str, tuple] = {}

    class Asking(Settings):
        def _number(self, setting, kind, what, low, high, default):
            ends[setting] = (low, high)
            return super()._number(setting, kind, what, low, high, default)

        def Choice(self, setting, values, ordered=None, default=None):
            ends[setting] = (values[0], values[-1])
            return super().Choice(setting, values, ordered, default)

        def Boolean(self, setting, default=False):
            ends[setting] = (False, True)
            return super().Boolean(setting, default)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "Settings", Asking)
        built(name)
    assert "learning_rate" in ends
    for setting, values in ends.items():
        for value in values:
            assert built(name, settings={setting: value}).settings[setting] == value


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Every model with both heads, saved; and one process without our code that loads and runs them all."""
    folder = tmp_path_factory.mktemp("saved")
    expected = {}
    for name in MODELS:
        for head in HEADS:
            model = built(name, head=head, star="star_temp,star_rad", steps="10:290:2").inference
            model.save(folder / f"{name}-{head}.keras")
            expected[name, head] = predict(model)
    np.savez(folder / "inputs.npz", flux=FLUX, star=STAR)
    program = (
        "import sys, pathlib, numpy as np, keras\n"
        "folder = pathlib.Path(sys.argv[1]); inputs = dict(np.load(folder / 'inputs.npz'))\n"
        "for path in folder.glob('*.keras'):\n"
        "    np.save(path.with_suffix('.npy'), keras.models.load_model(path)(inputs))\n"
        "assert not any(name.startswith('ariel_tf') for name in sys.modules)\n"
    )
    command = [sys.executable, "-c", program, str(folder)]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return folder, expected


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("head", HEADS)
def test_a_saved_model_answers_the_same_in_a_fresh_process_without_our_code(saved, name, head):
    folder, expected = saved
    received = np.load(folder / f"{name}-{head}.npy")
    assert received.shape == (ROWS, 1)
    np.testing.assert_allclose(received, expected[name, head], rtol=1e-6)
    assert (received >= 0).all() or head == "radius"


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimiser_and_loss_compiles(loss, optimizer):
    model = built(MODELS[0], loss=loss, optimizer=optimizer, settings={"first": 4, "second": 4}).training
    assert type(model.optimizer).__name__.lower() == optimizer
    logs = model.fit(inputs(model), RADII, verbose=0).history
    assert np.isfinite(logs["loss"][0])


def test_untrained_answers_lie_near_the_training_planets_mean():
    """A linear head in units of the spread: the first weights already answer plausible radii."""
    answer = predict(built("baseline").inference)
    assert np.abs(answer.mean() - RADII.mean()) < 3 * RADII.std()


def test_the_historical_sigmoid_head_answers_in_0_to_1():
    answer = predict(built("squid", settings={"head_activation": "sigmoid"}).inference)
    assert ((answer > 0) & (answer < 1)).all()


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("steps", ["0:300", "99:200", "0:300:3"])
def test_transforms_equal_numpy(transform, steps):
    chosen = configuration.parse_steps(steps)
    x = FLUX[:, chosen].astype(np.float64)
    expected = {
        "none": x,
        "baseline": (x - 1) / 0.04,
        "standardize": (x - x.mean(0)) / x.std(0),
        "max-abs": (x - x.mean(0)) / np.abs(x - x.mean(0)).max(0),
        "min-max": (x - x.min(0)) / (x.max(0) - x.min(0)),
    }[transform]
    raw = keras.Input((N_STEPS, 1))
    flux = raw[:, chosen.start : chosen.stop : chosen.step]
    spread = STATISTICS["flux"].map(lambda values: values[chosen])
    model = keras.Model(raw, transforms.transform_flux(flux, transform, spread))
    np.testing.assert_allclose(model(FLUX), expected, rtol=2e-4, atol=2e-4)


def test_a_column_that_never_varies_becomes_zero():
    x = keras.Input((2,))
    model = keras.Model(x, transforms.affine(x, np.array([3.0, 0.0]), np.array([0.0, 2.0]), "affine"))
    np.testing.assert_allclose(model(np.array([[3.0, 4.0]])), [[0.0, 2.0]])


def test_stellar_parameters_are_taken_by_name():
    """Of raw star [6] the model sees the named columns only; the others do not change its answer."""
    model = built("squid", star="star_k_mag").inference
    before = predict(model)
    moved = STAR.copy()
    moved[:, [i for i, name in enumerate(STAR_NAMES) if name != "star_k_mag"]] += 5
    np.testing.assert_array_equal(model({"flux": FLUX, "star": moved}), before)
    moved[:, STAR_NAMES.index("star_k_mag")] += 5
    assert np.abs(np.asarray(model({"flux": FLUX, "star": moved})) - before).max() > 0


def test_an_unknown_setting_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match=r"Received: frist\. Did you mean first"):
        built("baseline", settings={"frist": "10"})

"""Light curves as a picture for a pretrained backbone: frozen, thawed, and laid out by wavelength."""

import keras
import numpy as np
import pytest
from support.models import ROWS, Sample, built, configured, small, small_backbone

from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.models.image import picture


@pytest.fixture(params=[small_backbone, pytest.param(keras.applications.MobileNet, marks=pytest.mark.slow)])
def weights(request, tmp_path, monkeypatch):
    """A file of a backbone's weights, as keras.applications reads them."""
    path = tmp_path / "mobilenet.weights.h5"
    monkeypatch.setattr(keras.applications, "MobileNet", request.param)
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
    model.training.run_eagerly = True  # a few steps are done before a graph of the backbone is traced

    def moved():
        model.training.fit(sample.inputs, sample.radii, batch_size=ROWS, verbose=0)
        return [not np.array_equal(*pair) for pair in zip(backbone.get_weights(), expected, strict=True)]

    assert not any(moved())
    assert model.fine_tuning.epoch == 3
    model.fine_tuning.set(True)
    assert float(model.training.optimizer.learning_rate) == pytest.approx(0.001)
    after = moved()
    assert any(after)
    for weight, its in zip(backbone.weights, after, strict=True):
        assert not (its and "moving" in weight.path), "batch statistics stay the photographs'"


def test_weights_of_another_backbone_are_refused(weights):
    with pytest.raises(DataError, match="not the weights of MobileNetV3Small without top"):
        built("image", "joint", weights=str(weights[0]), **small("image", backbone="MobileNetV3Small"))
    with pytest.raises(UsageError, match="--pretrained-weights: the model squid takes none"):
        configured("squid", weights=str(weights[0]))


def test_a_picture_holds_each_wavelength_s_instances_as_neighbouring_rows():
    """2 instances of 3 wavelengths, each of its own brightness: 6 rows, two of each."""
    flux = np.ones((1, 2, 6, 3), np.float32) * np.array([1.0, 2.0, 3.0], np.float32)
    flux[:, 1] += 0.5
    rows = np.asarray(picture(flux, 6))
    assert rows.shape == (1, 6, 6, 3)
    np.testing.assert_allclose(rows[0, :, 0, 0], [1, 1.5, 2, 2.5, 3, 3.5], rtol=1e-6)
    np.testing.assert_array_equal(rows[..., 0], rows[..., 2])

"""Light curves as an image, for networks designed for photographs."""

import warnings
from typing import Any

import keras
from keras import ops

from ariel_tf.config.model_registry import model
from ariel_tf.core.errors import DataError
from ariel_tf.models.builder import Inputs, Pretrained
from ariel_tf.models.dense import with_star

# Networks of keras.applications without layers of their own that rescale photographs.
BACKBONES: dict[str, dict] = {
    "MobileNet": {"alpha": 0.25},
    "MobileNetV3Small": {"include_preprocessing": False},
    "EfficientNetV2B0": {"include_preprocessing": False},
    "ResNet50V2": {},
}


def picture(flux: Any, size: int) -> Any:
    """[batch, instances, steps, channels] -> [batch, size, size, 3].

    The instances of one wavelength are neighbouring rows, time runs to the right; shrinking averages over
    instances first. Nothing is cropped, turned or recoloured: depths keep their scale.
    """
    instances, steps, channels = flux.shape[1:]
    rows = ops.reshape(ops.transpose(flux, (0, 3, 1, 2)), (-1, channels * instances, steps, 1))
    shrunk = ops.image.resize(rows, (size, size), antialias=True, data_format="channels_last")
    return ops.repeat(shrunk, 3, axis=-1)


def read_weights(backbone: keras.Model, name: str, path: str) -> None:
    """Load a backbone's weights from a file; a file that fits only in part is refused.

    Raises:
        DataError: not a file of `save_weights` for this backbone.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Keras only warns about layers without weights in the file
            backbone.load_weights(path)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"--pretrained-weights {path}: not the weights of {name} without top ({reason}).") from error


@model(scope="joint", unit="spot", pretrained=True, channels="all", head="depth", loss="mae", epochs=30, batch_size=16,
       optimizer="adam")  # fmt: skip
def image(hp: Any, inputs: Inputs) -> Any:
    """A spot instance's light curves of all wavelengths and photon instances as one picture, 224 x 224, for a backbone.

    Without --pretrained-weights the backbone of keras.applications is trained from scratch. With a local file of its
    weights (without top) it stays frozen for `frozen_epochs`, then is fine-tuned at `fine_rate` of the learning rate.
    """
    size = hp.Int("size", 32, 512, default=224)
    name = hp.Choice("backbone", list(BACKBONES), default="MobileNet")
    shape: dict = {"include_top": False, "pooling": "avg", "input_shape": (size, size, 3), "name": "backbone"}
    backbone = getattr(keras.applications, name)(weights=None, **shape, **BACKBONES[name])
    if inputs.weights is not None:
        read_weights(backbone, name, inputs.weights)
    features = with_star(backbone(picture(inputs.flux, size)), inputs)
    units = hp.Int("dense", 4, 2048, sampling="log", default=256)
    x = keras.layers.Dense(units, activation="relu", name="dense")(features)
    if inputs.weights is None:
        return x
    frozen_epochs = hp.Int("frozen_epochs", 0, 1000, default=10)
    return Pretrained(x, backbone, frozen_epochs, hp.Float("fine_rate", 1e-4, 1.0, sampling="log", default=0.1))
